"""Lines that look like one that was read: the same letters elsewhere, or again, the codec's noise and a pixel more or less about them aside.

How far two pictures of a line may lie apart is a share of their contrast: over the development recordings two pictures of one text lay at most 0.1 apart
in the mean of any 6x6 pixels nine times in ten, two of different texts never less than 0.13.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from processors.extract.recognise import Reading

SHAPES, PER_SHAPE = 4000, 6  # lines remembered: sizes, and of each the latest
ASIDE = 2  # pixels by which sizes and places may differ
APART = ((6, 0.10), (3, 0.15))  # sides of a square, and the part of the contrast that its mean may lie apart
LIKE = 0.85  # share that the contrasts, and the sums of the ink, must have in common at least


@dataclass
class Known:
    """A line's picture in grey levels, and what it says once it is read."""

    luma: np.ndarray
    contrast: float
    weight: float
    reading: Reading | None = None


@dataclass
class Memory:
    """Remembers lines of one video."""

    _lines: dict[tuple[int, int], deque[Known]] = field(default_factory=dict)

    def find(self, picture: Known) -> tuple[Known, int] | None:
        """A line that looks like this one, and the column of it at which this one begins."""
        height, width = picture.luma.shape
        for h in range(height - ASIDE, height + ASIDE + 1):
            for w in range(width - ASIDE, width + ASIDE + 1):
                for known in self._lines.get((h, w), ()):
                    at = _at(known, picture)
                    if at is not None:
                        return known, at
        return None

    def add(self, picture: Known) -> None:
        """Remember a line; what it says may be filled in later."""
        if len(self._lines) > SHAPES:
            self._lines.pop(next(iter(self._lines)))
        height, width = picture.luma.shape
        self._lines.setdefault((height, width), deque(maxlen=PER_SHAPE)).appendleft(picture)


def picture_of(cut: np.ndarray) -> Known:
    """A line to be looked for, from its picture (BGR)."""
    luma = np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY))
    away = cv2.absdiff(luma, np.full_like(luma, int(np.median(luma))))
    return Known(luma, max(1.0, float(away.max())), float(away.sum(dtype=np.int64)))


def shifted(reading: Reading, by: int) -> Reading:
    """The reading of a picture that begins ``by`` columns later."""
    return replace(reading, glyphs=tuple(replace(g, x=g.x - by) for g in reading.glyphs)) if by else reading


def _at(known: Known, picture: Known) -> int | None:
    """Where in a known line's columns a picture of the same begins; ``None`` if it shows something else."""
    if not _like(known.contrast, picture.contrast) or not _like(known.weight, picture.weight):
        return None
    height, width = picture.luma.shape
    below, behind = max(0, height - known.luma.shape[0]), max(0, width - known.luma.shape[1])
    within = cv2.copyMakeBorder(known.luma, ASIDE, ASIDE + below, ASIDE, ASIDE + behind, cv2.BORDER_REPLICATE)
    _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(within, picture.luma, cv2.TM_SQDIFF))
    difference = cv2.absdiff(within[y : y + height, x : x + width], picture.luma)
    for side, share in APART:
        if float(cv2.blur(difference, (side, side)).max()) > share * picture.contrast:
            return None
    return int(x) - ASIDE


def _like(a: float, b: float) -> bool:
    return min(a, b) >= LIKE * max(a, b)
