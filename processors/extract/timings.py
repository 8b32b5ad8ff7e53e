"""Where an extraction's time goes: never part of the features."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

Moment = tuple[float, float]
_ADDING = Lock()  # steps end in several threads


def now() -> Moment:
    """Seconds of wall clock, and of this thread's own on a processor."""
    return time.perf_counter(), time.thread_time()


@dataclass
class Timings:
    """By step: ``seconds`` of wall clock, ``cpu`` seconds of the threads that did it; and how much was done. Steps overlap, and a decoder's own threads
    are in none."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    def add(self, step: str, since: Moment) -> None:
        """A step, begun at ``since`` by this thread, ends."""
        wall, cpu = now()
        with _ADDING:
            self.seconds[step] = self.seconds.get(step, 0.0) + wall - since[0]
            self.cpu[step] = self.cpu.get(step, 0.0) + cpu - since[1]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        since = now()
        try:
            yield
        finally:
            self.add(name, since)

    def include(self, other: Timings) -> None:
        for mine, others in ((self.seconds, other.seconds), (self.cpu, other.cpu)):
            for k, v in others.items():
                mine[k] = mine.get(k, 0.0) + v
        for k, n in other.counts.items():
            self.counts[k] = self.counts.get(k, 0) + n
