"""Boxes as (x, y, w, h) in whole video pixels, and what one asks about them."""

from __future__ import annotations

from collections.abc import Iterable

Box = tuple[int, int, int, int]


def area(a: Box) -> int:
    return max(0, a[2]) * max(0, a[3])


def overlap(a: Box, b: Box) -> int:
    """Area in common."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0


def iou(a: Box, b: Box) -> float:
    common = overlap(a, b)
    return common / (area(a) + area(b) - common) if common else 0.0


def inside(a: Box, b: Box, slack: int = 0) -> bool:
    """Whether ``a`` lies within ``b`` grown by ``slack``."""
    return a[0] >= b[0] - slack and a[1] >= b[1] - slack and a[0] + a[2] <= b[0] + b[2] + slack and a[1] + a[3] <= b[1] + b[3] + slack


def holds(a: Box, x: float, y: float, slack: float = 0.0) -> bool:
    """Whether the point lies in ``a`` grown by ``slack``."""
    return a[0] - slack <= x <= a[0] + a[2] + slack and a[1] - slack <= y <= a[1] + a[3] + slack


def covered(a: Box, b: Box) -> float:
    """Share of ``a`` that lies in ``b``."""
    return overlap(a, b) / area(a) if area(a) else 0.0


def union(boxes: Iterable[Box]) -> Box:
    rows = list(boxes)
    x0, y0 = min(b[0] for b in rows), min(b[1] for b in rows)
    return x0, y0, max(b[0] + b[2] for b in rows) - x0, max(b[1] + b[3] for b in rows) - y0


def grown(a: Box, by: int, width: int, height: int) -> Box:
    """``a`` with ``by`` pixels more each way, cut at the picture's edges."""
    x0, y0 = max(0, a[0] - by), max(0, a[1] - by)
    x1, y1 = min(width, a[0] + a[2] + by), min(height, a[1] + a[3] + by)
    return x0, y0, max(0, x1 - x0), max(0, y1 - y0)


def around(a: Box, by: int) -> Box:
    """``a`` with ``by`` pixels more each way, beyond the picture's edges too."""
    return a[0] - by, a[1] - by, a[2] + 2 * by, a[3] + 2 * by


def centre(a: Box) -> tuple[float, float]:
    return a[0] + a[2] / 2, a[1] + a[3] / 2
