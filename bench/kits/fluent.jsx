import React from "react";
import { Button, Card, Checkbox, Field, FluentProvider, Input, Link, Radio, Select, Tab, TabList, Table, TableBody, TableCell, TableHeader, TableHeaderCell, TableRow, Textarea, webDarkTheme, webLightTheme } from "@fluentui/react-components";

const kinds = { primary: { appearance: "primary" }, default: {}, danger: { appearance: "outline" }, text: { appearance: "subtle" }, small: { size: "small" }, icon: { appearance: "subtle" } };
export const kit = {
  Wrap: ({ dark, children }) => <FluentProvider theme={dark ? webDarkTheme : webLightTheme} style={{ minHeight: "100vh" }}>{children}</FluentProvider>,
  Button: ({ variant, ...p }) => <Button {...kinds[variant]} {...p} />,
  Input: ({ label, ...p }) => <Field label={label}><Input {...p} /></Field>,
  Area: ({ label, ...p }) => <Field label={label}><Textarea {...p} /></Field>,
  Select: ({ label, options, style }) => <Field label={label}><Select style={style}>{options.map((o) => <option key={o}>{o}</option>)}</Select></Field>,
  Check: ({ label, on }) => <div><Checkbox label={label} defaultChecked={on} /></div>,
  Radio: ({ label, on, group }) => <div><Radio name={group} value={label} label={label} defaultChecked={on} /></div>,
  Link: ({ children, ...p }) => <Link {...p}>{children}</Link>,
  Table: ({ head, rows }) => <Table><TableHeader><TableRow>{head.map((h, i) => <TableHeaderCell key={i}>{h}</TableHeaderCell>)}</TableRow></TableHeader><TableBody>{rows.map((r, i) => <TableRow key={i}>{r.map((x, k) => <TableCell key={k}>{x}</TableCell>)}</TableRow>)}</TableBody></Table>,
  Card: ({ children }) => <Card>{children}</Card>,
  Tabs: ({ names, children }) => <div><TabList selectedValue="0">{names.map((x, i) => <Tab key={i} value={String(i)}>{x}</Tab>)}</TabList>{children}</div>,
};
