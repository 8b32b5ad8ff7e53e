"""Limits on the queues of priority classes: what is shed, what is late, what is favoured, and when to come again.

A class's queue is what waits in all partitions of its topic. Over its limit, ``low`` is shed, oldest first; ``normal`` is never shed and has
double weight until it is under the limit again; ``critical`` and ``high`` are refused at the door. Queued ``critical`` and ``high`` records end when
they have waited as long as they may, any record ends when its deadline has passed or cannot be met any more. What ends so is a verdict with a
retry-after, never a loss. Never is priority strict: a class's weight only says its share (``streams.scheduling``).

This module decides and knows no Kafka; ``streams.gate`` acts.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas import ids
from streams.failures import Rejected

SHED, FAVOURED, TIMED = "low", "normal", ("critical", "high")
AGEING_S = 60.0
"""After so long a wait of its oldest record a class has double its weight."""
_LONGEST_RETRY_S = 3600


class Limits(BaseModel):
    """Of every stage that declares an admission. 0 lifts a limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    in_flight: int = Field(100, ge=1, description="Records at work at once in a worker, whatever its stage's concurrency allows")
    queued: int = Field(1000, ge=0, description="Records that may wait in a class, over all partitions of its topic; 0: any number")
    wait_s: float = Field(30.0, ge=0, description="How long critical and high records may wait for their turn; 0: for ever")
    window: int = Field(500, ge=1, description="Records of a class that a worker fetches ahead: its tenants are treated fairly within them")


def _deadline_of(record: Any) -> int | None:
    deadline: int | None = getattr(record, "deadline", None)
    return deadline


def _one(_: Any) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class Admission:
    """Declares that a stage's topics are the queues of priority classes, with limits."""

    deadline: Callable[[Any], int | None] = _deadline_of
    """When a record's step must be over, ms since 1970."""
    cost: Callable[[Any], float] = _one
    """What a record's step takes of a slot, roughly, in any unit: shares are by cost."""
    weights: Mapping[str, float] | None = None
    """Other than the usual ones (``streams.scheduling.WEIGHTS``)."""

    def passed(self, record: Any) -> Rejected | None:
        """The end of a record whose deadline is over when its step would begin. The gate sees most of them coming and says more."""
        deadline = self.deadline(record)
        if deadline is None or deadline > ids.now_ms():
            return None
        return Rejected("deadline", "its deadline passed before its turn came", retry_after_s=30)


class Policy:
    """What is known of the classes' queues, and what follows for a record. Times are ms since 1970 unless the name says seconds."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queued: dict[str, int] = {}
        self._done: dict[str, tuple[float, int]] = {}
        self._per_s: dict[str, float] = {}
        self._took_s: deque[float] = deque(maxlen=31)

    # ---- what is seen ----------------------------------------------------------------------------------------------------

    def observe(self, now_s: float, queued: Mapping[str, int], done: Mapping[str, int]) -> None:
        """How many records wait in each class, and how many of it were ever done (any origin), at a time of any steady clock."""
        self.queued = dict(queued)
        for priority, total in done.items():
            before = self._done.get(priority)
            self._done[priority] = now_s, total
            if before and now_s > before[0] and total >= before[1]:
                rate = (total - before[1]) / (now_s - before[0])
                self._per_s[priority] = 0.8 * self._per_s.get(priority, rate) + 0.2 * rate

    def unknown(self) -> None:
        """The broker does not say. Nothing is shed or favoured on old news."""
        self.queued = {}

    def took(self, seconds: float) -> None:
        """A step was done in that time."""
        self._took_s.append(seconds)

    # ---- what follows ----------------------------------------------------------------------------------------------------

    def excess(self, priority: str) -> int:
        """How many records of a class wait over its limit."""
        return max(0, self.queued.get(priority, 0) - self.limits.queued) if self.limits.queued else 0

    def to_shed(self, own: int) -> int:
        """How many of the ``own`` waiting records of :data:`SHED` a worker sheds: its part of the excess, by what of the queue it holds."""
        total = self.queued.get(SHED, 0)
        return min(own, math.ceil(self.excess(SHED) * own / total)) if total else 0

    def factor(self, priority: str, oldest_wait_s: float) -> float:
        """What a class's weight is multiplied with: 2 while :data:`FAVOURED` is over its limit, else growing to 2 as its oldest record waits."""
        if priority == FAVOURED and self.excess(priority):
            return 2.0
        return 1.0 + min(1.0, max(0.0, oldest_wait_s) / AGEING_S)

    def retry_after_s(self, priority: str) -> int:
        """When the class's queue will have been worked off at its present pace: no sooner than the wait limit, an hour at most."""
        pace = self._per_s.get(priority, 0.0)
        expected = self.queued.get(priority, 0) / pace if pace > 0 else 0.0
        return min(_LONGEST_RETRY_S, math.ceil(max(expected, self.limits.wait_s or 30.0)))

    def shed(self, priority: str) -> Rejected:
        return Rejected(
            "shed",
            f"{self.queued.get(priority, 0):,} requests of class {priority} wait, over the limit of {self.limits.queued:,}; the oldest are shed",
            retry_after_s=self.retry_after_s(priority),
        )

    def late(self, priority: str, waits_since: int, deadline: int | None, now: int) -> Rejected | None:
        """The end of a record that waited too long, or whose deadline passed or would pass while it is worked on; else None."""
        waited_s = (now - waits_since) / 1000
        limit = self.limits.wait_s
        if limit and priority in TIMED and waited_s > limit:
            message = f"waited {waited_s:.0f} s; class {priority} waits {limit:g} s at most"
            return Rejected("late", message, retry_after_s=self.retry_after_s(priority))
        if deadline is None:
            return None
        left_s = (deadline - now) / 1000
        takes_s = statistics.median(self._took_s) if self._took_s else 0.0
        if left_s > takes_s:
            return None
        passed = f"passed {-left_s:.1f} s ago" if left_s <= 0 else f"is in {left_s:.1f} s, and such work takes about {takes_s:.1f} s"
        return Rejected("deadline", f"its deadline {passed}; it waited {waited_s:.0f} s", retry_after_s=self.retry_after_s(priority))
