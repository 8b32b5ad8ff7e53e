"""The data of an application: its tables and forms as TypeScript, and as a migration with row level security."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..compose.naming import sql_name, sql_object_name
from ..compose.sql import PLATFORM, security
from .forms import Form, module
from .jsx import literal
from .tables import Column, Model


def data_files(models: Sequence[Model], forms: Sequence[Form], own: Callable[[str], bytes]) -> dict[str, bytes]:
    """The files of the data layer; none where the recording showed neither table nor form. `own` gives its hand-written modules."""
    files: dict[str, bytes] = {}
    if models:
        files |= {"src/data/rows.ts": own("rows.ts"), "src/data/tables.ts": tables(models).encode()}
    if forms:
        files |= {"src/data/entries.tsx": own("entries.tsx"), "src/data/forms.ts": module(forms).encode()}
    if files:
        files["src/data/client.ts"] = own("client.ts")
    kept = [form for form in forms if form.table]
    if models or kept:
        files["supabase/migrations/0001_platform.sql"] = PLATFORM.encode()
        files["supabase/migrations/0002_tables.sql"] = migration(models, kept).encode()
    return files


def migration(models: Sequence[Model], forms: Sequence[Form] = ()) -> str:
    """The tables as they were seen and what is entered in forms; rows belong to who wrote them. A second run changes nothing."""
    statements = [_table(m.table, m.columns) for m in models]
    statements += [_table(f.table, [c for _, c in f.columns]) for f in forms]
    return "\n".join(["-- Tables and row level security. Repeatable: a second run changes nothing.\n", *statements])


def _table(table: str, of: Sequence[Column]) -> str:
    name = f"public.{sql_name(table)}"
    columns = [
        "row_id uuid primary key default gen_random_uuid()",
        "owner_id uuid not null default auth.uid()",
        "position bigint not null default 0",
        *(f"{sql_name(c.key)} {c.type}" for c in of),
    ]
    body = ",\n".join(f"  {c}" for c in columns)
    return (
        f"create table if not exists {name} (\n{body}\n);\n"
        f"create index if not exists {sql_object_name(table, 'owner_id', 'position', 'idx')} on {name} (owner_id, position);\n"
        f"{security(table)}"
    )


def tables(models: Sequence[Model]) -> str:
    """The tables with their row types and the rows that were seen."""
    out = ['import { type Table } from "./rows";', ""]
    for m in models:
        kind = m.name[0].upper() + m.name[1:] + "Row"
        out += [f"export interface {kind} {{"]
        out += [f"  readonly {c.key}: {'number' if c.type == 'bigint' else 'string'} | null;" for c in m.columns]
        out += ["}", "", f"export const {m.name}: Table<{kind}> = {{", f"  name: {literal(m.table)},"]
        out += [f"  columns: [{', '.join(literal(c.key) for c in m.columns)}],", "  moments: ["]
        for moment in m.moments:
            out += ["    [", *(f"      {{ {_row(m, row)} }}," for row in moment), "    ],"]
        out += ["  ],", "};", ""]
    return "\n".join(out)


def _row(model: Model, row: Sequence[str]) -> str:
    return ", ".join(f"{c.key}: {(v or 'null') if c.type == 'bigint' else literal(v)}" for c, v in zip(model.columns, row, strict=True))
