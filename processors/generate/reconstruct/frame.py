"""What stays while the page scrolls: a bar along the top, a column at the left.

Told by two screens of one page at different offsets: lines that are at the same place of the window on both stay, all
others moved. A bar is what stays above everything that moved, a column what stays left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .model import Box, Features, Screen, Text
from .pages import Page, alike
from .pixels import Image

_APART = 30.0  # px between two offsets that can tell
_SEARCH = 32  # px below the last line of a bar in which its edge is looked for


@dataclass(frozen=True)
class Frame:
    """Height of the bar and width of the column in pixels, 0 where there is none."""

    bar: float = 0.0
    column: float = 0.0

    def holds(self, box: Box) -> bool:
        """Whether a box, in pixels of the window, lies in the frame."""
        return box.cy < self.bar or box.cx < self.column


def frame_of(features: Features, page: Page) -> Frame:
    """The frame of a page; none where it was not seen to scroll."""
    for i, at in page.shots:
        for j, offset in page.shots:
            if offset - at > _APART:
                found = _between(features.screens[i], features.screens[j])
                if found != Frame():
                    return found
    return Frame()


def _between(a: Screen, b: Screen) -> Frame:
    stays = [t for t in a.texts if any(_same(t, o) for o in b.texts)]
    moved = [t for t in a.texts if t not in stays] + [t for t in b.texts if not any(_same(t, o) for o in stays)]
    if len(stays) < 2 or len(moved) < 2:
        return Frame()
    bar = [t for t in stays if t.box.bottom <= min(o.box.cy for o in moved)]
    height = max((t.box.bottom for t in bar), default=0.0) if len(bar) >= 2 else 0.0
    beside = [t for t in stays if t not in bar and t.box.right <= min(o.box.x for o in moved if o.box.y >= height)]
    width = max((t.box.right for t in beside), default=0.0) if len(beside) >= 2 else 0.0
    return Frame(height, width)


def _same(a: Text, b: Text) -> bool:
    return abs(a.box.x - b.box.x) <= 2 and abs(a.box.y - b.box.y) <= 2 and alike(a.text, b.text)


def to_edges(frame: Frame, picture: Image | None) -> Frame:
    """The frame, its lines' extents widened to the edges of the bar and the column where they can be seen."""
    if picture is None:
        return Frame(frame.bar + 6 if frame.bar else 0.0, frame.column + 6 if frame.column else 0.0)
    grey = picture.astype(np.int16)
    return Frame(_edge(grey, frame.bar), _edge(grey[round(frame.bar) :].swapaxes(0, 1), frame.column))


def _edge(pixels: np.ndarray[tuple[int, ...], np.dtype[np.int16]], start: float) -> float:
    """The first row after `start` that differs from the next over most of its length, else a little after it."""
    if not start:
        return 0.0
    first = round(start)
    window = pixels[first : first + _SEARCH]
    steps = (np.abs(np.diff(window, axis=0)).max(axis=2) > 3).mean(axis=1)
    rows = np.flatnonzero(steps > 0.6)
    return float(first + rows[-1] + 1) if rows.size else start + 6


def present(frame: Frame, lines: Sequence[Text], model: Sequence[Text]) -> bool:
    """Whether most lines of `model` that lie in the frame are on a page with these lines, at the same places."""
    inside = [t for t in model if frame.holds(t.box)]
    return bool(inside) and sum(any(_same(t, o) for o in lines) for t in inside) >= 0.6 * len(inside)
