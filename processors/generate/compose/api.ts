/** The application's endpoints: everything the pages may do with data. Rules hold here, whatever page calls. */

import { repositories } from "../data";
import type { Page, Query, Repository } from "../data/repository";
import { definitionOf, type Entities, type EntityKey } from "../entities";
import type { Draft, Row, Value } from "../model";
import { checkValue } from "../validation";

export interface Choice {
  id: string;
  title: string;
}

const MOST_CHOICES = 1000;

export function list<K extends EntityKey>(entity: K, query: Query): Promise<Page<Entities[K]>> {
  return table(entity).list(query);
}

export function get<K extends EntityKey>(entity: K, id: string): Promise<Entities[K] | null> {
  return table(entity).get(id);
}

/** Makes a record, or changes the one with this id. */
export function save<K extends EntityKey>(entity: K, id: string | null, draft: Draft<Entities[K]>): Promise<Entities[K]> {
  for (const field of definitionOf(entity).fields) {
    const problem = checkValue(field, (draft as Record<string, Value>)[field.key] ?? null);
    if (problem !== null) {
      return Promise.reject(new Error(problem));
    }
  }
  return id === null ? table(entity).create(draft) : table(entity).update(id, draft);
}

export function remove(entity: EntityKey, id: string): Promise<void> {
  return table(entity).remove(id);
}

/** Every record of an entity by its title, for selects and for references in tables. */
export async function choices(entity: EntityKey): Promise<Choice[]> {
  const { titleField } = definitionOf(entity);
  const sort = { field: titleField ?? "created_at", descending: false };
  const page = await list(entity, { search: "", sort, page: 1, size: MOST_CHOICES });
  return page.rows.map((row) => ({ id: row.id, title: titleOf(entity, row) }));
}

export function titleOf(entity: EntityKey, row: Row): string {
  const definition = definitionOf(entity);
  const title = definition.titleField === null ? null : row[definition.titleField];
  return title === null || title === undefined || title === "" ? `${definition.singular} of ${row.created_at.slice(0, 10)}` : String(title);
}

function table<K extends EntityKey>(entity: K): Repository<Entities[K]> {
  return repositories[entity] as Repository<Entities[K]>;
}
