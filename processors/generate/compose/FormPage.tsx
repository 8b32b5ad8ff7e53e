import { useRef, useState, type FormEvent, type ReactNode } from "react";
import { get, save, titleOf } from "../api";
import { FieldControl } from "../components/FieldControl";
import { useChoices } from "../components/useChoices";
import { APP_TITLE, type Entities, type EntityKey } from "../entities";
import { notify, useLoad, useTitle } from "../hooks";
import type { Draft, EntityDefinition, Row, Value } from "../model";
import { Link, navigate } from "../router";
import { checkValue, toInput, toValue, type Input } from "../validation";
import { Missing } from "./DetailPage";

/** The form for a new record (id null) or for an existing one. */
export function FormPage({ definition, id }: { definition: EntityDefinition<EntityKey>; id: string | null }): ReactNode {
  const loaded = useLoad(JSON.stringify([definition.key, id]), async () => (id === null ? undefined : await get(definition.key, id)));
  const name = definition.singular.toLocaleLowerCase();
  useTitle(`${id === null ? `New ${name}` : `Edit ${name}`} · ${APP_TITLE}`);

  if (loaded.error !== null) {
    return (
      <p className="problem banner" role="alert">
        {loaded.error}
      </p>
    );
  }
  if (id !== null && loaded.data === undefined) {
    return null;
  }
  if (loaded.data === null) {
    return <Missing definition={definition} />;
  }
  const row = loaded.data;
  return (
    <>
      <Link className="back" to={definition.path}>
        ← {definition.plural}
      </Link>
      <h1>{row === undefined ? `New ${name}` : `Edit ${titleOf(definition.key, row)}`}</h1>
      <Form key={id} definition={definition} row={row} />
    </>
  );
}

function Form({ definition, row }: { definition: EntityDefinition<EntityKey>; row: Row | undefined }): ReactNode {
  const form = useRef<HTMLFormElement>(null);
  const choices = useChoices(definition);
  const [inputs, setInputs] = useState<Record<string, Input>>(() =>
    Object.fromEntries(definition.fields.map((field) => [field.key, toInput(field, row?.[field.key])])),
  );
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [failure, setFailure] = useState<string | null>(null);
  const [saving, setSaving] = useState(false);

  const check = (): { draft: Record<string, Value>; problems: Record<string, string> } => {
    const draft: Record<string, Value> = {};
    const problems: Record<string, string> = {};
    for (const field of definition.fields) {
      const value = toValue(field, inputs[field.key] ?? "");
      const problem = checkValue(field, value);
      if (problem === null) {
        draft[field.key] = value;
      } else {
        problems[field.key] = problem;
      }
    }
    return { draft, problems };
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const { draft, problems } = check();
    setErrors(problems);
    const first = definition.fields.find((field) => field.key in problems);
    if (first !== undefined) {
      const control = form.current?.elements.namedItem(first.key);
      if (control instanceof HTMLElement) {
        control.focus();
      }
      return;
    }
    setSaving(true);
    setFailure(null);
    try {
      const stored = await save(definition.key, row?.id ?? null, draft as Draft<Entities[EntityKey]>);
      notify(`“${titleOf(definition.key, stored)}” is saved.`);
      navigate(definition.path);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setSaving(false);
    }
  };

  return (
    <form ref={form} className="card form" noValidate onSubmit={(event) => void submit(event)}>
      {failure !== null && (
        <p className="problem banner" role="alert">
          {failure}
        </p>
      )}
      {definition.fields.map((field) => (
        <FieldControl
          key={field.key}
          field={field}
          value={inputs[field.key] ?? ""}
          error={errors[field.key]}
          choices={choices.data?.[field.target ?? ""] ?? []}
          onChange={(value) => {
            setInputs((current) => ({ ...current, [field.key]: value }));
            setErrors(({ [field.key]: _corrected, ...others }) => others);
          }}
        />
      ))}
      <div className="actions">
        <button type="submit" className="button primary" disabled={saving}>
          Save
        </button>
        <button type="button" className="button" onClick={() => navigate(definition.path)}>
          Cancel
        </button>
      </div>
    </form>
  );
}
