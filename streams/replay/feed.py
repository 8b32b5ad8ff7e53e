"""Publishing a replay's records: at a pace, within a budget, until told otherwise, and going on where it was left.

What holds it up:

1. A position is saved only after the broker has every record before it, so a crash feeds some records again and misses none. Fed again they have
   the same ids, which is a redelivery.
2. With a budget, a record is fed only while what the run has spent, plus the price of last time's costliest request for each that is under way
   and for this one, stays within it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from streams.failures import Transient
from streams.replay.control import Control, Progress
from streams.replay.log import RangeGone
from streams.replay.scan import Chooser, Chosen, Publish, Read, of_run

_TURN_S = 1.0
"""How often the position is saved, an operator's word is heard and figures are asked for."""


class Settled(NamedTuple):
    """What the sinks hold of a run: requests that ended with all their usage, and what all of it cost."""

    ended: int
    spent_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a feed works with."""

    read: Read
    publish: Publish
    flush: Callable[[], None]
    """Returns when the broker has all that was published."""
    settled: Callable[[], Settled]
    tend: Callable[[], None] = lambda: None
    """Called every turn: whoever runs workers for this replay looks after them."""
    report: Callable[[Progress], None] = lambda _: None
    """Called every turn with how far it is."""
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[threading.Event, float], object] = threading.Event.wait
    """Lets so many seconds pass, or fewer where the event is set."""


class Feed:
    """Feeds one run, as its owner."""

    def __init__(self, control: Control, owner: str, chooser: Chooser, hands: Hands, costs: Mapping[str, Decimal]) -> None:
        self._control, self._owner, self._chooser, self._hands = control, owner, chooser, hands
        self._progress = control.take(owner)
        self._dearest = max(costs.values(), default=Decimal(0))
        self._positions = list(self._progress.positions) or [s.first for s in self._progress.slices]
        self._fed = 0
        self._requests: dict[str, None] = {}
        self._settled = Settled(0, Decimal(0))
        self._turned = self._paced = hands.clock()
        self.interrupt = threading.Event()
        """Set it to pause at the next record."""

    def run(self) -> Progress:
        """Feed until all is fed (and, where the replay waits, ended), or somebody wants otherwise; returns how it stands then.

        Raises what reading or publishing raised, after the state was saved as ``failed``.
        """
        try:
            self._recall()
            self._turn()
            stopped = self._feed()
            if not stopped and self._progress.wait:
                stopped = self._finish()
        except RangeGone as error:
            return self._end("failed", f"{error}; to go on without: millrace replay resume {self._progress.run} --skip-missing")
        except Exception as error:
            # Nothing but the state: what the position saved last says was published, the broker has.
            self._control.save(self._owner, state="failed", reason=f"{type(error).__name__}: {error}"[:500], owner="")
            raise
        return self._end(*(stopped or ("done", "")))

    def _recall(self) -> None:
        """What was fed before this process: met again without being published, so that nothing is counted or fed twice."""
        for piece, position in zip(self._progress.slices, self._positions, strict=True):
            if position > piece.first:
                for source in self._hands.read(replace(piece, end=min(position, piece.end))):
                    chosen = self._chooser.choose(source)
                    if chosen is not None:
                        self._count(chosen)

    def _count(self, chosen: Chosen) -> None:
        self._fed += 1
        self._requests[chosen.record.request_id] = None

    def _feed(self) -> tuple[str, str] | None:
        """None when all is fed, else the state it stops in and why."""
        for index, source, chosen in self._left():
            if chosen is not None:
                while (stop := self._may_go(chosen)) is False:
                    if heard := self._turn():
                        return heard
                    self._hands.pause(self.interrupt, _TURN_S)
                if isinstance(stop, tuple):
                    return stop
                self._hands.publish(source.topic, of_run(source.topic, chosen.record, self._progress.run), source.key)
                self._count(chosen)
            self._positions[index] = source.offset + 1
            due = self.interrupt.is_set() or self._hands.clock() - self._turned >= _TURN_S
            if due and (heard := self._turn()):
                return heard
        return None

    def _left(self) -> Iterator[tuple[int, Any, Chosen | None]]:
        """What was not read yet, in the plan's order, until the selection's maximum is reached."""
        limit = self._chooser.selection.max
        for index, piece in enumerate(self._progress.slices):
            if self._positions[index] < piece.end:
                for source in self._hands.read(replace(piece, first=self._positions[index])):
                    if self._fed >= limit:
                        return
                    yield index, source, self._chooser.choose(source)
                self._positions[index] = piece.end

    def _may_go(self, chosen: Chosen) -> bool | tuple[str, str]:
        """Whether the record may be fed now: True, False (ask again), or the state to stop in."""
        progress, clock = self._progress, self._hands.clock
        if progress.rate and (left := self._paced + 1 / progress.rate - clock()) > 0:
            if left < _TURN_S:
                self._hands.pause(self.interrupt, left)
            return False if left >= _TURN_S or self.interrupt.is_set() else self._may_go(chosen)
        new = chosen.record.request_id not in self._requests
        under_way = len(self._requests) - self._settled.ended
        if progress.window and new and under_way >= progress.window:
            return False
        if progress.budget_usd is not None and progress.mode == "regenerate" and new:
            budget = Decimal(progress.budget_usd)
            if self._settled.spent_usd + self._dearest * (under_way + 1) > budget:
                if under_way > 0:
                    return False  # what is under way may turn out cheaper
                why = f"{self._settled.spent_usd} of {budget} USD are spent, and the next request may cost {self._dearest}"
                return "over_budget", f"{why}; go on with millrace replay resume {progress.run} --budget USD"
        self._paced = max(self._paced + 1 / progress.rate, clock() - 1) if progress.rate else clock()
        return True

    def _finish(self) -> tuple[str, str] | None:
        """Wait until every request that was fed has its verdict and its usage."""
        while True:
            if heard := self._turn(state="finishing"):
                return heard
            if self._settled.ended >= len(self._requests):
                return None
            self._hands.pause(self.interrupt, _TURN_S)

    def _turn(self, state: str = "feeding") -> tuple[str, str] | None:
        """Save how far it is, hear what is wanted: None to go on, else the state to stop in."""
        self._turned = self._hands.clock()
        self._hands.tend()
        p = self._progress
        if p.wait or p.window or p.budget_usd is not None:
            with contextlib.suppress(Transient):  # then what was known last holds: it is never too much
                self._settled = self._hands.settled()
        self._save(state=state)
        self._hands.report(self._progress)
        if self._progress.wanted == "cancel":
            return "cancelled", "as asked for"
        if self._progress.wanted == "pause" or self.interrupt.is_set():
            return "paused", "as asked for"
        return None

    def _save(self, **changes: Any) -> None:
        self._hands.flush()
        self._progress = self._control.save(
            self._owner,
            positions=tuple(self._positions),
            fed=self._fed,
            fed_requests=len(self._requests),
            ended=self._settled.ended,
            spent_usd=str(self._settled.spent_usd),
            skipped=dict(self._chooser.skipped),
            **changes,
        )

    def _end(self, state: str, reason: str) -> Progress:
        self._save(state=state, reason=reason, owner="", wanted="")
        self._control.note_requests(self._requests)
        self._hands.report(self._progress)
        return self._progress
