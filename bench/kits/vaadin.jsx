import React from "react";
import "@vaadin/button"; import "@vaadin/text-field"; import "@vaadin/password-field"; import "@vaadin/text-area"; import "@vaadin/select"; import "@vaadin/combo-box"; import "@vaadin/checkbox"; import "@vaadin/radio-group"; import "@vaadin/tabs"; import "@vaadin/vaadin-lumo-styles/lumo.css";

const kinds = { primary: "primary", default: "", danger: "error primary", text: "tertiary", small: "small", icon: "icon tertiary" };
const given = ({ label, placeholder, defaultValue, style }) => ({ label, placeholder, value: defaultValue, style });
export const kit = {
  Wrap: ({ dark, children }) => { document.documentElement.setAttribute("theme", dark ? "dark" : "light"); return <div style={{ background: "var(--lumo-base-color)", color: "var(--lumo-body-text-color)", fontFamily: "var(--lumo-font-family)", minHeight: "100vh" }}>{children}</div>; },
  Button: ({ variant, children, ...p }) => <vaadin-button theme={kinds[variant]} {...p}>{children}</vaadin-button>,
  Input: ({ type, ...p }) => type === "password" ? <vaadin-password-field {...given(p)} /> : <vaadin-text-field {...given(p)} />,
  Area: (p) => <vaadin-text-area {...given(p)} />,
  Select: ({ label, options, style }) => <vaadin-combo-box label={label} style={style} ref={(e) => { if (e) { e.items = options; e.value = options[0]; } }} />,
  Check: ({ label, on }) => <div><vaadin-checkbox label={label} checked={on || undefined} /></div>,
  Radio: ({ label, on }) => <div><vaadin-radio-button label={label} checked={on || undefined} /></div>,
  Table: ({ head, rows }) => <table style={{ borderCollapse: "collapse", width: "100%" }}><thead><tr>{head.map((h, i) => <th key={i} style={{ textAlign: "left", padding: 8, borderBottom: "1px solid var(--lumo-contrast-20pct)" }}>{h}</th>)}</tr></thead><tbody>{rows.map((r, i) => <tr key={i}>{r.map((x, k) => <td key={k} style={{ padding: 8, borderBottom: "1px solid var(--lumo-contrast-10pct)" }}>{x}</td>)}</tr>)}</tbody></table>,
  Tabs: ({ names, children }) => <div><vaadin-tabs>{names.map((x, i) => <vaadin-tab key={i}>{x}</vaadin-tab>)}</vaadin-tabs>{children}</div>,
};
