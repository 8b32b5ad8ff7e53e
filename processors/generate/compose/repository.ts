import type { Draft, Row } from "../model";
import { client } from "./client";
import { memoryRepository } from "./memory";
import type { Searched } from "./search";
import { supabaseRepository } from "./supabase";

export interface Query {
  search: string;
  sort: { field: string; descending: boolean };
  /** Counted from 1. */
  page: number;
  size: number;
  /** Only rows whose field has this value. */
  where?: { field: string; value: string };
}

export interface Page<T> {
  rows: T[];
  /** How many rows fit the query, over all pages. */
  total: number;
}

export interface Table<T extends Row> {
  name: string;
  columns: readonly string[];
  search: Searched;
  seed: readonly T[];
}

export interface Repository<T extends Row> {
  list(query: Query): Promise<Page<T>>;
  get(id: string): Promise<T | null>;
  create(draft: Draft<T>): Promise<T>;
  update(id: string, draft: Draft<T>): Promise<T>;
  remove(id: string): Promise<void>;
}

/** The table in Supabase where one is configured (see index.html), else the seed rows in memory. */
export function repository<T extends Row>(table: Table<T>): Repository<T> {
  return client === null ? memoryRepository(table) : supabaseRepository(client, table);
}
