"""Scrolling: by how many rows a region moved between two pictures.

Each row is described by the means of 24 columns. Bands of rows of the earlier picture are looked for in the later one, and the
bands must agree. What does not move (a header that stays) is not in the changed region and so has no vote.
"""

from __future__ import annotations

import cv2
import numpy as np

from processors.extract.geometry import Box

COLUMNS = 24
BANDS = 6
ALIKE = 0.9  # correlation from which a band is found
SMALLEST = (120, 96)  # width and height in pixels that a region must have to be called scrolled


def shift(before: np.ndarray, after: np.ndarray, region: Box) -> int:
    """Rows by which the content of ``region`` moved up (positive: the page was scrolled down); 0 where it did not just move."""
    _, _, w, h = region
    if w < SMALLEST[0] or h < SMALLEST[1]:
        return 0
    old, new = profile(before, region), profile(after, region)
    size = max(32, h // BANDS)
    tops = [top for top in range(0, h - size + 1, size) if textured(old[top : top + size])]
    votes: list[int] = []
    refused: set[int] = set()
    for top in tops:
        found = cv2.matchTemplate(new, old[top : top + size], cv2.TM_CCOEFF_NORMED)[:, 0]
        best = int(found.argmax())
        if found[best] < ALIKE:
            continue
        votes.append(top - best)
        dy = max(sorted(set(votes)), key=lambda v: sum(abs(v - u) <= 1 for u in votes))
        if dy and dy not in refused and sum(abs(dy - v) <= 1 for v in votes) >= max(1, len(tops) // 3):
            if _confirmed(before, after, region, dy):
                return dy
            refused.add(dy)
    return 0


def profile(image: np.ndarray, region: Box, columns: int = COLUMNS) -> np.ndarray:
    """What each row of a region looks like: float32 ``(h, columns)``, means of its columns; a width that can be divided makes that fast."""
    x, y, w, h = region
    return np.asarray(cv2.resize(image[y : y + h, x : x + w - w % columns], (columns, h), interpolation=cv2.INTER_AREA), np.float32)


def textured(band: np.ndarray) -> bool:
    """Whether rows of a :func:`profile` differ enough from one another to be found elsewhere."""
    return bool(band.std() >= 2 and float(np.abs(np.diff(band, axis=0)).mean()) >= 0.3)


def _confirmed(before: np.ndarray, after: np.ndarray, region: Box, dy: int) -> bool:
    """Whether the region really shows the same pixels ``dy`` rows higher, and did not before."""
    x, y, w, h = region
    if abs(dy) >= h - 16:
        return False
    up, down = max(0, dy), max(0, -dy)
    old = before[y + up : y + h - down, x : x + w]
    new = after[y + down : y + h - up, x : x + w]
    still = before[y + down : y + h - up, x : x + w]
    moved = _rows_alike(old, new)
    return moved > 0.6 and moved > _rows_alike(still, new)


def _rows_alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(((cv2.absdiff(a, b) > 32).mean(axis=1) < 0.03).mean())
