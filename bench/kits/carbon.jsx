import React from "react";
import "@carbon/styles/css/styles.css";
import { Button, Checkbox, Link, PasswordInput, RadioButton, Select, SelectItem, Tab, TabList, Tabs, Table, TableBody, TableCell, TableHead, TableHeader, TableRow, TextArea, TextInput, Theme, Tile } from "@carbon/react";

let n = 0;
const kinds = { primary: {}, default: { kind: "tertiary" }, danger: { kind: "danger" }, text: { kind: "ghost" }, small: { size: "sm", kind: "secondary" }, icon: { kind: "ghost", size: "sm" } };
export const kit = {
  Wrap: ({ dark, children }) => <Theme theme={dark ? "g100" : "white"} style={{ minHeight: "100vh" }}>{children}</Theme>,
  Button: ({ variant, ...p }) => <Button {...kinds[variant]} {...p} />,
  Input: ({ label, type, style, ...p }) => { const id = "i" + n++; return <div style={style}>{type === "password" ? <PasswordInput id={id} labelText={label} {...p} /> : <TextInput id={id} labelText={label || ""} {...p} />}</div>; },
  Area: ({ label, style, ...p }) => <div style={style}><TextArea id={"i" + n++} labelText={label} rows={3} {...p} /></div>,
  Select: ({ label, options, style }) => <div style={style}><Select id={"i" + n++} labelText={label}>{options.map((o) => <SelectItem key={o} value={o} text={o} />)}</Select></div>,
  Check: ({ label, on }) => <Checkbox id={"i" + n++} labelText={label || ""} defaultChecked={on} />,
  Radio: ({ label, on, group }) => <RadioButton id={"i" + n++} name={group} value={label} labelText={label} defaultChecked={on} />,
  Link: ({ children, ...p }) => <Link {...p}>{children}</Link>,
  Table: ({ head, rows }) => <Table><TableHead><TableRow>{head.map((h, i) => <TableHeader key={i}>{h}</TableHeader>)}</TableRow></TableHead><TableBody>{rows.map((r, i) => <TableRow key={i}>{r.map((x, k) => <TableCell key={k}>{x}</TableCell>)}</TableRow>)}</TableBody></Table>,
  Card: ({ children }) => <Tile>{children}</Tile>,
  Tabs: ({ names, children }) => <div><Tabs><TabList aria-label="t">{names.map((x, i) => <Tab key={i}>{x}</Tab>)}</TabList></Tabs>{children}</div>,
};
