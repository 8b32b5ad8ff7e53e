"""Outlined boxes that are not closed, as fields whose label stands in a gap of their frame; and small filled ticks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from processors.extract.geometry import Box, iou
from processors.extract.pixels import peak, trough
from processors.extract.regions import Region

HEIGHTS = (24, 90)
CORNER = 14  # pixels that a rounded corner may take from a rule's ends


def open_frames(image: np.ndarray, rules: Sequence[Box], known: Sequence[Region]) -> list[Region]:
    """Frames made of a rule below, one above that may have a gap, and two upright sides; those known already are left out."""
    sides = np.zeros(image.shape[:2], bool)
    sides[:, 1:] = peak(cv2.absdiff(image[:, 1:], image[:, :-1])) > 5
    out: list[Region] = []
    for bottom in rules:
        x, y, w, _ = bottom
        if w < 120:
            continue
        above = [
            r
            for r in rules
            if HEIGHTS[0] <= y - r[1] <= HEIGHTS[1]
            and r[0] + r[2] >= x + w - CORNER
            and r[0] + r[2] <= x + w + CORNER
            and r[0] >= x - CORNER
        ]
        for top in sorted(above, key=lambda r: -r[1])[:3]:
            left = _upright(sides, x, top[1], y, -1)
            right = _upright(sides, x + w, top[1], y, 1)
            if left is None or right is None:
                continue
            box = (left, top[1], right - left + 1, y - top[1] + 2)
            if any(iou(box, r.box) > 0.6 for r in (*known, *out)):
                break
            if any(
                r.box[1] > top[1] + 4 and abs(r.box[0] - box[0]) < 8 and abs(r.box[2] - box[2]) < 16 and r.box[1] + r.box[3] <= y + 4
                for r in known
            ):
                break  # the frame of something with parts, not a field
            inner = (box[0] + 2, box[1] + 2, box[2] - 4, box[3] - 4)
            part = image[inner[1] + inner[3] // 2 :, inner[0] : inner[0] + inner[2]][: inner[3] // 3].reshape(-1, 3)
            fill = _usual(part)
            border = _usual(image[y : y + 2, x + w // 4 : x + 3 * w // 4].reshape(-1, 3))
            out.append(Region(box, inner, fill, border, fill, 1.0, 4))
            break
    return out


def _upright(sides: np.ndarray, x: int, top: int, bottom: int, towards: int) -> int | None:
    """Column near ``x`` in which an upright side runs from ``top`` to ``bottom``."""
    height = bottom - top - 12
    if height < 8:
        return None
    ends = (x - 3 * towards, x + (CORNER - 1) * towards)
    first, last = max(0, min(ends)), min(sides.shape[1], max(ends) + 1)
    if first >= last:
        return None
    good = np.flatnonzero(sides[top + 6 : bottom - 6, first:last].mean(axis=0) > 0.7)
    if not good.size:
        return None
    return first + int(good[0] if towards < 0 else good[-1])


def _usual(pixels: np.ndarray) -> tuple[int, int, int]:
    if not len(pixels):
        return 0, 0, 0
    b, g, r = (int(v) for v in np.median(pixels, axis=0))
    return b, g, r


def ticked(image: np.ndarray) -> list[tuple[Box, bool]]:
    """Small squares or discs of a vivid colour with a light mark in them: (box, whether it is a disc)."""
    spread = cv2.subtract(peak(image), trough(image))
    strong = cv2.morphologyEx((spread > 70).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strong, connectivity=4)
    out = []
    for i in range(1, count):
        x, y, w, h, size = (int(v) for v in stats[i])
        if not (10 <= w <= 24 and 10 <= h <= 24 and abs(w - h) <= 2 and size >= 0.7 * w * h):
            continue
        part = image[y : y + h, x : x + w]
        light = (trough(part) > 190) & (labels[y : y + h, x : x + w] == i)
        if not 0.06 <= light.mean() <= 0.5:
            continue
        corners = [labels[y, x], labels[y, x + w - 1], labels[y + h - 1, x], labels[y + h - 1, x + w - 1]]
        out.append(((x, y, w, h), size < 0.88 * w * h and all(c != i for c in corners)))
    return out
