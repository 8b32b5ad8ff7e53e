import type { SupabaseClient } from "@supabase/supabase-js";
import type { Draft, Row } from "../model";
import { signedIn } from "./client";
import type { Page, Query, Repository, Table } from "./repository";
import { equalColumns } from "./search";

/** One table of a Supabase project. Row level security decides which rows there are for whoever is signed in. */
export function supabaseRepository<T extends Row>(supabase: SupabaseClient, table: Table<T>): Repository<T> {
  const columns = table.columns.join(",");

  return {
    async list(query: Query): Promise<Page<T>> {
      await signedIn(supabase);
      const start = (query.page - 1) * query.size;
      let request = supabase.from(table.name).select(columns, { count: "exact" });
      if (query.where !== undefined) {
        request = request.eq(query.where.field, query.where.value);
      }
      const wanted = query.search.trim();
      if (wanted !== "") {
        const equal = equalColumns(table.search, wanted).map((column) => `${column}.eq.${wanted}`);
        const like = table.search.texts.map((column) => `${column}.ilike.${pattern(wanted)}`);
        // Where no column can hold what was typed, no row is found.
        const conditions = [...like, ...equal];
        request = request.or(conditions.length > 0 ? conditions.join(",") : "id.is.null");
      }
      const { data, count, error } = await request
        .order(query.sort.field, { ascending: !query.sort.descending, nullsFirst: false })
        .range(start, start + query.size - 1);
      if (error !== null) {
        throw new Error(error.message);
      }
      return { rows: data as unknown as T[], total: count ?? data.length };
    },

    async get(id: string): Promise<T | null> {
      await signedIn(supabase);
      const { data, error } = await supabase.from(table.name).select(columns).eq("id", id).maybeSingle();
      if (error !== null) {
        throw new Error(error.message);
      }
      return data as unknown as T | null;
    },

    async create(draft: Draft<T>): Promise<T> {
      await signedIn(supabase);
      const { data, error } = await supabase.from(table.name).insert(written(draft)).select(columns).single();
      if (error !== null) {
        throw new Error(error.message);
      }
      return data as unknown as T;
    },

    async update(id: string, draft: Draft<T>): Promise<T> {
      await signedIn(supabase);
      const { data, error } = await supabase
        .from(table.name)
        .update(written(draft))
        .eq("id", id)
        .select(columns)
        .single();
      if (error !== null) {
        throw new Error(error.message);
      }
      return data as unknown as T;
    },

    async remove(id: string): Promise<void> {
      await signedIn(supabase);
      const { error } = await supabase.from(table.name).delete().eq("id", id);
      if (error !== null) {
        throw new Error(error.message);
      }
    },
  };
}

/** The draft as supabase-js takes a row of a table whose type it does not know. */
function written(draft: object): Record<string, unknown> {
  return { ...draft };
}

/** A quoted PostgREST pattern: what was typed is looked for as it stands, wildcards and quotes included. */
function pattern(text: string): string {
  const literal = text.replace(/[\\%_]/g, "\\$&");
  return `"%${literal.replace(/["\\]/g, "\\$&")}%"`;
}
