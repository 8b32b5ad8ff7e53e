"""Health is judged by progress: slow work is alive, work that cannot end is not."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from streams.health import GRACE_S, POLL_THREAD_S, Health, HealthServer, Pulse
from streams.worker import run_worker
from tests.streams.world import World, run, stage, until


def pulse(limit_s: float = 100, *, polled: float = 0, beaten: float = 0, working: float | None = None, ended: bool = False) -> Pulse:
    """A stage that did each thing so many seconds ago."""
    now = time.monotonic()
    source: Any = SimpleNamespace(poll=SimpleNamespace(turned_at=now - polled), finished=SimpleNamespace(done=lambda: ended), group="g")
    return Pulse("s", source, limit_s, None if working is None else now - working, now - beaten)


@pytest.mark.parametrize(
    "alive",
    [
        {},
        {"working": 100 + GRACE_S - 20},  # slow, within its own limit and the grace
        {"limit_s": 1000, "working": 900, "beaten": 900},  # a handler that blocks the loop all the while
        {"polled": POLL_THREAD_S - 20},  # a broker that is away, a rebalance
    ],
)
def test_slow_is_alive(alive: dict[str, float]) -> None:
    assert list(pulse(**alive).wrong()) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dead", "why"),
    [
        ({"working": 100 + GRACE_S + 1}, "beyond its limit of 100 s"),
        ({"beaten": 100 + GRACE_S + 1}, "event loop has not turned"),
        ({"polled": POLL_THREAD_S + 1}, "has not polled"),
        ({"ended": True}, "takes no records any more"),
    ],
)
def test_what_cannot_go_on_is_not(dead: dict[str, float], why: str) -> None:
    (line,) = pulse(**dead).wrong()  # type: ignore[arg-type]
    assert why in line


@pytest.mark.kafka
def test_a_worker_answers_what_it_is(world: World) -> None:
    declared = stage()
    world.create(declared)
    health = Health()
    server = HealthServer(health)

    def ask(path: str) -> httpx.Response:
        return httpx.get(server.url + path, trust_env=False, timeout=60)

    assert (ask("/healthz").status_code, ask("/readyz").status_code, ask("/other").status_code) == (200, 503, 404)

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(run_worker([declared], world.settings, world.store, name="w", stop=stop, health=health))
        await until(lambda: ask("/readyz").status_code == 200, task=task)
        assert (await asyncio.to_thread(ask, "/healthz")).text == "ok\n"
        page = (await asyncio.to_thread(ask, "/metrics")).text
        assert 'millrace_partitions{stage="plan"}' in page and "process_resident_memory_bytes" in page
        stop.set()
        await task

    run(main())
    time_left = time.monotonic() + 10
    while (gone := ask("/readyz")).status_code == 200 and time.monotonic() < time_left:
        pass  # an answer is believed for some seconds
    assert gone.status_code == 503 and "not a member" in gone.text
    assert ask("/healthz").status_code == 503
    server.close()
    health.close()
