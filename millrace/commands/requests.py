"""Commands of a producer: submit, status, artifact."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from millrace import reports
from millrace.commands.common import Connected, Data, Json, connected
from millrace.doors import RefusedAtDoor, Sender
from millrace.output import OK, REJECTED, TIMED_OUT, USAGE, err, fail, money, out, plain, print_json, print_table, state_text
from processors.toolchain import project
from schemas import ids
from schemas.names import MAX_PROMPT_BYTES
from streams.failures import Refused
from streams.objects import ObjectDamaged, ObjectMissing, get_content

submit = typer.Typer(no_args_is_help=True, help="Hand over recordings or prompts; prints an id for each.")

Tenant = Annotated[str, typer.Option(help="On whose behalf. Exists on first use.")]
Project = Annotated[str, typer.Option(help="Artifacts are versioned within it. Exists on first use.")]
Priority = Annotated[str, typer.Option(help="critical, high, normal or low.")]
Within = Annotated[
    float | None, typer.Option(help="Seconds until it must be done; what cannot be done by then is rejected with a retry-after.", min=0.001)
]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="Handing the same over again under this key gives the same request.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when all have ended and their usage is complete; shows progress.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait at most (with --wait); then exit code 4.")]


@submit.command("video")
def submit_video(
    files: Annotated[list[Path], typer.Argument(help="Recordings: any container and codec ffmpeg reads.")],
    tenant: Tenant = "default",
    project: Project = "default",
    priority: Priority = "normal",
    within: Within = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    timeout: Timeout = 900,
    json: Json = False,
    data: Data = None,
) -> None:
    """Turn screen recordings into applications that look and behave like them."""
    _submit([("video", f) for f in files], _sender(tenant, project, priority, within), idempotency_key, wait, timeout, json, data)


@submit.command("prompt")
def submit_prompt(
    texts: Annotated[
        list[str],
        typer.Argument(help="One argument is one prompt; '-' reads standard input, '@FILE' a file. Sentences, or a spec in YAML."),
    ],
    tenant: Tenant = "default",
    project: Project = "default",
    priority: Priority = "normal",
    within: Within = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    timeout: Timeout = 900,
    json: Json = False,
    data: Data = None,
) -> None:
    """Turn prompts into applications with lists, forms and a database.

    Example: millrace submit prompt --wait "an inventory app with products (name, price, stock) and suppliers (name, country)"
    """
    _submit([("prompt", t) for t in texts], _sender(tenant, project, priority, within), idempotency_key, wait, timeout, json, data)


def _sender(tenant: str, project: str, priority: str, within: float | None) -> Sender:
    return Sender(tenant, project, priority, None if within is None else ids.now_ms() + int(within * 1000))


def _text(argument: str) -> str:
    """The prompt an argument stands for. Reads one byte more than is allowed, so that the door can say it is too large."""
    limit = MAX_PROMPT_BYTES + 1
    if argument == "-":
        return sys.stdin.buffer.read(limit).decode(errors="surrogateescape")
    if argument.startswith("@"):
        path = Path(argument[1:])
        if not path.is_file():
            raise RefusedAtDoor("not_found", f"{path} is not a file")
        try:
            with path.open("rb") as file:
                return file.read(limit).decode(errors="surrogateescape")
        except OSError as error:
            raise RefusedAtDoor("not_readable", f"{path}: {error.strerror or error}") from error
    return argument


def _submit(
    inputs: list[tuple[str, Any]], sender: Sender, key: str | None, wait: bool, timeout: float, json: bool, data: Path | None
) -> None:
    if key is not None and len(inputs) > 1:
        fail(USAGE, "an idempotency key stands for one request: hand over one input with it")
    with connected(data) as c:
        door = c.door()
        answers: list[dict[str, Any]] = []
        for kind, given in inputs:
            try:
                accepted = door.video(given, sender, key) if kind == "video" else door.prompt(_text(given), sender, key)
                answers.append(
                    {
                        "id": accepted.request_id,
                        "state": "accepted",
                        "reason": "",
                        "message": "known by its idempotency key" if accepted.again else "",
                    }
                )
            except (RefusedAtDoor, Refused) as refusal:
                again = {"retry_after_s": s} if (s := getattr(refusal, "retry_after_s", 0)) else {}
                answers.append({"id": None, "state": "rejected", "reason": refusal.reason, "message": str(refusal), **again})
        door.flush()
        complete = True
        waiting = [a["id"] for a in answers if a["id"]]
        if wait and waiting:
            rows, complete = _follow(c, waiting, timeout)
            answers = [a if a["id"] is None else {**a, **_public(rows[a["id"]])} if a["id"] in rows else a for a in answers]
        _tell(answers, json, c, waited=wait)
    if not complete:
        unfinished = sum(a["state"] not in reports.ENDED for a in answers)
        fail(
            TIMED_OUT,
            f"{unfinished or 'the usage of some'} of {len(answers)} not complete after {timeout:g} s; they go on: ask with 'millrace status ID'",
        )
    raise SystemExit(REJECTED if any(a["state"] == "rejected" for a in answers) else OK)


def _follow(c: Connected, waiting: list[str], timeout: float) -> tuple[dict[str, dict[str, Any]], bool]:
    """Wait with live progress on stderr: a line for each sign of life, and for many requests a count."""
    started = time.monotonic()
    many = len(waiting) > reports.MANY
    with Live(console=err, refresh_per_second=4, transient=True, auto_refresh=err.is_terminal) as live:

        def news(item: dict[str, Any]) -> None:
            line = Text(f"{time.monotonic() - started:6.1f} s  {item['request_id'][:13]}  ")
            line.append(f"{item['stage'] or item['what']:<9}", style="bold")
            live.console.print(line + Text(f" {plain(item['detail'])}"))

        def rows(found: dict[str, dict[str, Any]]) -> None:
            states = [r["state"] for r in found.values()]
            text = f"{time.monotonic() - started:6.1f} s  {states.count('validated')} validated, {states.count('rejected')} rejected, {len(waiting) - sum(s in reports.ENDED for s in states)} under way"
            if many and not err.is_terminal:
                err.print(text)
            live.update(Text(text))

        return reports.wait_for(c.reports(), waiting, timeout, news, rows, interval_s=2.0 if many else 0.4)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in ("usage_events_expected", "usage_events_of_run", "run")}


def _tell(answers: list[dict[str, Any]], json: bool, c: Connected, *, waited: bool) -> None:
    if json:
        print_json(answers[0] if len(answers) == 1 else answers)
        return
    for answer in answers:
        again = f"; try again in {answer['retry_after_s']} s" if answer.get("retry_after_s") else ""
        if answer["id"] is None:
            err.print(Text("refused ", style="bold red") + Text(f"({answer['reason']}): {plain(answer['message'])}{again}"))
            continue
        line = Text(answer["id"] + "  ") + state_text(answer["state"])
        if answer["reason"]:
            line.append(f"  {answer['reason']}: {plain(answer['message'])}{again}")
        elif answer["state"] == "validated":
            line.append(f"  version {answer['version']} of {answer['project']}, {money(answer['cost_usd'])}")
        out.print(line)
    if not waited and any(a["id"] for a in answers) and out.is_terminal:
        err.print("ask with 'millrace status ID'; take the result with 'millrace artifact ID --out DIR'")


def status(
    id: Annotated[str, typer.Argument(help="A request's id, as submit printed it.")],
    json: Json = False,
    data: Data = None,
) -> None:
    """Where a request is: its state, timeline, cost and verdict."""
    with connected(data) as c:
        request_id = _request_id(id)
        row = _row(c, request_id)
        timeline, usage = c.reports().timeline(request_id), c.reports().usage(request_id)
        if json:
            print_json({**_public(row), "timeline": timeline, "usage": usage})
            return
        line = Text(f"{request_id}  ") + state_text(row["state"])
        out.print(line)
        for name in (
            "tenant",
            "project",
            "kind",
            "title",
            "submitted_at",
            "ended_at",
            "reason",
            "message",
            "method",
            "version",
            "errors",
            "warnings",
            "retry_after_s",
            "report_uri",
        ):
            if row.get(name) not in (None, "", 0, "0"):
                out.print(Text(f"  {name:<13}") + Text(plain(row[name])))
        if row.get("scores"):
            out.print(Text("  scores       ") + Text(", ".join(f"{k} {v:.3g}" for k, v in sorted(row["scores"].items()))))
        out.print(Text("  cost         ") + Text(money(row.get("cost_usd")) if usage else "nothing yet"))
        if timeline:
            out.print()
            print_table(["at (UTC)", "stage", "what"], [(t["at"], t["stage"] or t["what"], t["detail"]) for t in timeline])
        if usage:
            out.print()
            print_table(
                ["metered", "quantity", "unit", "cost"], [(u["kind"], u["quantity"], u["unit"], money(u["cost_usd"])) for u in usage]
            )


def artifact(
    id: Annotated[str, typer.Argument(help="A validated request's id.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Where the project's files go; made if it is not there.")],
    data: Data = None,
) -> None:
    """Write a validated project's files, with its validation report beside them."""
    with connected(data) as c:
        request_id = _request_id(id)
        row = _row(c, request_id)
        if row["state"] not in reports.ENDED:
            fail(REJECTED, f"request {request_id} is {row['state']}; it has no artifact yet")
        if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
            fail(USAGE, f"{out_dir} is there already and not an empty folder")
        objects = c.objects()
        if row["state"] != "validated":
            fail(REJECTED, f"request {request_id} was rejected ({row['reason']}): {row['message']}")
        try:
            files = project.unpack(get_content(objects, row["artifact_uri"]))
        except (ObjectMissing, ObjectDamaged, project.ProjectError) as error:
            fail(REJECTED, f"the artifact of {request_id} cannot be read: {error}")
        out_dir.mkdir(parents=True, exist_ok=True)
        project.write(files, out_dir)
        if row["report_uri"]:
            (out_dir / "validation-report.html").write_bytes(get_content(objects, row["report_uri"]))
        out.print(f"{len(files)} files in {out_dir}; open it with: {sys.executable} -m millrace.serve {out_dir}")


def _request_id(text: str) -> str:
    try:
        return ids.parse_id(text)
    except ids.BadId as error:
        fail(USAGE, f"{error}; a request id looks like {ids.new_id()}")


def _row(c: Connected, request_id: str) -> dict[str, Any]:
    row = c.reports().requests([request_id]).get(request_id)
    if row is not None:
        return row
    if not c.door().known(request_id):
        fail(USAGE, f"no request {request_id} was ever accepted here")
    return {
        "id": request_id,
        "state": "accepted",
        "reason": "",
        "message": "accepted; nothing has been heard of it yet",
        "cost_usd": None,
        "usage_events_expected": 0,
        "usage_events_of_run": 0,
    }
