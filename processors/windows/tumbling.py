"""Tumbling windows over event time, for one subject: what falls into a minute, an hour, a day, and when a window is closed.

Time is told by the events: the *watermark* is the latest event time seen of the subject. All of a subject's events come in one order (one key, one
partition), so the same events give the same windows whenever they are read again.

W1  An event counts in exactly one window of each size, the one with ``start <= time < start + size`` (UTC).
W2  An event more than :data:`LATE_MS` behind the watermark counts in none and is counted as late.
W3  An id counts once: it is remembered as long as an event with it could count (W2).
W4  A window is closed when the watermark is :data:`GRACE_MS` past its end, and once more, as a revision, for every event that still gets into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SIZES = {"minute": MINUTE, "hour": HOUR, "day": DAY}
GRACE_MS = MINUTE
LATE_MS = 15 * MINUTE
CHUNK = 64
_ID_BYTES = 8


def start_of(time_ms: int, size_ms: int) -> int:
    return time_ms - time_ms % size_ms


@dataclass(slots=True)
class Cell:
    """What one window holds: sums by name. Money is summed in whole 10^-10 USD, so that sums are exact."""

    start: int
    size: int
    sums: dict[str, float] = field(default_factory=dict)
    revision: int = -1
    """-1 while it is open, then how often it was closed anew."""

    @property
    def end(self) -> int:
        return self.start + self.size

    def add(self, amounts: dict[str, float]) -> None:
        for name, amount in amounts.items():
            self.sums[name] = self.sums.get(name, 0) + amount


class Seen:
    """Ids by the minute of their event, as 8 bytes of hash each: among a million, one is taken for another once in ten million cases.

    They are kept in chunks of :data:`CHUNK`, so that one more id rewrites little.
    """

    def __init__(self) -> None:
        self.minutes: dict[int, dict[bytes, None]] = {}

    def add(self, event_id: str, time_ms: int) -> bool:
        """Remember an id. False where it is known."""
        mark = hashlib.blake2b(event_id.encode(), digest_size=_ID_BYTES).digest()
        known = self.minutes.setdefault(start_of(time_ms, MINUTE), {})
        if mark in known:
            return False
        known[mark] = None
        return True

    def last_chunk(self, minute: int) -> tuple[int, bytes]:
        """The chunk that the latest id of a minute is in: its number and content."""
        marks = list(self.minutes[minute])
        number = (len(marks) - 1) // CHUNK
        return number, b"".join(marks[number * CHUNK :])

    def load_chunk(self, minute: int, body: bytes) -> None:
        known = self.minutes.setdefault(minute, {})
        for at in range(0, len(body), _ID_BYTES):
            known[body[at : at + _ID_BYTES]] = None

    def forget(self, before_ms: int) -> list[tuple[int, int]]:
        """Forget minutes that ended before a time; returns each with the number of its chunks."""
        gone = [(start, -(-len(marks) // CHUNK)) for start, marks in self.minutes.items() if start + MINUTE <= before_ms]
        for start, _ in gone:
            del self.minutes[start]
        return gone


class Windows:
    """The windows of one subject."""

    def __init__(self, sizes: tuple[int, ...] = tuple(SIZES.values())) -> None:
        self.sizes = sizes
        self.watermark = 0
        self.late = self.repeated = 0
        self.cells: dict[tuple[int, int], Cell] = {}
        """By size and start."""

    def is_late(self, time_ms: int) -> bool:
        return time_ms < self.watermark - LATE_MS

    def add(self, time_ms: int, amounts: dict[str, float]) -> list[Cell]:
        """Count an event that is neither late nor known; returns the windows that this closes, closed ones that it changes among them."""
        changed = []
        for size in self.sizes:
            start = start_of(time_ms, size)
            cell = self.cells.get((size, start))
            if cell is None:
                cell = self.cells[size, start] = Cell(start, size)
            cell.add(amounts)
            if cell.revision >= 0:
                cell.revision += 1
                changed.append(cell)
        self.watermark = max(self.watermark, time_ms)
        return changed + list(self._close())

    def _close(self) -> Iterator[Cell]:
        for key in sorted(self.cells):
            cell = self.cells[key]
            if cell.revision < 0 and cell.end + GRACE_MS <= self.watermark:
                cell.revision = 0
                yield cell
        for key in [key for key, cell in self.cells.items() if cell.end < self.watermark - LATE_MS]:
            del self.cells[key]

    # ---- as a document -----------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        return {
            "watermark": self.watermark,
            "late": self.late,
            "repeated": self.repeated,
            "cells": [[c.size, c.start, c.revision, c.sums] for c in self.cells.values()],
        }

    @classmethod
    def load(cls, document: dict[str, Any], sizes: tuple[int, ...] = tuple(SIZES.values())) -> Windows:
        made = cls(sizes)
        made.watermark, made.late, made.repeated = document["watermark"], document["late"], document["repeated"]
        for size, start, revision, sums in document["cells"]:
            made.cells[size, start] = Cell(start, size, sums, revision)
        return made
