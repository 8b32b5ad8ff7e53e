"""Rectangles on a screen: regions of one colour that are as good as rectangular, found in one pass over the picture.

Pixels without an edge to their neighbours are joined to regions. A filled button, an outlined field's inside, a card, a header, a table
cell each are one such region, whatever text stands in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box
from processors.extract.pixels import peak

EDGE = 7  # grey levels, in any channel, between neighbours that are not one region
SMALLEST = 8
SAMPLED = 6000  # pixels that a region's colour is taken from, about
BRIM = 3  # pixels outside a region in which its border lies


@dataclass(frozen=True)
class Region:
    """``box`` with its border, ``inner`` without; ``fill``, ``border`` (if it has one) and ``outside`` are (b, g, r)."""

    box: Box
    inner: Box
    fill: tuple[int, int, int]
    border: tuple[int, int, int] | None
    outside: tuple[int, int, int]
    solidity: float
    radius: int


def regions(image: np.ndarray) -> list[Region]:
    """All near-rectangular regions of at least 8x8 pixels, largest first; the page's own background is left out."""
    height, width = image.shape[:2]
    calm = _calm(image)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(calm, connectivity=4)
    out = []
    for i in range(1, count):
        x, y, w, h, size = (int(v) for v in stats[i])
        if w < SMALLEST or h < SMALLEST or size < 0.2 * w * h or (w >= 0.99 * width and h >= 0.99 * height):
            continue
        part = labels[y : y + h, x : x + w] == i
        sides = _sides(part)
        if min(sides) < 0.5 or sum(sides) < 2.6:
            continue
        out.append(_measured(image, part, (x, y, w, h), size / (w * h)))
    return sorted(out, key=lambda r: (-r.box[2] * r.box[3], r.box[1], r.box[0]))


def _calm(image: np.ndarray) -> np.ndarray:
    right = peak(cv2.absdiff(image[:, 1:], image[:, :-1])) <= EDGE
    down = peak(cv2.absdiff(image[1:], image[:-1])) <= EDGE
    calm = np.ones(image.shape[:2], bool)
    calm[:, 1:] &= right
    calm[1:] &= down
    return calm.astype(np.uint8)


def _sides(part: np.ndarray) -> tuple[float, float, float, float]:
    """How much of each side of its bounding box the region touches (within two pixels)."""
    return (
        float(part[:, :2].any(axis=1).mean()),
        float(part[:, -2:].any(axis=1).mean()),
        float(part[:2].any(axis=0).mean()),
        float(part[-2:].any(axis=0).mean()),
    )


def _measured(image: np.ndarray, part: np.ndarray, inner: Box, solidity: float) -> Region:
    height, width = image.shape[:2]
    x, y, w, h = inner
    apart = 1 + int((w * h / SAMPLED) ** 0.5)  # of a large region every so many pixels each way will do
    seen = image[y : y + h : apart, x : x + w : apart][part[::apart, ::apart]]
    fill = _median(seen if len(seen) else image[y : y + h, x : x + w][part])
    middles = []
    for step in range(1, BRIM + 2):
        ring = []
        for px, py in ((x - step, y + h // 2), (x + w - 1 + step, y + h // 2), (x + w // 2, y - step), (x + w // 2, y + h - 1 + step)):
            ring.append(image[py, px].astype(np.int16) if 0 <= px < width and 0 <= py < height else None)
        middles.append(ring)
    outside = _middle(middles[BRIM])
    border, thick = None, 0
    for step, ring in enumerate(middles[:BRIM], 1):
        colour = _middle(ring)
        if colour is None or outside is None:
            break
        if _far(colour, fill) > 10 and (_far(colour, outside) > 10 or _far(fill, outside) <= 10):
            if border is None or _far(colour, fill) > _far(border, fill):
                border = colour
            thick = step
    grow = thick if border is not None else 1
    x0, y0 = max(0, x - grow), max(0, y - grow)
    box = (x0, y0, min(width, x + w + grow) - x0, min(height, y + h + grow) - y0)
    return Region(box, inner, fill, border, outside if outside is not None else fill, round(solidity, 3), _radius(part))


def _median(pixels: np.ndarray) -> tuple[int, int, int]:
    b, g, r = (int(v) for v in np.median(pixels, axis=0))
    return b, g, r


def _middle(ring: list[np.ndarray | None]) -> tuple[int, int, int] | None:
    seen = [c for c in ring if c is not None]
    return _median(np.array(seen)) if seen else None


def _far(a: tuple[int, int, int], b: tuple[int, int, int]) -> int:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))


def _radius(part: np.ndarray) -> int:
    """Corner radius: how many pixels the region's first row starts in from its left side."""
    starts = [int(row.argmax()) for row in (part[0], part[-1]) if row.any()]
    ends = [int(row[::-1].argmax()) for row in (part[0], part[-1]) if row.any()]
    found = starts + ends
    return int(np.median(found)) + 1 if found and np.median(found) >= 1 else 0
