"""Commands of an operator and an analyst: query, worker, topics."""

from __future__ import annotations

import csv
import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from millrace import settings as settings_module
from millrace.commands.common import Data, Json, connected, explained
from millrace.output import OK, REJECTED, USAGE, fail, out, print_json, print_table
from sinks.clickhouse import ClickHouseError, ClickHouseUnavailable
from streams.admin import admin, otherwise
from streams.topics import CATALOGUE


def query(
    sql: Annotated[
        str,
        typer.Argument(
            help="One statement. Views: requests, usage, timeline, verdicts, validation_results, dead_letters, metrics, audit, and the saved questions."
        ),
    ],
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
    data: Data = None,
) -> None:
    """Ask in SQL.

    Example: millrace query "SELECT * FROM cost_per_accepted_artifact"
    """
    if format not in ("table", "json", "csv"):
        fail(USAGE, f"--format {format!r} is none of table, json, csv")
    with connected(data) as c:
        try:
            columns, rows = c.clickhouse().read(sql.rstrip().rstrip(";"))
        except ClickHouseError as error:
            fail(USAGE, f"ClickHouse: {error}")
        except ClickHouseUnavailable as error:
            if not error.code:
                raise
            fail(USAGE, f"ClickHouse: {error}")  # it answers: this statement is too slow or too large for it
    if format == "json":
        print_json(rows)
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if v is None else v for v in row.values()] for row in rows])
    elif rows:
        print_table(columns, [row.values() for row in rows])
    else:
        out.print("no rows")


def worker(
    stages: Annotated[list[str], typer.Argument(help="extract, plan, generate, validate, sink, archive; or windows alone.")],
    ready_file: Annotated[Path | None, typer.Option(help="Written when the worker takes records.")] = None,
    data: Data = None,
) -> None:
    """Run some stages against a broker until SIGTERM: this is what a container runs. Settings are MILLRACE_* variables."""
    from millrace.logs import log_json
    from millrace.workers import STAGES, WINDOWS, prepare, work

    unknown = [s for s in stages if s not in STAGES and s != WINDOWS]
    if unknown:
        fail(USAGE, f"no stage is called {', '.join(unknown)}; there are {', '.join([*STAGES, WINDOWS])}")
    if WINDOWS in stages and len(stages) > 1:
        fail(USAGE, f"{WINDOWS} runs in a process of its own: name no other stage beside it")

    def ready(url: str | None) -> None:
        if ready_file:  # renamed into place: whoever waits for it never reads a part
            written = ready_file.with_name(ready_file.name + ".new")
            written.write_text(json_module.dumps({"url": url}) + "\n")
            written.replace(ready_file)

    with explained():
        settings = settings_module.connect(data)
        log_json(settings.variables.log_level)
        prepare(settings)
        work(stages, settings, ready)


def _check_topics(json: bool, data: Path | None) -> None:
    with connected(data) as c:
        settings = c.settings.streams
        there = admin(settings).list_topics(timeout=30).topics
    found = {}
    for t in CATALOGUE.values():
        name = settings.topic_prefix + t.name
        if wrong := otherwise(t, settings, there[name]) if name in there else ["it is not there; it is created where the stack is set up"]:
            found[t.name] = wrong
    if json:
        print_json(found)
    else:
        for topic, wrong in found.items():
            for line in wrong:
                out.print(f"{topic}: {line}", markup=False, soft_wrap=True)
        if not found:
            out.print("all topics are as declared")
    raise SystemExit(REJECTED if found else OK)


def topics(
    check: Annotated[bool, typer.Option("--check", help="Say what on the broker is not as declared; exit code 1 if anything is.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Every topic with its schema, key, partitions, retention and owner, as declared in code."""
    if check:
        _check_topics(json, data)
    rows = [
        {
            "topic": t.name,
            "schema": t.schema or "(as the original)",
            "key": t.key,
            "partitions": t.partitions,
            "retention_days": t.retention_ms // 86_400_000,
            "owner": t.owner,
        }
        for t in CATALOGUE.values()
    ]
    if json:
        print_json(rows)
    else:
        print_table(
            ["topic", "schema", "key", "partitions", "days kept", "written by"],
            [(r | {"partitions": r["partitions"] or "setting"}).values() for r in rows],
        )
