"""Each check of ``bench.chaos`` notices what it is there for: a course of events that is right, and one thing wrong with it at a time."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.count import CHECKS, Count, topics_read
from bench.chaos.faults import Struck
from bench.chaos.feed import Submission
from bench.chaos.plan import Fault
from bench.chaos.provider import PRICE
from bench.chaos.recovery import recovery
from bench.chaos.stages import EXTRACT_PRICE, VALIDATE_PRICE
from bench.chaos.store import INJECTED
from schemas import ids
from schemas.names import ObjectRef
from schemas.records import (
    ArtifactGenerated,
    AuditRecorded,
    DeadLetter,
    FeaturesExtracted,
    GenerationRequested,
    UsageRecorded,
    Verdict,
)

BODY = b"an artifact"


class Pickled:
    """Stands for a record in a topic, and for the codec that reads it."""

    def __init__(self, record: Any) -> None:
        self._value = pickle.dumps(record)

    def value(self) -> bytes:
        return self._value

    @staticmethod
    def decode(_: type, value: bytes) -> Any:
        return pickle.loads(value)


@dataclass
class World:
    """A video request: two calls of the provider, the first an error; validated as version 1."""

    request: str = field(default_factory=ids.new_id)
    topics: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in topics_read()})
    calls: list[dict[str, Any]] = field(default_factory=list)
    submitted: dict[str, Submission] = field(default_factory=dict)
    sql: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ref = ObjectRef("amber", hashlib.sha256(BODY).hexdigest())
        self.submitted[self.request] = Submission(self.request, "video", "amber", 1.0, accepted_at=1.1)
        step = {"request_id": self.request, "tenant": "amber", "project": "chaos", "occurred_at": 1}
        self.topics["features.extracted"].append(
            FeaturesExtracted(
                event_id=ids.new_id(), features_uri="", frames_uri="", features_size=1, duration_s=1, frames=1, width=1, height=1, screens=1,
                actions=1, **step,
            )
        )  # fmt: skip
        self.topics["generation.requested.low"].append(GenerationRequested(event_id=ids.new_id(), method="chaos", **step))
        self.topics["artifact.generated"].append(
            ArtifactGenerated(
                event_id=ids.new_id(), method="chaos", artifact_uri=str(self.ref), artifact_size=1, artifact_digest="", **step
            )
        )
        self.topics["artifact.validated"].append(
            Verdict(
                event_id=ids.new_id(), state="validated", stage="validate", artifact_uri=str(self.ref), version=1, usage_events=4, **step
            )
        )
        for stage, call, outcome, cost in (
            ("extract", 0, "ok", EXTRACT_PRICE),
            ("generate", 0, "error", Decimal(0)),
            ("generate", 1, "ok", Decimal(PRICE)),
            ("validate", 0, "ok", VALIDATE_PRICE),
        ):
            self.topics["usage.recorded"].append(
                UsageRecorded(event_id=ids.new_id(), stage=stage, kind=stage, call=call, outcome=outcome, quantity=1, cost_usd=cost, **step)
            )
        self.calls += [{"step": self.request, "call": 0, "ok": False}, {"step": self.request, "call": 1, "ok": True}]
        self.sql = {
            "id, state FROM requests": [{"id": self.request, "state": "validated"}],
            "FROM verdicts": [{"n": "1"}],
            "FROM usage": [{"n": "4", "ids": "4", "cost": str(EXTRACT_PRICE + Decimal(PRICE) + VALIDATE_PRICE)}],
            "usage_events_expected": [],
            "id_conflicts": [],
        }

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return next(rows for text, rows in reversed(self.sql.items()) if text in sql)

    def change(self, topic: str, index: int = 0, **changes: Any) -> None:
        self.topics[topic][index] = replace(self.topics[topic][index], **changes)

    def again(self, topic: str, index: int = 0, **changes: Any) -> None:
        self.topics[topic].append(replace(self.topics[topic][index], **changes))

    def count(self, folder: Path) -> dict[str, int]:
        path = folder / "data" / self.ref.key
        path.parent.mkdir(parents=True)
        path.write_bytes(BODY)
        calls = folder / "calls"
        calls.write_text("".join(json.dumps(call) + "\n" for call in self.calls))
        messages: Any = {topic: [Pickled(record) for record in records] for topic, records in self.topics.items()}
        counting: Any = Count(self.submitted, messages, Pickled, synthetic=True)  # type: ignore[arg-type]
        return {check: n for check, n in counting.all(self, calls, folder).off.items() if n}


def letter(world: World, message: str) -> None:
    world.topics["dead.letters"].append(
        DeadLetter(
            event_id=ids.new_id(), stage="plan", reason="handler_error", topic="t", partition=0, offset=0, timestamp=0, occurred_at=0, message=message,
            request_id=world.request,
        )
    )  # fmt: skip


def rejected(world: World) -> None:
    verdict = world.topics["artifact.validated"].pop()
    world.topics["artifact.rejected"].append(replace(verdict, state="rejected", reason="dead_letter.handler_error", version=0))
    world.sql["id, state FROM requests"][0]["state"] = "rejected"


def test_a_right_course_has_nothing_off(tmp_path: Path) -> None:
    world = World()
    for topic in ("features.extracted", "artifact.generated", "artifact.validated", "usage.recorded"):
        world.again(topic)  # at least once: the same id with the same content is no harm
    assert world.count(tmp_path) == {}


def test_what_an_injected_fault_gave_up_is_explained(tmp_path: Path) -> None:
    world = World()
    rejected(world)
    letter(world, f"the store failed ({INJECTED})")
    assert world.count(tmp_path) == {}


def test_a_call_in_doubt_explains_the_next_also_when_it_was_answered_late(tmp_path: Path) -> None:
    world = World()
    world.change("usage.recorded", 1, outcome="in_doubt", cost_usd=None)
    assert world.count(tmp_path / "doubt") == {}
    world.again("usage.recorded", 1, outcome="error", revision=1, cost_usd=Decimal(0))
    assert world.count(tmp_path / "late") == {}


WRONG: dict[str, Callable[[World], Any]] = {
    "lost": lambda w: w.topics["artifact.validated"].clear(),
    "two_verdicts": lambda w: w.again("artifact.validated", event_id=ids.new_id()),
    "ghosts": lambda w: w.again("artifact.validated", request_id=ids.new_id()),
    "two_outputs": lambda w: w.again("features.extracted", features_uri="another"),
    "missing_outputs": lambda w: w.topics["generation.requested.low"].clear(),
    "usage_conflicts": lambda w: w.again("usage.recorded", quantity=2.0),
    "usage_incomplete": lambda w: w.change("artifact.validated", usage_events=5),
    "usage_unexpected": lambda w: w.again("usage.recorded", event_id=ids.new_id()),
    "called_twice": lambda w: w.calls.append(dict(w.calls[1])),
    "calls_unexplained": lambda w: w.calls.append({"step": w.request, "call": 2, "ok": True}),
    "calls_unbilled": lambda w: w.topics["usage.recorded"].pop(1),
    "calls_invented": lambda w: w.calls.pop(0),
    "dead_unexplained": lambda w: letter(w, "a bug"),
    "rejected_unexplained": rejected,
    "versions": lambda w: w.change("artifact.validated", version=2),
    "artifacts_missing": lambda w: w.change("artifact.validated", artifact_uri="object:amber/" + "0" * 64),
    "ranges_lost": lambda w: w.topics["audit.recorded"].append(
        AuditRecorded(event_id=ids.new_id(), actor="stage:plan", action="range_lost", occurred_at=1)
    ),
    "sql_requests": lambda w: w.sql["id, state FROM requests"].append({"id": ids.new_id(), "state": "accepted"}),
    "sql_states": lambda w: w.sql["id, state FROM requests"][0].update(state="running"),
    "sql_verdicts": lambda w: w.sql["FROM verdicts"][0].update(n="2"),
    "sql_usage": lambda w: w.sql["FROM usage"][0].update(n="5"),
    "sql_cost": lambda w: w.sql["FROM usage"][0].update(cost="0.0215000010"),
    "sql_incomplete": lambda w: w.sql["usage_events_expected"].append({"id": w.request, "have": "3", "want": "4"}),
    "sql_conflicts": lambda w: w.sql["id_conflicts"].append({"id": w.request}),
}


@pytest.mark.parametrize("check", WRONG)
def test_each_check_notices_what_it_is_there_for(check: str, tmp_path: Path) -> None:
    world = World()
    WRONG[check](world)
    assert check in world.count(tmp_path)


def test_every_check_is_tried() -> None:
    assert set(WRONG) | {"not_settled"} == set(CHECKS)


def test_recovery_and_lost_seconds() -> None:
    """A request a second from 100 on, each done in half a second; what comes from 110 to 120 ends at 121. A fault struck at 110, over at 116."""
    submitted = {f"{n}": Submission(f"{n}", "prompt", "amber", n, accepted_at=n) for n in range(100, 140)}
    ended = {r: 121.0 if 110 <= s.made_at <= 120 else s.made_at + 0.5 for r, s in submitted.items()}
    struck = Struck(Fault(0, 10, "kill", "worker-a"), struck_at=110.0, over_at=116.0)
    in_sql = [(float(n), sum(e <= n for e in ended.values())) for n in range(100, 140)]
    found = recovery(submitted, ended, in_sql, [struck], 100.0, 140.0)
    assert found["undisturbed_p99_s"] == 0.5 and found["patience_s"] == 2.0
    assert found["by_kind"]["kill"]["recover_s_max"] == 11.0
    assert found["lost_s_by_cause"] == {"kill": 4, "catching up": 4} and found["unexplained_s"] == 0
    elsewhere = Struck(Fault(0, 5, "kill", "worker-a"), struck_at=105.0, over_at=105.2)
    found = recovery(submitted, ended, in_sql, [elsewhere], 100.0, 140.0)
    assert found["unexplained_s"] == 8
