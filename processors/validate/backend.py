"""Gate ``backend``: the migrations run on a real PostgreSQL, rows are kept apart, and the data access asks for what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from processors.remembered import Remembered
from processors.toolchain.findings import Finding
from processors.toolchain.service import Stopped
from processors.validate.database import Database
from processors.validate.lexer import LexError, Token, tokens
from processors.validate.policy import ValidationPolicy

GATE = "backend"

_MIGRATION = re.compile(r"supabase/migrations/[^/]+\.sql")
_COMMENTS = re.compile(r"\A(?:\s*--[^\n]*\n)*")
_FILTERS = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "is", "in", "order", "contains"})
_ASKED: Remembered[list[tuple[str, list[str]]]] = Remembered()
_PLAIN_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")


def migrations(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The migrations in the order in which they run, as the database takes them. One that says it is repeatable runs twice."""
    found = []
    for name in sorted(name for name in files if _MIGRATION.fullmatch(name)):
        sql = files[name].decode(errors="replace")
        head = _COMMENTS.match(sql)
        found.append({"name": name, "sql": sql, "repeatable": bool(head and "repeatable" in head[0].lower())})
    return found


async def check(files: Mapping[str, bytes], code: Mapping[str, str], database: Database, policy: ValidationPolicy) -> list[Finding]:
    """All findings. ``code`` is the transpiled code of the application, in which the queries are looked for."""
    given = migrations(files)
    try:
        result = await database.run({"migrations": given}, policy.backend_timeout_s)
    except Stopped as stopped:
        return [Finding(GATE, "backend.stopped", str(stopped))]
    if failed := result["failed"]:
        return [_failed(failed, given)]
    found = []
    if result["changed"]:
        found.append(Finding(GATE, "backend.repeat", "the migrations say they are repeatable, but a second run changes the schema"))
    for table in result["tables"]:
        found += _table(table)
    columns = {table["name"]: set(table["columns"]) for table in result["tables"]}
    found += _queries(code, columns)
    return found


def _failed(failed: Mapping[str, Any], given: list[dict[str, Any]]) -> Finding:
    sql = next((m["sql"] for m in given if m["name"] == failed["name"]), "")
    line = sql.count("\n", 0, failed["position"] - 1) + 1 if failed["position"] else None
    rule, when = ("backend.repeat", " when run again") if failed["repeat"] else ("backend.migration", "")
    return Finding(GATE, rule, f"the migration fails{when}: {failed['message']}", failed["name"], line, evidence={"code": failed["code"]})


def _table(table: Mapping[str, Any]) -> Iterator[Finding]:
    name, isolation = table["name"], table["isolation"]
    if not table["rls"]:
        yield Finding(GATE, "backend.rls", f"the table {name} has no row level security")
    elif not table["policies"]:
        yield Finding(
            GATE, "backend.rls", f"the table {name} has row level security without a policy: nobody can use it", severity="warning"
        )
    for leak in isolation["leaks"]:
        yield Finding(GATE, "backend.isolation", f"in the table {name} {leak}")
    if table["rls"] and table["policies"] and not isolation["tested"] and not isolation["leaks"]:
        yield Finding(GATE, "backend.untested", f"whether {name} keeps users apart was not tested: {isolation['why']}", severity="warning")


def _queries(code: Mapping[str, str], columns: Mapping[str, set[str]]) -> Iterator[Finding]:
    for name in sorted(code):
        if not name.startswith("src/"):
            continue
        for table, wanted in _ASKED.get(partial(_asked_by, code[name]), code[name].encode(errors="surrogatepass")):
            if table not in columns:
                yield Finding(GATE, "backend.query", f"asks for the table {table!r}, which no migration makes", name)
            elif missing := sorted(set(wanted) - columns[table]):
                yield Finding(
                    GATE, "backend.query", f"asks for {', '.join(missing)} of the table {table!r}, which has no such column", name
                )


def _asked_by(text: str) -> list[tuple[str, list[str]]]:
    try:
        return list(_asked(tokens(text)))
    except LexError:  # the static gate says so
        return []


def _asked(stream: list[Token]) -> Iterator[tuple[str, list[str]]]:
    """Tables and columns that code asks for: chains that begin with ``.from("table")``, and objects ``{name: "table", columns: [...]}``."""
    texts = [token.text for token in stream]
    for i, token in enumerate(stream):
        if (
            token.kind == "string"
            and texts[i - 3 : i] == [".", "from", "("]
            and texts[i + 1 : i + 2] == [")"]
            and texts[i - 4 : i - 3] != ["Array"]
        ):
            yield token.text, list(_chain(stream, i + 2))
        if token.kind == "string" and texts[i - 2 : i] == ["name", ":"] and texts[i + 1 : i + 5] == [",", "columns", ":", "["]:
            end = next((j for j in range(i + 5, len(stream)) if texts[j] == "]"), i + 5)
            yield token.text, [t.text for t in stream[i + 5 : end] if t.kind == "string"]


def _chain(stream: list[Token], at: int) -> Iterator[str]:
    """Columns named by the calls that follow: ``.select("a, b").eq("c", ...)``."""
    while at + 3 < len(stream) and stream[at].text == "." and stream[at + 2].text == "(":
        call, argument = stream[at + 1].text, stream[at + 3]
        if argument.kind == "string" and call == "select":
            yield from (part.strip() for part in argument.text.split(",") if _PLAIN_COLUMN.fullmatch(part.strip()))
        elif argument.kind == "string" and call in _FILTERS and _PLAIN_COLUMN.fullmatch(argument.text):
            yield argument.text
        depth, at = 1, at + 3
        while at < len(stream) and depth:
            depth += {"(": 1, ")": -1}.get(stream[at].text, 0) if stream[at].kind == "mark" else 0
            at += 1
