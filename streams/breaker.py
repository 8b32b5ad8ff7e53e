"""A circuit breaker for a dependency: while it is not well, nobody asks it but one probe at a time.

States: *closed* (calls pass, their outcomes are watched), *open* (nobody passes until the pause is over), *half open* (the pause is over:
one call passes as a probe, the others wait for what becomes of it). A record that meets an open breaker waits in the delay tiers and spends
no try (:class:`~streams.failures.Waiting`).

Invariants (``tests/streams/test_breaker.py`` holds them against a model):

B1  While open, nobody passes.
B2  While half open, at most one call is under way that passed since the pause was over.
B3  Only a probe closes it, and only by succeeding. A call that passed before it opened changes nothing any more.
B4  A probe that ends without an outcome (cancelled) makes room for the next.
B5  It opens no sooner than ``at_least`` outcomes were seen since it closed, and never stays closed at a failure rate above the limit.

One worker process has one breaker a dependency: what one process learns, the others learn by themselves, with a probe each.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from pydantic import BaseModel, ConfigDict, Field

from streams.failures import Waiting
from streams.metrics import BREAKER_STATE

log = structlog.get_logger()
CLOSED, HALF_OPEN, OPEN = 0, 1, 2
NAMES = ("closed", "half open", "open")


class BreakerSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(20, ge=1, description="Outcomes looked at, the latest")
    at_least: int = Field(5, ge=1, description="Outcomes that must be there before it may open")
    failure_rate: float = Field(0.5, gt=0, le=1, description="Share of failures at which it opens")
    pause_s: float = Field(5.0, gt=0, description="How long it stays open the first time; doubled with each failed probe")
    longest_pause_s: float = Field(300.0, gt=0)


@dataclass(slots=True, eq=False)
class Pass:
    """Leave for one call. Say how it went: :meth:`ok` or :meth:`failed`; the later word does not count."""

    _breaker: Breaker
    era: int
    probe: bool
    said: bool = False

    def ok(self) -> None:
        self._breaker._ended(self, failed=False, retry_after_s=0)

    def failed(self, retry_after_s: float = 0) -> None:
        """The dependency is not well. ``retry_after_s`` is what it asked for itself: the breaker stays open at least as long."""
        self._breaker._ended(self, failed=True, retry_after_s=retry_after_s)


class Breaker:
    """For one dependency (a provider and model, a server). Used from one event loop; no method waits."""

    def __init__(
        self,
        name: str,
        settings: BreakerSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._settings = settings or BreakerSettings()
        self._clock, self._chance = clock, chance
        self._recent: deque[bool] = deque(maxlen=self._settings.window)
        self._state = CLOSED
        self._era = 0
        """Counts the times it opened or closed: what passed in another one has nothing to say (B3)."""
        self._failed_probes = 0
        self._until = 0.0
        self._probe: Pass | None = None
        self._show()

    @property
    def state(self) -> int:
        """``CLOSED``, ``HALF_OPEN`` or ``OPEN``."""
        return HALF_OPEN if self._state == OPEN and self._clock() >= self._until else self._state

    def enter(self) -> Pass:
        """Leave to call. Raises :class:`~streams.failures.Waiting` with the time that is left of the pause."""
        if self._state == CLOSED:
            return Pass(self, self._era, probe=False)
        left = self._until - self._clock()
        if left > 0:
            raise Waiting("breaker_open", f"{self.name} is not well; the next try is in {left:.1f} s", seconds=left)
        if self._probe is not None:
            raise Waiting("breaker_open", f"{self.name} was not well; one call is trying it", seconds=self._settings.pause_s)
        self._probe = Pass(self, self._era, probe=True)
        self._show()
        return self._probe

    @contextmanager
    def guard(self) -> Iterator[Pass]:
        """Leave for one call: an exception is a failure of the dependency, a normal end is none, a cancellation says nothing.

        Raises :class:`~streams.failures.Waiting` instead of entering where the breaker is open.
        """
        leave = self.enter()
        try:
            yield leave
            leave.ok()
        except Exception:
            leave.failed()
            raise
        finally:
            self.leave(leave)

    def leave(self, leave: Pass) -> None:
        """The call is over. Where it said nothing, it counts for nothing (B4)."""
        if self._probe is leave:
            self._probe = None

    def _ended(self, leave: Pass, *, failed: bool, retry_after_s: float) -> None:
        if leave.said:
            return
        leave.said = True
        self.leave(leave)
        if leave.era != self._era:
            return
        if leave.probe:
            if failed:
                self._failed_probes += 1
                self._open(retry_after_s)
            else:
                self._close()
            return
        self._recent.append(failed)
        rate = sum(self._recent) / len(self._recent)
        if failed and len(self._recent) >= min(self._settings.at_least, self._settings.window) and rate >= self._settings.failure_rate:
            self._open(retry_after_s)

    def _open(self, retry_after_s: float) -> None:
        settings = self._settings
        pause = min(settings.longest_pause_s, settings.pause_s * 2.0 ** min(self._failed_probes, 30))
        # Half of the pause is by chance, so that the probes of many workers do not come together.
        pause = max(retry_after_s, pause / 2 + self._chance() * pause / 2)
        self._state, self._until = OPEN, self._clock() + pause
        self._era += 1
        self._recent.clear()
        log.warning("breaker opened", dependency=self.name, pause_s=round(pause, 1), failed_probes=self._failed_probes)
        self._show()

    def _close(self) -> None:
        self._state, self._failed_probes = CLOSED, 0
        self._era += 1
        log.info("breaker closed", dependency=self.name)
        self._show()

    def _show(self) -> None:
        BREAKER_STATE.labels(self.name).set(HALF_OPEN if self._probe is not None else self._state)


_BREAKERS: dict[str, Breaker] = {}


def breaker(name: str, settings: BreakerSettings | None = None) -> Breaker:
    """This process's breaker for a dependency, made where there is none yet."""
    found = _BREAKERS.get(name)
    if found is None:
        found = _BREAKERS[name] = Breaker(name, settings)
    return found
