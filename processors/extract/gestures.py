"""What was done beside clicks, typing and scrolls: pointing at something (hover), choosing from a list (select), clicking twice.

These are read off what is known already: the screens, their elements and the actions that explain them. The scorer leaves them alone, so that they
may be told where they are only likely, with a confidence that says so.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence

from processors.extract.geometry import Box, area, around, holds, iou, overlap
from processors.extract.page import Element
from processors.extract.scene import ANSWER, Action, between, rests
from processors.extract.segment import Entry
from processors.extract.watch import Moment, Watch

POINTED = 0.35  # seconds that a cursor rests on something that answers before it was pointed at
ARRIVAL = (0.3, 0.2)  # seconds before and after it came to rest in which the answer to its coming shows
TWICE = (0.06, 0.5)  # seconds between the answers to two clicks that are one double click
CHOSEN = 15.0  # seconds in which a list that was opened is chosen from
CONTROLS = {"button", "link", "input", "checkbox", "radio", "select", "tab"}


def gestures(seen: Watch, entries: Sequence[Entry], done: Sequence[Action]) -> list[Action]:
    """Hovers, choices and double clicks, in order of time."""
    return sorted([*_hovers(seen, entries, done), *_choices(entries, done), *_doubles(seen, done)], key=lambda a: (a.t, a.kind))


def _before(entries: Sequence[Entry], t: float) -> Entry | None:
    i = bisect_right(entries, t + 0.005, key=lambda e: e.settled_start) - 1
    return entries[i] if i >= 0 else None


def _under(entry: Entry, x: float, y: float) -> Element | None:
    here = [e for e in entry.elements if e.kind in CONTROLS and holds(e.box, x, y, 2)]
    return min(here, key=lambda e: area(e.box), default=None)


def _hovers(seen: Watch, entries: Sequence[Entry], done: Sequence[Action]) -> list[Action]:
    """A cursor came to rest on an element, which changed as it came and nothing else did; no click explains it."""
    out = []
    for rest in rests(seen):
        if rest.end - rest.start < POINTED or any(a.kind in ("click", "scroll") and rest.start - 0.05 <= a.t <= rest.end for a in done):
            continue
        entry = _before(entries, rest.start)
        thing = _under(entry, rest.x, rest.y) if entry is not None else None
        if thing is None:
            continue
        answers = [m for m in between(seen.moments, rest.start - ARRIVAL[0], rest.start + ARRIVAL[1]) if m.change.boxes]
        if answers and all(_on(m, thing.box) for m in answers):
            out.append(Action(round(answers[0].t, 3), "hover", rest.end, rest.x, rest.y, region=thing.box, confidence=0.7))
    return out


def _on(m: Moment, box: Box) -> bool:
    """Whether a moment changed nothing but an element and its rim."""
    return all(overlap(b, around(box, 16)) > 0.9 * area(b) for b in m.change.boxes)


def _choices(entries: Sequence[Entry], done: Sequence[Action]) -> list[Action]:
    """A select was clicked, something beside it next, and then it said something else."""
    out = []
    clicks = [a for a in done if a.kind == "click" and a.x is not None and a.y is not None]
    for first, second in itertools.pairwise(clicks):
        if second.t - first.t > CHOSEN or first.x is None or first.y is None:
            continue
        before = _before(entries, first.t)
        after = next((e for e in entries if e.settled_start >= second.end - 0.001), None)
        if before is None or after is None:
            continue
        box = next((e for e in before.elements if e.kind == "select" and holds(e.box, first.x, first.y, 2)), None)
        now = next((e for e in after.elements if box is not None and iou(e.box, box.box) > 0.8), None)
        if box is not None and now is not None and now.text.strip() and now.text != box.text:
            out.append(Action(second.t, "select", second.end, first.x, first.y, text=now.text, region=box.box, confidence=0.8))
    return out


def _doubles(seen: Watch, done: Sequence[Action]) -> list[Action]:
    """The picture answered twice, one soon after the other, to a cursor that did not move: two clicks."""
    out = []
    for a in done:
        if a.kind != "click" or a.x is None or a.y is None:
            continue
        near = [
            m.t
            for m in between(seen.moments, a.t, a.t + 1.2)
            if m.t > a.t and any(holds(b, a.x, a.y, 4) for b in m.change.boxes) and m.change.share < 0.02
        ]
        first = next((t for t in near if t <= a.t + 3 * ANSWER), None)
        again = [t for t in near if first is not None and TWICE[0] + 0.04 < t - first <= TWICE[1]]
        amid = [t for t in near if first is not None and again and first + TWICE[0] < t < again[0]]
        if len(again) == 1 and not amid:
            out.append(Action(a.t, "double_click", again[0], a.x, a.y, region=a.region, confidence=0.4))
    return out
