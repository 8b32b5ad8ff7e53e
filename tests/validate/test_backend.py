"""The backend gate on a real PostgreSQL: what is right passes, what is wrong is named, and nothing of one artifact reaches the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from processors.toolchain.findings import Finding
from processors.toolchain.node import Toolchain
from processors.validate import backend
from processors.validate.database import Database
from processors.validate.policy import ValidationPolicy

PARTS = """-- Parts. Repeatable.
create table if not exists public.parts (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null default auth.uid(),
  name text not null check (length(trim(name)) > 0),
  state text not null check (state in ('new', 'it''s old')),
  mail text not null check (mail like '%_@_%'),
  price numeric(14, 2),
  bought date not null
);
alter table public.parts enable row level security;
grant select, insert, update, delete on public.parts to authenticated;
drop policy if exists own on public.parts;
create policy own on public.parts for all to authenticated
  using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
"""
TABLE = """export const t = { name: "parts", columns: ["id", "name", "state", "price"], search: ["name"] };
export const all = (db) => db.from("parts").select("id, name").eq("state", "new").order("price", { ascending: true });
"""

Check = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def check() -> Iterator[Check]:
    with asyncio.Runner() as runner:
        database = Database(Toolchain())

        def one(*migrations: str, code: str = "", limit_s: float = 30.0) -> list[Finding]:
            files = {f"supabase/migrations/{i:04}.sql": sql.encode() for i, sql in enumerate(migrations)}
            policy = ValidationPolicy(backend_timeout_s=limit_s)
            return runner.run(backend.check(files, {"src/data.ts": code}, database, policy))

        yield one
        runner.run(database.close())


def test_good_migrations_have_no_findings(check: Check) -> None:
    assert check(PARTS, code=TABLE) == []
    assert check(PARTS, PARTS.replace("parts", "other"), code=TABLE) == []


def test_an_error_has_its_place(check: Check) -> None:
    (finding,) = check(PARTS, "-- one\n-- two\nselec 1;")
    assert (finding.rule, finding.file, finding.line) == ("backend.migration", "supabase/migrations/0001.sql", 3)


def test_a_claim_to_be_repeatable_is_tried(check: Check) -> None:
    (finding,) = check(PARTS.replace("if not exists ", ""))
    assert finding.rule == "backend.repeat" and "already exists" in finding.message
    (finding,) = check(PARTS + "alter table public.parts add constraint c%s check (true);".replace("%s", "1").replace("c1", "more"))
    assert finding.rule == "backend.repeat"
    grows = "do $$ declare n int; begin select count(*) into n from pg_tables where schemaname = 'public'; execute 'create table public.t' || n || '(id int)'; execute 'alter table public.t' || n || ' enable row level security'; end $$;"
    assert "backend.repeat" in {f.rule for f in check("-- repeatable\n" + grows)}
    assert "backend.repeat" not in {f.rule for f in check(grows)}


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("alter table public.parts enable row level security;", "", "backend.rls"),
        ("using (owner_id = (select auth.uid()))", "using (true)", "backend.isolation"),
        ("for all to authenticated\n  using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()))", "for insert to authenticated with check (true)", "backend.isolation"),
        ("with check (owner_id = (select auth.uid()))", "with check (true)", "backend.isolation"),
    ],
)  # fmt: skip
def test_rows_that_are_not_kept_apart_are_found(old: str, new: str, rule: str, check: Check) -> None:
    assert old in PARTS
    assert rule in {f.rule for f in check(PARTS.replace(old, new)) if f.severity == "error"}


def test_a_visitor_is_kept_out_too(check: Check) -> None:
    (finding,) = check(
        PARTS
        + "grant select on public.parts to anon; drop policy if exists open on public.parts; create policy open on public.parts for select to anon using (true);"
    )
    assert finding.rule == "backend.isolation" and "a visitor reads" in finding.message


def test_what_was_not_tested_is_said(check: Check) -> None:
    (finding,) = check(PARTS.replace("owner_id", "who").replace("default auth.uid()", ""))
    assert (finding.rule, finding.severity) == ("backend.untested", "warning")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('db.from("nothing").select("id");', "'nothing'"),
        ('db.from("parts").select("id, colour");', "colour"),
        ('db.from("parts").select("id").eq("size", 1);', "size"),
        ('const t = { name: "parts", columns: ["id", "weight"] };', "weight"),
    ],
)
def test_queries_that_do_not_fit_are_found(code: str, said: str, check: Check) -> None:
    (finding,) = check(PARTS, code=code)
    assert finding.rule == "backend.query" and said in finding.message


@pytest.mark.parametrize(
    "code",
    ['Array.from("parts");', '"db.from(\\"nothing\\")";', "import x from './parts';", 'db.from("parts").select("*, owner:users(id)");'],
)
def test_what_is_no_query_is_left_alone(code: str, check: Check) -> None:
    assert check(PARTS, code=code) == []


@pytest.mark.parametrize(
    "sql",
    [
        "create role evil superuser login; create schema evil; create table evil.x (id int);",
        "alter role authenticated superuser;",
        "create or replace function auth.uid() returns uuid language sql as $$ select '00000000-0000-4000-8000-00000000000a'::uuid $$;",
        "insert into auth.users values (gen_random_uuid(), 'x');",
        "begin; create table public.half (id int);",
        "alter database template1 set search_path = evil;",
        "set role authenticated;",
        "create event trigger evil on ddl_command_start execute function nothing();",
        "alter default privileges grant all on tables to anon;",
        "select lo_create(42);",
        "drop schema public cascade;",
    ],
)
def test_nothing_of_one_artifact_reaches_the_next(sql: str, check: Check) -> None:
    check(sql)
    assert check(PARTS, code=TABLE) == []
    assert [f.rule for f in check(PARTS.replace("using (owner_id = (select auth.uid()))", "using (true)"))][:1] == ["backend.isolation"]


@pytest.mark.parametrize(
    "sql",
    ["select pg_read_file('/etc/passwd');", "copy (select 1) to program 'id';", "create extension plpython3u;", "select dblink('x');"],
)
def test_the_machine_is_out_of_reach(sql: str, check: Check) -> None:
    (finding,) = check(sql)
    assert finding.rule in ("backend.migration", "backend.stopped")  # PGlite ends where it would have to start a program


def test_a_migration_without_end_is_stopped(check: Check) -> None:
    (finding,) = check("do $$ begin loop null; end loop; end $$;", limit_s=2)
    assert finding.rule == "backend.stopped"
    assert check(PARTS) == []


OPEN = "alter table public.parts enable row level security; create policy own on public.parts for all to authenticated using (true);"
PLAIN = PARTS.split("\n", 1)[1].split("alter table")[0] + "grant all on public.parts to authenticated;"


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "{} commit; create role left_behind;",
        "rollback; {}",
        "commit; begin; {} commit;",
        "set local statement_timeout = 0; {}",
        "{} create publication left_behind; commit;",
        "create function public.jsonb_build_object(text, int) returns jsonb language sql as $$ select pg_catalog.jsonb_build_object($1, 0) $$;"
        " set search_path = public, pg_catalog; {}",
    ],
)
def test_however_it_ends_its_transaction_a_leak_is_found_and_nothing_is_left(around: str, check: Check) -> None:
    leaks = check(around.format(PLAIN + OPEN))
    assert {f.message for f in leaks} >= {"in the table parts another user reads a user's row"}, leaks
    assert check("create role left_behind; create publication left_behind;", PARTS, code=TABLE) == []


def test_what_is_put_off_to_the_end_of_a_transaction_is_checked(check: Check) -> None:
    sql = "create table public.a (id int primary key); create table public.b (a int references public.a deferrable initially deferred);"
    assert [f.rule for f in check(sql + "insert into public.b values (1);")] == ["backend.migration"]
