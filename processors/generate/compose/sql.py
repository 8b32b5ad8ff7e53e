"""The database of an application: tables, keys, references, checks, indexes and row level security, as migrations that can run twice."""

from __future__ import annotations

from processors.generate.compose.naming import Names, sql_name, sql_object_name
from processors.spec import Entity, Field, Spec

_TYPES = {
    "text": "text",
    "longtext": "text",
    "email": "text",
    "phone": "text",
    "url": "text",
    "number": "numeric",
    "integer": "bigint",
    "money": "numeric(14, 2)",
    "date": "date",
    "datetime": "timestamp",
    "time": "time",
    "boolean": "boolean",
    "enum": "text",
    "reference": "uuid",
}

# Supabase has these already; with them the migrations run on a plain PostgreSQL, too.
PLATFORM = """-- What Supabase provides: the roles of its API and the id of whoever is signed in.
-- On Supabase this changes nothing; on a plain PostgreSQL it makes the next migration run.
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then
    create role authenticated nologin;
  end if;
  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to anon, authenticated;
  end if;
  if to_regprocedure('auth.uid()') is null then
    execute $function$
      create function auth.uid() returns uuid language sql stable
      as $body$ select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $body$
    $function$;
  end if;
end
$$;
"""

_TOUCH = """create or replace function public.set_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end
$$;
"""


def migration(spec: Spec, names: dict[str, Names]) -> str:
    """One migration with every table. References come last, as tables may point to each other."""
    parts = ["-- Tables, references, indexes and row level security. Repeatable: a second run changes nothing.\n", _TOUCH]
    targets = {relation.parent for relation in spec.relations}
    parts += [_table(entity, names[entity.key], referenced=entity.key in targets) for entity in spec.entities]
    parts += [_reference(names[e.key].table, f, names) for e in spec.entities for f in e.fields if f.target is not None]
    parts += [security(names[entity.key].table) for entity in spec.entities]
    return "\n".join(parts)


def literal(text: str) -> str:
    """Text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _table(entity: Entity, names: Names, *, referenced: bool) -> str:
    key = sql_object_name(names.table, "owner_id", "id", "key")
    columns = [
        "id uuid primary key default gen_random_uuid()",
        "owner_id uuid not null default auth.uid()",
        *(_column(names.table, f) for f in entity.fields),
        "created_at timestamptz not null default now()",
        "updated_at timestamptz not null default now()",
        *([f"constraint {key} unique (owner_id, id)"] if referenced else []),
    ]
    table = f"public.{sql_name(names.table)}"
    trigger = sql_object_name(names.table, "set_updated_at")
    index = sql_object_name(names.table, "owner_id", "created_at", "idx")
    body = ",\n".join(f"  {column}" for column in columns)
    return (
        f"create table if not exists {table} (\n{body}\n);\n"
        f"comment on table {table} is {literal(entity.plural)};\n"
        f"create index if not exists {index} on {table} (owner_id, created_at desc);\n"
        f"create or replace trigger {trigger} before update on {table}\n"
        f"  for each row execute function public.set_updated_at();\n"
    )


def _column(table: str, field: Field) -> str:
    name = sql_name(field.key)
    column = f"{name} {_TYPES[field.type]}"
    if field.required or field.type == "boolean":
        column += " not null"
    if field.type == "boolean":
        column += " default false"
    check = _check(name, field)
    if check:
        column += f"\n    constraint {sql_object_name(table, field.key, 'check')} check ({check})"
    return column


def _check(name: str, field: Field) -> str:
    match field.type:
        case "enum":
            return f"{name} in ({', '.join(literal(option) for option in field.options)})"
        case "email":
            return f"{name} like '%_@_%'"
        case "text" if field.required:
            return f"length(trim({name})) > 0"
        case _:
            return ""


def _reference(table: str, field: Field, names: dict[str, Names]) -> str:
    """The owner is part of the key: a row can only point to a row of the same owner, which no policy could ensure."""
    own, target = sql_name(table), sql_name(names[field.target or ""].table)
    constraint = sql_object_name(table, field.key, "fkey")
    index = sql_object_name(table, field.key, "idx")
    column = sql_name(field.key)
    on_delete = "restrict" if field.required else f"set null ({column})"
    return (
        f"create index if not exists {index} on public.{own} (owner_id, {column});\n"
        f"alter table public.{own} drop constraint if exists {constraint};\n"
        f"alter table public.{own} add constraint {constraint}\n"
        f"  foreign key (owner_id, {column}) references public.{target} (owner_id, id) on delete {on_delete};\n"
    )


def security(table: str) -> str:
    """Row level security for a table with an ``owner_id``: everyone has their own rows, and no others."""
    name = f"public.{sql_name(table)}"
    policy = sql_object_name(table, "owner")
    return (
        f"alter table {name} enable row level security;\n"
        f"grant select, insert, update, delete on {name} to authenticated;\n"
        f"drop policy if exists {policy} on {name};\n"
        f"create policy {policy} on {name} for all to authenticated\n"
        f"  using (owner_id = (select auth.uid()))\n"
        f"  with check (owner_id = (select auth.uid()));\n"
    )
