"""Where to look for text: what is not known, grown to whole lines, without its empty parts.

What the detector costs is its picture's area, so that a page is cut where it is empty, across and down, as far as that makes the area smaller.
It depends on the picture alone how it is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.change import BLOCK
from processors.extract.geometry import Box, grown
from processors.extract.line import Line

PAD = 12  # pixels about what is looked at that the detector sees too
NEAR = 6  # pixels about it in which the middle of what is found may lie
EMPTY = 20  # rows, or columns, without ink that part what is looked at
RULE = 48  # pixels from which a straight stroke is a rule or a frame, no letter
SPECK = 4  # pixels up to which what stands alone is a rest of a frame
TALL = 420  # rows from which a rectangle is cut in parts
OVERLAP = 32  # rows by which such parts reach into one another: a line of text is whole in one of them
STEP = 32  # sides that the detector sees are multiples of it
WORTH = 0.9  # share of the area that a cut must leave at most


@dataclass(frozen=True)
class Band:
    """A part of the picture to look at; what is found there counts if its middle lies in ``core``."""

    box: Box
    core: Box


def unread(unknown: np.ndarray, ink: np.ndarray, lines: Sequence[Line]) -> tuple[np.ndarray, list[Line]]:
    """The pixels that must be read, and the lines that need not.

    :param unknown: blocks that are not known, bool
    :param ink: :func:`processors.extract.carried.ink` of the picture
    :param lines: those known: one of which a part must be read is read as a whole
    """
    height, width = ink.shape
    mask = cv2.resize(unknown.astype(np.uint8), (unknown.shape[1] * BLOCK, unknown.shape[0] * BLOCK), interpolation=cv2.INTER_NEAREST)
    mask = mask[:height, :width]
    if unknown.all() or not unknown.any():
        return mask.astype(bool), [] if unknown.any() else list(lines)
    mask = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    words = cv2.morphologyEx(ink.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 13), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(words, connectivity=8)
    for i in np.flatnonzero(np.bincount(labels[mask > 0])).tolist():
        x, y, w, h, _ = (int(v) for v in stats[i])
        if i and h <= 64 and w <= 0.8 * width:  # a line of text, not a frame about half of the page
            mask[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] = 1
    kept = list(lines)
    while True:
        cut = [line for line in kept if mask[line.box[1] : line.box[1] + line.box[3], line.box[0] : line.box[0] + line.box[2]].any()]
        if not cut:
            return mask.astype(bool), kept
        for line in cut:
            x, y, w, h = grown(line.box, 2, width, height)
            mask[y : y + h, x : x + w] = 1
        kept = [line for line in kept if not any(line is c for c in cut)]


def bands(ink: np.ndarray) -> list[Band]:
    """Rectangles that hold all the ink but rules and frames, the tall ones in overlapping parts that can be looked at side by side."""
    height, width = ink.shape
    ink = _without_frames(ink)
    out: list[Band] = []
    todo = [(0, 0, width, height)]
    while todo:
        inked = _trimmed(ink, todo.pop())
        if inked is None:
            continue
        pieces = _cut(ink, inked)
        if pieces:
            todo.extend(pieces)
            continue
        x, y, w, h = grown(inked, PAD, width, height)
        left, top, wide, high = grown(inked, NEAR, width, height)
        parts = -(-h // TALL)
        for n in range(parts):
            upper, lower = top + n * high // parts, top + (n + 1) * high // parts
            first, last = (y if n == 0 else upper - OVERLAP), (y + h if n == parts - 1 else lower + OVERLAP)
            out.append(Band((x, first, w, last - first), (left, upper, wide, lower - upper)))
    return sorted(out, key=lambda b: (b.box[1], b.box[0]))


def _without_frames(ink: np.ndarray) -> np.ndarray:
    """The ink without long straight strokes, and without what little is left of frames then."""
    out = np.zeros_like(ink)
    inked = _trimmed(ink, (0, 0, ink.shape[1], ink.shape[0]))
    if inked is None:
        return out
    x, y, w, h = inked
    flat = ink[y : y + h, x : x + w].astype(np.uint8)
    across = cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((1, RULE), np.uint8))
    down = cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((RULE, 1), np.uint8))
    rest = cv2.morphologyEx(flat & ~(across | down), cv2.MORPH_CLOSE, np.ones((3, 13), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    stands = stats[:, 2:4].max(axis=1) > SPECK
    stands[0] = False
    out[y : y + h, x : x + w] = stands[labels]
    return out


def _trimmed(ink: np.ndarray, box: Box) -> Box | None:
    x, y, w, h = box
    part = ink[y : y + h, x : x + w]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not rows.size:
        return None
    return x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1


def _cut(ink: np.ndarray, box: Box) -> list[Box]:
    """The box in rows or in columns, whichever saves more; none where neither is worth it."""
    x, y, w, h = box
    part = ink[y : y + h, x : x + w]
    rows = [(x, y + a, w, b - a) for a, b in _runs(np.asarray(part.any(axis=1)))]
    columns = [(x + a, y, b - a, h) for a, b in _runs(np.asarray(part.any(axis=0)))]
    best = min((rows, columns), key=lambda boxes: sum(map(_cost, boxes)))
    return best if len(best) > 1 and sum(map(_cost, best)) <= WORTH * _cost(box) else []


def _runs(set_: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of a line of flags, those apart by no more than ``EMPTY`` as one: (begin, end)."""
    at = np.flatnonzero(set_)
    breaks = np.flatnonzero(np.diff(at) > EMPTY)
    starts, ends = [0, *(breaks + 1)], [*breaks, at.size - 1]
    return [(int(at[a]), int(at[b]) + 1) for a, b in zip(starts, ends, strict=True)]


def _cost(box: Box) -> int:
    """Pixels that the detector sees of it, about."""
    return -(-(box[2] + 2 * PAD) // STEP) * -(-(box[3] + 2 * PAD) // STEP) * STEP * STEP
