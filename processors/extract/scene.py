"""What actions are inferred from: the moments of a recording, where the cursor lay still, the settled screens."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from processors.extract.geometry import Box
from processors.extract.line import Line
from processors.extract.watch import Moment, Watch

DWELL = 0.09  # seconds that the cursor must have rested before an answer can be one to a click
ANSWER = 0.03  # seconds by which a click comes before the first frame that shows its effect
STILL = 2.5  # pixels within which a cursor counts as resting
BURST_GAP = 0.12  # seconds without change that end one answer


@dataclass
class Action:
    """One action. ``t`` in seconds when it began, ``x`` and ``y`` in video pixels; ``dy`` for scrolls, ``text`` for typing."""

    t: float
    kind: str
    end: float
    x: float | None = None
    y: float | None = None
    dy: int | None = None
    text: str | None = None
    region: Box | None = None
    confidence: float = 1.0


@dataclass(frozen=True)
class Rest:
    """A stretch in which the cursor lay still."""

    start: float
    end: float
    x: float
    y: float


@dataclass(frozen=True)
class Screen:
    """What actions need of a settled screen."""

    t_start: float
    t_end: float
    lines: Sequence[Line]


@dataclass
class Scene:
    """All that was seen, and what of it is explained already."""

    moments: list[Moment]
    rests: list[Rest]
    screens: Sequence[Screen]
    duration: float
    height: int
    has_cursor: bool
    _explained: list[tuple[float, float]] = field(default_factory=list)  # in order, none touches the next

    @cached_property
    def _blinks(self) -> list[Moment]:
        return [m for m in self.moments if m.change.caret]

    def carets(self, since: float, until: float = math.inf) -> list[Box]:
        """Where text cursors came or went from ``since`` to ``until``, both included."""
        return [m.change.caret for m in between(self._blinks, since, until) if m.change.caret]

    def between(self, since: float, until: float = math.inf) -> Sequence[Moment]:
        """Moments from ``since`` to ``until``, both included."""
        return between(self.moments, since, until)

    def explain(self, stretches: Iterable[tuple[float, float]]) -> None:
        """What happened then, both ends included, is used up."""
        merged: list[tuple[float, float]] = []
        for a, b in sorted([*self._explained, *stretches]):
            if merged and a <= merged[-1][1]:
                a, b = merged[-1][0], max(b, merged.pop()[1])
            merged.append((a, b))
        self._explained = merged

    def free(self, t: float) -> bool:
        i = bisect_right(self._explained, t, key=lambda e: e[0]) - 1
        return i < 0 or t > self._explained[i][1]


def between(moments: Sequence[Moment], since: float, until: float = math.inf) -> Sequence[Moment]:
    """Of moments in order of time those from ``since`` to ``until``, both included."""
    return moments[bisect_left(moments, since, key=lambda m: m.t) : bisect_right(moments, until, key=lambda m: m.t)]


def rests(seen: Watch) -> list[Rest]:
    """Stretches in which the cursor lay still; a cursor that was gone for a moment and came back has not moved."""
    out: list[Rest] = []
    start: float | None = None
    at: tuple[float, float] | None = None
    for t, x, y in seen.track:
        if x is None or y is None:
            continue
        if at is not None and start is not None:
            if abs(x - at[0]) <= STILL and abs(y - at[1]) <= STILL:
                continue
            out.append(Rest(start, t, *at))
        start, at = t, (x, y)
    if at is not None and start is not None:
        out.append(Rest(start, seen.duration, *at))
    return [r for r in out if r.end - r.start >= DWELL]


def rest_at(scene: Scene, t: float) -> Rest | None:
    i = bisect_right(scene.rests, t, key=lambda r: r.start) - 1
    return scene.rests[i] if i >= 0 and scene.rests[i].end >= t else None


def bursts(moments: list[Moment]) -> list[list[Moment]]:
    out: list[list[Moment]] = []
    for m in moments:
        if out and m.t - out[-1][-1].t <= BURST_GAP:
            out[-1].append(m)
        else:
            out.append([m])
    return out


def screen_before(scene: Scene, t: float) -> Screen | None:
    i = bisect_left(scene.screens, t - 0.001, key=lambda s: s.t_start) - 1
    return scene.screens[i] if i >= 0 else None


def screen_after(scene: Scene, t: float) -> Screen | None:
    later = scene.screens[bisect_left(scene.screens, t - 0.001, key=lambda s: s.t_start) :]
    return next((s for s in later if s.t_end >= t), scene.screens[-1] if scene.screens else None)
