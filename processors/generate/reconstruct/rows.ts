import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { useEffect, useState } from "react";

/** A table of the application: its rows come from Supabase where a project is configured, else they are those of the recording. */
export interface Table<T> {
  readonly name: string;
  readonly columns: readonly string[];
  /** The rows as they were seen, each time that they were others. */
  readonly moments: readonly (readonly T[])[];
}

function setting(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content.trim() ?? "";
}

const url = setting("supabase-url");
const key = setting("supabase-anon-key");

/** Null where index.html names no Supabase project. */
const client: SupabaseClient | null = url !== "" && key !== "" ? createClient(url, key) : null;

/** Rows belong to a user (row level security), so there is one from the start, if only an anonymous one. */
async function signedIn(supabase: SupabaseClient): Promise<void> {
  const { data } = await supabase.auth.getSession();
  if (data.session === null) {
    const { error } = await supabase.auth.signInAnonymously();
    if (error !== null) {
      throw new Error(error.message);
    }
  }
}

/** All rows of a table, in their order. */
export async function loadRows<T>(supabase: SupabaseClient, table: Table<T>): Promise<T[]> {
  await signedIn(supabase);
  const { data, error } = await supabase.from(table.name).select(table.columns.join(",")).order("position");
  if (error !== null) {
    throw new Error(error.message);
  }
  return data as unknown as T[];
}

/** The rows to show. An error of the server is thrown while rendering, where the error boundary shows it. */
export function useRows<T>(table: Table<T>, moment: number): readonly T[] {
  const [loaded, setLoaded] = useState<{ rows: readonly T[] } | { error: Error } | null>(null);

  useEffect(() => {
    if (client === null) {
      return undefined;
    }
    let current = true;
    loadRows(client, table).then(
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
