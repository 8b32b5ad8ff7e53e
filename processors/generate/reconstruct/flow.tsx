import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type CSSProperties,
  type ChangeEvent,
  type InputHTMLAttributes,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
} from "react";
import { pages, rules, type PageId, type Rule } from "./recording";
import { navigate, usePath } from "./router";

/**
 * What happens when something is done: the steps seen in the recording, as rules. A rule leads from a page to another when
 * its control is operated. Where one control led to different pages, they follow each other in the recording's order.
 * Whatever was not seen does nothing.
 */

/** What controls show, by their names: a Map, since a control may be named as a property that every object has. */
type Values = ReadonlyMap<string, string>;

interface Flow {
  page: PageId;
  values: Values;
  setValue: (name: string, value: string) => void;
  /** Follows the rule of a control on this page; false where there is none. */
  follow: (on: Rule["on"], control: string, typed?: string) => boolean;
  /** A click handler for a control; none for what leads nowhere. */
  click: (control: string | undefined) => ((event: MouseEvent<HTMLElement>) => void) | undefined;
}

/** A form's own button: what was entered is saved by the form, whatever else the click does. */
const submits = (control: Element): boolean => control.getAttribute("type") === "submit";

const FlowContext = createContext<Flow | null>(null);

export function useFlow(): Flow {
  const flow = useContext(FlowContext);
  if (flow === null) {
    throw new Error("useFlow needs a FlowProvider above it");
  }
  return flow;
}

export function FlowProvider({ children }: { children: ReactNode }): ReactNode {
  const path = usePath();
  const current = pages.find((candidate) => candidate.path === path) ?? pages[0];
  const page = current.id;
  const [values, setValues] = useState<Values>(() => new Map());
  const followed = useRef(new Map<string, number>());
  const scrollTo = useRef<number | null>(null);
  const focused = useRef<string | null>(null);

  const go = useCallback((rule: Rule) => {
    scrollTo.current = rule.scroll ?? window.scrollY;
    focused.current = document.activeElement?.getAttribute("name") ?? null;
    if (rule.values) {
      const seen = rule.values;
      setValues((before) => new Map([...before, ...Object.entries(seen)]));
    }
    const target = pages.find((candidate) => candidate.id === rule.to);
    if (target && target.path !== window.location.pathname) {
      navigate(target.path);
    } else {
      window.scrollTo(0, scrollTo.current);
    }
  }, []);

  const follow = useCallback(
    (on: Rule["on"], control: string, typed = "") => {
      const fits = (rule: Rule): boolean =>
        rule.from === page && rule.on === on && rule.control === control && (rule.typed === undefined || rule.typed <= typed.length);
      const options = rules.filter(fits);
      const key = [page, on, control].join(" ");
      const count = followed.current.get(key) ?? 0;
      const rule = options[count % Math.max(1, options.length)];
      if (rule === undefined) {
        return false;
      }
      followed.current.set(key, count + 1);
      go(rule);
      return true;
    },
    [page, go],
  );

  useLayoutEffect(() => {
    document.title = current.title;
    if (scrollTo.current !== null) {
      window.scrollTo(0, scrollTo.current);
      scrollTo.current = null;
    }
    if (focused.current !== null) {
      document.getElementsByName(focused.current)[0]?.focus({ preventScroll: true });
      focused.current = null;
    }
  }, [current]);

  useEffect(() => {
    // Some pages only showed for a moment, as one that loads does.
    const passing = rules.find((rule) => rule.from === page && rule.on === "time");
    if (passing === undefined) {
      return undefined;
    }
    const timer = window.setTimeout(() => go(passing), passing.delay ?? 300);
    return () => window.clearTimeout(timer);
  }, [page, go]);

  useEffect(() => {
    // Where the wheel moved only a part of the window, what it led to is a page of its own.
    const turned = (event: WheelEvent): void => {
      if (follow("wheel", event.deltaY > 0 ? "down" : "up")) {
        event.preventDefault();
      }
    };
    window.addEventListener("wheel", turned, { passive: false });
    return () => window.removeEventListener("wheel", turned);
  }, [follow]);

  const flow = useMemo<Flow>(
    () => ({
      page,
      values,
      setValue: (name, value) => setValues((before) => new Map(before).set(name, value)),
      follow,
      click: (control) =>
        control === undefined
          ? undefined
          : (event) => {
              if (follow("click", control)) {
                if (!submits(event.currentTarget)) {
                  event.preventDefault();
                }
                event.stopPropagation();
              }
            },
    }),
    [page, values, follow],
  );
  const elsewhere = (event: MouseEvent<HTMLElement>): void => {
    const control = (event.target as Element).closest('a, button, [role="button"]');
    if (control === null) {
      return;
    }
    if (!submits(control)) {
      event.preventDefault();
    }
    // A control that led to the same page wherever it was used, as in a menu, leads there from every page.
    const name = control.getAttribute("data-control");
    const known = rules.filter((rule) => rule.on === "click" && rule.control === name);
    const [first, ...others] = known;
    if (first !== undefined && others.every((rule) => rule.to === first.to)) {
      go(first);
    } else {
      // A step whose control the recording does not tell is taken by the first control that has no step of its own.
      follow("any", "");
    }
  };
  return (
    <FlowContext.Provider value={flow}>
      <div onClick={elsewhere}>{children}</div>
    </FlowContext.Provider>
  );
}

interface FieldProps {
  name: string;
  label: string;
  initial: string;
  className: string;
  style?: CSSProperties;
  placeholder?: string;
  type?: "text" | "password";
  multiline?: boolean;
}

/** A text field whose value outlives the page, as long as the application is open. */
export function Field({ name, label, initial, multiline = false, ...rest }: FieldProps): ReactNode {
  const { values, setValue, follow } = useFlow();
  const props = {
    ...rest,
    name,
    "aria-label": label,
    value: values.get(name) ?? initial,
    autoComplete: "off",
    spellCheck: false,
    onClick: () => {
      follow("click", name);
    },
    onChange: (event: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => {
      setValue(name, event.target.value);
      follow("type", name, event.target.value);
    },
    onKeyDown: (event: KeyboardEvent<HTMLInputElement | HTMLTextAreaElement>) => {
      if (event.key === "Enter" && follow("enter", name)) {
        event.preventDefault();
      }
    },
  };
  return multiline ? <textarea {...props} /> : <input {...props} />;
}

type CheckProps = Pick<InputHTMLAttributes<HTMLInputElement>, "className" | "style"> & {
  name: string;
  label: string;
  initial: boolean;
  type: "checkbox" | "radio";
};

export function Check({ name, label, initial, className, style, type }: CheckProps): ReactNode {
  const { values, setValue, follow } = useFlow();
  const checked = (values.get(name) ?? (initial ? "on" : "")) !== "";
  return (
    <input
      type={type}
      name={name}
      aria-label={label}
      className={className}
      style={style}
      checked={checked}
      onChange={(event) => setValue(name, event.target.checked ? "on" : "")}
      onClick={() => {
        follow("click", name);
      }}
    />
  );
}

interface ChoiceProps {
  name: string;
  label: string;
  options: readonly string[];
  className: string;
  style?: CSSProperties;
}

export function Choice({ name, label, options, className, style }: ChoiceProps): ReactNode {
  const { values, setValue, follow } = useFlow();
  return (
    <select
      name={name}
      aria-label={label}
      className={className}
      style={style}
      value={values.get(name) ?? options[0] ?? ""}
      onClick={() => {
        follow("click", name);
      }}
      onChange={(event) => {
        setValue(name, event.target.value);
        follow("type", name, event.target.value);
      }}
    >
      {options.map((option) => (
        <option key={option}>{option}</option>
      ))}
    </select>
  );
}
