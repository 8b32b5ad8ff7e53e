import type { ReactNode } from "react";
import { list, titleOf, type Choice } from "../api";
import { DeleteButton } from "../components/DeleteButton";
import { FieldValue } from "../components/FieldValue";
import { Pagination } from "../components/Pagination";
import { useChoices } from "../components/useChoices";
import { APP_TITLE, type EntityKey } from "../entities";
import { count } from "../format";
import { useLoad, useTitle } from "../hooks";
import type { EntityDefinition, FieldDefinition, Row } from "../model";
import { Link, navigate, usePath, useQuery } from "../router";

const PAGE_SIZE = 10;
const NUMERIC = new Set(["number", "integer", "money"]);
const NEWEST = { field: "created_at", descending: true };

/** All records of an entity: search, sort and page stand in the address, so that a list can be bookmarked. */
export function ListPage({ definition, title }: { definition: EntityDefinition<EntityKey>; title: string }): ReactNode {
  const path = usePath();
  const query = useQuery();
  const search = query.get("q") ?? "";
  const sort = readSort(query.get("sort"), definition);
  const page = Math.max(1, Math.floor(Number(query.get("page") ?? 1)) || 1);
  const choices = useChoices(definition);
  const loaded = useLoad(JSON.stringify([definition.key, search, sort, page]), () =>
    list(definition.key, { search, sort, page, size: PAGE_SIZE }),
  );
  useTitle(`${title} · ${APP_TITLE}`);

  const go = (changes: Record<string, string>): void => {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === "") {
        next.delete(name);
      } else {
        next.set(name, value);
      }
    }
    const text = next.toString();
    navigate(text === "" ? path : `${path}?${text}`, { replace: true });
  };

  const add = (
    <button type="button" className="button primary" onClick={() => navigate(`${definition.path}/new`)}>
      New {definition.singular.toLocaleLowerCase()}
    </button>
  );
  const total = loaded.data?.total ?? 0;

  return (
    <>
      <div className="page-head">
        <div>
          <h1>{title}</h1>
          <p className="subtle">{loaded.data === undefined ? "\u00a0" : count(total, definition.singular, definition.plural)}</p>
        </div>
        {add}
      </div>
      <div className="toolbar" role="search">
        <input
          type="search"
          aria-label={`Search ${definition.plural.toLocaleLowerCase()}`}
          placeholder={`Search ${definition.plural.toLocaleLowerCase()}`}
          value={search}
          onChange={(event) => go({ q: event.target.value, page: "" })}
        />
      </div>
      {loaded.error !== null && (
        <p className="problem banner" role="alert">
          {loaded.error}
        </p>
      )}
      {loaded.data !== undefined && total === 0 && (
        <div className="empty">
          <h2>{search === "" ? `No ${definition.plural.toLocaleLowerCase()} yet` : "Nothing found"}</h2>
          <p>{search === "" ? "The first one is a click away." : `Nothing here matches “${search}”.`}</p>
          {search === "" ? (
            add
          ) : (
            <button type="button" className="button" onClick={() => go({ q: "", page: "" })}>
              Clear the search
            </button>
          )}
        </div>
      )}
      {total > 0 && loaded.data !== undefined && (
        <>
          <Rows
            definition={definition}
            rows={loaded.data.rows}
            choices={choices.data ?? {}}
            sort={sort}
            onSort={(field) => go({ sort: nextSort(field, sort), page: "" })}
            onDeleted={loaded.reload}
          />
          <Pagination page={page} pages={Math.ceil(total / PAGE_SIZE)} onPage={(next) => go({ page: next === 1 ? "" : String(next) })} />
        </>
      )}
    </>
  );
}

interface Sort {
  field: string;
  descending: boolean;
}

function readSort(text: string | null, definition: EntityDefinition): Sort {
  const field = text?.replace(/^-/, "") ?? "";
  return definition.fields.some((candidate) => candidate.key === field) ? { field, descending: text?.startsWith("-") ?? false } : NEWEST;
}

/** A column sorts up, then down, then not at all. */
function nextSort(field: string, sort: Sort): string {
  if (sort.field !== field) {
    return field;
  }
  return sort.descending ? "" : `-${field}`;
}

interface RowsProps {
  definition: EntityDefinition<EntityKey>;
  rows: readonly Row[];
  choices: Record<string, readonly Choice[]>;
  sort: Sort;
  onSort: (field: string) => void;
  onDeleted: () => void;
}

function Rows({ definition, rows, choices, sort, onSort, onDeleted }: RowsProps): ReactNode {
  return (
    <div className="table-frame" tabIndex={0} role="group" aria-label={definition.plural}>
      <table>
        <thead>
          <tr>
            {definition.fields.map((field) => (
              <th key={field.key} scope="col" className={kind(field)} aria-sort={ariaSort(field, sort)}>
                <button type="button" className="sort" onClick={() => onSort(field.key)}>
                  {field.label}
                  <span className="arrow" aria-hidden="true">
                    {sort.field === field.key ? (sort.descending ? "↓" : "↑") : "↕"}
                  </span>
                </button>
              </th>
            ))}
            <th scope="col" className="end">
              <span className="hidden-text">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              {definition.fields.map((field) => (
                <td key={field.key} className={kind(field)} data-label={field.label}>
                  {field.key === definition.titleField ? (
                    <Link className="title" to={`${definition.path}/${encodeURIComponent(row.id)}`}>
                      {titleOf(definition.key, row)}
                    </Link>
                  ) : (
                    <FieldValue field={field} value={row[field.key]} choices={choices} />
                  )}
                </td>
              ))}
              <td className="end">
                <div className="row-actions">
                  {definition.titleField === null && (
                    <Link className="button small" to={`${definition.path}/${encodeURIComponent(row.id)}`}>
                      View
                    </Link>
                  )}
                  <Link
                    className="button small"
                    to={`${definition.path}/${encodeURIComponent(row.id)}/edit`}
                    aria-label={`Edit ${titleOf(definition.key, row)}`}
                  >
                    Edit
                  </Link>
                  <DeleteButton small entity={definition.key} row={row} onDeleted={onDeleted} />
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function kind(field: FieldDefinition): string | undefined {
  return NUMERIC.has(field.type) ? "number" : undefined;
}

function ariaSort(field: FieldDefinition, sort: Sort): "ascending" | "descending" | "none" {
  if (sort.field !== field.key) {
    return "none";
  }
  return sort.descending ? "descending" : "ascending";
}
