"""The breaker against a model of who passed when, with calls that end in any order, late, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from streams.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, BreakerSettings, Pass, breaker
from streams.failures import Waiting
from streams.metrics import BREAKER_STATE

SETTINGS = BreakerSettings(window=6, at_least=3, failure_rate=0.5, pause_s=4, longest_pause_s=20)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(name: str = "dep", **changes: Any) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(name, SETTINGS.model_copy(update=changes), clock=clock, chance=lambda: 1.0), clock


class BreakerMachine(RuleBasedStateMachine):
    """The model keeps every pass and every opening; what is allowed is computed from them, naively."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock = make()
        self.under_way: list[Pass] = []
        self.probes: list[Pass] = []
        self.open_until: float | None = None
        self.failed_probes = 0
        self.recent: list[bool] = []
        self.fresh: set[Pass] = set()
        """Passes since the breaker was last closed or opened."""

    @rule()
    def somebody_comes(self) -> None:
        allowed = self.open_until is None or (self.clock.now >= self.open_until and not self.probes)
        try:
            leave = self.breaker.enter()
        except Waiting as waiting:
            assert not allowed and waiting.seconds > 0
            return
        assert allowed
        self.under_way.append(leave)
        self.fresh.add(leave)
        if self.open_until is not None:
            self.probes.append(leave)
            assert len(self.probes) == 1

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), failed=st.booleans(), retry_after=st.sampled_from([0, 0, 30]))
    def one_ends(self, data: Any, failed: bool, retry_after: float) -> None:
        leave = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(leave)
        if failed:
            leave.failed(retry_after)
        else:
            leave.ok()
        probe = leave in self.probes
        if probe:
            self.probes.remove(leave)
        if leave not in self.fresh:
            return
        if probe and not failed:
            self._turned(None)
            self.failed_probes = 0
        elif probe:
            self.failed_probes += 1
            self._turned(retry_after)
        else:
            self.recent = [*self.recent, failed][-6:]
            if failed and len(self.recent) >= 3 and sum(self.recent) / len(self.recent) >= 0.5:
                self._turned(retry_after)

    def _turned(self, retry_after: float | None) -> None:
        self.fresh, self.recent = set(), []
        self.open_until = None if retry_after is None else self.clock.now + max(retry_after, min(20, 4 * 2**self.failed_probes))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_is_cancelled(self, data: Any) -> None:
        leave = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(leave)
        if leave in self.probes:
            self.probes.remove(leave)
        self.breaker.leave(leave)

    @rule(seconds=st.sampled_from([1.0, 4.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def says_its_state(self) -> None:
        expected = CLOSED if self.open_until is None else OPEN if self.clock.now < self.open_until else HALF_OPEN
        assert self.breaker.state == expected


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of alarms are what these examples are about; printing them takes longer than all else."""
    with capture_logs():
        yield


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def opened(**changes: Any) -> tuple[Breaker, Clock]:
    found, clock = make(**changes)
    for _ in range(3):
        found.enter().failed()
    assert found.state == OPEN
    return found, clock


def test_many_tasks_that_wait_for_the_pause_to_end_send_one_probe() -> None:
    found, clock = opened()
    clock.now += 100
    calls = 0

    async def task() -> str:
        nonlocal calls
        try:
            with found.guard():
                calls += 1
                await asyncio.sleep(0)
                return "called"
        except Waiting:
            return "waited"

    async def main() -> list[str]:
        return list(await asyncio.gather(*(task() for _ in range(50))))

    assert sorted(asyncio.run(main())) == ["called"] + ["waited"] * 49
    assert calls == 1 and found.state == CLOSED


def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    found, clock = opened()
    clock.now += 100

    async def main() -> None:
        async def probe() -> None:
            with found.guard():
                await asyncio.sleep(60)

        task = asyncio.create_task(probe())
        await asyncio.sleep(0)
        with pytest.raises(Waiting):
            found.enter()
        task.cancel()
        await asyncio.wait({task})
        found.enter().ok()

    asyncio.run(main())
    assert found.state == CLOSED


def test_what_guard_sees_raised_is_a_failure_and_a_retry_after_is_honoured() -> None:
    found, clock = make()
    for _ in range(2):
        with pytest.raises(OSError, match="down"), found.guard():
            raise OSError("down")
    with found.guard() as leave:
        leave.failed(retry_after_s=77)
    clock.now += 76.9
    with pytest.raises(Waiting) as waiting:
        found.enter()
    assert waiting.value.seconds == pytest.approx(0.1)
    clock.now += 0.2
    assert found.enter().probe


def test_its_state_is_in_the_metrics() -> None:
    found, clock = opened(name="shown")

    def shown() -> float:
        value: float = BREAKER_STATE.labels("shown")._value.get()
        return value

    assert shown() == OPEN
    clock.now += 100
    leave = found.enter()
    assert shown() == HALF_OPEN
    leave.ok()
    assert shown() == CLOSED


def test_a_dependency_has_one_breaker_in_a_process() -> None:
    assert breaker("one") is breaker("one") and breaker("one") is not breaker("two")
