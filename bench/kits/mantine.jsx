import React from "react";
import "@mantine/core/styles.css";
import { ActionIcon, Anchor, Button, Card, Checkbox, MantineProvider, PasswordInput, Radio, Select, Table, Tabs, TextInput, Textarea, Title } from "@mantine/core";

const kinds = { primary: {}, default: { variant: "default" }, danger: { color: "red" }, text: { variant: "subtle" }, small: { size: "xs", variant: "light" } };
export const kit = {
  Wrap: ({ dark, children }) => <MantineProvider forceColorScheme={dark ? "dark" : "light"}>{children}</MantineProvider>,
  Button: ({ variant, ...p }) => variant === "icon" ? <ActionIcon variant="subtle" {...p} /> : <Button {...kinds[variant]} {...p} />,
  Input: ({ type, ...p }) => type === "password" ? <PasswordInput {...p} /> : <TextInput {...p} />,
  Area: (p) => <Textarea rows={3} {...p} />,
  Select: ({ label, options, style }) => <Select label={label} style={style} data={options} defaultValue={options[0]} />,
  Check: ({ label, on }) => <Checkbox label={label} defaultChecked={on} />,
  Radio: ({ label, on }) => <Radio label={label} checked={on} onChange={() => 0} />,
  Link: ({ children, ...p }) => <Anchor {...p}>{children}</Anchor>,
  Table: ({ head, rows }) => <Table striped><Table.Thead><Table.Tr>{head.map((h, i) => <Table.Th key={i}>{h}</Table.Th>)}</Table.Tr></Table.Thead><Table.Tbody>{rows.map((r, i) => <Table.Tr key={i}>{r.map((x, k) => <Table.Td key={k}>{x}</Table.Td>)}</Table.Tr>)}</Table.Tbody></Table>,
  Card: ({ children }) => <Card withBorder shadow="sm">{children}</Card>,
  Tabs: ({ names, children }) => <Tabs defaultValue="0"><Tabs.List>{names.map((n, i) => <Tabs.Tab key={i} value={String(i)}>{n}</Tabs.Tab>)}</Tabs.List>{children}</Tabs>,
  Heading: ({ level, children }) => <Title order={level}>{children}</Title>,
};
