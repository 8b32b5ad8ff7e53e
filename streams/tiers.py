"""Records in a delay tier wait here for their time.

A tier is in order of time, so its partition is held while its first record waits: that costs nobody else anything. A waiting record takes
no room from other work, and waiting is no try.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from streams.acknowledgement import Window
from streams.source import Source


class Waits(Protocol):
    @property
    def window(self) -> Window: ...
    @property
    def size(self) -> int: ...


W = TypeVar("W", bound=Waits)


class WaitingRoom(Generic[W]):
    """The records of all tiers that are not due yet, partition by partition. Belongs to the event loop."""

    def __init__(self, source: Source[Any], due: Callable[[W], None]) -> None:
        self._source, self._due = source, due
        self._waiting: dict[Window, deque[tuple[float, W]]] = {}

    def put(self, work: W, at_ms: int) -> None:
        """Keep a record until ``at_ms`` (wall clock), behind those of its partition that wait already."""
        line = self._waiting.get(work.window)
        if line is None:
            line = self._waiting[work.window] = deque()
            self._source.hold(work.window)
            self._wait(work.window, at_ms)
        line.append((at_ms, work))
        self._source.give_back(1, work.size)

    def waits(self, window: Window) -> bool:
        return window in self._waiting

    def _wait(self, window: Window, at_ms: float) -> None:
        asyncio.get_running_loop().call_later(max(0.0, at_ms / 1000 - time.time()), self._look, window)

    def _look(self, window: Window) -> None:
        line = self._waiting.get(window)
        if line is None:  # taken away meanwhile
            return
        now = time.time() * 1000
        while line and line[0][0] <= now:
            _, work = line.popleft()
            self._source.take_again(1, work.size)
            self._due(work)
        if line:
            self._wait(window, line[0][0])
        else:
            del self._waiting[window]
            self._source.release(window)

    def drop(self, windows: Sequence[Window]) -> None:
        """These partitions are somebody else's: their records wait there."""
        for window in windows:
            for _, work in self._waiting.pop(window, ()):
                self._source.take_again(1, work.size)  # retiring the window gives their room back once more
