import type { FieldDefinition, Value } from "./model";

/** What a form control holds: a checkbox its state, everything else its text. */
export type Input = string | boolean;

const EMAIL = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;
const URL_LIKE = /^(https?:\/\/)?[^\s/:?#]+(\.[^\s/:?#]+)+(:\d+)?([/?#]\S*)?$/i;
const GROUPED = /^-?\d{1,3}([ ,]\d{3})+(\.\d+)?$/;

/** The text of a control for a stored value. */
export function toInput(field: FieldDefinition, value: Value | undefined): Input {
  if (field.type === "boolean") {
    return value === true;
  }
  return value === null || value === undefined ? "" : String(value);
}

/** The value that a control's content stands for; null for nothing, NaN for what is no number. */
export function toValue(field: FieldDefinition, input: Input): Value {
  if (typeof input === "boolean") {
    return input;
  }
  const text = input.trim();
  if (text === "") {
    return null;
  }
  switch (field.type) {
    case "number":
    case "integer":
    case "money":
      return toNumber(text);
    case "boolean":
      return text === "true";
    default:
      return text;
  }
}

/** Accepts 12.5, 12,5, 1,200.50 and a currency's sign. */
function toNumber(typed: string): number {
  const text = typed.replace(/^[$€£¥₹]\s*|\s*[$€£¥₹%]$/g, "");
  if (GROUPED.test(text)) {
    return Number(text.replace(/[ ,]/g, ""));
  }
  return Number(text.replace(/^(-?\d+),(\d{1,2})$/, "$1.$2"));
}

/** Says what is wrong with a value, or null. */
export function checkValue(field: FieldDefinition, value: Value): string | null {
  if (value === null) {
    return field.required ? `${field.label} is required.` : null;
  }
  switch (field.type) {
    case "number":
    case "money":
      return Number.isFinite(value) ? null : `${field.label} must be a number, for example 12.50.`;
    case "integer":
      return Number.isInteger(value) ? null : `${field.label} must be a whole number, for example 12.`;
    case "email":
      return EMAIL.test(String(value)) ? null : `${field.label} must be an email address, for example name@example.com.`;
    case "url":
      return URL_LIKE.test(String(value)) ? null : `${field.label} must be a web address, for example https://example.com.`;
    case "enum":
      return field.options?.includes(String(value)) ? null : `${field.label} must be one of ${field.options?.join(", ") ?? "its options"}.`;
    default:
      return null;
  }
}
