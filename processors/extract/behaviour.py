"""What was used is what it was used as: a place that was typed into is a field, one that was clicked is something to click.

Looks alone leave doubt; what the recording shows to have been done there settles it, on every state of that screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processors.extract.geometry import Box, area, holds, iou
from processors.extract.page import Element
from processors.extract.scene import Action
from processors.extract.segment import Entry

CONTROLS = {"button", "link", "input", "checkbox", "radio", "select"}
FIELDS = {"input", "select"}
SAME = 0.85  # overlap from which an element of another state is the same one
WIDEST = 0.6  # part of the screen's width that something to click has at most, unless it looks like something


def revised(entries: Sequence[Entry], names: Sequence[str], done: Sequence[Action], width: int) -> list[Entry]:
    """The screens with what was clicked and typed into among their elements. ``names`` are the screens' identities."""
    out = list(entries)
    for a in done:
        if a.kind not in ("click", "type"):
            continue
        at = _before(out, a.t)
        point = _place(a)
        if at is None or point is None:
            continue
        used = _used(out[at], a.kind, *point, width)
        if used is None:
            continue
        for n, entry in enumerate(out):
            if n == at or names[n] == names[at]:
                out[n] = _with(entry, used, sure=n == at)
    return out


def _place(a: Action) -> tuple[float, float] | None:
    if a.kind == "type" and a.region is not None:
        return a.region[0] + min(8.0, a.region[2] / 2), a.region[1] + a.region[3] / 2
    return None if a.x is None or a.y is None else (a.x, a.y)


def _before(entries: Sequence[Entry], t: float) -> int | None:
    earlier = [n for n, e in enumerate(entries) if e.settled_start <= t + 0.005]
    return earlier[-1] if earlier else None


def _used(entry: Entry, kind: str, x: float, y: float, width: int) -> Element | None:
    """The element that was used, as it should be known; ``None`` where it is known already, or nothing there could be one."""
    here = [e for e in entry.elements if e.kind in CONTROLS and holds(e.box, x, y, 2)]
    if kind == "click":
        if here:
            return None
        likely = [e for e in entry.possible if e.kind in CONTROLS and holds(e.box, x, y, 1) and e.box[2] <= WIDEST * width]
        return max(likely, key=lambda e: (e.confidence, -area(e.box)), default=None)
    if any(e.kind == "input" for e in here):
        return None
    if here:  # a link or a button that letters were typed into is none
        smallest = min(here, key=lambda e: area(e.box))
        return replace(smallest, kind="input", confidence=0.9) if smallest.kind != "checkbox" else None
    likely = [e for e in entry.possible if e.kind in FIELDS and holds(e.box, x, y, 4)]
    best = max(likely, key=lambda e: (e.confidence, -area(e.box)), default=None)
    return replace(best, kind="input", confidence=max(0.6, best.confidence)) if best is not None else None


def _with(entry: Entry, used: Element, sure: bool) -> Entry:
    """The entry with an element where it was only possible, or taken for something else."""
    same = [e for e in entry.elements if iou(e.box, used.box) >= SAME and e.kind in CONTROLS]
    if same:
        return replace(entry, elements=tuple(replace(e, kind=used.kind) if e in same else e for e in entry.elements))
    if not sure and not any(iou(e.box, used.box) >= SAME for e in entry.possible):
        return entry
    mine: Element = next((e for e in entry.possible if iou(e.box, used.box) >= SAME), used)
    added = replace(mine, kind=used.kind, confidence=max(0.5, mine.confidence))
    kept = [e for e in entry.elements if not (e.kind in ("icon", "graphic") and _inside(e.box, added.box))]
    return replace(entry, elements=tuple(sorted([*kept, added], key=lambda e: (e.box[1], e.box[0], -area(e.box), e.kind))))


def _inside(a: Box, b: Box) -> bool:
    return holds(b, a[0], a[1], 2) and holds(b, a[0] + a[2], a[1] + a[3], 2)
