"""What counts once, counts once: whatever comes again, however it is cut, in whatever order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import ids
from schemas.records import Record
from sinks.clickhouse import ClickHouse, ClickHouseWriter
from tests.sinks.events import DECEMBER, NOVEMBER, SCHEMAS, prompt, raw, topic, usage, verdict

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def writer(house: ClickHouse) -> Iterator[ClickHouseWriter]:
    return ClickHouseWriter(house, SCHEMAS.__getitem__)


def write(writer: ClickHouseWriter, *records: Record, at: int = DECEMBER) -> None:
    by_topic: dict[str, list[Record]] = {}
    for record in records:
        by_topic.setdefault(topic(record), []).append(record)
    for name, of_topic in by_topic.items():
        assert writer.write(name, [raw(record, at) for record in of_topic]) == []


def test_redelivery_rebatching_and_replay_count_once(house: ClickHouse, writer: ClickHouseWriter) -> None:
    """A random course of events over two months: duplicates by the producer, batches cut anew, whole replays."""
    draw = random.Random(11)
    requests = [ids.new_id(draw.choice([NOVEMBER, DECEMBER]) + number) for number in range(120)]
    events = [usage(request, call=call, cost_usd=Decimal(draw.randrange(10**9)).scaleb(-10)) for request in requests for call in range(3)]
    course = events + draw.sample(events, 40)
    for _ in range(3):
        draw.shuffle(course)
        at = 0
        while at < len(course):
            size = draw.choice([1, 2, 50, 200])
            write(writer, *course[at : at + size], at=DECEMBER + draw.randrange(10_000))
            at += size
    expected = sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))
    row = house.rows("SELECT count() AS events, uniqExact(event_id) AS ids, sum(cost_usd) AS cost FROM usage")[0]
    assert (int(row["events"]), int(row["ids"])) == (360, 360)
    assert Decimal(row["cost"]) == expected
    house.command("OPTIMIZE TABLE usage_recorded FINAL")
    assert house.rows("SELECT count() AS events, sum(cost_usd) AS cost FROM usage") == [{"events": "360", "cost": row["cost"]}]
    assert house.rows("SELECT * FROM id_conflicts") == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    course=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), min_size=1, max_size=40), cuts=st.lists(st.integers(1, 9), min_size=1)
)
def test_any_course_of_corrections_ends_the_same(
    house: ClickHouse, writer: ClickHouseWriter, course: list[tuple[int, int]], cuts: list[int]
) -> None:
    """(event, revision) in any order, any number of times: the highest revision of each event counts."""
    house.command("TRUNCATE TABLE usage_recorded")
    requests = [ids.derived_id(NOVEMBER if number % 2 else DECEMBER, "request", number) for number in range(8)]
    left, cut = list(course), 0
    while left:
        size = cuts[cut % len(cuts)]
        write(writer, *(usage(requests[event], revision=revision, cost_usd=Decimal(revision + 1)) for event, revision in left[:size]))
        left, cut = left[size:], cut + 1
    highest: dict[int, int] = {}
    for event, revision in course:
        highest[event] = max(revision, highest.get(event, 0))
    row = house.rows("SELECT count() AS events, sum(cost_usd) AS cost FROM usage")[0]
    assert (int(row["events"]), Decimal(row["cost"] or 0)) == (len(highest), sum(revision + 1 for revision in highest.values()))


def test_the_same_id_in_runs_is_told_apart(house: ClickHouse, writer: ClickHouseWriter) -> None:
    request, run = ids.new_id(NOVEMBER), ids.new_id(DECEMBER)
    write(writer, prompt(request), prompt(request), prompt(request, run=run))
    write(writer, usage(request, cost_usd=Decimal(1)), usage(request, run=run, cost_usd=Decimal(2)))
    assert house.rows("SELECT count() AS n FROM submissions") == [{"n": "2"}]
    assert [(row["id"], row["cost_usd"]) for row in house.rows("SELECT id, cost_usd FROM requests")] == [(request, "3")]
    assert house.rows("SELECT * FROM id_conflicts") == []


def test_another_content_under_an_id_is_an_alarm(house: ClickHouse, writer: ClickHouseWriter) -> None:
    one, two, three = (ids.new_id(DECEMBER) for _ in range(3))
    write(writer, usage(one, quantity=1.0), usage(two, quantity=1.0), usage(two, quantity=9.0, revision=1), verdict(three), prompt(three))
    assert house.rows("SELECT * FROM id_conflicts") == []
    write(writer, usage(one, quantity=2.0))
    write(writer, replace(verdict(three), message="another"), prompt(three, prompt="another"))
    house.command("OPTIMIZE TABLE usage_recorded FINAL")
    house.command("OPTIMIZE TABLE id_contents FINAL")
    found = {(row["source"], row["event_id"]) for row in house.rows("SELECT * FROM id_conflicts")}
    assert found == {("usage_recorded", usage(one).event_id), ("verdict_given", verdict(three).event_id), ("submissions", three)}


def test_money_is_exact_and_unknown_is_null(house: ClickHouse, writer: ClickHouseWriter) -> None:
    cheap, dear, unknown, none = (ids.new_id(DECEMBER + number) for number in range(4))
    write(writer, *(prompt(request) for request in (cheap, dear, unknown, none)))
    write(writer, *(usage(cheap, call=call, cost_usd=Decimal("0.0000000001")) for call in range(3)))
    write(writer, usage(dear, cost_usd=Decimal("99999999.9999999999")), usage(unknown, call=0, cost_usd=Decimal(1)), usage(unknown, call=1))
    costs = {row["id"]: row["cost_usd"] for row in house.rows("SELECT id, cost_usd FROM requests")}
    assert {request: None if cost is None else Decimal(cost) for request, cost in costs.items()} == {
        cheap: Decimal("0.0000000003"), dear: Decimal("99999999.9999999999"), unknown: None, none: Decimal(0)
    }  # fmt: skip
    assert [row["request_id"] for row in house.rows("SELECT request_id FROM unpriced_usage")] == [unknown]
