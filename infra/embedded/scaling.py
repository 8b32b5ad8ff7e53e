"""Pools of workers that grow and shrink with how late their stage is.

The signal is lag in seconds (``streams.lag``): the age of the oldest record that is not done. :class:`Pool` decides and does nothing;
:class:`Scaler` asks the broker, lets the pools decide, and has the supervisor start and stop processes. Stopping is SIGTERM: a worker
finishes what it has in hand within its deadline, commits, and leaves the group; what it could not finish is delivered to the others.

Invariants of a pool (``tests/infra/test_scaling.py`` holds them for any course of lag):

P1  Its size lies between the minimum and the maximum.
P2  It never grows beyond what can be given work: the partitions of its stage, unless the minimum says more.
P3  It grows at most once in ``grow_every_s``, to the double at most, and only over the target.
P4  It shrinks by one, and only after ``quiet_s`` without a change and without lag over half the target: it does not flap.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from infra.embedded.supervisor import ProcessSpec, Supervisor
from streams.admin import BrokerUnreachable
from streams.lag import LagReader, StageLag
from streams.settings import StreamSettings


class ScalingSettings(BaseModel):
    """When pools change. A new worker needs seconds to start and to be given partitions: a pool must not grow faster than that shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_s: float = Field(10.0, gt=0, description="Lag that a stage may have without growing")
    grow_every_s: float = Field(10.0, gt=0)
    quiet_s: float = Field(60.0, gt=0, description="How long it must be quiet before a worker goes")
    every_s: float = Field(1.0, gt=0, description="How often the broker is asked")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many workers a stage has at least and at most."""

    low: int = 1
    high: int = 1

    @classmethod
    def parse(cls, text: str) -> Bounds:
        """``MIN:MAX``, ``MIN:`` (at most one for each processor) or one number for both. Raises ``ValueError``, saying what is wrong."""
        low, colon, high = text.partition(":")
        try:
            least = int(low)
            most = int(high) if high else max(least, os.cpu_count() or 1) if colon else least
        except ValueError:
            raise ValueError(f"{text!r} is not MIN:MAX") from None
        if not 1 <= least <= most:
            raise ValueError(f"{text!r}: it must be 1 <= MIN <= MAX")
        return cls(least, most)


def parse_scale(texts: Iterable[str], stages: Iterable[str]) -> dict[str, Bounds]:
    """``STAGE=MIN:MAX`` each, also several with commas between. Raises ``ValueError``."""
    known, found = list(stages), {}
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        stage, sign, bounds = text.partition("=")
        if not sign:
            raise ValueError(f"{text!r} is not STAGE=MIN:MAX")
        if stage not in known:
            raise ValueError(f"no stage is called {stage!r}; there are {', '.join(known)}")
        found[stage] = Bounds.parse(bounds)
    return found


class Pool:
    """How many workers a stage should have. A state machine over times (seconds of one clock) and lags; begins at its minimum."""

    def __init__(self, bounds: Bounds, settings: ScalingSettings) -> None:
        self._bounds, self._settings = bounds, settings
        self.size = bounds.low
        self._changed = self._busy = float("-inf")

    def decide(self, now: float, lag_s: float, partitions: int) -> int:
        """The size from now on, given the stage's lag and how many partitions its topics have."""
        settings, bounds = self._settings, self._bounds
        if lag_s > settings.target_s / 2:
            self._busy = now
        useful = max(bounds.low, min(bounds.high, partitions))
        if lag_s > settings.target_s and now >= self._changed + settings.grow_every_s:
            # As many as would keep the target if work divides evenly, but never more than double at once: the next look knows better.
            wanted = min(math.ceil(self.size * lag_s / settings.target_s), 2 * self.size, useful)
            self._change(now, max(self.size, wanted))
        elif self.size > bounds.low and now >= max(self._changed, self._busy) + settings.quiet_s:
            self._change(now, self.size - 1)
        return self.size

    def _change(self, now: float, size: int) -> None:
        if size != self.size:
            self.size, self._changed = size, now


class Scaler:
    """Runs beside a supervisor until told to stop. ``specs`` gives the worker processes for given pool sizes."""

    def __init__(
        self,
        bounds: Mapping[str, Bounds],
        streams: StreamSettings,
        specs: Callable[[Mapping[str, int]], Iterable[ProcessSpec]],
        report: Callable[[str], None],
        settings: ScalingSettings | None = None,
        watch: Callable[[float, Mapping[str, StageLag], Mapping[str, int]], None] = lambda *_: None,
    ) -> None:
        """``watch`` is shown every look: the time (monotonic), the lags, the sizes decided."""
        self._settings = settings or ScalingSettings()
        self._pools = {stage: Pool(b, self._settings) for stage, b in bounds.items()}
        self._streams, self._specs, self._report, self._watch = streams, specs, report, watch

    def sizes(self) -> dict[str, int]:
        return {stage: pool.size for stage, pool in self._pools.items()}

    def __call__(self, supervisor: Supervisor, stop: threading.Event) -> None:
        reader: LagReader | None = None
        while not stop.wait(self._settings.every_s):
            try:
                reader = reader or LagReader(self._streams, self._pools)
                lags = reader.read()
            except BrokerUnreachable:
                continue  # it is being started again; what the pools are is as good as anything until it answers
            before, now = self.sizes(), time.monotonic()
            for stage, pool in self._pools.items():
                pool.decide(now, lags[stage].seconds, lags[stage].partitions)
            sizes = self.sizes()
            for stage in sizes:
                if sizes[stage] != before[stage]:
                    why = f"{lags[stage].seconds:.0f} s behind" if sizes[stage] > before[stage] else "quiet"
                    self._report(f"{stage}: {before[stage]} -> {sizes[stage]} workers ({why})")
            if sizes != before:
                supervisor.reconcile(self._specs(sizes))
            self._watch(now, lags, sizes)
        if reader:
            reader.close()
