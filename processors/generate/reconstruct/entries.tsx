import { useState, type MouseEvent, type ReactNode } from "react";
import { signedIn, supabase } from "./client";

/** What is entered in a form: a row of its table, where it has one. */
export interface FormTable {
  readonly title: string;
  /** Empty where nothing is kept, as when somebody signs in. */
  readonly table: string;
  /** The control's name and the column that it fills. */
  readonly columns: Readonly<Record<string, string>>;
  /** Columns that are true or false. */
  readonly flags: readonly string[];
}

type Entry = Readonly<Record<string, string | boolean>>;

/** Entries of this visit by table, where no Supabase project is configured. */
const kept = new Map<string, Entry[]>();

export function entriesOf(form: FormTable): readonly Entry[] {
  return kept.get(form.table) ?? [];
}

/** The entry that a form holds now. */
export function entryOf(form: FormTable, data: FormData): Entry {
  const entry: Record<string, string | boolean> = {};
  for (const [control, column] of Object.entries(form.columns)) {
    const value = data.get(control);
    entry[column] = form.flags.includes(column) ? value !== null : String(value ?? "");
  }
  return entry;
}

export async function save(form: FormTable, entry: Entry): Promise<void> {
  if (form.table === "") {
    return;
  }
  if (supabase === null) {
    kept.set(form.table, [...entriesOf(form), entry]);
    return;
  }
  await signedIn(supabase);
  const { error } = await supabase.from(form.table).insert<Entry>({ ...entry });
  if (error !== null) {
    throw new Error(error.message);
  }
}

/** Groups the controls of one form without taking room. An error of the server is thrown while rendering, where the error boundary shows it. */
export function DataForm({ form, children }: { form: FormTable; children: ReactNode }): ReactNode {
  const [failed, setFailed] = useState<Error | null>(null);
  // On the click, not on the submit event: the click may lead to another page, and a form that is gone is not submitted.
  const send = (event: MouseEvent<HTMLFormElement>): void => {
    if ((event.target as Element).closest('button[type="submit"]') === null) {
      return;
    }
    save(form, entryOf(form, new FormData(event.currentTarget))).catch((error: unknown) => {
      setFailed(error instanceof Error ? error : new Error(String(error)));
    });
  };
  if (failed !== null) {
    throw failed;
  }
  return (
    <form className="entries" aria-label={form.title} noValidate onClickCapture={send} onSubmit={(event) => event.preventDefault()}>
      {children}
    </form>
  );
}
