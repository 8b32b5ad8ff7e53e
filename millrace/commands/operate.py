"""Commands of an operator and an analyst: query, worker, topics, dead-letters, replay."""

from __future__ import annotations

import csv
import getpass
import sys
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from millrace import settings as settings_module
from millrace.commands.common import Connected, Data, Json, connected, explained
from millrace.output import OK, REJECTED, USAGE, fail, money, out, plain, print_json, print_table
from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES, BadRecord
from schemas.names import BadName, check_name
from schemas.records import PromptSubmitted, Step, VideoSubmitted
from sinks.clickhouse import ClickHouseError, ClickHouseUnavailable
from streams import steps
from streams.codec import Codec
from streams.registry import Registry
from streams.topics import CATALOGUE, PIPELINE, PROMPT_SUBMITTED, VIDEO_SUBMITTED

dead_letters = typer.Typer(
    no_args_is_help=True, help="Records that a stage gave up: look, try again, or put away. Each action leaves an audit event."
)


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
    stages: Annotated[list[str], typer.Argument(help="extract, plan, generate, validate, sink.")],
    ready_file: Annotated[Path | None, typer.Option(help="Written when the worker takes records.")] = None,
    data: Data = None,
) -> None:
    """Run some stages against a broker until SIGTERM: this is what a container runs. Settings are MILLRACE_* variables."""
    from millrace.logs import log_json
    from millrace.workers import STAGES, prepare, work

    unknown = [s for s in stages if s not in STAGES]
    if unknown:
        fail(USAGE, f"no stage is called {', '.join(unknown)}; there are {', '.join(STAGES)}")

    def ready() -> None:
        if ready_file:
            ready_file.write_text("ready\n")

    with explained():
        settings = settings_module.connect(data)
        log_json(settings.variables.log_level)
        prepare(settings)
        work(stages, settings, ready)


def topics(json: Json = False) -> None:
    """Every topic with its schema, key, partitions, retention and owner, as declared in code."""
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


# ---- dead letters ------------------------------------------------------------------------------------------------------------

Stage = Annotated[str | None, typer.Option(help="Only of this stage.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]
Tenant = Annotated[str | None, typer.Option(help="Only of this tenant.")]
Since = Annotated[str | None, typer.Option(help="Only given up at or after this time (UTC, e.g. 2026-11-21 or '2026-11-21 08:00').")]
Until = Annotated[str | None, typer.Option(help="Only given up before this time (UTC).")]
Max = Annotated[int, typer.Option("--max", min=1, help="At most so many.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]
_COLUMNS = "event_id, occurred_at, stage, reason, message, tries, topic, partition, offset, tenant, request_id, run"


def _letters(c: Connected, where: dict[str, Any], limit: int, columns: str = _COLUMNS) -> list[dict[str, Any]]:
    """Letters not yet replayed or dropped that fit, the oldest first."""
    tests = {
        "stage": "stage = {stage:String}", "reason": "reason = {reason:String}", "tenant": "tenant = {tenant:String}",
        "since": "occurred_at >= parseDateTime64BestEffort({since:String}, 3, 'UTC')", "until": "occurred_at < parseDateTime64BestEffort({until:String}, 3, 'UTC')",
        "id": "event_id = toUUID({id:String})",
    }  # fmt: skip
    given = {k: v for k, v in where.items() if v is not None}
    open_only = "event_id NOT IN (SELECT toUUIDOrZero(target) FROM audit WHERE action IN ('dead_letter.replay', 'dead_letter.drop'))"
    conditions = " AND ".join([tests[k] for k in given] + ([] if "id" in given else [open_only])) or "1"
    try:
        return c.clickhouse().rows(
            f"SELECT {columns} FROM dead_letters WHERE {conditions} ORDER BY occurred_at LIMIT {limit}", parameters=given
        )
    except ClickHouseError as error:
        fail(USAGE, f"ClickHouse: {error}")


@dead_letters.command("list")
def list_letters(
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    json: Json = False,
    data: Data = None,
) -> None:
    """Dead letters that were neither replayed nor dropped, the oldest first."""
    with connected(data) as c:
        rows = _letters(c, {"stage": stage, "reason": reason, "tenant": tenant, "since": since, "until": until}, max)
    if json:
        print_json(rows)
    elif rows:
        print_table(
            ["id", "given up at (UTC)", "stage", "reason", "message", "from"],
            [
                (
                    r["event_id"],
                    r["occurred_at"],
                    r["stage"],
                    r["reason"],
                    r["message"][:120],
                    f"{r['topic']}/{r['partition']}@{r['offset']}",
                )
                for r in rows
            ],
        )
    else:
        out.print("no dead letters")


@dead_letters.command("show")
def show_letter(id: Annotated[str, typer.Argument(help="The letter's id.")], json: Json = False, data: Data = None) -> None:
    """One dead letter, whole: provenance, exception, headers and the record where it decodes."""
    with connected(data) as c:
        row = _one(c, id)
        row["record"] = _decoded(c, row)
    if json:
        print_json(row)
        return
    for name, value in row.items():
        if value not in (None, "", [], {}):
            out.print(Text(f"{name:<13}", style="bold") + Text(plain(value)))


def _one(c: Connected, id: str) -> dict[str, Any]:
    try:
        id = ids.parse_id(id)
    except ids.BadId as error:
        fail(USAGE, str(error))
    rows = _letters(
        c, {"id": id}, 1, f"{_COLUMNS}, exception, timestamp, code_version, headers, hex(key) AS key_hex, hex(value) AS value_hex"
    )
    if not rows:
        fail(USAGE, f"no dead letter {id}")
    return rows[0]


def _chosen(c: Connected, wanted: list[str] | None, where: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Letters by id, else all that fit the filters; everything at once only on somebody's word."""
    if not wanted and not any(where.values()):
        fail(USAGE, "say which: ids or at least one filter")
    return [_one(c, i) for i in wanted] if wanted else _letters(c, where, limit, f"{_COLUMNS}, hex(value) AS value_hex")


def _record(c: Connected, row: dict[str, Any]) -> Any:
    """The record in a letter. Raises ``BadRecord``."""
    topic = CATALOGUE.get(row["topic"])
    if topic is None or topic.record is None:
        raise BadRecord(f"topic {row['topic']} carries no record of ours")
    return Codec(Registry(c.settings.streams.registry_url)).decode(topic.record, bytes.fromhex(row["value_hex"] or ""))


def _decoded(c: Connected, row: dict[str, Any]) -> Any:
    try:
        return repr(_record(c, row))
    except BadRecord as error:
        return f"(does not decode: {error})"


@dead_letters.command("replay")
def replay_letters(
    id: Annotated[list[str] | None, typer.Argument(help="Letters by id; else all that fit the filters.")] = None,
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Try again, in a run of its own: what was recorded before is reused, what failed is done anew."""
    with connected(data) as c:
        chosen = _chosen(c, id, {"stage": stage, "reason": reason, "tenant": tenant, "since": since, "until": until}, max)
        door = c.door()
        results: list[dict[str, Any]] = []
        # A run reuses from one parent, so the letters of each parent run get a run of their own.
        for parent in sorted({r["run"] for r in chosen}) if not dry_run else ():
            results += _replay_run(c, [r for r in chosen if r["run"] == parent], ids.new_id(), parent)
        if dry_run:
            results = [{"id": r["event_id"], "replayed": False, "message": "dry run"} for r in chosen]
        else:
            door.flush()
    _told(results, json, "replayed")


def _replay_run(c: Connected, rows: list[dict[str, Any]], run: str, parent: str) -> list[dict[str, Any]]:
    steps.open_run(c.objects(), run, kind="dead_letters", parent=parent, mode="reuse")
    results = []
    for row in rows:
        try:
            record = _of_run(_record(c, row), row, run)
        except BadRecord as error:
            results.append({"id": row["event_id"], "replayed": False, "message": str(error)})
            continue
        c.door().publish(CATALOGUE[row["topic"]], record, record.request_id.encode())
        c.door().audit(
            _actor(), "dead_letter.replay", target=row["event_id"], tenant=row["tenant"], run=run, stage=row["stage"], reason=row["reason"]
        )
        results.append({"id": row["event_id"], "replayed": True, "message": f"run {run}"})
    return results


def _of_run(record: Any, row: dict[str, Any], run: str) -> Any:
    """A dead letter's record as a record of a replay: with its own id, since two runs never share one, and no usage yet.

    Raises ``BadRecord`` where trying again would help nobody.
    """
    if row["stage"] not in PIPELINE:
        raise BadRecord(f"what {row['stage']} gives up is written again by whoever wrote it, not replayed")
    if row["reason"] == "id_reused":
        raise BadRecord("its request id belongs to another submission; hand it over again under an id of its own")
    if not isinstance(record, Step):
        return replace(record, run=run)
    kind = SCHEMA_NAMES[type(record)]
    writer = CATALOGUE[row["topic"]].owner
    event = ids.event_id(tenant=record.tenant, run=run, request=record.request_id, stage=writer, round=record.round, kind=kind)
    return replace(record, run=run, event_id=event, usage_events=0)


@dead_letters.command("drop")
def drop_letters(
    id: Annotated[list[str] | None, typer.Argument(help="Letters by id; else all that fit the filters.")] = None,
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Put letters away: they are no longer listed. The records stay in the topic and in ClickHouse."""
    with connected(data) as c:
        chosen = _chosen(c, id, {"stage": stage, "reason": reason, "tenant": tenant, "since": since, "until": until}, max)
        for row in chosen if not dry_run else ():
            c.door().audit(
                _actor(), "dead_letter.drop", target=row["event_id"], tenant=row["tenant"], stage=row["stage"], reason=row["reason"]
            )
        if not dry_run:
            c.door().flush()
    _told([{"id": r["event_id"], "dropped": not dry_run, "message": "dry run" if dry_run else ""} for r in chosen], json, "dropped")


def _told(results: list[dict[str, Any]], json: bool, verb: str) -> None:
    if json:
        print_json(results)
    else:
        for r in results:
            out.print(Text(f"{r['id']}  {verb if r[verb] else 'not ' + verb}") + Text(f"  {plain(r['message'])}"))
        out.print(f"{sum(r[verb] for r in results)} of {len(results)} {verb}")
    raise SystemExit(OK if all(r[verb] or r["message"] == "dry run" for r in results) else REJECTED)


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


# ---- replay ------------------------------------------------------------------------------------------------------------------


def replay(
    id: Annotated[list[str] | None, typer.Argument(help="Requests by id; else all that fit the filters.")] = None,
    tenant: Tenant = None,
    kind: Annotated[str | None, typer.Option(help="Only video or prompt.")] = None,
    state: Annotated[str | None, typer.Option(help="Only validated, rejected, running or accepted.")] = None,
    since: Annotated[str | None, typer.Option(help="Only submitted at or after this time (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Only submitted before this time (UTC).")] = None,
    mode: Annotated[
        str, typer.Option(help="reuse: republish what was recorded, free. regenerate: do everything again, and pay for it.")
    ] = "reuse",
    isolated: Annotated[bool, typer.Option("--isolated", help="Its verdicts count for nobody: to look before deciding.")] = False,
    budget: Annotated[
        str | None, typer.Option(help="USD; required to regenerate: what the replay may cost by the price of last time.")
    ] = None,
    max: Annotated[int, typer.Option("--max", min=1, help="At most so many requests.")] = 1000,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Run requests again from their submission, in a run of their own. Counts and money of earlier runs stay as they are."""
    if mode not in ("reuse", "regenerate"):
        fail(USAGE, f"--mode {mode!r} is neither reuse nor regenerate")
    if not id and not any((tenant, kind, state, since, until)):
        fail(USAGE, "say which: request ids or at least one filter")
    with connected(data) as c:
        chosen = _requests(c, id or [], {"tenant": tenant, "kind": kind, "state": state, "since": since, "until": until}, max)
        costs = [r["cost_usd"] for r in chosen]
        estimate = Decimal(0) if mode == "reuse" else sum((Decimal(x or 0) for x in costs), Decimal(0))
        unknown = mode == "regenerate" and any(x is None for x in costs)
        if mode == "regenerate" and not dry_run and (budget is None or estimate > _usd(budget) or unknown):
            fail(
                USAGE,
                f"regenerating {len(chosen)} requests costs about {money(None if unknown else estimate)}; allow it with --budget USD"
                if not unknown
                else "what it would cost is not known: some usage has no price",
            )
        run = ids.new_id()
        if not dry_run and chosen:
            steps.open_run(c.objects(), run, kind="replay", parent="", mode=mode)
            c.door().audit(_actor(), "replay", target=run, run=run, requests=str(len(chosen)), mode=mode, isolated=str(isolated).lower())
            c.door().flush()  # that a run is isolated must be known before its first verdict
            published = 0
            for topic, record in _submissions(c, [r["id"] for r in chosen], run):
                c.door().publish(topic, record, record.request_id.encode())
                published += 1
            c.door().flush()
            if published != len(chosen):
                fail(REJECTED, f"only {published} of {len(chosen)} submissions were found in ClickHouse; run {run} has just those")
    answer = {
        "run": None if dry_run or not chosen else run,
        "requests": len(chosen),
        "mode": mode,
        "isolated": isolated,
        "estimated_usd": None if unknown else estimate,
        "dry_run": dry_run,
    }
    if json:
        print_json(answer)
    else:
        out.print(
            f"{len(chosen)} requests {'would be' if dry_run else 'are'} run again ({mode}, about {money(answer['estimated_usd'])})"
            + (f" in run {run}" if answer["run"] else "")
        )


def _usd(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        fail(USAGE, f"--budget {text!r} is no amount of USD")


def _requests(c: Connected, wanted: list[str], where: dict[str, str | None], limit: int) -> list[dict[str, Any]]:
    tests = {
        "tenant": "tenant = {tenant:String}", "kind": "kind = {kind:String}", "state": "state = {state:String}",
        "since": "submitted_at >= parseDateTime64BestEffort({since:String}, 3, 'UTC')", "until": "submitted_at < parseDateTime64BestEffort({until:String}, 3, 'UTC')",
    }  # fmt: skip
    given = {k: v for k, v in where.items() if v is not None}
    conditions = [tests[k] for k in given]
    try:
        if wanted:
            conditions.append(f"id IN ({', '.join(chr(39) + ids.parse_id(i) + chr(39) for i in wanted)})")
        if given.get("tenant"):
            check_name(given["tenant"], "tenant")
        return c.clickhouse().rows(
            f"SELECT id, cost_usd FROM requests WHERE {' AND '.join(conditions)} ORDER BY submitted_at LIMIT {limit}", parameters=given
        )
    except (ids.BadId, BadName) as error:
        fail(USAGE, str(error))
    except ClickHouseError as error:
        fail(USAGE, f"ClickHouse: {error}")


def _submissions(c: Connected, wanted: list[str], run: str) -> Iterable[tuple[Any, Any]]:
    """The original submissions of some requests, as records of a run."""
    listed = ", ".join(f"toUUID('{i}')" for i in wanted)
    # JSON has UUIDs as text; an alias of the column's own name would stand for it in the condition too.
    for row in c.clickhouse().rows(
        f"SELECT request_id, tenant, project, priority, prompt FROM prompt_submitted FINAL WHERE run = '' AND request_id IN ({listed})"
    ):
        yield PROMPT_SUBMITTED, PromptSubmitted(**row, run=run)
    columns = "request_id, tenant, project, priority, media_uri, media_size, media_type, file_name"
    for row in c.clickhouse().rows(f"SELECT {columns} FROM video_submitted FINAL WHERE run = '' AND request_id IN ({listed})"):
        yield VIDEO_SUBMITTED, VideoSubmitted(**{**row, "media_size": int(row["media_size"])}, run=run)
