import type { SupabaseClient } from "@supabase/supabase-js";

function setting(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content.trim() ?? "";
}

const url = setting("supabase-url");
const key = setting("supabase-anon-key");

/** Null where index.html names no Supabase project: the application then keeps its rows in memory. */
export const client = url !== "" && key !== "" ? (await import("@supabase/supabase-js")).createClient(url, key) : null;

let session: Promise<void> | null = null;

/** Rows belong to a user (row level security), so there is one from the start, if only an anonymous one. */
export function signedIn(supabase: SupabaseClient): Promise<void> {
  session ??= signIn(supabase).catch((error: unknown) => {
    session = null;
    throw error;
  });
  return session;
}

async function signIn(supabase: SupabaseClient): Promise<void> {
  const { data } = await supabase.auth.getSession();
  if (data.session === null) {
    const { error } = await supabase.auth.signInAnonymously();
    if (error !== null) {
      throw new Error(error.message);
    }
  }
}
