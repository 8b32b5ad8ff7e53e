import { useId, type ReactNode } from "react";
import type { Choice } from "../api";
import type { FieldDefinition, FieldType } from "../model";
import type { Input } from "../validation";

const INPUT_TYPE: Partial<Record<FieldType, string>> = { email: "email", phone: "tel", date: "date", datetime: "datetime-local", time: "time" };
const INPUT_MODE: Partial<Record<FieldType, "decimal" | "numeric" | "url">> = { number: "decimal", money: "decimal", integer: "numeric", url: "url" };

interface Props {
  field: FieldDefinition;
  value: Input;
  error: string | undefined;
  /** What a reference may point to. */
  choices: readonly Choice[];
  onChange: (value: Input) => void;
}

/** A labelled control for one field, with its unit and what is wrong with it. */
export function FieldControl({ field, value, error, choices, onChange }: Props): ReactNode {
  const id = useId();
  const shared = {
    id,
    name: field.key,
    required: field.required,
    "aria-invalid": error === undefined ? undefined : true,
    "aria-describedby": error === undefined ? undefined : `${id}-error`,
  };
  const problem = error !== undefined && (
    <p className="problem" id={`${id}-error`} role="alert">
      {error}
    </p>
  );

  if (field.type === "boolean") {
    return (
      <div className="field check">
        <input {...shared} required={false} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />
        <label htmlFor={id}>{field.label}</label>
        {problem}
      </div>
    );
  }

  const text = String(value);
  return (
    <div className={field.type === "longtext" ? "field wide" : "field"}>
      <label htmlFor={id}>
        {field.label}
        {field.unit !== undefined && <span className="hint"> ({field.unit})</span>}
        {field.required && (
          <span className="mark" aria-hidden="true">
            {" *"}
          </span>
        )}
      </label>
      {field.type === "longtext" ? (
        <textarea {...shared} rows={4} value={text} onChange={(event) => onChange(event.target.value)} />
      ) : field.type === "enum" || field.type === "reference" ? (
        <select {...shared} value={text} onChange={(event) => onChange(event.target.value)}>
          <option value="">Choose…</option>
          {field.type === "enum"
            ? field.options?.map((option) => (
                <option key={option} value={option}>
                  {option}
                </option>
              ))
            : choices.map((choice) => (
                <option key={choice.id} value={choice.id}>
                  {choice.title}
                </option>
              ))}
        </select>
      ) : (
        <input
          {...shared}
          type={INPUT_TYPE[field.type] ?? "text"}
          inputMode={INPUT_MODE[field.type]}
          autoComplete="off"
          value={text}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      {problem}
    </div>
  );
}
