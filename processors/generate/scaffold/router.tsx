import { useMemo, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent, type ReactNode } from "react";

/**
 * Routing on the browser's history: real paths, no hash. Any static server works
 * that answers unknown paths with index.html.
 */

export type Params = Record<string, string>;

const CHANGED = "router:changed";

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(CHANGED, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(CHANGED, listener);
  };
}

/** Goes to a path of this application, e.g. "/products/7?tab=notes". */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) {
    window.history.replaceState(null, "", to);
  } else {
    window.history.pushState(null, "", to);
    window.scrollTo(0, 0);
  }
  window.dispatchEvent(new Event(CHANGED));
}

/** The current path without a trailing slash ("/" for the root). */
export function usePath(): string {
  const path = useSyncExternalStore(subscribe, () => window.location.pathname);
  return path.length > 1 ? path.replace(/\/+$/, "") || "/" : path;
}

/** The current query parameters. */
export function useQuery(): URLSearchParams {
  const search = useSyncExternalStore(subscribe, () => window.location.search);
  return useMemo(() => new URLSearchParams(search), [search]);
}

/** Matches "/products/:id" against a path; null where it does not fit. */
export function matchPath(pattern: string, path: string): Params | null {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  if (wanted.length !== given.length) {
    return null;
  }
  const params: Params = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? "";
    if (part.startsWith(":")) {
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return null; // a stray % in the address is an unknown page, not a crash
      }
    } else if (part !== value) {
      return null;
    }
  }
  return params;
}

/** The parameters of the pattern if the current path fits it, else null. */
export function useRoute(pattern: string): Params | null {
  const path = usePath();
  return useMemo(() => matchPath(pattern, path), [pattern, path]);
}

export interface Route {
  path: string;
  render: (params: Params) => ReactNode;
}

/** Shows the first route that fits the current path, else the fallback. */
export function Routes({ routes, fallback }: { routes: readonly Route[]; fallback: ReactNode }): ReactNode {
  const path = usePath();
  for (const route of routes) {
    const params = matchPath(route.path, path);
    if (params !== null) {
      return route.render(params);
    }
  }
  return fallback;
}

type LinkProps = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href"> & { to: string };

/** A link inside the application; new tabs, downloads and modified clicks stay the browser's. */
export function Link({ to, onClick, children, ...rest }: LinkProps): ReactNode {
  const follow = (event: MouseEvent<HTMLAnchorElement>): void => {
    onClick?.(event);
    const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0;
    if (event.defaultPrevented || modified || (rest.target !== undefined && rest.target !== "_self")) {
      return;
    }
    event.preventDefault();
    navigate(to);
  };
  return (
    <a {...rest} href={to} onClick={follow}>
      {children}
    </a>
  );
}
