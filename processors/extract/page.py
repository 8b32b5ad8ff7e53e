"""A settled screen as the rules for elements see it: its texts with their looks, its regions, marks and tables, and what stands in what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.extract import tables
from processors.extract.geometry import Box, area, centre, covered, holds, inside
from processors.extract.line import Line
from processors.extract.marks import Mark, marks, rules
from processors.extract.outlines import open_frames, ticked
from processors.extract.regions import Region
from processors.extract.style import Look

Colour = tuple[int, int, int]
VIVID = 60  # difference of a colour's channels from which it is no grey


@dataclass(frozen=True)
class Text:
    """A line with its looks."""

    line: Line
    look: Look

    @property
    def text(self) -> str:
        return self.line.text

    @property
    def ink(self) -> Box:
        return self.look.ink


@dataclass(frozen=True)
class Element:
    """One element. ``fill`` and ``border`` are (b, g, r); ``lines`` index the screen's texts that stand in it."""

    kind: str
    box: Box
    text: str
    confidence: float
    fill: Colour | None = None
    border: Colour | None = None
    radius: int = 0
    lines: tuple[int, ...] = ()
    checked: bool | None = None
    placeholder: str | None = None
    masked: bool = False
    colour: Colour | None = None


class Page:
    """What rules ask about a screen again and again."""

    def __init__(self, image: np.ndarray, texts: Sequence[Text], found: Sequence[Region]) -> None:
        self.image, self.texts = image, texts
        self.rules = rules(image)
        found = [*found, *open_frames(image, self.rules, found)]
        self.regions = found
        self.height, self.width = image.shape[:2]
        self.bars = sorted((r for r in found if self._is_bar(r.box)), key=lambda r: area(r.box))
        sizes = sorted((t.look.font_size, len(t.text)) for t in texts if t.look.font_size < 40)
        letters = [size for size, count in sizes for _ in range(count)]
        self.body_size = float(np.median(letters)) if letters else 14.0
        inks = [t.ink for t in texts]
        self.ticks = ticked(image)
        self.marks = marks(image, inks, found)
        self.tables = [t for t in tables.find(inks, self.rules, [r.box for r in found]) if self.bar(t) is None]
        self.rows = tables.in_rows(inks)
        self.row_of = {i: n for n, row in enumerate(self.rows) for i in row}
        order = sorted(range(len(found)), key=lambda i: area(found[i].box))
        self.owner: list[int | None] = []
        self.within: dict[int, list[int]] = {}
        for n, t in enumerate(texts):
            mine = next((i for i in order if holds(found[i].box, *centre(t.ink))), None)
            self.owner.append(mine)
            if mine is not None:
                self.within.setdefault(mine, []).append(n)

    def lines_in(self, region: Region) -> list[int]:
        """Texts that stand in a region and in none within it, but for what lies within its frame."""
        mine = [
            i
            for i, r in enumerate(self.regions)
            if i in self.within and (r is region or (area(r.box) >= 0.8 * area(region.box) and inside(r.box, region.box)))
        ]
        return sorted(n for i in mine for n in self.within[i])

    def children(self, region: Region) -> list[Region]:
        return [r for r in self.regions if r is not region and inside(r.box, region.box, 1) and area(r.box) < 0.9 * area(region.box)]

    def in_table(self, box: Box) -> bool:
        return any(covered(box, t) > 0.7 for t in self.tables)

    def marks_in(self, box: Box) -> list[Mark]:
        return [m for m in self.marks if holds(box, *centre(m.box))]

    def bar(self, box: Box) -> Box | None:
        """The narrow band across the page's top, or down its side, that a box lies in."""
        for r in self.bars:
            if inside(box, r.box, 1):
                return r.box
        return None

    def _is_bar(self, box: Box) -> bool:
        x, y, w, h = box
        return (
            (y <= 4 and w >= 0.6 * self.width and h <= 110)
            or (y <= 130 and w >= 0.97 * self.width and h <= 72)
            or (x <= 4 and h >= 0.6 * self.height and w <= 340)
        )

    def top_bars(self) -> list[Box]:
        return [r.box for r in self.regions if r.box[2] >= 0.6 * self.width and self.top_bar(r.box)]

    def top_bar(self, box: Box) -> bool:
        found = self.bar(box)
        return found is not None and found[2] >= 0.6 * self.width


def vivid(colour: Colour) -> int:
    """Difference between a colour's channels: 0 for greys."""
    return max(colour) - min(colour)


def far(a: Colour, b: Colour) -> int:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
