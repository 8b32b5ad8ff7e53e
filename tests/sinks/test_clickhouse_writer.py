"""The writer's blocks, its patience, and what it gives back."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from schemas import ids
from schemas.avro_codec import BadRecord, frame, schema_text
from schemas.records import (
    AnomalyRaised,
    ArtifactGenerated,
    AuditRecorded,
    DeadLetter,
    FeaturesExtracted,
    Finding,
    Header,
    MetricsRecorded,
    Record,
    RequestProgressed,
)
from sinks.clickhouse import ClickHouse, ClickHouseError, ClickHouseSettings, ClickHouseUnavailable, ClickHouseWriter
from sinks.clickhouse.avro_block import container
from streams.batch import RawRecord
from tests.sinks.events import DECEMBER, NOVEMBER, SCHEMAS, SHARED_DATABASE, prompt, raw, topic, usage, verdict, video

pytestmark = pytest.mark.clickhouse


def schema_of(schema_id: int) -> str:
    try:
        return SCHEMAS[schema_id]
    except KeyError:
        raise BadRecord(f"no schema is registered under id {schema_id}") from None


@pytest.fixture
def writer(house: ClickHouse) -> ClickHouseWriter:
    return ClickHouseWriter(house, schema_of)


def request() -> str:
    return ids.new_id(DECEMBER)


def test_every_topic_comes_back_as_it_was(house: ClickHouse, writer: ClickHouseWriter) -> None:
    one, step = request(), {"tenant": "acme", "project": "shop", "occurred_at": DECEMBER + 5}
    event = {"event_id": ids.new_id(DECEMBER), **step, "request_id": one, "run": "r", "round": 2, "usage_events": 3}
    records: dict[str, Record] = {
        "video_submitted": video(one, file_name="ä.mp4", media_size=2**40),
        "prompt_submitted": prompt(one, prompt="zwölf\nZeilen"),
        "features_extracted": FeaturesExtracted(**event, features_uri="f", frames_uri="g", features_size=1, duration_s=1.5, frames=2, width=3, height=4, screens=5, actions=6),
        "artifact_generated": ArtifactGenerated(**event, method="compose", artifact_uri="a", artifact_size=7, artifact_digest="d", features_uri=None, frames_uri="g"),
        "verdict_given": verdict(one, findings=(Finding(gate="g", rule="r", severity="error", message="m", line=3), Finding(gate="h", rule="s", severity="warning", message="n")), scores={"text": 0.5}),
        "request_progressed": RequestProgressed(event_id=ids.new_id(DECEMBER), **step, request_id=one, stage="extract", fraction=0.25, message="m"),
        "usage_recorded": usage(one, dims={"a": "b"}, quantity=2.5, in_uncached=2**40),
        "metrics_recorded": MetricsRecorded(event_id=ids.new_id(DECEMBER), stage="s", worker="w", window_start=DECEMBER, errors={"timeout": 2}),
        "anomaly_raised": AnomalyRaised(event_id=ids.new_id(DECEMBER), subject_kind="stage", subject="s", metric="m", window_start=DECEMBER, window_ms=60_000, observed=9.0, expected=1.0, sigma=4.0, occurred_at=DECEMBER),
        "audit_recorded": AuditRecorded(event_id=ids.new_id(DECEMBER), actor="me", action="drop", occurred_at=DECEMBER, details={"n": "1"}),
        "dead_lettered": DeadLetter(event_id=ids.new_id(DECEMBER), stage="s", reason="r", topic="t", partition=1, offset=2, timestamp=DECEMBER, occurred_at=DECEMBER, key=b"\xff\x00", value=b"v", headers=(Header(name="h", value=b"\x01"),)),
    }  # fmt: skip
    for table, record in records.items():
        assert writer.write(topic(record), [raw(record, DECEMBER + 77)]) == []
        row = house.rows(f"SELECT * FROM {table} FINAL")[0]
        assert row.pop("broker_time") == "2026-12-11 14:40:00.077"
        for name, value in row.items():
            sent: Any = getattr(record, name)
            if name in ("occurred_at", "window_start", "timestamp"):
                assert value.startswith("2026-12-11 14:40:"), name
            elif name == "findings":
                assert value == [
                    {"gate": f.gate, "rule": f.rule, "severity": f.severity, "message": f.message, "file": f.file, "line": f.line}
                    for f in sent
                ]
            elif name == "headers":
                assert value == [{"name": "h", "value": "\x01"}]
            elif isinstance(sent, dict):
                assert {k: type(sent[k])(v) for k, v in value.items()} == sent
            elif isinstance(sent, bytes):
                assert house.command(f"SELECT hex({name}) FROM {table}").strip() == sent.hex().upper()
            elif sent is None:
                assert value is None
            elif isinstance(sent, int | float):
                assert float(value) == sent
            else:
                assert value == str(sent) or float(value) == float(sent), name


def test_a_batch_becomes_one_part_in_each_month(house: ClickHouse, writer: ClickHouseWriter) -> None:
    """One INSERT a partition, and it comes in as one piece: that is what makes it whole or nothing."""
    records = [usage(ids.new_id(NOVEMBER if number % 2 else DECEMBER)) for number in range(30_000)]
    assert writer.write("usage.recorded", [raw(record) for record in records]) == []
    parts = house.rows("SELECT partition, rows FROM system.parts WHERE database = currentDatabase() AND table = 'usage_recorded' AND active AND min_block_number = max_block_number")  # fmt: skip
    assert sorted((part["partition"], int(part["rows"])) for part in parts) == [("202611", 15_000), ("202612", 15_000)]


def test_the_first_published_stays(house: ClickHouse, writer: ClickHouseWriter) -> None:
    record = verdict(request())
    for at in (DECEMBER + 50, DECEMBER + 10, DECEMBER + 90):
        writer.write(topic(record), [raw(record, at)])
    assert [row["broker_time"] for row in house.rows("SELECT broker_time FROM verdicts")] == ["2026-12-11 14:40:00.010"]


def test_culprits_are_found_and_their_neighbours_written(house: ClickHouse, writer: ClickHouseWriter) -> None:
    records = [raw(usage(request())) for _ in range(40)]
    good = records[5].value or b""
    bad = {
        3: RawRecord(b"k", None, None, DECEMBER),
        7: RawRecord(b"k", b"", None, DECEMBER),
        8: RawRecord(b"k", b"plain text", None, DECEMBER),
        11: RawRecord(b"k", frame(9999) + good[5:], None, DECEMBER),
        13: RawRecord(b"k", good[:60], None, DECEMBER),
        14: RawRecord(b"k", good[:-3], None, DECEMBER),
        20: RawRecord(b"k", good[:6] + b"not-a-uuid-but-of-the-very-same-leng" + good[42:], None, DECEMBER),
        21: RawRecord(b"k", good[:6] + b"00000000-0000-7000-8000-000000000000" + good[42:], None, DECEMBER),
        22: RawRecord(b"k", good[:6] + b"ffffffff-ffff-7fff-bfff-ffffffffffff" + good[42:], None, DECEMBER),
        23: RawRecord(b"k", good[:6] + good[6:20] + b"4" + good[21:], None, DECEMBER),
        30: RawRecord(b"k", good[:5], None, DECEMBER),
        31: RawRecord(b"k", frame(1) + good[5:], None, DECEMBER),
        33: raw(replace(usage(request()), cost_usd=Decimal(-1))),
        39: RawRecord(b"k", good[:-40] + b"\xff" * 40, None, DECEMBER),
    }
    for index, record in bad.items():
        records[index] = record
    refused = writer.write("usage.recorded", records)
    assert [item.index for item in refused] == sorted(bad)
    reasons = {item.index: item.reason for item in refused}
    assert {index for index, reason in reasons.items() if reason == "bad_record"} == {3, 7, 8, 11, 31}
    assert {index for index, reason in reasons.items() if reason == "bad_id"} == {20, 21, 22, 23, 30}
    assert {index for index, reason in reasons.items() if reason == "refused_by_clickhouse"} == {13, 14, 33, 39}
    assert all(item.message for item in refused)
    assert house.rows("SELECT count() AS n, uniqExact(event_id) AS ids FROM usage") == [
        {"n": str(40 - len(bad)), "ids": str(40 - len(bad))}
    ]


def test_a_record_that_runs_on_does_not_touch_the_next(house: ClickHouse, writer: ClickHouseWriter) -> None:
    ours = [raw(usage(request(), quantity=float(number))) for number in range(3)]
    ours[1] = ours[1]._replace(value=(ours[1].value or b"") + b"\x48" + b"junk" * 20)
    assert writer.write("usage.recorded", ours) == []
    assert sorted(row["quantity"] for row in house.rows("SELECT quantity FROM usage")) == [0, 1, 2]
    theirs = [raw(prompt(request(), prompt=f"number {number}")) for number in range(3)]
    theirs[1] = theirs[1]._replace(value=(theirs[1].value or b"") + b"\x48" + b"junk" * 20)
    assert [(item.index, item.reason) for item in writer.write("prompt.submitted", theirs)] == [(1, "bad_record")]
    assert sorted(row["prompt"] for row in house.rows("SELECT prompt FROM prompt_submitted")) == ["number 0", "number 2"]


def test_lengths_that_lie(house: ClickHouse, writer: ClickHouseWriter) -> None:
    """A text says that it is two gigabytes long. The engine outlives it, whoever sends it."""
    lengths = (b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80" * 12)
    good = {"prompt.submitted": raw(prompt(request())), "usage.recorded": raw(usage(request()))}
    for name, record in good.items():
        cut = 5 + 37 + (37 if name == "usage.recorded" else 0)  # after the ids comes the tenant
        lies = [record._replace(value=(record.value or b"")[:cut] + length + b"acme") for length in lengths]
        assert [item.index for item in writer.write(name, [*lies, record])] == [0, 1, 2, 3]
    assert house.rows("SELECT count() AS n FROM requests") == house.rows("SELECT count() AS n FROM usage") == [{"n": "1"}]


def test_whatever_a_body_holds_its_neighbours_are_untouched(house: ClickHouse, writer: ClickHouseWriter) -> None:
    """Bodies with bytes changed, cut out and put in, each between two good ones."""
    draw = random.Random(5)
    batch: list[RawRecord] = []
    good: dict[str, str] = {}
    for number in range(400):
        one = request()
        good[one] = f"good {number}"
        bad = bytearray(raw(prompt(request(), prompt=f"bad {number}")).value or b"")
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(5, len(bad))
            bad[at : at + draw.randrange(0, 3)] = draw.randbytes(draw.randrange(0, 3))
        batch += [raw(prompt(one, prompt=good[one])), RawRecord(None, bytes(bad), None, DECEMBER)]
    refused = writer.write("prompt.submitted", batch)
    assert {item.index % 2 for item in refused} == {1}
    found = {row["request_id"]: row["prompt"] for row in house.rows("SELECT request_id, prompt FROM prompt_submitted FINAL")}
    assert {one: found.get(one) for one in good} == good
    assert len(found) <= len(batch) - len(refused)


def test_ids_are_found_where_they_lie(house: ClickHouse) -> None:
    """A schema need not begin with the id."""
    prompts, events = json.loads(schema_text("prompt.submitted")), json.loads(schema_text("audit.recorded"))
    for schema in (prompts, events):
        schema["fields"] = schema["fields"][1:] + schema["fields"][:1]
    writer = ClickHouseWriter(house, {1: json.dumps(prompts), 2: json.dumps(events)}.__getitem__)
    one = request()
    body = b"\x02t" + b"\x02p" + b"\x00" + b"\x0cnormal" + b"\x04hi" + b"\x00" + b"\x48" + one.encode()
    assert writer.write("prompt.submitted", [RawRecord(b"any key", frame(1) + body, None, DECEMBER)]) == []
    assert [row["id"] for row in house.rows("SELECT id FROM requests")] == [one]
    body = b"\x04me" + b"\x04do" + b"\x00" * 4 + b"\x02" + b"\x48" + one.encode()
    refused = writer.write("audit.recorded", [RawRecord(None, frame(2) + body, event_id, DECEMBER) for event_id in (one, None, "none")])
    assert [(item.index, item.reason) for item in refused] == [(1, "bad_id"), (2, "bad_id")]
    assert [row["event_id"] for row in house.rows("SELECT event_id FROM audit")] == [one]


def test_a_newer_schema_is_written_without_its_new_field(house: ClickHouse) -> None:
    newer = json.loads(schema_text("prompt.submitted"))
    newer["fields"].append({"name": "mood", "type": "string", "default": ""})
    writer = ClickHouseWriter(house, {7: json.dumps(newer)}.__getitem__)
    record = raw(prompt(request()))
    assert writer.write("prompt.submitted", [record._replace(value=frame(7) + (record.value or b"")[5:] + b"\x04ok")]) == []
    assert house.rows("SELECT prompt FROM prompt_submitted") == [{"prompt": "an inventory app"}]


def test_an_older_schema_gets_defaults(house: ClickHouse) -> None:
    older = json.loads(schema_text("prompt.submitted"))
    older["fields"] = [field for field in older["fields"] if field["name"] not in ("run", "priority", "deadline")]
    writer = ClickHouseWriter(house, {7: json.dumps(older)}.__getitem__)
    body = b"\x48" + request().encode() + b"\x02t" + b"\x02p" + b"\x04hi"
    assert writer.write("prompt.submitted", [RawRecord(None, frame(7) + body, None, DECEMBER)]) == []
    assert house.rows("SELECT priority, run FROM prompt_submitted") == [{"priority": "normal", "run": ""}]


def test_a_schema_that_cannot_be_read_is_the_records_fault(house: ClickHouse) -> None:
    odd = {name: json.loads(schema_text(name)) for name in ("prompt.submitted", "audit.recorded")}
    for schema in odd.values():
        schema["fields"][1]["type"] = {"type": "array", "items": "long"}
    writer = ClickHouseWriter(
        house, {7: json.dumps(odd["prompt.submitted"]), 8: "not json", 9: json.dumps(odd["audit.recorded"])}.__getitem__
    )
    body = b"\x48" + request().encode() + b"\x00" * 20
    refused = writer.write("prompt.submitted", [RawRecord(None, frame(number) + body, None, DECEMBER) for number in (7, 7, 8)])
    assert [(item.index, item.reason) for item in refused] == [(0, "bad_record"), (1, "bad_record"), (2, "bad_record")]
    refused = writer.write("audit.recorded", [RawRecord(None, frame(9) + body, None, DECEMBER)] * 2)
    assert [(item.index, item.reason) for item in refused] == [(0, "refused_by_clickhouse"), (1, "refused_by_clickhouse")]


def test_blocks_keep_their_limits(house: ClickHouse, installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    small = ClickHouse(ClickHouseSettings(url=installed, block_rows=10, block_bytes=2000))
    insert = small.insert
    monkeypatch.setattr(small, "insert", lambda table, columns, avro: (sizes.append(len(avro)), insert(table, columns, avro)))
    writer = ClickHouseWriter(small, schema_of)
    records = [prompt(request(), prompt="x" * (3000 if number == 5 else 100)) for number in range(25)]
    assert writer.write("prompt.submitted", [raw(record) for record in records]) == []
    assert len(sizes) == 4
    around = len(container(schema_text("prompt.submitted"), []))
    assert max(sizes) < around + 3000 + 200, "the large record has a block to itself"
    assert house.rows("SELECT count() AS n FROM requests") == [{"n": "25"}]


class _Front(BaseHTTPRequestHandler):
    """Before ClickHouse: breaks in the way it is told to, as often as it is told to, then passes on."""

    upstream = ""
    troubles: list[str] = []  # noqa: RUF012
    seen: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        trouble = self.troubles.pop(0) if self.troubles else ""
        self.seen.append(trouble)
        if trouble == "drop":
            self.close_connection = True
            return
        if trouble.startswith("Code"):
            self._answer(500, trouble.encode())
            return
        answer = httpx.post(self.upstream + self.path, content=body, trust_env=False, timeout=60)
        if trouble == "drop the answer":
            self.close_connection = True
            return
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def front(clickhouse: str) -> Iterator[tuple[str, type[_Front]]]:
    handler = type("Front", (_Front,), {"upstream": clickhouse.rstrip("/"), "troubles": [], "seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def through(front: str, pauses: list[float]) -> ClickHouseWriter:
    return ClickHouseWriter(
        ClickHouse(ClickHouseSettings(url=f"{front}/?database={SHARED_DATABASE}", tries=4)), schema_of, sleep=pauses.append
    )


def test_troubles_of_the_moment_are_waited_out(house: ClickHouse, front: tuple[str, type[_Front]]) -> None:
    url, handler = front
    pauses: list[float] = []
    handler.troubles[:] = ["drop", "Code: 252. DB::Exception: Too many parts", "drop the answer"]
    record = raw(usage(request()))
    assert through(url, pauses).write("usage.recorded", [record, record]) == []
    assert pauses == [0.2, 0.4, 0.8]
    assert house.rows("SELECT count() AS n FROM usage") == [{"n": "1"}]


def test_a_disk_that_fills_up_in_the_middle_is_no_records_fault(house: ClickHouse, front: tuple[str, type[_Front]]) -> None:
    """It would look like one: on a full disk an INSERT of no rows succeeds while each record's own fails."""
    url, handler = front
    pauses: list[float] = []
    handler.troubles[:] = ["Code: 75. DB::ErrnoException: Cannot write to file: , errno: 28, strerror: No space left on device"]
    assert through(url, pauses).write("usage.recorded", [raw(usage(request())) for _ in range(3)]) == []
    assert pauses == [0.2]


def test_troubles_that_stay_are_raised(house: ClickHouse, front: tuple[str, type[_Front]]) -> None:
    url, handler = front
    pauses: list[float] = []
    handler.troubles[:] = ["Code: 241. DB::Exception: Memory limit exceeded"] * 9
    with pytest.raises(ClickHouseUnavailable, match="Memory limit"):
        through(url, pauses).write("usage.recorded", [raw(usage(request()))])
    assert len(pauses) == 3
    assert house.rows("SELECT count() AS n FROM usage") == [{"n": "0"}]


def test_what_is_not_the_records_fault_is_not_blamed_on_them(own_house: ClickHouse) -> None:
    own_house.command("DROP TABLE usage_recorded")
    writer = ClickHouseWriter(own_house, schema_of)
    with pytest.raises(ClickHouseError) as error:
        writer.write("usage.recorded", [raw(usage(request())) for _ in range(3)])
    assert error.value.code == 60
