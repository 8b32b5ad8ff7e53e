"""The Faust app on the real broker: counts once, ignores isolated runs, raises anomalies, and rebuilds its windows when all its state is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from schemas import ids
from schemas.records import AnomalyRaised, MetricsRecorded, UsageRecorded
from streams.admin import ensure_topics
from streams.topics import ANOMALY_RAISED, CATALOGUE, METRICS_RECORDED, USAGE_RECORDED
from tests.streams.world import World, until

pytest.importorskip("faust")

from millrace.windows import read_windows
from processors.windows.stage import COSTS, STAGES, STAGES_SEEN, TENANTS, TENANTS_SEEN, WindowsApp
from processors.windows.tumbling import MINUTE

pytestmark = pytest.mark.kafka
T0 = 1_780_000_000_000 // 86_400_000 * 86_400_000
ISOLATED = ids.new_id()


def usage(n: int, at: int, cost: str = "0.25", **changes: Any) -> UsageRecorded:
    base: dict[str, Any] = {
        "event_id": ids.new_id(), "request_id": ids.new_id(), "tenant": f"tenant-{n % 3}", "project": "demo", "stage": "generate", "kind": "llm.call",
        "occurred_at": at, "cost_usd": Decimal(cost),
    }  # fmt: skip
    return UsageRecorded(**(base | changes))


def metrics(minute: int, ms: float) -> MetricsRecorded:
    return MetricsRecorded(
        event_id=ids.new_id(), stage="generate", worker="w", window_start=T0 + minute * MINUTE, records_done=10, handler_ms_p95=ms
    )


def run_app(world: World, seen: Callable[[], Awaitable[Any]]) -> str:
    """Run the app until ``seen`` returns; gives its group."""

    async def main() -> str:
        app = WindowsApp(world.settings, lambda run: run != ISOLATED)
        stop = asyncio.Event()
        task = asyncio.create_task(app.run(stop))
        try:
            await seen()
        finally:
            stop.set()
            await task
        return app.group

    return asyncio.run(main())


def test_windows_are_live_and_rebuilt_after_the_loss_of_all_state(world: World):
    ensure_topics(world.settings, CATALOGUE.values())
    sent = [usage(n, T0 + n * 10_000) for n in range(30)]
    for record in [*sent, *sent[:10], usage(0, T0 + 1, run=ISOLATED)]:
        world.send_soon(USAGE_RECORDED, record)
    world.send_soon(USAGE_RECORDED, b"\0\0\0\0\1no record", key="tenant-0")
    for minute in range(40):
        world.send_soon(METRICS_RECORDED, metrics(minute, 5000.0 if minute == 35 else 100.0))
    world.flush()

    def windows() -> dict[str, Any]:
        return {t["tenant"]: t for t in read_windows(world.settings)["tenants"]}

    def days() -> dict[str, tuple[int, Decimal]]:
        return {t: (w["day"]["events"], w["day"]["cost_usd"]) for t, w in windows().items() if w["day"]}

    expected = {f"tenant-{n}": (10, Decimal("2.5")) for n in range(3)}

    async def complete() -> None:
        await until(lambda: days() == expected, 90)
        await until(lambda: sum(t["repeated"] for t in windows().values()) == 10, 60)
        await until(lambda: world.messages(ANOMALY_RAISED), 60)
        await until(lambda: world.dead(), 60)

    first = run_app(world, complete)
    before = read_windows(world.settings)
    (anomaly,) = {a.event_id: a for a in world.records(ANOMALY_RAISED)}.values()
    assert isinstance(anomaly, AnomalyRaised)
    assert (anomaly.subject, anomaly.metric, anomaly.window_start, anomaly.observed) == ("generate", "latency_ms", T0 + 35 * MINUTE, 5000.0)
    assert anomaly.sigma > 3 and anomaly.expected == pytest.approx(100)
    (letter,) = world.dead()
    assert (letter.stage, letter.topic, letter.reason) == ("windows", "usage.recorded", "bad_record")
    minutes = Counter(w["start"] for t in before["tenants"] for w in t["minutes"])
    assert len(minutes) == 5 and before["stages"][0]["stage"] == "generate"

    # It goes on where it was: nothing is counted again.
    more = usage(0, T0 + 400_000, "1")
    world.send(USAGE_RECORDED, more)

    async def one_more() -> None:
        await until(lambda: days() == expected | {"tenant-0": (11, Decimal("3.5"))}, 90)

    assert run_app(world, one_more) == first
    before = read_windows(world.settings)

    # All state is lost: even the part that is left is not believed.
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers})
    lost = [world.settings.topic_prefix + name for name in (TENANTS, TENANTS_SEEN, STAGES, COSTS)]
    for future in admin.delete_topics(lost).values():
        future.result(30)
    assert STAGES_SEEN not in lost

    async def rebuilt() -> None:
        await until(lambda: read_windows(world.settings) == before, 90)

    assert run_app(world, rebuilt) != first
    assert len({a.event_id for a in world.records(ANOMALY_RAISED)}) == 1
