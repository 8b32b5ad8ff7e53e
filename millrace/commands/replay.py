"""Commands on replays: start, list, show, pause, resume, cancel, compare."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from rich.text import Text

from millrace.commands.common import Connected, Data, Json, connected
from millrace.commands.options import DryRun, Since, Until, actor, moment, told
from millrace.output import OK, REJECTED, UNREACHABLE, USAGE, err, fail, money, out, plain, print_json, print_table
from millrace.replaying import Estimate, Impossible, Replays, Wish, WorkerDied
from schemas import ids
from schemas.names import BadName, check_name
from streams import runs
from streams.replay.compare import TOLERANCE, Compared, compare, summary
from streams.replay.control import ENDED, Busy, Control, Progress, UnknownReplay, all_replays
from streams.replay.feed import Feed
from streams.replay.log import RangeGone
from streams.replay.selection import BadSelection, Offsets, Selection, bounded, topics_for

app = typer.Typer(
    no_args_is_help=True,
    help="Run records of the past again, in a run of their own: what was made and paid before stays as it is.\n\n"
    "What it would take up, and take:\n\n"
    "  millrace replay start --tenant acme --since 2026-11-17 --dry-run\n\n"
    "Do steps again, for 5 USD at most:\n\n"
    "  millrace replay start --stage generate --state rejected --mode regenerate --budget 5\n\n"
    "Look before it counts, then see what changed:\n\n"
    "  millrace replay start --topic prompt.submitted --offsets 0:100-199 --isolated\n\n"
    "  millrace replay compare RUN\n\n"
    "Ctrl-C pauses; 'pause', 'resume' and 'cancel' do so from any terminal. A replay whose process died is resumed where it was.",
)

Run = Annotated[str, typer.Argument(help="The replay's run ('millrace replay list').")]
_FILTERS = "Selection"


@app.command("start")
def start(
    id: Annotated[list[str] | None, typer.Argument(help="Requests by id; else all that fit.")] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Records of this topic (default: the submissions). May be given again.", rich_help_panel=_FILTERS),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="What this stage takes up: extract, plan, generate or validate.", rich_help_panel=_FILTERS)
    ] = None,
    since: Since = None,
    until: Until = None,
    offsets: Annotated[
        list[str] | None, typer.Option(help="PARTITION:FIRST-LAST of the topic. May be given for each partition.", rich_help_panel=_FILTERS)
    ] = None,
    key: Annotated[str | None, typer.Option(help="With this Kafka key.", rich_help_panel=_FILTERS)] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant.", rich_help_panel=_FILTERS)] = None,
    kind: Annotated[str | None, typer.Option(help="Of requests that are: video, prompt.", rich_help_panel=_FILTERS)] = None,
    state: Annotated[
        str | None, typer.Option(help="Of requests that stand as: validated, rejected, running, accepted.", rich_help_panel=_FILTERS)
    ] = None,
    code_version: Annotated[
        str | None, typer.Option("--code-version", help="Whose step this version of the code did.", rich_help_panel=_FILTERS)
    ] = None,
    of_run: Annotated[str, typer.Option("--of-run", help="Records of this run instead of the original's.", rich_help_panel=_FILTERS)] = "",
    max: Annotated[int, typer.Option("--max", min=1, help="At most so many records.", rich_help_panel=_FILTERS)] = 100_000,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Go on without what is neither in Kafka nor in the archive.", rich_help_panel=_FILTERS)
    ] = False,
    mode: Annotated[
        str, typer.Option(help="reuse: what was recorded is published again, free. regenerate: every step is done anew.")
    ] = "reuse",
    effects: Annotated[
        str,
        typer.Option(
            help="live: as the original. recorded: only what was recorded, nothing is done anew. off: no provider is called, no version taken (needs --isolated)."
        ),
    ] = "live",
    isolated: Annotated[
        bool,
        typer.Option("--isolated", help="Topics, groups and workers of its own; its verdicts count for nobody. Waits until it is done."),
    ] = False,
    budget: Annotated[str | None, typer.Option(help="USD; required to regenerate. The replay stops before it would spend more.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Records a second at most; 0: as fast as it goes.")] = 0.0,
    window: Annotated[int, typer.Option(min=0, help="Requests under way at once at most; 0: any number.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Return when every request has its verdict, not when all is fed.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Take up records again. Without --topic or --stage: requests from their submission on."""
    if not id and not any((topic, stage, since, until, offsets, key, tenant, kind, state, code_version, of_run)):
        fail(USAGE, "say which: request ids or at least one filter")
    with connected(data) as c, _said():
        replays = _replays(c)
        wish = Wish(
            selection=bounded(Selection(
                topics=topics_for(_topics(topic, stage, kind), stage), since=moment(since, "--since"), until=moment(until, "--until"),
                offsets=tuple(map(Offsets.parse, offsets or ())), key=key, tenant=check_name(tenant, "tenant") if tenant else None,
                requests=_requests(replays, id, state, kind if topic or stage else None), of_run=ids.parse_id(of_run) if of_run else "", code_version=code_version, max=max,
            )),
            mode=mode, isolated=isolated, effects=effects, budget_usd=_usd(budget), rate=rate, window=window, wait=wait, skip_missing=skip_missing,
        )  # fmt: skip
        estimate = replays.estimate(wish)
        answer = _about(wish, estimate)
        if not json:
            _tell_estimate(wish, estimate)
        if dry_run or not estimate.count.records:
            _answer(json, answer | {"run": None, "dry_run": dry_run, "state": None})
            return
        opened = replays.open(wish, estimate, actor())
        err.print(f"run {opened.run}")
        ended = _feed(replays, opened.run, skip_missing)
    _answer(json, answer | {"run": ended.run, "dry_run": False} | _facts(ended))
    _leave(ended, json)


@app.command("list")
def list_replays(json: Json = False, data: Data = None) -> None:
    """Every replay, the oldest first."""
    with connected(data) as c, _said():
        found = sorted(all_replays(c.objects()), key=lambda p: p.started_ms)
    if json:
        print_json([_facts(p) for p in found])
    elif found:
        columns = ["run", "started (UTC)", "by", "kind", "mode", "isolated", "state", "fed", "requests", "spent"]
        print_table(
            columns,
            [
                (
                    p.run,
                    told(p.started_ms),
                    p.actor,
                    p.kind,
                    p.mode,
                    "yes" if p.isolated else "",
                    _state(p),
                    f"{p.fed}/{p.total}",
                    p.requests,
                    money(p.spent_usd),
                )
                for p in found
            ],
        )
    else:
        out.print("no replays")


@app.command("show")
def show(run: Run, json: Json = False, data: Data = None) -> None:
    """One replay: what was chosen, how far it is, what it has cost."""
    with connected(data) as c, _said():
        found = Control(c.objects(), _id(run)).read()
        settled = _replays(c).figures.settled(found.run)
    facts = _facts(found) | {"ended": settled.ended, "spent_usd": str(settled.spent_usd)}
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value not in (None, "", [], {}, ()):
            out.print(Text(f"{name:<15}", style="bold") + Text(plain(value)))


@app.command("pause")
def pause(run: Run, json: Json = False, data: Data = None) -> None:
    """Feed no more; what is under way goes on. Its process ends and says how far it came."""
    _ask(run, "pause", json, data)


@app.command("cancel")
def cancel(run: Run, dry_run: DryRun = False, json: Json = False, data: Data = None) -> None:
    """End it. What a live run fed goes on to its verdict; an isolated one's topics are removed with what lies in them."""
    if dry_run:
        with connected(data) as c, _said():
            found = Control(c.objects(), _id(run)).read()
        _answer(json, _facts(found) | {"dry_run": True})
        if not json:
            out.print(
                f"would cancel run {found.run} ({_state(found)}): {found.total - found.fed} of {found.total} records would not be fed"
            )
        return
    _ask(run, "cancel", json, data)


@app.command("resume")
def resume(
    run: Run,
    budget: Annotated[str | None, typer.Option(help="USD; what the run may spend in all from now on.")] = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Go on without what is in neither place any more.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Go on where a paused, failed or abandoned replay was left."""
    with connected(data) as c, _said():
        control = Control(c.objects(), _id(run))
        found = control.read()
        if found.state not in ENDED and (usd := _usd(budget)) is not None:
            runs.set_budget(c.objects(), found.run, usd)
            control.change(lambda p: replace(p, budget_usd=str(usd)))
        c.door().audit(actor(), "replay.resume", target=found.run, run=found.run, budget_usd=budget or "")
        c.door().flush()
        ended = _feed(_replays(c), found.run, skip_missing)
    _answer(json, _facts(ended))
    _leave(ended, json)


@app.command("compare")
def compare_runs(
    run: Run,
    tolerance: Annotated[float, typer.Option(min=0, help="How far a score may move and still be the same.")] = TOLERANCE,
    all: Annotated[bool, typer.Option("--all", help="List requests that are the same, too.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """A run held against the one it took up, request by request: state, reason, artifact, features, scores. Exit code 1 where anything differs."""
    with connected(data) as c, _said():
        control = Control(c.objects(), _id(run))
        found, requests = control.read(), control.requests()
        figures = _replays(c).figures
        compared = compare(requests, figures.outcomes(requests, found.parent), figures.outcomes(requests, found.run), tolerance)
    counts = summary(compared)
    if json:
        print_json(
            {"run": found.run, "parent": found.parent, **counts, "requests": [_row(x) for x in compared if all or x.verdict != "same"]}
        )
    else:
        rows = [x for x in compared if all or x.verdict != "same"]
        if rows:
            print_table(
                ["request", "", "what", "was", "is"],
                [
                    (x.request if i == 0 else "", x.verdict if i == 0 else "", name, old, new)
                    for x in rows
                    for i, (name, (old, new)) in enumerate((x.changes or {"": ("", "")}).items())
                ],
            )
        out.print(", ".join(f"{n} {name}" for name, n in counts.items() if n or name == "same"))
    raise SystemExit(OK if counts["same"] == len(compared) else REJECTED)


# ---- beneath ------------------------------------------------------------------------------------------------------------------


def _replays(c: Connected) -> Replays:
    return Replays(c.settings, c.clickhouse(), c.objects(), c.door)


@contextmanager
def _said() -> Iterator[None]:
    """What cannot be done, said as a person needs it."""
    try:
        yield
    except (BadSelection, BadName, ids.BadId, Impossible, UnknownReplay, Busy) as error:
        fail(USAGE, str(error))
    except RangeGone as error:
        fail(USAGE, f"range_gone: {error}")
    except WorkerDied as error:
        fail(REJECTED, str(error))
    except KafkaException as error:
        fail(UNREACHABLE, f"the broker does not do it: {error.args[0].str()}")


def _id(run: str) -> str:
    return ids.parse_id(run)


def _usd(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        usd = Decimal(text)
    except ArithmeticError:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        fail(USAGE, f"--budget {text!r} is no amount of USD")
    return usd


_KINDS = {"video": "video.submitted", "prompt": "prompt.submitted"}


def _topics(named: list[str] | None, stage: str | None, kind: str | None) -> tuple[str, ...]:
    if kind is not None and kind not in _KINDS:
        fail(USAGE, f"--kind {kind!r} is neither video nor prompt")
    if kind is not None and not named and not stage:
        return (_KINDS[kind],)
    return tuple(dict.fromkeys(named or ()))


def _requests(replays: Replays, given: list[str] | None, state: str | None, kind: str | None) -> tuple[str, ...] | None:
    """Which requests, where that is said by id, state or kind; None where it is not."""
    wanted = None if not given else tuple(dict.fromkeys(map(ids.parse_id, given)))
    if state is None and kind is None:
        return wanted
    states = ("validated", "rejected", "running", "accepted")
    if state is not None and state not in states:
        fail(USAGE, f"--state {state!r} is none of {', '.join(states)}")
    found = replays.figures.requests(state=state, kind=kind)
    return tuple(found) if wanted is None else tuple(i for i in wanted if i in set(found))


def _feed(replays: Replays, run: str, skip_missing: bool) -> Progress:
    restore: list[Callable[[], None]] = []

    def on_feed(feed: Feed) -> None:
        restore.append(_pausing_on_signals(feed))

    try:
        return replays.feed(run, report=_report, skip_missing=skip_missing, on_feed=on_feed)
    finally:
        for undo in restore:
            undo()
        if err.is_terminal:
            err.print()


def _pausing_on_signals(feed: Feed) -> Callable[[], None]:
    """Ctrl-C and SIGTERM pause at the next record; a second one ends at once, and the run can still be resumed."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def asked(number: int, _: Any) -> None:
        if feed.interrupt.is_set():
            raise KeyboardInterrupt
        feed.interrupt.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return undo


def _report(p: Progress) -> None:
    if not err.is_terminal:
        return
    ended = f", {p.ended} ended" if p.wait or p.window else ""
    err.print(f"\r{p.state}: {p.fed:,} of {p.total:,} records fed{ended}, {money(p.spent_usd)} spent ", end="")


def _state(p: Progress) -> str:
    if p.state in ("opened", "feeding", "finishing") and not p.alive():
        return "abandoned"
    return f"{p.state} ({p.wanted} asked for)" if p.wanted else p.state


def _ask(run: str, wanted: str, json: bool, data: Data) -> None:
    with connected(data) as c, _said():
        control = Control(c.objects(), _id(run))
        before = control.read()
        if before.state in ENDED:
            fail(USAGE, f"run {before.run} is {before.state} already")
        after = control.ask(wanted)
        c.door().audit(actor(), f"replay.{wanted}", target=after.run, run=after.run)
        c.door().flush()
        if after.state == "cancelled" and after.isolated:
            _replays(c).clear(after)
    _answer(json, _facts(after))
    if not json:
        out.print(
            f"run {after.run}: {wanted} is asked for; its process does it within a second"
            if after.wanted
            else f"run {after.run} is {after.state}"
        )


def _about(wish: Wish, estimate: Estimate) -> dict[str, Any]:
    counted = estimate.count
    return {
        "records": counted.records,
        "requests": len(counted.requests),
        "more": counted.more,
        "by_topic": dict(counted.by_topic),
        "by_tenant": dict(counted.by_tenant),
        "by_source": dict(counted.by_source),
        "skipped": dict(counted.skipped),
        "missing": [str(x) for x in estimate.plan.lost],
        "not_recorded": estimate.not_recorded,
        "mode": wish.mode,
        "effects": wish.effects,
        "isolated": wish.isolated,
        "estimated_usd": estimate.usd,
        "estimated_seconds": estimate.seconds,
    }


def _tell_estimate(wish: Wish, estimate: Estimate) -> None:
    counted = estimate.count
    out.print(
        f"{counted.records:,} records of {len(counted.requests):,} requests" + (" (--max reached; there are more)" if counted.more else "")
    )
    for name, counts in (
        ("topic", counted.by_topic),
        ("tenant", counted.by_tenant),
        ("from", counted.by_source),
        ("skipped", counted.skipped),
    ):
        for what, n in sorted(counts.items()):
            out.print(f"  {name:<8}{plain(what):<32}{n:>10,}")
    for lost in estimate.plan.lost:
        err.print(f"  missing {lost}")
    if wish.mode == "reuse" and estimate.not_recorded:
        what = "end as not_recorded" if wish.effects == "recorded" else "are done anew"
        out.print(f"  {estimate.not_recorded:,} of the requests have steps that were not recorded; those {what}")
    took = "not known: a stage was never seen at work" if estimate.seconds is None else f"about {estimate.seconds:,.0f} s of work"
    out.print(f"  {wish.mode}, effects {wish.effects}{', isolated' if wish.isolated else ''}: about {money(estimate.usd)}, {took}")


def _facts(p: Progress) -> dict[str, Any]:
    chosen = p.selection
    return {
        "run": p.run,
        "state": _state(p),
        "reason": p.reason,
        "kind": p.kind,
        "parent": p.parent,
        "mode": p.mode,
        "effects": p.effects,
        "isolated": p.isolated,
        "actor": p.actor,
        "started_at": told(p.started_ms),
        "topics": list(chosen.topics) if chosen else [],
        "total": p.total,
        "fed": p.fed,
        "requests": p.requests,
        "fed_requests": p.fed_requests,
        "ended": p.ended,
        "skipped": p.skipped,
        "estimated_usd": p.estimated_usd,
        "budget_usd": p.budget_usd,
        "spent_usd": p.spent_usd,
    }


def _row(x: Compared) -> dict[str, Any]:
    return {
        "request": x.request,
        "verdict": x.verdict,
        "changes": {name: {"was": old, "is": new} for name, (old, new) in x.changes.items()},
    }


def _answer(json: bool, document: dict[str, Any]) -> None:
    if json:
        print_json(document)


def _leave(ended: Progress, json: bool) -> None:
    if not json:
        out.print(
            f"run {ended.run} is {ended.state}: {ended.fed:,} of {ended.total:,} records fed"
            + (f" ({ended.reason})" if ended.reason else "")
        )
        if ended.state == "paused":
            out.print(f"go on with: millrace replay resume {ended.run}   or end it: millrace replay cancel {ended.run}")
        elif ended.state == "done":
            out.print(f"see what changed: millrace replay compare {ended.run}")
    raise SystemExit(OK if ended.state in ("done", "paused") else REJECTED)
