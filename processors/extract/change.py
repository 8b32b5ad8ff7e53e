"""What changed between two frames: blocks of 16 pixels, made into boxes, with cursor, caret and restless regions told apart."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box, around, grown, overlap

BLOCK = 16
PIXEL = 22  # grey levels by which a pixel must change
TINT = 3  # mean change of a block's pixels that makes it a changed one: a row tinted under the cursor
TIGHT = 160  # changes of up to so many blocks are given to the pixel: where letters appear matters
IDENTICAL = 400  # sum of grey levels under which two frames are the same
SMALL = 2  # components of up to so many blocks must also change clearly: the rest is a codec refining its picture
CLEAR = (48, 4)  # so many grey levels in so many pixels
RESTLESS_SHARE = 0.05  # only changes of less than this part of the picture make restless: all else is a page that changes
RESTLESS_S = 0.8  # time constant over which a block's share of changed frames is averaged
CLOCK = 16  # blocks that a clock's tick changes at most
TICK = 0.3  # seconds below which changes of a block are one
EVEN = 0.15  # seconds by which intervals of a clock may differ: frames after a key frame are passed over
TICKS = 4  # even intervals in a row that make a clock
RESTLESS = (0.6, 0.15)  # a block that changes in more than this share of frames is restless until it does so in less than that


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from the frame before. ``boxes`` are content, largest first, small ones to the pixel, others in whole blocks; ``share`` is
    their part of the picture.

    ``caret`` is the box of a blinking text cursor, where that is all that changed; ``restless`` whether something changed in
    restless regions alone.
    """

    boxes: tuple[Box, ...]
    share: float
    caret: Box | None
    restless: bool


NOTHING = Change((), 0.0, None, False)


class Gate:
    """Compares frames with their predecessors. Keeps some small arrays of blocks, and no frames."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.columns, self.rows = -(-width // BLOCK), -(-height // BLOCK)
        self.activity = np.zeros((self.rows, self.columns), np.float32)
        self.restless = np.zeros((self.rows, self.columns), bool)
        self._time = 0.0
        self._ticked = np.full((self.rows, self.columns), -np.inf)
        self._interval = np.zeros((self.rows, self.columns))
        self._even = np.zeros((self.rows, self.columns), np.int32)
        self._difference: np.ndarray | None = None

    def difference(self, before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
        """Absolute difference in grey levels, good until the next is asked for; ``None`` where the frames are the same, but for a codec's grain."""
        if cv2.norm(before, after, cv2.NORM_L1) < IDENTICAL:  # reads both once and writes nothing: most frames end here
            return None
        difference = self._difference = np.asarray(cv2.absdiff(before, after, dst=self._difference))
        touched = np.flatnonzero(difference.max(axis=1) >= TINT)
        if not touched.size or int(difference[touched].sum(dtype=np.int64)) < IDENTICAL:
            return None
        return difference

    def content(self, difference: np.ndarray, step: float, changed: np.ndarray | None = None, cursor: Box | None = None) -> Change:
        """What of a difference is content, after the cursor's places were cleared in it.

        :param step: the time since the frame before
        :param changed: the changed blocks, where they are known
        :param cursor: where the cursor is: what changes there answers it
        """
        self._time += step
        changed = blocks(difference) if changed is None else changed.copy()
        decay = float(np.exp(-min(step, 1.0) / RESTLESS_S))
        self.activity *= decay
        if changed.mean() < RESTLESS_SHARE:
            self.activity += (1 - decay) * changed
        self.restless = np.where(self.restless, self.activity > RESTLESS[1], self.activity > RESTLESS[0])
        lively = bool((changed & self.restless).any())
        changed &= ~self.restless
        if not changed.any():
            return Change((), 0.0, None, lively)
        boxes = tuple(b for b in components(changed) if b[2] * b[3] > SMALL * BLOCK * BLOCK or _clear(difference, b))
        if not boxes:
            return Change((), 0.0, None, lively)
        caret = self._caret(difference, boxes)
        clocks = self._clocks(changed, cursor) if caret is None else []
        if clocks:
            lively = True
            boxes = tuple(b for b in boxes if b not in clocks)
            caret = self._caret(difference, boxes) if boxes else None
            for x, y, w, h in clocks:
                changed[y // BLOCK : (y + h) // BLOCK, x // BLOCK : (x + w) // BLOCK] = False
        if caret is not None or not boxes:
            return Change((), 0.0, caret, lively)
        if len(boxes) <= 4 and boxes[0][2] * boxes[0][3] <= TIGHT * BLOCK * BLOCK:
            boxes = tuple(_tight(difference, b) for b in boxes)
        return Change(boxes, float(changed.mean()), None, lively)

    def rest(self, step: float) -> None:
        """A frame in which nothing changed."""
        self._time += step
        if self.activity.any():
            self.activity *= float(np.exp(-min(step, 1.0) / RESTLESS_S))
            self.activity[self.activity < 1e-3] = 0
            self.restless &= self.activity > RESTLESS[1]

    def _clocks(self, changed: np.ndarray, cursor: Box | None) -> list[Box]:
        """Of the changed components those of clocks: small changes that come in one place at even intervals, and what changes with them beside it."""
        where = np.nonzero(changed)
        if where[0].size > CLOCK:
            self._even[where] = 0
            return []
        since = self._time - self._ticked[where]
        new = since >= TICK
        even = np.abs(since - self._interval[where]) <= EVEN
        self._even[where] = np.where(new, np.where(even, self._even[where] + 1, 0), self._even[where])
        self._interval[where] = np.where(new & ~even, since, self._interval[where])
        self._ticked[where] = np.where(new, self._time, self._ticked[where])
        ticking = changed & (self._even >= TICKS)
        if not ticking.any():
            return []
        out = []
        for box in components(changed):
            x, y, w, h = (v // BLOCK for v in box)
            if ticking[y : y + h, x : x + w].any() and not (cursor is not None and overlap(around(cursor, 4 * BLOCK), box)):
                out.append(box)
        return out

    def _caret(self, difference: np.ndarray, boxes: tuple[Box, ...]) -> Box | None:
        """The box of a text cursor, if its coming or going is all that changed: a bar 1 to 3 pixels wide, a line high."""
        bars = [self._bar(difference, box) for box in boxes] if len(boxes) <= 2 else [None]
        found = [b for b in bars if b is not None]
        return max(found) if len(found) == len(bars) else None  # where it jumped, the one further right

    def _bar(self, difference: np.ndarray, box: Box) -> Box | None:
        if box[2] > 2 * BLOCK or box[3] > 4 * BLOCK:
            return None
        x, y, w, h = grown(box, 4, self.width, self.height)
        strong = difference[y : y + h, x : x + w] > PIXEL
        columns, rows = np.flatnonzero(strong.any(axis=0)), np.flatnonzero(strong.any(axis=1))
        if not columns.size:
            return None
        wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        if wide > 3 or not 9 <= high <= 48 or strong[rows[0] : rows[-1] + 1].any(axis=1).mean() < 0.9:
            return None
        return x + int(columns[0]), y + int(rows[0]), wide, high


def blocks(difference: np.ndarray) -> np.ndarray:
    """Changed blocks of a difference in grey levels, bool ``(rows, columns)``."""
    height, width = difference.shape
    out = np.zeros((-(-height // BLOCK), -(-width // BLOCK)), bool)
    touched = np.flatnonzero(difference.max(axis=1) >= TINT)
    if not touched.size:
        return out
    first, last = int(touched[0]) // BLOCK, int(touched[-1]) // BLOCK + 1
    band = difference[first * BLOCK : last * BLOCK]  # a cursor touches a tenth of the picture's rows, and of its columns
    columns = np.flatnonzero(band.max(axis=0) >= TINT)
    left, right = int(columns[0]) // BLOCK, int(columns[-1]) // BLOCK + 1
    part = band[:, left * BLOCK : right * BLOCK]
    below, behind = (last - first) * BLOCK - part.shape[0], (right - left) * BLOCK - part.shape[1]
    if below or behind:
        part = cv2.copyMakeBorder(part, 0, below, 0, behind, cv2.BORDER_REPLICATE)
    # A strong pixel counts for 255, so that three of them (of a thin letter, say) make a block's mean 3 as well.
    weighed = cv2.max(part, cv2.threshold(part, PIXEL, 255, cv2.THRESH_BINARY)[1])
    out[first:last, left:right] = cv2.resize(weighed, (right - left, last - first), interpolation=cv2.INTER_AREA) >= TINT
    return out


def _tight(difference: np.ndarray, box: Box) -> Box:
    """The part of a box in which pixels really changed; the box itself where the change is a faint tint."""
    x, y, w, h = box
    strong = difference[y : y + h, x : x + w] > PIXEL
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if not rows.size:
        return box
    return x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1


def _clear(difference: np.ndarray, box: Box) -> bool:
    x, y, w, h = box
    return int((difference[y : y + h, x : x + w] > CLEAR[0]).sum()) >= CLEAR[1]


def components(changed: np.ndarray) -> tuple[Box, ...]:
    """Connected changed blocks as boxes in pixels, largest first."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    found = [(int(x) * BLOCK, int(y) * BLOCK, int(w) * BLOCK, int(h) * BLOCK) for x, y, w, h, _ in stats[1:count]]
    return tuple(sorted(found, key=lambda b: (-b[2] * b[3], b[1], b[0])))


def clear(difference: np.ndarray, box: Box, changed: np.ndarray | None = None) -> None:
    """Forget what changed in a box: where the cursor was or is. ``changed`` are the difference's blocks, which are put right."""
    height, width = difference.shape
    x, y, w, h = grown(box, 3, width, height)
    difference[y : y + h, x : x + w] = 0
    if changed is not None and w and h:
        rows = slice(y // BLOCK, (y + h - 1) // BLOCK + 1)
        columns = slice(x // BLOCK, (x + w - 1) // BLOCK + 1)
        part = difference[rows.start * BLOCK : rows.stop * BLOCK, columns.start * BLOCK : columns.stop * BLOCK]
        changed[rows, columns] = blocks(part)
