"""Text of settled screens: only what changed since a screen already read is looked at again.

For every screen the most similar one of those read lately is taken as reference, if need be moved by what was scrolled in between. Blocks that differ
are dirty, and grow to whole lines of text by the picture alone. Lines outside are taken over; dirty rectangles go to the detector, and what it
finds to the recogniser. All networks run on one thread each, several at a time, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from processors.extract.change import BLOCK, Gate, clear, components
from processors.extract.detect import detect
from processors.extract.geometry import Box, area, grown, overlap, union
from processors.extract.models import DETECTOR, RECOGNISER, Network
from processors.extract.recognise import Reading, Recogniser
from processors.extract.watch import Settled

REMEMBERED = 12  # screens kept as references
PAD = 12  # pixels about a dirty region that the detector sees too
WHOLE = 0.55  # dirty part of the picture from which all of it is read afresh
INK = 24  # grey levels between neighbouring pixels that make an edge of a letter


@dataclass(frozen=True)
class Line:
    """One line of text. ``box`` in video pixels; ``reading`` with the place of every character within ``box``."""

    box: Box
    reading: Reading

    @property
    def text(self) -> str:
        return self.reading.text


@dataclass
class ReadStats:
    """What reading cost: counts only, they are the same on every machine."""

    screens: int = 0
    dirty_rectangles: int = 0
    lines_read: int = 0
    lines_reused: int = 0


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
    _pages: deque[_Page] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

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
        self.stats.dirty_rectangles += len(rectangles)
        self.stats.lines_reused += len(kept)
        found = [box for boxes in self.pool.map(lambda r: self._detect(screen.image, r), rectangles) for box in boxes]
        readings = self.pool.map(lambda b: self._recognise(screen.image, b), sorted(found, key=lambda b: -b[2]))
        fresh = [Line(box, reading) for box, reading in zip(sorted(found, key=lambda b: -b[2]), readings, strict=True)]
        self.stats.lines_read += len(fresh)
        lines = sorted(kept + [line for line in fresh if self._kept(line)], key=lambda line: (line.box[1], line.box[0], line.text))
        self._pages.append(_Page(screen.luma, screen.hidden, lines))
        return lines

    def _kept(self, line: Line) -> bool:
        return bool(line.text.strip()) and line.reading.confidence >= self.min_confidence

    def _detect(self, image: np.ndarray, rectangle: Box) -> list[Box]:
        x, y, w, h = rectangle
        found = detect(self.detector, image[y : y + h, x : x + w])
        return [(f.box[0] + x, f.box[1] + y, f.box[2], f.box[3]) for f in found]

    def _recognise(self, image: np.ndarray, box: Box) -> Reading:
        x, y, w, h = box
        return self.recogniser.read(image[y : y + h, x : x + w])

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
