import { useEffect, useState, type ReactNode } from "react";
import { useNotice } from "../hooks";
import { Link, usePath } from "../router";

export interface NavItem {
  to: string;
  label: string;
}

/** The frame of every page: title, navigation, content, notices. */
export function Layout({ title, items, children }: { title: string; items: readonly NavItem[]; children: ReactNode }): ReactNode {
  const path = usePath();
  const within = (to: string): boolean => path === to || (to !== "/" && path.startsWith(`${to}/`));
  return (
    <div className="layout">
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="sidebar">
        <p className="brand">
          <span className="brand-mark" aria-hidden="true">
            {title.slice(0, 1).toLocaleUpperCase()}
          </span>
          <span>{title}</span>
        </p>
        <nav aria-label="Main">
          <ul>
            {items.map((item) => (
              <li key={item.to}>
                <Link to={item.to} aria-current={within(item.to) ? "page" : undefined}>
                  {item.label}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <Notice />
    </div>
  );
}

const NOTICE_MS = 4000;

function Notice(): ReactNode {
  const notice = useNotice();
  const [hidden, setHidden] = useState("");
  useEffect(() => {
    setHidden("");
    const timer = setTimeout(() => setHidden(notice), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [notice]);
  return (
    <div className="notice" role="status" hidden={notice === "" || notice === hidden}>
      {notice}
    </div>
  );
}
