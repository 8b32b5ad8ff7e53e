"""Text of settled screens: only what changed since a screen already read is looked at again.

For every screen the most similar one of those read lately is taken as reference, if need be moved by what was scrolled in between. Blocks that differ
are dirty, and grow to whole lines of text by the picture alone. Lines outside are taken over; dirty rectangles go to the detector, and what it
finds to the recogniser. All networks run on one thread each, several at a time, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from processors.extract import style
from processors.extract.change import BLOCK, Gate, clear, components
from processors.extract.detect import detect
from processors.extract.geometry import Box, area, grown, overlap, union
from processors.extract.line import Line
from processors.extract.models import DETECTOR, RECOGNISER, Network
from processors.extract.pixels import peak
from processors.extract.recognise import Reading, Recogniser
from processors.extract.watch import Settled

REMEMBERED = 12  # screens kept as references
MARGIN = 0.22  # of the ink's height: what the recogniser sees about it
LOOKS = 2000  # lines whose looks are remembered
SHAPES, PER_SHAPE = 3000, 6  # lines remembered: sizes, and of each the latest
PAD = 12  # pixels about a dirty region that the detector sees too
WHOLE = 0.55  # dirty part of the picture from which all of it is read afresh
EMPTY = 40  # rows without ink that part what is looked at
TALL = 420  # rows from which a rectangle is cut in parts
OVERLAP = 32  # rows by which such parts reach into one another: a line of text is whole in one of them
INK = 24  # grey levels between neighbouring pixels that make an edge of a letter


@dataclass
class ReadStats:
    """What reading cost: counts only, they are the same on every machine."""

    screens: int = 0
    dirty_rectangles: int = 0
    lines_read: int = 0
    lines_reused: int = 0
    lines_remembered: int = 0


@dataclass
class _Page:
    luma: np.ndarray
    hidden: Box | None
    lines: list[Line]


@dataclass
class Reader:
    """Reads settled screens one after the other."""

    detector: Network
    recogniser: Recogniser
    pool: ThreadPoolExecutor
    min_confidence: float
    stats: ReadStats = field(default_factory=ReadStats)
    _lines: dict[tuple[int, ...], deque[tuple[np.ndarray, Reading]]] = field(default_factory=dict)
    _pages: deque[_Page] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _looks: OrderedDict[tuple[Box, bytes], style.Look] = field(default_factory=OrderedDict)

    def read(self, screen: Settled, dy: int = 0) -> list[Line]:
        """Lines of a settled screen. ``dy`` is by how much it was scrolled since the settled screen before it."""
        height, width = screen.luma.shape
        self.stats.screens += 1
        page, dirty = self._reference(screen, dy)
        if page is None:
            kept: list[Line] = []
            rectangles: list[Box] = [(0, 0, width, height)]
        else:
            rectangles = _with_lines(_rectangles(dirty, screen.luma), page.lines, width, height)
            if sum(area(r) for r in rectangles) > WHOLE * width * height:
                rectangles = [(0, 0, width, height)]
            kept = [line for line in page.lines if not any(overlap(line.box, r) for r in rectangles)]
        looked_at = bands(rectangles, screen.luma)
        self.stats.dirty_rectangles += len(looked_at)
        self.stats.lines_reused += len(kept)
        found = [box for boxes in self.pool.map(lambda b: self._detect(screen.image, b), looked_at) for box in boxes]
        boxes = sorted({_snapped(screen.image, b) for b in found}, key=lambda b: (-b[2], b))
        known = {b: self._remembered(_cut(screen.image, b)) for b in boxes}
        new = [b for b in boxes if known[b] is None]
        for box, reading in zip(new, self.pool.map(lambda b: self._recognise(_cut(screen.image, b)), new), strict=True):
            known[box] = reading
            self._remember(_cut(screen.image, box), reading)
        fresh = [Line(box, found_reading) for box in boxes if (found_reading := known[box]) is not None]
        self.stats.lines_read += len(new)
        self.stats.lines_remembered += len(boxes) - len(new)
        lines = sorted(kept + [line for line in fresh if self._kept(line)], key=lambda line: (line.box[1], line.box[0], line.text))
        self._pages.append(_Page(screen.luma, screen.hidden, lines))
        return lines

    def look(self, image: np.ndarray, line: Line) -> style.Look:
        """:func:`style.look`, measured once for a line that stays as it is, to the pixel."""
        key = (line.box, hashlib.blake2b(line.text.encode() + _cut(image, line.box).tobytes(), digest_size=16).digest())
        found = self._looks.get(key)
        if found is None:
            found = self._looks[key] = style.look(image, line)
            if len(self._looks) > LOOKS:
                self._looks.popitem(last=False)
        else:
            self._looks.move_to_end(key)
        return found

    def _kept(self, line: Line) -> bool:
        return bool(line.text.strip()) and line.reading.confidence >= self.min_confidence

    def _detect(self, image: np.ndarray, band: Band) -> list[Box]:
        x, y, w, h = band.box
        found = self.detector.once(image[y : y + h, x : x + w], lambda part: detect(self.detector, part))
        boxes = [(f.box[0] + x, f.box[1] + y, f.box[2], f.box[3]) for f in found]
        return [b for b in boxes if band.top <= b[1] + b[3] / 2 < band.bottom]

    def _recognise(self, cut: np.ndarray) -> Reading:
        return self.recogniser.network.once(cut, self.recogniser.read)

    def _remembered(self, cut: np.ndarray) -> Reading | None:
        """What a line was read as that looked like this one to the pixel, the codec's noise apart."""
        for before, reading in self._lines.get(cut.shape[:2], ()):
            if _same_ink(before, cut):
                return reading
        return None

    def _remember(self, cut: np.ndarray, reading: Reading) -> None:
        if len(self._lines) > SHAPES:
            self._lines.pop(next(iter(self._lines)))
        self._lines.setdefault(cut.shape[:2], deque(maxlen=PER_SHAPE)).appendleft((cut.copy(), reading))

    def _reference(self, screen: Settled, dy: int) -> tuple[_Page | None, np.ndarray]:
        """The page read lately that is most like this one, and in which blocks they differ."""
        height, width = screen.luma.shape
        best: _Page | None = None
        fewest = np.ones((-(-height // BLOCK), -(-width // BLOCK)), bool)
        candidates = list(self._pages)[::-1]
        if dy and candidates:
            candidates.insert(0, _scrolled(candidates[0], dy))
        for page in candidates:
            if page.luma.shape != screen.luma.shape:
                continue
            dirty = _dirty(page, screen)
            if dirty.sum() < fewest.sum():
                best, fewest = page, dirty
                if not dirty.any():
                    break
        return best, fewest


def open_reader(device: str, folder: object, pool: ThreadPoolExecutor, min_confidence: float) -> Reader:
    from pathlib import Path

    from processors.extract.models import open_network

    where = Path(str(folder)) if folder is not None else None
    return Reader(open_network(DETECTOR, device, where), Recogniser(open_network(RECOGNISER, device, where)), pool, min_confidence)


def _cut(image: np.ndarray, box: Box) -> np.ndarray:
    x, y, w, h = box
    return image[y : y + h, x : x + w]


def _snapped(image: np.ndarray, box: Box) -> Box:
    """A detected box drawn in, or out, to the ink in it: the detector's boxes differ by a pixel or two from time to time."""
    height, width = image.shape[:2]
    x, y, _, _ = box
    part = _cut(image, box)
    ground = np.median(part.reshape(-1, 3), axis=0).astype(np.uint8)
    distance = peak(cv2.absdiff(part, np.broadcast_to(ground, part.shape).copy()))
    strong = distance > max(16.0, 0.25 * float(distance.max()))
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if rows.size < 4 or columns.size < 2:
        return box
    ink = (x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
    return grown(ink, max(2, round(MARGIN * ink[3])), width, height)


def _same_ink(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two cuts differ nowhere by more than a codec does: a letter changes some 6x6 pixels by far more."""
    difference = cv2.absdiff(a, b)
    if cv2.norm(difference, cv2.NORM_INF) < 24:
        return True
    return float(cv2.blur(peak(difference), (6, 6)).max()) < 14


def _dirty(page: _Page, screen: Settled) -> np.ndarray:
    difference = cv2.absdiff(page.luma, screen.luma)
    if page.hidden == screen.hidden and page.hidden is not None:
        clear(difference, page.hidden)
    height, width = difference.shape
    return Gate(width, height).blocks(difference)


def _scrolled(page: _Page, dy: int) -> _Page:
    """The page as it would look scrolled by ``dy`` rows: what comes in is unknown and so differs from everything."""
    height = page.luma.shape[0]
    luma = np.roll(page.luma, -dy, axis=0)
    edge = slice(max(0, height - dy), height) if dy > 0 else slice(0, min(height, -dy))
    luma[edge] = 255 - luma[edge]
    lines = []
    for line in page.lines:
        x, y, w, h = line.box
        if y - dy >= 2 and y + h - dy <= height - 2 and y >= 2 and y + h <= height - 2:  # a line cut by an edge is read again
            lines.append(replace(line, box=(x, y - dy, w, h)))
    hidden = None
    if page.hidden is not None:
        x, y, w, h = page.hidden
        hidden = (x, y - dy, w, h)
    return _Page(luma, hidden, lines)


def _rectangles(dirty: np.ndarray, luma: np.ndarray) -> list[Box]:
    """Rectangles that cover the dirty blocks and every line of text that they touch."""
    if not dirty.any():
        return []
    height, width = luma.shape
    edges = (cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > INK).astype(np.uint8)
    words = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((3, 13), np.uint8))
    _count, labels, stats, _ = cv2.connectedComponentsWithStats(words, connectivity=8)
    seeds = [grown(b, 2, width, height) for b in components(dirty)]
    boxes: list[Box] = []
    for seed in seeds:
        x, y, w, h = seed
        parts = [seed]
        for i in np.unique(labels[y : y + h, x : x + w]).tolist():
            bx, by, bw, bh = (int(v) for v in stats[i][:4])
            if i and bh <= 64 and bw <= 0.8 * width:  # a line of text, not a frame about half of the page
                parts.append((bx, by, bw, bh))
        boxes.append(grown(union(parts), PAD, width, height))
    return merged(boxes)


def _with_lines(rectangles: list[Box], lines: list[Line], width: int, height: int) -> list[Box]:
    """The rectangles grown over every line known to have been there that they cut: a line is read whole or not at all."""
    while True:
        boxes = list(rectangles)
        for i, r in enumerate(boxes):
            cut = [line.box for line in lines if overlap(line.box, r)]
            if cut:
                boxes[i] = union([r, *(grown(b, 2, width, height) for b in cut)])
        boxes = merged(boxes)
        if boxes == rectangles:
            return boxes
        rectangles = boxes


@dataclass(frozen=True)
class Band:
    """A part of the picture to look at. What is found there counts if its middle lies from row ``top`` to before ``bottom``."""

    box: Box
    top: float
    bottom: float


def bands(rectangles: list[Box], luma: np.ndarray) -> list[Band]:
    """The rectangles without their empty parts, the tall ones in two overlapping halves: what is blank need not be looked at, and parts can be looked
    at side by side. It depends on the picture alone how they are cut.
    """
    height, width = luma.shape
    edges = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > INK
    out: list[Band] = []
    todo = list(rectangles)
    while todo:
        x, y, w, h = todo.pop()
        part = edges[y : y + h, x : x + w]
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if not rows.size:
            continue
        breaks = np.flatnonzero(np.diff(rows) > EMPTY)
        if breaks.size:
            starts, ends = [0, *(breaks + 1)], [*breaks, rows.size - 1]
            todo.extend((x, y + int(rows[a]), w, int(rows[b] - rows[a]) + 1) for a, b in zip(starts, ends, strict=True))
            continue
        top, left, high, wide = y + int(rows[0]), x + int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        box = grown((left, top, wide, high), PAD, width, height)
        parts = -(-box[3] // TALL)
        for n in range(parts):
            upper, lower = box[1] + n * box[3] / parts, box[1] + (n + 1) * box[3] / parts
            first, last = max(box[1], round(upper) - OVERLAP), min(box[1] + box[3], round(lower) + OVERLAP)
            above, below = (-1.0 if n == 0 else upper), (float(height + 1) if n == parts - 1 else lower)
            out.append(Band((box[0], first, box[2], last - first), above, below))
    return sorted(out, key=lambda b: (b.box[1], b.box[0]))


def merged(boxes: list[Box]) -> list[Box]:
    """Boxes joined until none overlap."""
    out = list(boxes)
    while True:
        for i, a in enumerate(out):
            j = next((j for j in range(i + 1, len(out)) if overlap(a, out[j])), None)
            if j is not None:
                out[i] = union([a, out.pop(j)])
                break
        else:
            return sorted(out, key=lambda b: (b[1], b[0]))
