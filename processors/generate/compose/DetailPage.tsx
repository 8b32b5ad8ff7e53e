import type { ReactNode } from "react";
import { get, list, titleOf } from "../api";
import { DeleteButton } from "../components/DeleteButton";
import { FieldValue } from "../components/FieldValue";
import { useChoices } from "../components/useChoices";
import { APP_TITLE, entities, type EntityKey } from "../entities";
import { useLoad, useTitle } from "../hooks";
import type { EntityDefinition, Row } from "../model";
import { Link, navigate } from "../router";

/** One record with everything known of it, and the records that point to it. */
export function DetailPage({ definition, id }: { definition: EntityDefinition<EntityKey>; id: string }): ReactNode {
  const loaded = useLoad(JSON.stringify([definition.key, id]), () => get(definition.key, id));
  const choices = useChoices(definition);
  const row = loaded.data;
  const title = row ? titleOf(definition.key, row) : definition.singular;
  useTitle(`${title} · ${APP_TITLE}`);

  if (loaded.error !== null) {
    return (
      <p className="problem banner" role="alert">
        {loaded.error}
      </p>
    );
  }
  if (row === undefined) {
    return null;
  }
  if (row === null) {
    return <Missing definition={definition} />;
  }
  return (
    <>
      <Link className="back" to={definition.path}>
        ← {definition.plural}
      </Link>
      <div className="page-head">
        <div>
          <h1>{title}</h1>
          <p className="subtle">{definition.singular}</p>
        </div>
        <div className="row-actions">
          <Link className="button" to={`${definition.path}/${encodeURIComponent(row.id)}/edit`}>
            Edit
          </Link>
          <DeleteButton entity={definition.key} row={row} onDeleted={() => navigate(definition.path)} />
        </div>
      </div>
      <dl className="card details">
        {definition.fields.map((field) => (
          <div key={field.key}>
            <dt>{field.label}</dt>
            <dd>
              <FieldValue field={field} value={row[field.key]} choices={choices.data ?? {}} />
            </dd>
          </div>
        ))}
      </dl>
      {entities.flatMap((child) =>
        child.fields
          .filter((field) => field.target === definition.key)
          .map((field) => <Children key={`${child.key}.${field.key}`} child={child} field={field.key} parent={row} />),
      )}
    </>
  );
}

const MOST_CHILDREN = 50;

function Children({ child, field, parent }: { child: EntityDefinition<EntityKey>; field: string; parent: Row }): ReactNode {
  const loaded = useLoad(JSON.stringify([child.key, field, parent.id]), () =>
    list(child.key, {
      search: "",
      sort: { field: "created_at", descending: true },
      page: 1,
      size: MOST_CHILDREN,
      where: { field, value: parent.id },
    }),
  );
  if (loaded.data === undefined || loaded.data.total === 0) {
    return null;
  }
  return (
    <section className="card related">
      <h2>
        {child.plural} <span className="subtle">{loaded.data.total}</span>
      </h2>
      <ul>
        {loaded.data.rows.map((row) => (
          <li key={row.id}>
            <Link to={`${child.path}/${encodeURIComponent(row.id)}`}>{titleOf(child.key, row)}</Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Missing({ definition }: { definition: EntityDefinition }): ReactNode {
  return (
    <div className="empty">
      <h1>{definition.singular} not found</h1>
      <p>It may have been deleted.</p>
      <Link className="button" to={definition.path}>
        All {definition.plural.toLocaleLowerCase()}
      </Link>
    </div>
  );
}
