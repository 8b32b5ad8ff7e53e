import type { SupabaseClient } from "@supabase/supabase-js";

function setting(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content.trim() ?? "";
}

const url = setting("supabase-url");
const key = setting("supabase-anon-key");

/** Null where index.html names no Supabase project. */
export const supabase = url !== "" && key !== "" ? (await import("@supabase/supabase-js")).createClient(url, key) : null;

/** Rows belong to a user (row level security), so there is one from the start, if only an anonymous one. */
export async function signedIn(client: SupabaseClient): Promise<void> {
  const { data } = await client.auth.getSession();
  if (data.session === null) {
    const { error } = await client.auth.signInAnonymously();
    if (error !== null) {
      throw new Error(error.message);
    }
  }
}
