"""Colours and flat panels, measured on the page's picture.

A panel is a connected region of one colour that fills the rim of its own bounding box: cards, bars, table rows, outlined
boxes. A compressed video keeps flat regions flat and smears lines, so regions are grown over small gradients and a border
is what differs from both sides of the rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .model import Box
from .pixels import Image, distance, hexadecimal

_RIM = 0.7  # least share of every side of its box that a panel fills
_FLAT = (8, 5)  # largest step between neighbouring pixels of one region: a codec's noise, and where a dark page needs it, less


@dataclass(frozen=True)
class Panel:
    """A flat region that is a box. `color` and `border` are #rrggbb, `radius` in pixels."""

    box: Box
    color: str
    border: str | None
    radius: float
    contrast: float = 0.0
    """Difference from what is around it."""


def panels(picture: Image, ground: str) -> list[Panel]:
    """Every panel of the page, the largest first. The page's own ground is none."""
    found: list[Panel] = []
    across, down = _step(picture[:, 1:], picture[:, :-1]), _step(picture[1:], picture[:-1])
    for step in _FLAT:
        found += [p for p in _regions(picture, across > step, down > step) if all(_iou(p.box, q.box) < 0.7 for q in found)]
    found.sort(key=lambda p: (-p.box.area, p.box.y, p.box.x))
    return [
        p
        for p in found
        if not (p.border is None and distance(p.color, ground) <= 3 and not any(q.box.holds(p.box) and q is not p for q in found))
    ]


def _iou(a: Box, b: Box) -> float:
    both = a.overlap(b)
    return both / (a.area + b.area - both)


def _step(a: Image, b: Image) -> Image:
    """The largest difference of two pictures in any channel, for every pixel."""
    blue, green, red = cv2.split(cv2.absdiff(a, b))
    largest: Image = cv2.max(cv2.max(blue, green), red)
    return largest


def _regions(picture: Image, dx: npt.NDArray[np.bool_], dy: npt.NDArray[np.bool_]) -> list[Panel]:
    height, width = picture.shape[:2]
    flat = np.ones((height, width), np.uint8)
    flat[:, 1:][dx] = 0
    flat[1:][dy] = 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    found: list[Panel] = []
    for k in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[k])
        if w < 16 or h < 10 or area < 0.25 * w * h or w * h > 0.97 * width * height:
            continue
        mine = labels[y : y + h, x : x + w] == k
        if min(map(_rim, (mine, mine[::-1], mine.T, mine.T[::-1]))) < _RIM:
            continue
        color = hexadecimal(np.median(picture[y : y + h, x : x + w][mine], axis=0))
        border = _border(picture, x, y, w, h, color)
        # The first pixel of a region is a step, hence not flat; a border is one pixel more on every side.
        line = 0 if border is None else 1
        left, top = max(0, x - 1 - line), max(0, y - 1 - line)
        box = Box(left, top, min(width, x + w + line) - left, min(height, y + h + line) - top)
        contrast = distance(color, _around(picture, x, y, w, h))
        if border is None and contrast <= 4:
            continue
        found.append(Panel(box, color, border, _radius(mine), contrast))
    return found


def _rim(mine: npt.NDArray[np.bool_]) -> float:
    """How much of the box's upper rim is the region's, on the best of the first rows: codecs ring along edges."""
    cut = mine.shape[1] // 8
    rows = mine[: min(6, max(1, mine.shape[0] // 3)), cut : mine.shape[1] - cut]
    return float(rows.mean(axis=1).max())


def _around(picture: Image, x: int, y: int, w: int, h: int) -> str:
    height, width = picture.shape[:2]
    rows = [picture[v, x : x + w] for v in (y - 4, y + h + 3) if 0 <= v < height]
    columns = [picture[y : y + h, v] for v in (x - 4, x + w + 3) if 0 <= v < width]
    sides = rows + columns
    return hexadecimal(np.median(np.concatenate(sides), axis=0)) if sides else "#000000"


def _border(picture: Image, x: int, y: int, w: int, h: int, color: str) -> str | None:
    """The colour of a thin line about the region, seen on at least three of its sides."""
    height, width = picture.shape[:2]
    sides = []
    for axis, near, far in (("y", y - 1, y - 4), ("y", y + h, y + h + 3), ("x", x - 1, x - 4), ("x", x + w, x + w + 3)):
        limit = height if axis == "y" else width
        if not (0 <= far < limit):
            continue
        low, high = sorted((near, far))
        band = (
            picture[low : high + 1, x + w // 8 : x + w - w // 8]
            if axis == "y"
            else picture[y + h // 8 : y + h - h // 8, low : high + 1].swapaxes(0, 1)
        )
        if not band.size:
            continue
        levels = np.median(band, axis=1)
        outside = levels[0] if near > far else levels[-1]
        inside = np.array([int(color[i : i + 2], 16) for i in (5, 3, 1)], np.float64)
        # What lies between inside and outside is only the smeared edge, no line.
        span = outside - inside
        share = np.clip(((levels - inside) @ span) / max(1.0, float(span @ span)), 0, 1)
        both = np.abs(levels - (inside + share[:, None] * span)).max(axis=1)
        best = int(both.argmax())
        if both[best] > 10:
            sides.append(levels[best])
    return hexadecimal(np.median(sides, axis=0)) if len(sides) >= 3 else None


def _radius(mine: npt.NDArray[np.bool_]) -> float:
    """Corner radius from how far the diagonal from each corner runs before it meets the region."""
    h, w = mine.shape
    reach = min(h, w) // 2
    runs = []
    for corner in (mine, mine[::-1], mine[:, ::-1], mine[::-1, ::-1]):
        diagonal = np.diagonal(corner)[:reach]
        runs.append(int(diagonal.argmax()) if diagonal.any() else 0)
    r = float(np.median(runs)) / 0.293
    return float(round(min(r, reach + 1))) if r > 2.5 else 0.0
