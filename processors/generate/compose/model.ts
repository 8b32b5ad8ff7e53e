/** What the pages need to know of an entity. The definitions themselves stand in ./entities. */

export type FieldType =
  | "text"
  | "longtext"
  | "email"
  | "phone"
  | "url"
  | "number"
  | "integer"
  | "money"
  | "date"
  | "datetime"
  | "time"
  | "boolean"
  | "enum"
  | "reference";

export type Value = string | number | boolean | null;

/** A stored record: every table has an id and the time it was made. */
export interface Row {
  id: string;
  created_at: string;
  [field: string]: Value;
}

/** A record before it is stored. */
export type Draft<T extends Row> = Omit<T, "id" | "created_at">;

export interface FieldDefinition {
  key: string;
  label: string;
  type: FieldType;
  required: boolean;
  /** The choices of an enum. */
  options?: readonly string[];
  /** The entity that a reference points to. */
  target?: string;
  /** A currency or a unit, shown beside the number. */
  unit?: string;
}

export interface EntityDefinition<K extends string = string> {
  key: K;
  /** Where its pages are: /products, /products/new, /products/:id, /products/:id/edit. */
  path: string;
  singular: string;
  plural: string;
  /** The field that stands for a record in links, selects and headings; null where no field can. */
  titleField: string | null;
  fields: readonly FieldDefinition[];
}
