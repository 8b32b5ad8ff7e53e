import React from "react";
import { Button, Card, Checkbox, ConfigProvider, Input, Radio, Select, Table, Tabs, Typography, theme } from "antd";

const kinds = { primary: { type: "primary" }, default: {}, danger: { danger: true }, text: { type: "text" }, small: { size: "small" }, icon: { type: "text", shape: "circle" } };
const labelled = (label, child) => <div>{label ? <div>{label}</div> : null}{child}</div>;
export const kit = {
  Wrap: ({ dark, children }) => <ConfigProvider theme={dark ? { algorithm: theme.darkAlgorithm } : {}}><div style={{ background: dark ? "#000" : "#fff", color: dark ? "#ddd" : "#222", minHeight: "100vh", fontFamily: "sans-serif", fontSize: 14 }}>{children}</div></ConfigProvider>,
  Button: ({ variant, ...p }) => <Button {...kinds[variant]} {...p} />,
  Input: ({ label, type, ...p }) => labelled(label, type === "password" ? <Input.Password {...p} /> : <Input {...p} />),
  Area: ({ label, ...p }) => labelled(label, <Input.TextArea rows={3} {...p} />),
  Select: ({ label, options, style }) => labelled(label, <Select style={style} defaultValue={options[0]} options={options.map((o) => ({ value: o, label: o }))} />),
  Check: ({ label, on }) => <div><Checkbox defaultChecked={on}>{label}</Checkbox></div>,
  Radio: ({ label, on }) => <div><Radio checked={on}>{label}</Radio></div>,
  Link: ({ children, ...p }) => <Typography.Link {...p}>{children}</Typography.Link>,
  Table: ({ head, rows }) => <Table pagination={false} size="middle" columns={head.map((h, i) => ({ title: h, dataIndex: "c" + i }))} dataSource={rows.map((r, k) => ({ key: k, ...Object.fromEntries(r.map((x, i) => ["c" + i, x])) }))} />,
  Card: ({ children }) => <Card>{children}</Card>,
  Tabs: ({ names, children }) => <Tabs items={names.map((n, i) => ({ key: String(i), label: n, children }))} />,
  Heading: ({ level, children }) => <Typography.Title level={Math.min(5, level)}>{children}</Typography.Title>,
};
