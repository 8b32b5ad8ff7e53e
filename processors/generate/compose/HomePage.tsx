import type { ReactNode } from "react";
import { list, titleOf } from "../api";
import { APP_DESCRIPTION, APP_TITLE, entities, type EntityKey } from "../entities";
import { useLoad, useTitle } from "../hooks";
import type { EntityDefinition } from "../model";
import { Link } from "../router";

const LATEST = 3;

/** Every entity with how many records it has and the latest of them. */
export function HomePage(): ReactNode {
  useTitle(APP_TITLE);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{APP_TITLE}</h1>
          {APP_DESCRIPTION !== "" && <p className="subtle">{APP_DESCRIPTION}</p>}
        </div>
      </div>
      <div className="tiles">
        {entities.map((definition) => (
          <Tile key={definition.key} definition={definition} />
        ))}
      </div>
    </>
  );
}

function Tile({ definition }: { definition: EntityDefinition<EntityKey> }): ReactNode {
  const loaded = useLoad(definition.key, () =>
    list(definition.key, { search: "", sort: { field: "created_at", descending: true }, page: 1, size: LATEST }),
  );
  return (
    <section className="card tile">
      <h2>
        <Link to={definition.path}>{definition.plural}</Link>
      </h2>
      <p className="figure">{loaded.data?.total ?? "–"}</p>
      {loaded.error !== null && <p role="alert">{loaded.error}</p>}
      <ul>
        {loaded.data?.rows.map((row) => (
          <li key={row.id}>
            <Link to={`${definition.path}/${encodeURIComponent(row.id)}`}>{titleOf(definition.key, row)}</Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
