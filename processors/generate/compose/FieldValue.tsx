import type { ReactNode } from "react";
import type { Choice } from "../api";
import { definitionOf, isEntityKey } from "../entities";
import { format } from "../format";
import type { FieldDefinition, Value } from "../model";
import { Link } from "../router";

interface Props {
  field: FieldDefinition;
  value: Value | undefined;
  /** The records a reference may point to, by entity. */
  choices: Record<string, readonly Choice[]>;
}

/** A value as text, link or mark, according to its type. */
export function FieldValue({ field, value, choices }: Props): ReactNode {
  if (value === null || value === undefined || value === "") {
    return <span className="none">—</span>;
  }
  const text = format(field, value);
  switch (field.type) {
    case "boolean":
      return <span className={value === true ? "badge on" : "badge"}>{text}</span>;
    case "enum":
      return <span className="badge choice">{text}</span>;
    case "email":
      return <a href={`mailto:${encodeURIComponent(text).replace(/%40/g, "@")}`}>{text}</a>;
    case "url":
      return (
        <a href={/^https?:\/\//i.test(text) ? text : `https://${text}`} rel="noreferrer noopener" target="_blank">
          {text}
        </a>
      );
    case "date":
    case "datetime":
    case "time":
      return <time dateTime={String(value)}>{text}</time>;
    case "longtext":
      return <span className="long">{text}</span>;
    case "reference": {
      const target = field.target ?? "";
      const choice = choices[target]?.find((candidate) => candidate.id === value);
      if (choice === undefined || !isEntityKey(target)) {
        return <span className="none">—</span>;
      }
      return <Link to={`${definitionOf(target).path}/${encodeURIComponent(choice.id)}`}>{choice.title}</Link>;
    }
    default:
      return text;
  }
}
