// Kits that are a style sheet: the same markup with each one's classes. `KIT` says which, the page's build puts it in.
import React from "react";

const C = {
  bootstrap: { primary: "btn btn-primary", default: "btn btn-outline-secondary", danger: "btn btn-danger", text: "btn btn-link", small: "btn btn-sm btn-secondary", icon: "btn btn-light btn-sm", input: "form-control", select: "form-select", check: "form-check-input", checkrow: "form-check", table: "table table-hover", card: "card card-body", tabs: "nav nav-tabs", tab: "nav-item", tablink: "nav-link", active: "active" },
  bulma: { primary: "button is-primary", default: "button", danger: "button is-danger", text: "button is-text", small: "button is-small is-info", icon: "button", input: "input", select: "", selectwrap: "select", check: "", checkrow: "checkbox", table: "table is-striped is-fullwidth", card: "box", tabs: "", tabswrap: "tabs", tab: "", tablink: "", tabactive: "is-active", head: (l) => `title is-${l + 1}` },
  pico: { primary: "", default: "secondary outline", danger: "contrast", text: "outline", small: "secondary", icon: "outline", input: "", select: "", check: "", checkrow: "", table: "striped", card: "", cardTag: "article", tabs: "", tab: "", tablink: "" },
  foundation: { primary: "button", default: "hollow button secondary", danger: "alert button", text: "clear button", small: "tiny button", icon: "button secondary", input: "", select: "", check: "", checkrow: "", table: "hover", card: "callout", tabs: "tabs", tab: "tabs-title", tablink: "", tabactive: "is-active" },
  fomantic: { primary: "ui primary button", default: "ui button", danger: "ui red button", text: "ui basic button", small: "ui mini button", icon: "ui icon button", input: "", inputwrap: "ui input", select: "ui dropdown", check: "", checkrow: "", table: "ui celled table", card: "ui segment", tabs: "", tabswrap: "", tab: "", tablink: "", head: () => "ui header" },
  materialize: { primary: "btn", default: "btn grey", danger: "btn red", text: "btn-flat", small: "btn-small", icon: "btn-flat", input: "", inputwrap: "input-field", select: "browser-default", check: "filled-in", checkrow: "", spanned: true, table: "highlight", card: "card-panel", tabs: "tabs", tab: "tab", tablink: "", },
  water: { primary: "", default: "", danger: "", text: "", small: "", icon: "", input: "", select: "", check: "", checkrow: "", table: "", card: "", tabs: "", tab: "", tablink: "" },
  spectre: { primary: "btn btn-primary", default: "btn", danger: "btn btn-error", text: "btn btn-link", small: "btn btn-sm", icon: "btn btn-action", input: "form-input", select: "form-select", check: "", checkrow: "form-checkbox", checkicon: "form-icon", table: "table table-striped", card: "panel", tabs: "tab", tab: "tab-item", tablink: "" },
};
const c = C[KIT];
const Wrapped = ({ by, children }) => by ? <div className={by}>{children}</div> : children;
const labelled = (label, child) => <div>{label ? <label style={{ display: "block" }}>{label}</label> : null}{child}</div>;
const tick = (type) => ({ label, on, group }) => {
  const input = <input type={type} name={group} defaultChecked={on} className={c.check} />;
  const inner = c.spanned ? <>{input}<span>{label}</span></> : c.checkicon ? <>{input}<i className={c.checkicon} />{label}</> : <>{input} {label}</>;
  return <div className={type === "radio" && c.checkicon ? "form-radio" : c.checkrow}><label>{inner}</label></div>;
};
export const kit = {
  Button: ({ variant, children, ...p }) => <button type="button" className={c[variant]} {...p}>{children}</button>,
  Input: ({ label, style, ...p }) => labelled(label, <Wrapped by={c.inputwrap}><input type="text" className={c.input} style={style} {...p} /></Wrapped>),
  Area: ({ label, style, ...p }) => labelled(label, <textarea className={c.input} style={style} rows={3} {...p} />),
  Select: ({ label, style, options }) => labelled(label, <Wrapped by={c.selectwrap}><select className={c.select} style={style}>{options.map((o) => <option key={o}>{o}</option>)}</select></Wrapped>),
  Check: tick("checkbox"),
  Radio: tick("radio"),
  Table: ({ head, rows }) => <table className={c.table}><thead><tr>{head.map((h, i) => <th key={i}>{h}</th>)}</tr></thead><tbody>{rows.map((r, i) => <tr key={i}>{r.map((x, k) => <td key={k}>{x}</td>)}</tr>)}</tbody></table>,
  Card: ({ children }) => React.createElement(c.cardTag || "div", { className: c.card, style: c.card || c.cardTag ? {} : { border: "1px solid #8885", padding: 14, borderRadius: 6 } }, children),
  Tabs: ({ names, children }) => <div><Wrapped by={c.tabswrap}><ul className={c.tabs} style={c.tabs || c.tabswrap ? {} : { display: "flex", gap: 20, listStyle: "none", padding: 0 }}>{names.map((n, i) => <li key={n + i} className={`${c.tab} ${i === 0 ? c.tabactive || "" : ""}`}><a href={"#" + n} className={`${c.tablink} ${i === 0 ? c.active || "" : ""}`}>{n}</a></li>)}</ul></Wrapped>{children}</div>,
  Heading: ({ level, children }) => React.createElement("h" + level, { className: c.head ? c.head(level) : undefined }, children),
};
