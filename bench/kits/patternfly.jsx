import React from "react";
import "@patternfly/react-core/dist/styles/base.css";
import { Button, Card, CardBody, Checkbox, FormSelect, FormSelectOption, Radio, Tab, Tabs, TabTitleText, TextArea, TextInput, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";

let n = 0;
const kinds = { primary: { variant: "primary" }, default: { variant: "secondary" }, danger: { variant: "danger" }, text: { variant: "link" }, small: { variant: "tertiary", size: "sm" }, icon: { variant: "plain" } };
const labelled = (label, style, child) => <div style={style}>{label ? <label style={{ display: "block", fontWeight: 600 }}>{label}</label> : null}{child}</div>;
export const kit = {
  Wrap: ({ dark, children }) => { document.documentElement.classList.toggle("pf-v6-theme-dark", dark); return children; },
  Button: ({ variant, ...p }) => <Button {...kinds[variant]} {...p} />,
  Input: ({ label, style, ...p }) => labelled(label, style, <TextInput {...p} />),
  Area: ({ label, style, ...p }) => labelled(label, style, <TextArea rows={3} {...p} />),
  Select: ({ label, options, style }) => labelled(label, style, <FormSelect value={options[0]} onChange={() => 0}>{options.map((o) => <FormSelectOption key={o} value={o} label={o} />)}</FormSelect>),
  Check: ({ label, on }) => <Checkbox id={"i" + n++} label={label} isChecked={on} onChange={() => 0} />,
  Radio: ({ label, on, group }) => <Radio id={"i" + n++} name={group} label={label} isChecked={on} onChange={() => 0} />,
  Table: ({ head, rows }) => <Table><Thead><Tr>{head.map((h, i) => <Th key={i}>{h}</Th>)}</Tr></Thead><Tbody>{rows.map((r, i) => <Tr key={i}>{r.map((x, k) => <Td key={k}>{x}</Td>)}</Tr>)}</Tbody></Table>,
  Card: ({ children }) => <Card><CardBody>{children}</CardBody></Card>,
  Tabs: ({ names, children }) => <div><Tabs activeKey={0}>{names.map((x, i) => <Tab key={i} eventKey={i} title={<TabTitleText>{x}</TabTitleText>} />)}</Tabs>{children}</div>,
  Heading: ({ level, children }) => <Title headingLevel={"h" + level} size={["2xl", "xl", "lg", "md", "md", "md"][level - 1]}>{children}</Title>,
};
