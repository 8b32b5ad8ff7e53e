"""Ink that is no text: long rules, icons and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box, grown
from processors.extract.pixels import gradient, peak
from processors.extract.regions import Region

RULE = 90  # pixels from which a straight horizontal edge is a rule
INK = 24


@dataclass(frozen=True)
class Mark:
    """A connected piece of ink. ``colours`` is how many different ones it has (in steps of 16), ``density`` its share of edges."""

    box: Box
    colours: int
    density: float


def rules(image: np.ndarray) -> list[Box]:
    """Horizontal rules and edges of at least 90 pixels, as boxes one or two pixels high."""
    step = (peak(cv2.absdiff(image[1:], image[:-1])) > 5).astype(np.uint8)
    kept = cv2.morphologyEx(step, cv2.MORPH_OPEN, np.ones((1, RULE), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(kept, connectivity=8)
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h, _ in stats[1:count] if h <= 4]


def marks(image: np.ndarray, text: Sequence[Box], regions: Sequence[Region]) -> list[Mark]:
    """Pieces of ink outside of text and of the frames of regions."""
    height, width = image.shape[:2]
    edges = (gradient(image) > INK).astype(np.uint8)
    for box in text:
        x, y, w, h = grown(box, 2, width, height)
        edges[y : y + h, x : x + w] = 0
    for r in regions:
        x, y, w, h = r.box
        if w < 30 and h < 30 and r.radius >= 0.3 * min(w, h):
            continue
        for bx, by, bw, bh in (
            (x - 1, y - 1, w + 2, 4),
            (x - 1, y + h - 3, w + 2, 4),
            (x - 1, y - 1, 4, h + 2),
            (x + w - 3, y - 1, 4, h + 2),
        ):
            edges[max(0, by) : max(0, by + bh), max(0, bx) : max(0, bx + bw)] = 0
    joined = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    out = []
    for x, y, w, h, _ in stats[1:count].tolist():
        if w < 5 or h < 5 or max(w, h) < 8 or (w > 8 * h and h < 12):
            continue
        density = float(edges[y : y + h, x : x + w].mean())
        if density < 0.05:
            continue
        part = image[y : y + h, x : x + w] >> 4
        keys = (part[..., 0].astype(np.int32) << 8) | (part[..., 1].astype(np.int32) << 4) | part[..., 2]
        out.append(Mark((x, y, w, h), int(np.unique(keys).size), round(density, 3)))
    return sorted(out, key=lambda m: (m.box[1], m.box[0]))
