"""Commands on dead letters: list, show, replay, drop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.text import Text

from millrace.commands.common import Connected, Data, Json, connected
from millrace.commands.options import DryRun, Since, Until, actor, moment
from millrace.letters import Done, Letters, Which
from millrace.output import OK, REJECTED, USAGE, err, fail, out, plain, print_json, print_table
from schemas import ids
from schemas.avro_codec import BadRecord
from streams.codec import Codec
from streams.registry import Registry

app = typer.Typer(
    no_args_is_help=True,
    help="Records that a stage gave up, whole and with their provenance: look, try again, or put away.\n\n"
    "list, replay and drop take the same filters; times are those of the giving up. Begin with 'list', see one with 'show ID', then\n\n"
    "  millrace dead-letters replay --stage generate --reason timeout --dry-run\n\n"
    "and again without --dry-run. What extract, plan, generate or validate gave up is tried again in a run of its own, where recorded steps are "
    "reused; what a sink gave up is written again as it was, and counts once. A letter that was replayed or dropped is no longer listed; its record "
    'stays. Each action leaves an audit event: millrace query "SELECT * FROM audit".',
)

Id = Annotated[list[str] | None, typer.Argument(help="Letters by id; else all that fit the filters.")]
Stage = Annotated[str | None, typer.Option(help="Given up by this stage (or sink, archive).")]
Reason = Annotated[str | None, typer.Option(help="With this reason: timeout, handler_error, bad_record, ...")]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant.")]
Topic = Annotated[str | None, typer.Option(help="That were in this topic.")]
Request = Annotated[str | None, typer.Option(help="Of this request.")]
Run = Annotated[str | None, typer.Option(help="Of this run ('' for the original).")]
Version = Annotated[str | None, typer.Option("--code-version", help="Given up by this version of the code.")]
Max = Annotated[int, typer.Option("--max", min=1, help="At most so many, the oldest first.")]


@app.command("list")
def list_letters(
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    topic: Topic = None,
    request: Request = None,
    run: Run = None,
    code_version: Version = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    json: Json = False,
    data: Data = None,
) -> None:
    """Dead letters that were neither replayed nor dropped, the oldest first."""
    which = _which(stage, reason, tenant, topic, request, run, code_version, since, until)
    with connected(data) as c:
        letters = _letters(c)
        rows = letters.find(which, max)
        _say_more(letters, which, len(rows), max)
    if json:
        print_json(rows)
    elif rows:
        columns = ["id", "given up at (UTC)", "stage", "reason", "tenant", "message", "from"]
        print_table(
            columns,
            [
                (
                    r["event_id"],
                    r["occurred_at"],
                    r["stage"],
                    r["reason"],
                    r["tenant"],
                    r["message"][:120],
                    f"{r['topic']}/{r['partition']}@{r['offset']}",
                )
                for r in rows
            ],
        )
    else:
        out.print("no dead letters")


@app.command("show")
def show_letter(id: Annotated[str, typer.Argument(help="The letter's id.")], json: Json = False, data: Data = None) -> None:
    """One dead letter, whole: provenance, exception, headers and the record where it decodes."""
    with connected(data) as c:
        letters = _letters(c)
        row = _one(letters, id)
        try:
            row["record"] = repr(letters.record(row))
        except BadRecord as error:
            row["record"] = f"(does not decode: {error})"
    if json:
        print_json(row)
        return
    for name, value in row.items():
        if value not in (None, "", [], {}):
            out.print(Text(f"{name:<13}", style="bold") + Text(plain(value)))


@app.command("replay")
def replay_letters(
    id: Id = None,
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    topic: Topic = None,
    request: Request = None,
    run: Run = None,
    code_version: Version = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Try again, in a run of its own: what was recorded before is reused, what failed is done anew. Exit code 1 where a letter cannot be."""
    which = _which(stage, reason, tenant, topic, request, run, code_version, since, until)
    with connected(data) as c:
        letters = _letters(c)
        done = list(letters.replay(_chosen(letters, id, which, max), actor(), dry_run=dry_run))
    _told(done, json, "replayed", dry_run)


@app.command("drop")
def drop_letters(
    id: Id = None,
    stage: Stage = None,
    reason: Reason = None,
    tenant: Tenant = None,
    topic: Topic = None,
    request: Request = None,
    run: Run = None,
    code_version: Version = None,
    since: Since = None,
    until: Until = None,
    max: Max = 100,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Put letters away: they are no longer listed. The records stay in the topic and in ClickHouse."""
    which = _which(stage, reason, tenant, topic, request, run, code_version, since, until)
    with connected(data) as c:
        letters = _letters(c)
        done = list(letters.drop(_chosen(letters, id, which, max), actor(), dry_run=dry_run))
    _told(done, json, "dropped", dry_run)


def _letters(c: Connected) -> Letters:
    return Letters(c.clickhouse(), c.objects(), Codec(Registry(c.settings.streams.registry_url)), c.door)


def _which(
    stage: str | None,
    reason: str | None,
    tenant: str | None,
    topic: str | None,
    request: str | None,
    run: str | None,
    code_version: str | None,
    since: str | None,
    until: str | None,
) -> Which:
    try:
        request, run = ids.parse_id(request) if request else request, ids.parse_id(run) if run else run
    except ids.BadId as error:
        fail(USAGE, str(error))
    return Which(
        stage=stage, reason=reason, tenant=tenant, topic=topic, request=request, of_run=run, code_version=code_version,
        since=moment(since, "--since"), until=moment(until, "--until"),
    )  # fmt: skip


def _one(letters: Letters, id: str) -> dict[str, Any]:
    try:
        found = letters.one(id)
    except ids.BadId as error:
        fail(USAGE, str(error))
    if found is None:
        fail(USAGE, f"no dead letter {plain(id)}")
    return found


def _chosen(letters: Letters, wanted: list[str] | None, which: Which, limit: int) -> list[dict[str, Any]]:
    """Letters by id, else all that fit the filters; everything at once only on somebody's word."""
    if not wanted and not which.given():
        fail(USAGE, "say which: ids or at least one filter")
    if wanted and which.given():
        fail(USAGE, "name letters by id or by filters, not both")
    if wanted:
        return [_one(letters, i) for i in wanted]
    found = letters.find(which, limit)
    _say_more(letters, which, len(found), limit)
    return found


def _say_more(letters: Letters, which: Which, shown: int, limit: int) -> None:
    if shown == limit and (more := letters.count(which) - shown) > 0:
        err.print(f"{more} more fit; --max takes them in, too")


def _told(done: Iterable[Done], json: bool, verb: str, dry_run: bool) -> None:
    results = list(done)
    if json:
        print_json([{"id": d.id, verb: d.done, "message": d.message} for d in results])
    else:
        for d in results:
            out.print(Text(f"{d.id}  {verb if d.done else 'not ' + verb}") + Text(f"  {plain(d.message)}"))
        out.print(f"{sum(d.done for d in results)} of {len(results)} {verb}" + (" (dry run)" if dry_run else ""))
    raise SystemExit(OK if dry_run or all(d.done for d in results) else REJECTED)
