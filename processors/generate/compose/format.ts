import type { FieldDefinition, Value } from "./model";

/** Currencies that a prompt may name; others are shown as a unit behind the number. */
const CURRENCY = /^[A-Z]{3}$/;

function number(value: Value, digits: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat("en", { useGrouping: "min2", maximumFractionDigits: 10, ...digits }).format(Number(value));
}

/** A value as one reads it; references are resolved by the caller. */
export function format(field: FieldDefinition, value: Value | undefined): string {
  if (value === null || value === undefined || value === "") {
    return "";
  }
  switch (field.type) {
    case "boolean":
      return value === true ? "Yes" : "No";
    case "money":
      if (field.unit !== undefined && CURRENCY.test(field.unit)) {
        return number(value, { style: "currency", currency: field.unit, maximumFractionDigits: 2 });
      }
      return withUnit(number(value, { minimumFractionDigits: 2, maximumFractionDigits: 2 }), field.unit);
    case "number":
    case "integer":
      return withUnit(number(value, {}), field.unit);
    case "datetime":
      return String(value).replace("T", " ").slice(0, 16);
    case "time":
      return String(value).slice(0, 5);
    default:
      return String(value);
  }
}

function withUnit(text: string, unit: string | undefined): string {
  return unit === undefined ? text : `${text} ${unit}`;
}

/** "1 product", "3 products". */
export function count(amount: number, singular: string, plural: string): string {
  return `${new Intl.NumberFormat("en").format(amount)} ${(amount === 1 ? singular : plural).toLocaleLowerCase()}`;
}
