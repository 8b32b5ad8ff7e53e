import { type SupabaseClient } from "@supabase/supabase-js";
import { useEffect, useState } from "react";
import { signedIn, supabase } from "./client";

/** A table of the application: its rows come from Supabase where a project is configured, else they are those of the recording. */
export interface Table<T> {
  readonly name: string;
  readonly columns: readonly string[];
  /** The rows as they were seen, each time that they were others. */
  readonly moments: readonly (readonly T[])[];
}

/** All rows of a table, in their order. */
export async function loadRows<T>(client: SupabaseClient, table: Table<T>): Promise<T[]> {
  await signedIn(client);
  const { data, error } = await client.from(table.name).select(table.columns.join(",")).order("position");
  if (error !== null) {
    throw new Error(error.message);
  }
  return data as unknown as T[];
}

/** The rows to show. An error of the server is thrown while rendering, where the error boundary shows it. */
export function useRows<T>(table: Table<T>, moment: number): readonly T[] {
  const [loaded, setLoaded] = useState<{ rows: readonly T[] } | { error: Error } | null>(null);

  useEffect(() => {
    if (supabase === null) {
      return undefined;
    }
    let current = true;
    loadRows(supabase, table).then(
      (rows) => current && setLoaded({ rows }),
      (error: unknown) => current && setLoaded({ error: error instanceof Error ? error : new Error(String(error)) }),
    );
    return () => {
      current = false;
    };
  }, [table]);

  if (loaded !== null && "error" in loaded) {
    throw loaded.error;
  }
  return loaded?.rows ?? table.moments[moment] ?? [];
}
