"""What actions are inferred from: the moments of a recording, where the cursor lay still, the settled screens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

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
    explained: list[tuple[float, float]] = field(default_factory=list)

    def free(self, t: float) -> bool:
        return not any(a <= t <= b for a, b in self.explained)


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
    i = bisect_right([r.start for r in scene.rests], t) - 1
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
    found = [s for s in scene.screens if s.t_start < t - 0.001]
    return found[-1] if found else None


def screen_after(scene: Scene, t: float) -> Screen | None:
    return next((s for s in scene.screens if s.t_end >= t and s.t_start >= t - 0.001), None) or (
        scene.screens[-1] if scene.screens else None
    )


def around(box: Box, by: int) -> Box:
    return box[0] - by, box[1] - by, box[2] + 2 * by, box[3] + 2 * by
