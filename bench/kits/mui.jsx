import React from "react";
import { Button, Card, CardContent, Checkbox, CssBaseline, FormControlLabel, IconButton, Link, MenuItem, Radio, Switch, Tab, Table, TableBody, TableCell, TableHead, TableRow, Tabs, TextField, ThemeProvider, Typography, createTheme } from "@mui/material";

const kinds = { primary: { variant: "contained" }, default: { variant: "outlined" }, danger: { variant: "contained", color: "error" }, text: { variant: "text" }, small: { size: "small", variant: "outlined" } };
const look = ["outlined", "filled", "standard"][Number(new URLSearchParams(location.search).get("seed") || 0) % 3];
export const kit = {
  Wrap: ({ dark, children }) => <ThemeProvider theme={createTheme({ palette: { mode: dark ? "dark" : "light" } })}><CssBaseline />{children}</ThemeProvider>,
  Button: ({ variant, ...p }) => variant === "icon" ? <IconButton {...p} /> : <Button {...kinds[variant]} {...p} />,
  Input: ({ label, ...p }) => <TextField variant={look} size={label ? "medium" : "small"} label={label} {...p} />,
  Area: ({ label, ...p }) => <TextField variant={look} multiline rows={3} label={label} {...p} />,
  Select: ({ label, options, style }) => <TextField variant={look} select size={label ? "medium" : "small"} label={label} defaultValue={options[0]} style={style}>{options.map((o) => <MenuItem key={o} value={o}>{o}</MenuItem>)}</TextField>,
  Check: ({ label, on }) => <div><FormControlLabel control={<Checkbox defaultChecked={on} />} label={label || ""} /></div>,
  Radio: ({ label, on }) => <div><FormControlLabel control={<Radio checked={on} />} label={label} /></div>,
  Link: ({ children, ...p }) => <Link {...p}>{children}</Link>,
  Table: ({ head, rows }) => <Table><TableHead><TableRow>{head.map((h, i) => <TableCell key={i}>{h}</TableCell>)}</TableRow></TableHead><TableBody>{rows.map((r, i) => <TableRow key={i}>{r.map((x, k) => <TableCell key={k}>{x}</TableCell>)}</TableRow>)}</TableBody></Table>,
  Card: ({ children }) => <Card><CardContent>{children}</CardContent></Card>,
  Tabs: ({ names, children }) => <div><Tabs value={0}>{names.map((n, i) => <Tab key={i} label={n} />)}</Tabs>{children}</div>,
  Heading: ({ level, children }) => <Typography variant={"h" + Math.min(6, level + 2)} component={"h" + level}>{children}</Typography>,
};
