"""What the views say about a course of events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas import ids
from schemas.records import ArtifactGenerated, AuditRecorded, DeadLetter, FeaturesExtracted, Finding, Record, RequestProgressed
from sinks.clickhouse import ClickHouse, ClickHouseWriter
from tests.sinks.events import DECEMBER, SCHEMAS, prompt, raw, topic, usage, verdict, video

pytestmark = pytest.mark.clickhouse


class House:
    def __init__(self, client: ClickHouse) -> None:
        self.client = client
        self._writer = ClickHouseWriter(client, SCHEMAS.__getitem__)

    def __call__(self, *records: Record, at: int = DECEMBER) -> None:
        for record in records:
            assert self._writer.write(topic(record), [raw(record, at)]) == []

    def request(self, request: str) -> dict[str, Any]:
        rows = self.client.rows("SELECT * FROM requests WHERE id = {id:UUID}", parameters={"id": request})
        assert len(rows) == 1
        return rows[0]


@pytest.fixture
def write(house: ClickHouse) -> House:
    return House(house)


def step(request: str, kind: str, **values: Any) -> dict[str, Any]:
    identity = {"tenant": "acme", "run": values.get("run", ""), "request": request, "stage": kind, "kind": kind}
    return {
        "event_id": ids.event_id(**identity),
        "request_id": request,
        "tenant": "acme",
        "project": "shop",
        "occurred_at": DECEMBER,
        **values,
    }


def features(request: str, **values: Any) -> FeaturesExtracted:
    return FeaturesExtracted(**step(request, "extract", **values), features_uri="f", frames_uri="g", features_size=1, duration_s=2.5, frames=9, width=1, height=1, screens=3, actions=4)  # fmt: skip


def artifact(request: str, **values: Any) -> ArtifactGenerated:
    return ArtifactGenerated(
        **step(request, "generate", **values), method="compose", artifact_uri="a", artifact_size=7, artifact_digest="d"
    )


def test_a_request_from_accepted_to_validated(write: House) -> None:
    one = ids.new_id(DECEMBER - 500)
    write(video(one, priority="high"))
    row = write.request(one)
    assert (row["state"], row["kind"], row["priority"], row["tenant"], row["project"], row["ended_at"]) == (
        "accepted",
        "video",
        "high",
        "acme",
        "shop",
        None,
    )
    assert row["submitted_at"] == "2026-12-11 14:39:59.500"
    write(RequestProgressed(**step(one, "progress"), stage="extract", fraction=0.5, message="half"))
    assert write.request(one)["state"] == "running"
    write(features(one), artifact(one), usage(one, cost_usd=Decimal("0.25")), usage(one, call=1, cost_usd=Decimal("0.5")))
    assert write.request(one)["state"] == "running"
    write(verdict(one, usage_events=3, version=4, artifact_uri="object:acme/x", report_uri="object:acme/y", scores={"text": 0.9}))
    row = write.request(one)
    assert (row["state"], row["reason"], row["version"], row["artifact_uri"], row["report_uri"]) == (
        "validated",
        "",
        4,
        "object:acme/x",
        "object:acme/y",
    )
    assert (row["cost_usd"], row["usage_events"], row["usage_events_of_run"], row["usage_events_expected"]) == ("0.75", "2", "2", 3)
    assert row["ended_at"] == "2026-12-11 14:40:08.500"


def test_the_latest_live_run_that_has_a_verdict_decides_and_all_runs_cost(write: House) -> None:
    one = ids.new_id(DECEMBER)
    first, second, isolated, unfinished = (ids.new_id(DECEMBER + number) for number in range(1, 5))
    write(prompt(one), verdict(one, state="rejected", reason="needs_model", usage_events=1), usage(one, cost_usd=Decimal(1)))
    assert write.request(one)["reason"] == "needs_model"
    write(verdict(one, run=second, state="validated", version=2), usage(one, run=second, cost_usd=Decimal(2)))
    write(verdict(one, run=first, state="rejected", reason="timeout"))
    write(artifact(one, run=unfinished), usage(one, run=unfinished, cost_usd=Decimal(4)))
    write(
        AuditRecorded(
            event_id=ids.new_id(DECEMBER), actor="op", action="replay", run=isolated, details={"isolated": "true"}, occurred_at=DECEMBER
        )
    )
    write(verdict(one, run=isolated, state="rejected", reason="never_mind"), usage(one, run=isolated, cost_usd=Decimal(8)))
    row = write.request(one)
    assert (row["state"], row["reason"], row["run"], row["version"]) == ("validated", "", second, 2)
    assert (row["cost_usd"], row["usage_events"], row["usage_events_of_run"]) == ("15", "4", "1")


def test_who_came_first_under_an_id_has_it(write: House) -> None:
    one = ids.new_id(DECEMBER)
    write(prompt(one, tenant="late"), at=DECEMBER + 900)
    write(prompt(one, tenant="first"), at=DECEMBER + 100)
    write(video(one, tenant="later"), at=DECEMBER + 1900)
    assert (write.request(one)["tenant"], write.request(one)["kind"]) == ("first", "prompt")
    assert [row["event_id"] for row in write.client.rows("SELECT * FROM id_conflicts")] == [one]


def test_timeline(write: House) -> None:
    one = ids.new_id(DECEMBER)
    letter = DeadLetter(event_id=ids.new_id(DECEMBER), stage="validate", reason="timeout", message="too slow", topic="t", partition=0, offset=1, timestamp=DECEMBER, occurred_at=DECEMBER, request_id=one)  # fmt: skip
    homeless = DeadLetter(
        event_id=ids.new_id(DECEMBER),
        stage="plan",
        reason="bad_record",
        topic="t",
        partition=0,
        offset=2,
        timestamp=DECEMBER,
        occurred_at=DECEMBER,
    )
    course: list[Record] = [video(one, file_name="a.mp4"), features(one), artifact(one), usage(one, quantity=2.0, unit="artifact"), letter, verdict(one, state="rejected", reason="dead_letter.timeout")]  # fmt: skip
    for second, record in enumerate(course):
        write(record, at=DECEMBER + 1000 * second)
    write(homeless, prompt(ids.new_id(DECEMBER)))
    rows = write.client.rows("SELECT what, stage, detail FROM timeline WHERE request_id = {id:UUID} ORDER BY at", parameters={"id": one})
    assert [(row["what"], row["stage"], row["detail"]) for row in rows] == [
        ("submitted", "", "video a.mp4"),
        ("features", "extract", "3 screens, 4 actions in 2.5 s"),
        ("artifact", "generate", "compose, 7 bytes"),
        ("usage", "generate", "compose 2 artifact, price not known"),
        ("dead letter", "validate", "timeout: too slow"),
        ("rejected", "validate", "dead_letter.timeout"),
    ]
    assert len(write.client.rows("SELECT * FROM dead_letters")) == 2


def test_validation_results(write: House) -> None:
    findings = (Finding(gate="static", rule="import", severity="error", message="m", file="src/a.ts", line=3), Finding(gate="render", rule="console", severity="warning", message="n"))  # fmt: skip
    write(verdict(ids.new_id(DECEMBER), findings=findings, errors=1, warnings=1), verdict(ids.new_id(DECEMBER)))
    rows = write.client.rows("SELECT gate, rule, severity, message, file, line FROM validation_results ORDER BY gate")
    assert rows == [
        {"gate": "render", "rule": "console", "severity": "warning", "message": "n", "file": "", "line": 0},
        {"gate": "static", "rule": "import", "severity": "error", "message": "m", "file": "src/a.ts", "line": 3},
    ]


def test_cost_per_accepted_artifact_counts_the_waste(write: House) -> None:
    good, bad, other = (ids.new_id(DECEMBER + number) for number in range(3))
    write(prompt(good), prompt(bad), prompt(other, tenant="beta"))
    write(verdict(good), verdict(bad, state="rejected", reason="r"))
    write(usage(good, cost_usd=Decimal("0.1")), usage(bad, cost_usd=Decimal("0.2")), usage(other, tenant="beta", cost_usd=Decimal(5)))
    rows = write.client.rows(
        "SELECT tenant, accepted, rejected, spent_usd, spent_on_rejected_usd, usd_per_accepted FROM cost_per_accepted_artifact"
    )
    assert rows == [
        {"tenant": "acme", "accepted": "1", "rejected": "1", "spent_usd": "0.3", "spent_on_rejected_usd": "0.2", "usd_per_accepted": "0.3"},
        {"tenant": "beta", "accepted": "0", "rejected": "0", "spent_usd": "5", "spent_on_rejected_usd": "0", "usd_per_accepted": None},
    ]
    assert write.client.rows("SELECT reason, requests, priced_usd FROM why_rejected") == [
        {"reason": "r", "requests": "1", "priced_usd": "0.2"}
    ]


def test_latency_by_stage(write: House) -> None:
    one, two = ids.new_id(DECEMBER), ids.new_id(DECEMBER)
    for at, record in enumerate([video(one), features(one), artifact(one), verdict(one)]):
        write(record, at=DECEMBER + 1000 * at**2)
    for at, record in ((0, prompt(two)), (2000, artifact(two)), (2500, verdict(two))):
        write(record, at=DECEMBER + at)
    rows = write.client.rows("SELECT stage, steps, p50_s, max_s FROM latency_by_stage")
    assert [(row["stage"], row["steps"], row["max_s"]) for row in rows] == [
        ("extract", "1", 1), ("plan and generate", "2", 3), ("validate", "2", 5), ("the whole request", "2", 9)
    ]  # fmt: skip


def test_usage_by_tenant_day(write: House) -> None:
    day = 86_400_000
    one, two = ids.new_id(DECEMBER), ids.new_id(DECEMBER)
    write(usage(one, quantity=2.0, unit="artifact", cost_usd=Decimal("0.5")), usage(two, quantity=3.0, unit="artifact"), usage(two, call=1, occurred_at=DECEMBER + day, unit="artifact", cost_usd=Decimal(0)))  # fmt: skip
    rows = write.client.rows("SELECT tenant, day, events, requests, quantity, unpriced_events, cost_usd FROM usage_by_tenant_day")
    assert rows == [
        {"tenant": "acme", "day": "2026-12-11", "events": "2", "requests": "2", "quantity": 5, "unpriced_events": "1", "cost_usd": "0.5"},
        {"tenant": "acme", "day": "2026-12-12", "events": "1", "requests": "1", "quantity": 0, "unpriced_events": "0", "cost_usd": "0"},
    ]


def test_what_a_stranger_writes_cannot_leave_its_place(write: House) -> None:
    """Names and prompts are data, also where they look like SQL."""
    one = ids.new_id(DECEMBER)
    write(prompt(one, tenant="x'; DROP TABLE usage_recorded; --", prompt="{id:UUID} \\' \x00 ` \u202e"))
    assert write.request(one)["tenant"] == "x'; DROP TABLE usage_recorded; --"
    rows = write.client.rows("SELECT id FROM requests WHERE tenant = {t:String}", parameters={"t": "x'; DROP TABLE usage_recorded; --"})
    assert [row["id"] for row in rows] == [one]
    for text in ("a\\'\n\tb", "\x00", "\\N", "\\", "ä\r\n"):
        assert write.client.rows("SELECT {t:String} AS t", parameters={"t": text}) == [{"t": text}]
