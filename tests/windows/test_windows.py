"""The windows' craft: which window an event falls into, what closes one, what counts once, what is unusual."""

from __future__ import annotations

import random
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.windows.anomaly import LEAST, MOST, Baseline
from processors.windows.subjects import SCALE, Anomaly, StageHealth, TenantUsage
from processors.windows.tumbling import CHUNK, DAY, GRACE_MS, HOUR, LATE_MS, MINUTE, Seen, Windows
from schemas import ids
from schemas.records import MetricsRecorded, UsageRecorded

T0 = 1_790_000_000_000 // DAY * DAY + 12 * HOUR


def usage(at: int = T0, cost: str | None = "0.0000000001", **changes: Any) -> UsageRecorded:
    base: dict[str, Any] = {
        "event_id": ids.new_id(), "request_id": ids.new_id(), "tenant": "acme", "project": "demo", "stage": "generate", "kind": "llm.call",
        "occurred_at": at, "cost_usd": None if cost is None else Decimal(cost),
    }  # fmt: skip
    return UsageRecorded(**(base | changes))


def metrics(at: int, done: int = 10, ms: float = 100.0, errors: int = 0) -> MetricsRecorded:
    return MetricsRecorded(
        event_id=ids.new_id(), stage="generate", worker="w", window_start=at, records_done=done, handler_ms_p95=ms, errors={"timeout": errors} if errors else {}
    )  # fmt: skip


@given(st.lists(st.integers(T0, T0 + 3 * HOUR), min_size=1, max_size=60))
def test_every_event_counts_in_one_window_of_each_size_or_is_late(times: list[int]) -> None:
    windows, counted, watermark = Windows(), 0, 0
    totals: dict[tuple[int, int], float] = {}
    for at in times:
        if windows.is_late(at):
            assert at < watermark - LATE_MS
            continue
        counted += 1
        windows.add(at, {"events": 1})
        watermark = max(watermark, at)
        totals |= {key: cell.sums["events"] for key, cell in windows.cells.items()}
    for size in (MINUTE, HOUR, DAY):
        assert sum(n for (s, _), n in totals.items() if s == size) == counted
        assert all(start % size == 0 for s, start in totals if s == size)


def test_a_window_is_closed_once_and_revised_by_what_comes_later():
    windows = Windows((MINUTE,))
    assert windows.add(T0, {"events": 1}) == []
    assert windows.add(T0 + MINUTE + GRACE_MS - 1, {"events": 1}) == []
    (closed,) = windows.add(T0 + MINUTE + GRACE_MS, {"events": 1})
    assert (closed.start, closed.sums, closed.revision) == (T0, {"events": 1}, 0)
    (again,) = windows.add(T0 + 1, {"events": 1})
    assert (again.start, again.sums, again.revision) == (T0, {"events": 2}, 1)
    windows.add(T0 + MINUTE + LATE_MS + MINUTE, {"events": 1})
    assert windows.is_late(T0) and (MINUTE, T0) not in windows.cells


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20 * MINUTE)), max_size=80), st.integers(0, 80))
def test_ids_count_once_also_through_their_chunks(events: list[tuple[int, int]], restart: int) -> None:
    """A reader that goes on from what was stored knows what the first one knew."""
    seen, stored = Seen(), {}
    known: set[tuple[int, int]] = set()
    for n, (number, offset) in enumerate(events):
        at = T0 + offset
        if n == restart:
            seen = Seen()
            for minute, chunk in sorted(stored):
                seen.load_chunk(minute, stored[minute, chunk])
        minute = at - at % MINUTE
        assert seen.add(f"id-{number}", at) == ((number, minute) not in known)
        known.add((number, minute))
        chunk, body = seen.last_chunk(minute)
        stored[minute, chunk] = body


def test_ids_are_forgotten_with_all_their_chunks():
    seen = Seen()
    for n in range(CHUNK + 1):
        assert seen.add(f"{n}", T0)
    seen.add("later", T0 + MINUTE)
    assert seen.last_chunk(T0)[0] == 1
    assert seen.forget(T0 + MINUTE) == [(T0, 2)]
    assert list(seen.minutes) == [T0 + MINUTE]


def test_a_tenants_usage_is_exact_and_survives_its_document():
    tenant, seen = TenantUsage(), Seen()
    first = usage(cost="0.1000000001")
    assert tenant.take(first, T0, 0, seen)
    assert not tenant.take(first, T0, 0, seen), "delivered again"
    assert not tenant.take(first, T0, 1, seen), "published again"
    tenant = TenantUsage(tenant.document())
    assert tenant.take(usage(cost=None, outcome="error", in_uncached=5, out_text=7), T0, 2, seen)
    for n in range(1000):
        assert tenant.take(usage(cost="0.0000000003"), T0 + 1, 3 + n, seen)
    late = T0 - LATE_MS - 1
    assert not tenant.take(usage(late), late, 2000, seen)
    cell = tenant.windows.cells[DAY, T0 // DAY * DAY]
    assert cell.sums == {"events": 1002, "cost": 1_000_000_001 + 3000, "unpriced": 1, "outcome.error": 1, "tokens": 12}
    assert Decimal(int(cell.sums["cost"])) / SCALE == Decimal("0.1000003001")
    assert (tenant.windows.repeated, tenant.windows.late) == (1, 1)


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=LEAST - 1))
def test_the_baseline_is_mean_and_deviation(values: list[float]) -> None:
    baseline = Baseline(1e-9)
    for value in values:
        assert not baseline.judge(value).unusual
        baseline.learn(value)
    assert baseline.mean == pytest.approx(mean(values), abs=1e-6)
    assert baseline.deviation == pytest.approx(max(stdev(values), 0.05 * mean(values)), abs=1e-5)


def test_three_sigma_above_is_unusual_and_nothing_else():
    chance = random.Random(4)
    baseline = Baseline(0.001)
    for _ in range(500):
        baseline.learn(chance.gauss(100, 10))
    assert baseline.judge(100 + 3.5 * baseline.deviation).unusual
    assert not baseline.judge(100 + 2.5 * baseline.deviation).unusual
    assert not baseline.judge(0).unusual, "better than usual is no anomaly"
    assert not Baseline(0.001, LEAST - 1, 100, 0).judge(10**6).unusual, "too little is known"


def test_an_outlier_does_not_hide_the_next_and_a_new_level_becomes_usual():
    baseline = Baseline(1.0)
    for _ in range(100):
        baseline.learn(100)
    for _ in range(3):
        assert baseline.judge(10_000).unusual
        baseline.learn(10_000)
    for _ in range(MOST):
        baseline.learn(200)
    assert not baseline.judge(200).unusual
    assert baseline.count == MOST


def feed(stage: StageHealth, seen: Seen, minutes: list[tuple[float, int]], start: int = 0) -> list[Anomaly]:
    """A minute each of (latency ms, errors in ten records)."""
    found = []
    for n, (ms, errors) in enumerate(minutes):
        at = T0 + (start + n) * MINUTE
        found += stage.take_metrics(metrics(at, ms=ms, errors=errors), at, start + n, "metrics/0", seen)
    return found


def test_a_slow_and_failing_minute_is_raised_once_and_revised():
    stage, seen = StageHealth(), Seen()
    assert feed(stage, seen, [(100 + n % 7, 0) for n in range(40)]) == []
    stage = StageHealth(stage.document())
    found = feed(stage, seen, [(900, 8), (100, 0), (100, 0)], start=40)
    assert {(a.metric, a.window_start, a.revision) for a in found} == {
        ("latency_ms", T0 + 40 * MINUTE, 0),
        ("error_rate", T0 + 40 * MINUTE, 0),
    }
    slow = next(a for a in found if a.metric == "latency_ms")
    assert slow.judged.observed == 900 and 100 < slow.judged.expected < 107 and slow.judged.sigma > 3
    # What comes late changes that minute: the anomaly is said again, by the same baseline, also that it is none any more.
    late = metrics(T0 + 40 * MINUTE + 1, done=10_000, ms=101)
    revised = stage.take_metrics(late, late.window_start, 99, "metrics/0", seen)
    assert {(a.metric, a.revision, a.judged.unusual) for a in revised} == {("latency_ms", 1, False), ("error_rate", 1, False)}
    assert next(a for a in revised if a.metric == "latency_ms").judged.expected == slow.judged.expected


def test_a_dear_minute_is_raised():
    stage, seen = StageHealth(), Seen()
    found = []
    for n in range(40):
        cost = "5" if n == 36 else "0.01"
        event = usage(T0 + n * MINUTE, cost)
        found += stage.take_cost(event, event.occurred_at, n, "costs/0", seen)
    (dear,) = found
    assert (dear.metric, dear.window_start, dear.judged.observed) == ("cost_usd", T0 + 36 * MINUTE, 5.0)


def test_the_same_events_give_the_same_document():
    def state() -> bytes:
        chance, stage, seen = random.Random(1), StageHealth(), Seen()
        for n in range(200):
            at = T0 + n * 20_000 + chance.randrange(-MINUTE, MINUTE)
            record = metrics(at, ms=chance.uniform(50, 150), errors=chance.randrange(3))
            stage.take_metrics(
                MetricsRecorded(**{**{f: getattr(record, f) for f in record.__slots__}, "event_id": f"{n}"}), at, n, "m/0", seen
            )
        return stage.document()

    assert state() == state()
