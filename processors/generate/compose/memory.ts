import type { Draft, Row, Value } from "../model";
import type { Page, Query, Repository, Table } from "./repository";
import { equalColumns, type Searched } from "./search";

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Rows in the page's memory: they start from the seed and last until the page is loaded again. */
export function memoryRepository<T extends Row>(table: Table<T>): Repository<T> {
  const rows = new Map<string, T>(table.seed.map((row) => [row.id, row]));
  let made = rows.size;

  function stored(id: string): T {
    const row = rows.get(id);
    if (row === undefined) {
      throw new Error(`There is no such record in ${table.name} any more.`);
    }
    return row;
  }

  return {
    async list(query: Query): Promise<Page<T>> {
      const found = [...rows.values()].filter((row) => fits(row, query, table.search));
      found.sort(by(query.sort));
      const start = (query.page - 1) * query.size;
      return { rows: found.slice(start, start + query.size), total: found.length };
    },

    async get(id: string): Promise<T | null> {
      return rows.get(id) ?? null;
    },

    async create(draft: Draft<T>): Promise<T> {
      made += 1;
      // The counter keeps rows made within one millisecond in the order they were made.
      const created_at = `${new Date().toISOString().slice(0, -1)}${String(made).padStart(6, "0")}Z`;
      const row = { ...draft, id: `${table.name}-${made}`, created_at } as T;
      rows.set(row.id, row);
      return row;
    },

    async update(id: string, draft: Draft<T>): Promise<T> {
      const row = { ...stored(id), ...draft };
      rows.set(id, row);
      return row;
    },

    async remove(id: string): Promise<void> {
      stored(id);
      rows.delete(id);
    },
  };
}

function fits(row: Row, query: Query, searched: Searched): boolean {
  if (query.where !== undefined && row[query.where.field] !== query.where.value) {
    return false;
  }
  const typed = query.search.trim();
  const wanted = typed.toLocaleLowerCase();
  return (
    wanted === "" ||
    searched.texts.some((column) => String(row[column] ?? "").toLocaleLowerCase().includes(wanted)) ||
    equalColumns(searched, typed).some((column) => row[column] === typed || row[column] === Number(typed))
  );
}

/** Nulls stand last in both directions, as an empty cell answers no question. */
function by(sort: Query["sort"]): (a: Row, b: Row) => number {
  const sign = sort.descending ? -1 : 1;
  return (a, b) => {
    const [left, right] = [a[sort.field] ?? null, b[sort.field] ?? null];
    if (left === null || right === null) {
      return Number(left === null) - Number(right === null);
    }
    return sign * compare(left, right);
  };
}

function compare(left: Exclude<Value, null>, right: Exclude<Value, null>): number {
  if (typeof left === "string" && typeof right === "string") {
    return collator.compare(left, right);
  }
  return Number(left) - Number(right);
}
