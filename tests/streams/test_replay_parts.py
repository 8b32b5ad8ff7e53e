"""The parts of a replay that need no broker: comparison, control, dead letters, estimates of time."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.figures import seconds_for
from schemas import ids
from sinks.objects import FolderStore
from streams import dead_letters
from streams.dead_letters import NotReplayable
from streams.replay.compare import Outcome, compare, summary
from streams.replay.control import SILENT_MS, Control, Progress
from streams.replay.log import Slice
from streams.replay.selection import INPUTS, Offsets, Selection, bounded
from streams.topics import PIPELINE
from tests.streams.world import prompt

GOOD = Outcome(state="validated", artifact_digest="a", features="f", scores={"texts": 0.98, "visual": 0.9})


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (GOOD, {}),
        (replace(GOOD, scores={"texts": 0.985, "visual": 0.895}), {}),
        (replace(GOOD, scores={"texts": 0.98, "visual": 0.8}), {"score visual": ("0.9000", "0.8000")}),
        (replace(GOOD, scores={"texts": 0.98}), {"score visual": ("0.9000", "none")}),
        (replace(GOOD, artifact_digest="b"), {"artifact_digest": ("a", "b")}),
        (replace(GOOD, features=""), {}),  # the run started beyond extraction
        (replace(GOOD, features="g"), {"features": ("f", "g")}),
        (replace(GOOD, state="rejected", reason="render"), {"state": ("validated", "rejected"), "reason": ("", "render")}),
    ],
)
def test_what_changed_is_named(now: Outcome, changes: dict[str, Any]) -> None:
    [found] = compare(["r"], {"r": GOOD}, {"r": now})
    assert found.changes == changes and found.verdict == ("changed" if changes else "same")


def test_what_is_missing_and_what_is_new() -> None:
    found = compare(["a", "b", "c"], {"a": GOOD, "b": GOOD}, {"a": GOOD, "c": GOOD})
    assert [c.verdict for c in found] == ["same", "missing", "new"]
    assert summary(found) == {"same": 1, "changed": 0, "missing": 1, "new": 1}


@pytest.mark.parametrize(
    ("stage", "reason", "topic", "value", "decodes", "says"),
    [
        ("generate", "timeout", "nonsense", b"x", True, "not one of ours"),
        ("sink", "refused_by_clickhouse", "usage.recorded", None, True, "no value"),
        ("plan", "bad_record", "prompt.submitted", b"x", False, "no record"),
        ("plan", "id_reused", "prompt.submitted", b"x", True, "another submission"),
    ],
)
def test_letters_that_trying_again_would_not_help(
    stage: str, reason: str, topic: str, value: bytes | None, decodes: bool, says: str
) -> None:
    with pytest.raises(NotReplayable, match=says):
        dead_letters.check(stage, reason, topic, value, prompt() if decodes else None)


def test_letters_of_the_pipeline_go_in_a_run_and_a_sinks_as_they_were() -> None:
    for stage in PIPELINE:
        assert not dead_letters.goes_as_it_was(stage)
    for stage in ("sink", "archive", "windows"):
        assert dead_letters.goes_as_it_was(stage)
        dead_letters.check(stage, "bad_record", "usage.recorded", b"whatever it is", None)
    run = ids.new_id()
    assert dead_letters.again("prompt.submitted", prompt(), run).run == run


def progress(**changes: Any) -> Progress:
    base: dict[str, Any] = {
        "run": ids.new_id(), "kind": "replay", "parent": "", "mode": "reuse", "isolated": False, "effects": "live", "actor": "me", "started_ms": 1,
        "selection": Selection(topics=("prompt.submitted",), requests=("a", "b"), offsets=(Offsets(partition=1, first=2, last=3),)),
        "slices": (Slice("prompt.submitted", 1, 2, 4, "archive"),), "stages": ("plan",), "total": 2, "requests": 2, "estimated_usd": "0.1",
        "budget_usd": None, "rate": 0.5, "window": 0, "wait": True, "positions": (3,), "skipped": {"twice": 1},
    }  # fmt: skip
    return Progress(**(base | changes))


def test_what_is_written_down_is_read_back(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, durable=False)
    for one in (progress(), progress(selection=None, slices=())):
        control = Control(store, one.run)
        control.create(one)
        control.create(replace(one, state="done"))  # the first one stays
        assert control.read() == one
        control.note_requests(["a", "b"])
        assert control.requests() == ["a", "b"]


def test_owner_and_operators_never_overwrite_each_other(tmp_path: Path) -> None:
    """The owner saves positions while others ask for a pause: whoever races, both words stand."""
    store = FolderStore(tmp_path, durable=False)
    one = progress()
    Control(store, one.run).create(one)
    Control(store, one.run).take("me")

    def save() -> None:
        for position in range(50):
            Control(store, one.run).save("me", positions=(position,))

    def ask() -> None:
        for wanted in ("pause", "cancel") * 10:
            Control(store, one.run).ask(wanted)

    threads = [threading.Thread(target=save), *(threading.Thread(target=ask) for _ in range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Control(store, one.run).read()
    assert found.positions == (49,) and found.wanted in ("pause", "cancel") and found.owner == "me"


def test_an_owner_that_is_silent_is_taken_for_dead(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, durable=False)
    one = progress()
    control = Control(store, one.run)
    control.create(one)
    assert not control.read().alive()
    taken = control.take("me")
    assert taken.alive() and taken.alive(taken.beat_ms + SILENT_MS - 1) and not taken.alive(taken.beat_ms + SILENT_MS)
    control.change(lambda p: replace(p, beat_ms=p.beat_ms - SILENT_MS))
    assert control.ask("pause").state == "paused"
    assert control.take("another").owner == "another"
    control.save("another", state="done", owner="")
    assert control.ask("cancel").state == "done"


def test_how_long_it_takes() -> None:
    paces = {"plan": (0.01, 50.0), "generate": (2.0, 0.8)}
    assert seconds_for({"plan": 100, "generate": 100}, paces, 0, 100) == pytest.approx(100 / 0.8 + 2.01)
    assert seconds_for({"plan": 100, "generate": 0}, paces, 0, 100) == pytest.approx(1 + 0.01)  # one at a time it would do as well
    assert seconds_for({"plan": 10}, paces, 0.5, 10) == pytest.approx(20.01)
    assert seconds_for({"plan": 10, "validate": 10}, paces, 0, 10) is None
    assert seconds_for({"validate": 0}, paces, 0, 0) == 0


def test_requests_are_looked_for_from_when_they_were_made() -> None:
    made = [ids.new_id(1_790_000_000_000), ids.new_id(1_780_000_000_000)]
    named = Selection(topics=("prompt.submitted",), requests=tuple(made))
    assert bounded(named).since == 1_780_000_000_000 - 300_000
    for other in (
        replace(named, since=5),
        replace(named, requests=None),
        replace(named, requests=()),
        replace(named, offsets=(Offsets(partition=0, first=1),)),
    ):
        assert bounded(other) == other


def test_every_stage_of_the_pipeline_can_be_started_anew() -> None:
    assert tuple(INPUTS) == PIPELINE and all(INPUTS.values())
