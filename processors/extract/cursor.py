"""The mouse cursor, learned from the recording itself: what it looks like, and where it is in every frame.

Learning needs no picture of a cursor. Where only the cursor moved between two frames, two equal blobs differ: the place it left
and the place it came to. Cut out and laid over one another many such blobs agree in the cursor's pixels and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.decode import Frame
from processors.extract.geometry import Box

STRONG = 40  # grey levels by which a cursor's edge stands off what is under it
SIZES = ((5, 64), (8, 64))  # width and height that a cursor may have
MARGIN = 2
ENOUGH = 24  # patches after which learning stops
AT_LEAST = 5
PATIENCE = 3000  # frames looked at before a recording is taken to show no cursor
ACCEPT = 55.0  # root mean square of grey levels over the template's mask
TOLERANCE = 36  # grey levels that a pixel may lie beyond what the template shows within a pixel about it
ASTRAY = (0.2, 0.45)  # share of the body's and of its rim's pixels that may lie beyond
ASTRAY_NEAR = (0.3, 1.0)  # the same where the cursor is expected
MUCH = 4  # times the cursor's own place from which what changed is too much to look through, if the cursor stayed
AS_WELL = 2.0  # by which a cursor that stayed may match less well than before
REACH = 120  # pixels that a cursor moves between two frames, each way, in the first search

Places = tuple[int, int, int, int]  # the upper left corners of two blobs


@dataclass(frozen=True)
class Template:
    """What the cursor looks like: ``patch`` float32, ``body`` and ``rim`` (bool, of its shape), ``tip`` the hot spot in it.

    The body are pixels that stood off whatever was under them, the rim those next to them that always looked the same.
    """

    patch: np.ndarray
    body: np.ndarray
    rim: np.ndarray
    tip: tuple[float, float]
    seen: int


@dataclass(frozen=True, slots=True)
class Sight:
    """Where the cursor is: its hot spot ``x``, ``y``, the ``box`` that its picture covers, and how well it matched."""

    x: float
    y: float
    box: Box
    error: float


class Learner:
    """Learns the cursor from the first moves in a recording, frame by frame."""

    def __init__(self) -> None:
        self.done = False  # enough was seen, or nothing for too long
        self._patches: list[np.ndarray] = []
        self._masks: list[np.ndarray] = []
        self._places: set[Places] = set()
        self._before: Frame | None = None
        self._seen = 0

    def see(self, frame: Frame) -> bool:
        """Look at the next frame; whether that is enough."""
        if self._before is not None:
            found = _moved(self._before.luma, frame.luma)
            if found is not None and found[0] not in self._places:  # a clock's digits change where they did before
                self._places.add(found[0])
                self._patches.extend(p for p, _ in found[1])
                self._masks.extend(m for _, m in found[1])
        self._before, self._seen = frame, self._seen + 1
        if len(self._patches) >= ENOUGH or self._seen > PATIENCE:
            self.done, self._before = True, None
        return self.done

    @property
    def began(self) -> bool:
        """Whether anything moved that is like one."""
        return bool(self._patches)

    @property
    def hopeful(self) -> bool:
        """Whether what moved may be a cursor."""
        return len(self._patches) >= AT_LEAST

    def template(self) -> Template | None:
        """The cursor; ``None`` where none was seen to move."""
        return _agreed(self._patches, self._masks) if self.hopeful else None


def learn(frames: Iterable[Frame]) -> Template | None:
    """The cursor of a recording, learned from its first frames; see :class:`Learner`."""
    learner = Learner()
    for frame in frames:
        if learner.see(frame):
            break
    return learner.template()


def _moved(before: np.ndarray, after: np.ndarray) -> tuple[Places, list[tuple[np.ndarray, np.ndarray]]] | None:
    """Where two blobs changed between two frames, if nothing else did; and the cursor's picture and outline at its old and its new place, taken for that."""
    if before.shape != after.shape or cv2.norm(before, after, cv2.NORM_L1) < 500:
        return None
    difference = cv2.absdiff(before, after)
    rows, columns = _extent(difference)
    if rows is None or columns is None:
        return None
    strong = np.ascontiguousarray((difference[rows, columns] > STRONG).astype(np.uint8))
    strong = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(strong, connectivity=8)
    blobs = [tuple(int(v) for v in stats[i]) for i in range(1, count) if stats[i][4] >= 12]
    if len(blobs) != 2:
        return None
    (ax, ay, aw, ah, _), (bx, by, bw, bh, _) = blobs
    if not all(SIZES[0][0] <= w <= SIZES[0][1] and SIZES[1][0] <= h <= SIZES[1][1] for w, h in ((aw, ah), (bw, bh))):
        return None
    if abs(aw - bw) > 3 or abs(ah - bh) > 3:
        return None
    x0, y0, height, width = columns.start, rows.start, *before.shape
    w, h = max(aw, bw), max(ah, bh)

    def cut(image: np.ndarray, x: int, y: int) -> np.ndarray | None:
        x, y = x + x0 - MARGIN, y + y0 - MARGIN
        if x < 0 or y < 0 or x + w + 2 * MARGIN > width or y + h + 2 * MARGIN > height:
            return None
        return image[y : y + h + 2 * MARGIN, x : x + w + 2 * MARGIN].astype(np.float32)

    cuts = [cut(image, x, y) for image in (before, after) for x, y in ((ax, ay), (bx, by))]
    if any(c is None for c in cuts):
        return None
    before_a, before_b, after_a, after_b = (c for c in cuts if c is not None)
    from_a = float(np.abs(before_a - after_b).mean())
    from_b = float(np.abs(before_b - after_a).mean())
    # On a plain page the bare places are as alike as the two cursors, even more so: the cursor is then what has a shape of its own.
    shape_a, shape_b = min(before_a.std(), after_b.std()), min(before_b.std(), after_a.std())
    if max(shape_a, shape_b) > 2 * min(shape_a, shape_b):
        was_at_a = bool(shape_a > shape_b)
    elif min(from_a, from_b) < 0.6 * max(from_a, from_b):
        was_at_a = from_a < from_b
    else:
        return None
    here, there = (before_a, after_b) if was_at_a else (before_b, after_a)
    bare_here, bare_there = (after_a, before_b) if was_at_a else (after_b, before_a)
    seen = [(here, np.abs(here - bare_here) > STRONG / 2), (there, np.abs(there - bare_there) > STRONG / 2)]
    return (ax + x0, ay + y0, bx + x0, by + y0), seen


def _extent(difference: np.ndarray) -> tuple[slice | None, slice | None]:
    """The rows and columns in which anything differs strongly; none where it is too much for a cursor."""
    rows = np.flatnonzero(difference.max(axis=1) > STRONG)
    if not rows.size or rows[-1] - rows[0] > 400:
        return None, None
    columns = np.flatnonzero(difference[rows[0] : rows[-1] + 1].max(axis=0) > STRONG)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _agreed(patches: list[np.ndarray], outlines: list[np.ndarray]) -> Template | None:
    """One template from patches of nearly one size: the size most have, the median picture, the pixels that agree."""
    shapes = [p.shape for p in patches]
    height = int(np.median([s[0] for s in shapes]))
    width = int(np.median([s[1] for s in shapes]))
    stack, marks = [], []
    for patch, outline in zip(patches, outlines, strict=True):
        if abs(patch.shape[0] - height) <= 2 and abs(patch.shape[1] - width) <= 2:
            stack.append(_fitted(patch, height, width))
            marks.append(_fitted(outline.astype(np.float32), height, width))
    if len(stack) < AT_LEAST:
        return None
    cube = np.stack(stack)
    for _ in range(2):  # align each to the median of all, by whole pixels
        middle = np.median(cube, axis=0)
        shifts = [_best_shift(patch, middle) for patch in cube]
        cube = np.stack([np.roll(p, s, (0, 1)) for p, s in zip(cube, shifts, strict=True)])
        marks = [np.roll(m, s, (0, 1)) for m, s in zip(marks, shifts, strict=True)]
    middle = np.median(cube, axis=0)
    spread = np.median(np.abs(cube - middle), axis=0)
    body = (np.mean(marks, axis=0) > 0.5) & (spread < 40)
    if body.sum() < 30:
        return None
    rim = (cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~body & (spread < 24)
    template = Template(middle.astype(np.float32), body, rim, _tip(body), len(stack))
    fits = [_astray(template, p) for p in cube]
    return template if np.median([f[0] for f in fits]) <= ASTRAY[0] / 2 else None


def _astray(template: Template, patch: np.ndarray) -> tuple[float, float]:
    """Shares of the body's and the rim's pixels in ``patch`` that no shift of the template by part of a pixel explains."""
    kernel = np.ones((3, 3), np.uint8)
    low = cv2.erode(template.patch, kernel) - TOLERANCE
    high = cv2.dilate(template.patch, kernel) + TOLERANCE
    out = (patch < low) | (patch > high)
    rim = float(out[template.rim].mean()) if template.rim.any() else 0.0
    return float(out[template.body].mean()), rim


def _fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    image = image[:height, :width]
    return np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1])), mode="edge")


def _best_shift(patch: np.ndarray, middle: np.ndarray) -> tuple[int, int]:
    """Whole-pixel shift (rows, columns), at most two each way, that brings ``patch`` onto ``middle``."""
    tried = [
        (float(np.abs(np.roll(patch, (dy, dx), (0, 1)) - middle).mean()), abs(dy) + abs(dx), dy, dx)
        for dy in (-2, -1, 0, 1, 2)
        for dx in (-2, -1, 0, 1, 2)
    ]
    _, _, dy, dx = min(tried)
    return dy, dx


def _tip(body: np.ndarray) -> tuple[float, float]:
    """The hot spot: the upper end for arrows and hands, the middle for bars and crosses."""
    rows, columns = np.nonzero(body)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    upper = columns[rows <= top + 1]
    mirrored = float(np.mean(body[top : bottom + 1, left : right + 1] == body[top : bottom + 1, left : right + 1][::-1]))
    if mirrored > 0.93 and right - left < 0.8 * (bottom - top):
        return (left + right) / 2, (top + bottom) / 2
    return float(upper.mean()), float(top) + 0.5


class Tracker:
    """Follows the learned cursor from frame to frame. A frame in which nothing changed near it costs nothing."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.last: Sight | None = None
        self.place: tuple[int, int] | None = None  # upper left corner of the patch, kept while the cursor is gone
        self.height, self.width = template.patch.shape
        self._mask = (template.body | template.rim).astype(np.float32)
        self._weight = float(self._mask.sum())
        rows, columns = np.nonzero(self._mask)
        self._inner = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)

    def see(self, luma: np.ndarray, changed: list[Box]) -> Sight | None:
        """The cursor in this frame. ``changed`` are the boxes that differ from the frame before; empty: nothing moved."""
        if self.place is None:
            self.last = self._anywhere(luma, None)
            return self.last
        if not changed:
            return self.last
        x, y = self.place
        near = (x - 4, y - 4, self.width + 8, self.height + 8)
        if self.last is not None and not any(_touch(near, b) for b in changed):
            return self.last
        x0, y0, x1, y1 = x - REACH, y - REACH, x + self.width + REACH, y + self.height + REACH
        about = [b for b in changed if _touch(b, (x0, y0, x1 - x0, y1 - y0))]
        if about:  # it came to where something changed
            x0, y0 = max(x0, min(b[0] for b in about) - 6), max(y0, min(b[1] for b in about) - 6)
            x1, y1 = min(x1, max(b[0] + b[2] for b in about) + 6), min(y1, max(b[1] + b[3] for b in about) + 6)
            x0, y0, x1, y1 = min(x0, x - 3), min(y0, y - 3), max(x1, x + self.width + 3), max(y1, y + self.height + 3)
        sight = self._stayed(luma, near) if (x1 - x0) * (y1 - y0) > MUCH * near[2] * near[3] else None
        if sight is None:
            sight = self._within(luma, x0, y0, x1, y1, ASTRAY_NEAR)
        if sight is None:
            sight = self._anywhere(luma, changed)
        self.last = sight
        return sight

    def _stayed(self, luma: np.ndarray, near: Box) -> Sight | None:
        """The cursor about its last place, if it looks there as well as it did: what changed is the page under it, most often a scrolled one."""
        last, place = self.last, self.place
        sight = self._within(luma, near[0], near[1], near[0] + near[2], near[1] + near[3], ASTRAY_NEAR) if last is not None else None
        if last is not None and sight is not None and sight.error <= last.error + AS_WELL:
            return sight
        self.place = place
        return None

    def _within(self, luma: np.ndarray, x0: int, y0: int, x1: int, y1: int, astray: tuple[float, float]) -> Sight | None:
        height, width = luma.shape
        pad = MARGIN + 2  # the patch's empty margin may lie beyond the picture's edge
        x0, y0, x1, y1 = max(-pad, x0), max(-pad, y0), min(width + self.width, x1), min(height + self.height, y1)
        window = luma[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
        above, before = max(0, -y0), max(0, -x0)
        below, behind = max(0, y1 - height), max(0, x1 - width)
        if above or before or below or behind:
            window = cv2.copyMakeBorder(window, above, below, before, behind, cv2.BORDER_REPLICATE)
        if window.shape[0] < self.height or window.shape[1] < self.width:
            return None
        window = window.astype(np.float32)
        distance = cv2.matchTemplate(window, self.template.patch, cv2.TM_SQDIFF, mask=self._mask)
        best, _, (x, y), _ = cv2.minMaxLoc(distance)
        error = float(np.sqrt(max(0.0, best) / self._weight))
        if error > ACCEPT:
            return None
        body, rim = _astray(self.template, window[y : y + self.height, x : x + self.width])
        return self._at(x0 + x, y0 + y, error) if body <= astray[0] and rim <= astray[1] else None

    def _anywhere(self, luma: np.ndarray, changed: list[Box] | None) -> Sight | None:
        """Search the whole picture, or what changed in it: a fast unmasked match proposes, the masked one decides."""
        height, width = luma.shape
        if changed is not None:
            x0, y0 = min(b[0] for b in changed), min(b[1] for b in changed)
            x1, y1 = max(b[0] + b[2] for b in changed), max(b[1] + b[3] for b in changed)
            x0, y0, x1, y1 = max(0, x0 - self.width), max(0, y0 - self.height), min(width, x1 + self.width), min(height, y1 + self.height)
        else:
            x0, y0, x1, y1 = 0, 0, width, height
        window = np.ascontiguousarray(luma[y0:y1, x0:x1])
        if window.shape[0] <= self.height or window.shape[1] <= self.width:
            return None
        proposals = cv2.matchTemplate(window, self.template.patch.astype(np.uint8), cv2.TM_CCOEFF_NORMED)
        best: Sight | None = None
        for _ in range(6):
            _, score, _, place = cv2.minMaxLoc(proposals)
            if score < 0.3:
                break
            x, y = x0 + place[0], y0 + place[1]
            sight = self._within(luma, x - 3, y - 3, x + self.width + 3, y + self.height + 3, ASTRAY)
            if sight is not None and (best is None or sight.error < best.error):
                best = sight
            px, py = place
            proposals[max(0, py - 6) : py + 7, max(0, px - 6) : px + 7] = -1
        if best is not None:
            self.place = best.box[0] - self._inner[0], best.box[1] - self._inner[1]
        return best

    def _at(self, x: int, y: int, error: float) -> Sight:
        self.place = (x, y)
        left, top, right, bottom = self._inner
        tip_x, tip_y = self.template.tip
        return Sight(x + tip_x, y + tip_y, (x + left, y + top, right - left, bottom - top), round(error, 2))


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
