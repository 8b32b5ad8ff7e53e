"""What of a screen is known from those read before it, so that only the rest is read: whole screens that come again, and what moved on them.

A screen is covered by pieces of earlier ones: as they stood, or moved up or down as by scrolling, or as by something that opened above. The pieces of
a scrolled page are so one mosaic: its head that stays is known from the page as it stood, its body from the page as it moved, and the strip that came
in from none. A block of the picture is known if some piece shows the same there and every line of text that touches the block comes along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from processors.extract.change import BLOCK, blocks, clear
from processors.extract.geometry import Box, area, overlap
from processors.extract.line import Line
from processors.extract.scroll import profile, textured

MOVED_SHARE = 0.02  # unknown part of the picture from which other pieces are looked for
GAIN = 12  # inked blocks that another piece must make known to be worth it
PIECES = 5  # at most
RECENT = 3  # pages in which moved content is looked for
BAND = 40  # rows that are looked for elsewhere
COLUMNS = 16  # means that describe a row
FOUND = 0.95  # correlation from which a band is found
EDGE = 2  # rows at the picture's edge: a line that touches them may be cut
INK = 24  # grey levels between neighbouring pixels that make an edge of a letter


@dataclass
class Page:
    """A screen that was read. ``hidden`` is the box that the cursor covered."""

    luma: np.ndarray
    hidden: Box | None
    lines: list[Line]


@dataclass(frozen=True)
class _Piece:
    """An earlier page, its content moved up by ``dy`` rows, and in which blocks it differs from the screen."""

    page: Page
    dy: int
    changed: np.ndarray


def ink(luma: np.ndarray) -> np.ndarray:
    """Where neighbouring pixels differ as those of letters do: bool, of the picture's shape."""
    return np.asarray(cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > INK)


def carried(pages: Sequence[Page], luma: np.ndarray, hidden: Box | None, dy: int = 0) -> tuple[list[Line], np.ndarray]:
    """Lines that are known, and the blocks that are not: bool ``(rows, columns)``.

    :param pages: pages read before, the latest first
    :param dy: by how much the latest was scrolled up since, if that is known
    """
    alike = [p for p in pages if p.luma.shape == luma.shape]
    pieces = _cover(alike, luma, hidden, dy)
    kept: list[Line] = []
    unknown = np.ones((-(-luma.shape[0] // BLOCK), -(-luma.shape[1] // BLOCK)), bool)
    for piece in pieces:
        settled = ~piece.changed
        for line, whole in _moved(piece, luma.shape[0]):
            rows, columns = _touched(line.box)
            if not whole or piece.changed[rows, columns].any():
                settled[rows, columns] = False
            elif not any(overlap(line.box, other.box) > 0.5 * min(area(line.box), area(other.box)) for other in kept):
                kept.append(line)
        unknown &= ~settled
    return kept, unknown


def _cover(pages: Sequence[Page], luma: np.ndarray, hidden: Box | None, dy: int) -> list[_Piece]:
    """The pieces, best first: the page most like the screen, then those that show most of what is not known yet."""
    standing: list[_Piece] = []
    for page in pages:
        standing.append(_Piece(page, 0, _changed(page, luma, hidden, 0)))
        if not standing[-1].changed.any():
            return [standing[-1]]
    if not standing:
        return []
    like = int(np.argmin([p.changed.sum() for p in standing]))
    chosen = [standing.pop(like)]
    if chosen[0].changed.mean() < MOVED_SHARE:
        return chosen
    inked = _any(ink(luma))
    if dy and abs(dy) < luma.shape[0]:
        standing.append(_Piece(pages[0], dy, _changed(pages[0], luma, hidden, dy)))
    unknown = _extended(chosen, standing, chosen[0].changed & inked)
    if unknown.mean() >= MOVED_SHARE:
        moved = [(pages[n], s) for n in sorted({*range(min(RECENT, len(pages))), like}) for s in _shifts(pages[n].luma, luma, unknown)]
        _extended(chosen, [_Piece(page, s, _changed(page, luma, hidden, s)) for page, s in moved], unknown)
    return chosen


def _extended(chosen: list[_Piece], others: list[_Piece], unknown: np.ndarray) -> np.ndarray:
    """Add to the pieces chosen those others that show most of what is unknown; what is unknown then."""
    while others and len(chosen) < PIECES:
        gains = [int((unknown & ~p.changed).sum()) for p in others]
        most = max(gains)
        if most < GAIN:
            break
        chosen.append(others.pop(gains.index(most)))
        unknown = unknown & chosen[-1].changed
    return unknown


def _changed(page: Page, luma: np.ndarray, hidden: Box | None, dy: int) -> np.ndarray:
    """Blocks in which a screen differs from a page whose content moved up by ``dy`` rows; what comes in is unknown and so differs."""
    height = luma.shape[0]
    up, down = max(0, dy), max(0, -dy)
    difference = np.full(luma.shape, 255, np.uint8)
    difference[down : height - up] = cv2.absdiff(page.luma[up : height - down], luma[down : height - up])
    if page.hidden is not None and page.hidden == hidden and not dy:
        clear(difference, page.hidden)
    return blocks(difference)


def _moved(piece: _Piece, height: int) -> list[tuple[Line, bool]]:
    """The page's lines where they are now, and whether each was and is there as a whole."""
    if not piece.dy:
        return [(line, True) for line in piece.page.lines]
    out = []
    for line in piece.page.lines:
        x, y, w, h = line.box
        now = y - piece.dy
        if now + h > 0 and now < height:
            whole = y >= EDGE and y + h <= height - EDGE and now >= EDGE and now + h <= height - EDGE
            out.append((replace(line, box=(x, now, w, h)), whole))
    return out


def _shifts(before: np.ndarray, after: np.ndarray, unknown: np.ndarray) -> list[int]:
    """Numbers of rows by which parts of ``after``, where it is unknown, seem to have moved up since ``before``; those found most often first."""
    height, width = after.shape
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    top, bottom = int(rows[0]) * BLOCK, min(height, (int(rows[-1]) + 1) * BLOCK)
    left, right = int(columns[0]) * BLOCK, min(width, (int(columns[-1]) + 1) * BLOCK)
    if bottom - top < BAND or right - left < COLUMNS:
        return []
    old = profile(before, (left, 0, right - left, height), COLUMNS)
    new = profile(after, (left, top, right - left, bottom - top), COLUMNS)
    votes: dict[int, int] = {}
    for at in range(0, bottom - top - BAND + 1, BAND):
        band = new[at : at + BAND]
        here = unknown[(top + at) // BLOCK : (top + at + BAND) // BLOCK]
        if not here.any() or not textured(band):
            continue
        found = cv2.matchTemplate(old, band, cv2.TM_CCOEFF_NORMED)[:, 0]
        best = int(found.argmax())
        if found[best] >= FOUND and best != top + at:
            votes[best - top - at] = votes.get(best - top - at, 0) + 1
    return sorted(votes, key=lambda s: (-votes[s], abs(s), s))[:3]


def _touched(box: Box) -> tuple[slice, slice]:
    """The blocks that a box touches, as an index."""
    x, y, w, h = box
    return slice(max(0, y) // BLOCK, (y + h - 1) // BLOCK + 1), slice(max(0, x) // BLOCK, (x + w - 1) // BLOCK + 1)


def _any(mask: np.ndarray) -> np.ndarray:
    """Blocks in which a mask is set anywhere."""
    below, behind = -mask.shape[0] % BLOCK, -mask.shape[1] % BLOCK
    whole = np.pad(mask, ((0, below), (0, behind)))
    return np.asarray(whole.reshape(whole.shape[0] // BLOCK, BLOCK, whole.shape[1] // BLOCK, BLOCK).any(axis=(1, 3)))
