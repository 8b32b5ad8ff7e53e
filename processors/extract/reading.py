"""Text of settled screens: only what is not known from screens already read is looked at.

Lines that are known (:mod:`processors.extract.carried`) are taken over; what is left (:mod:`processors.extract.lookat`) goes to the detector, and what
it finds to the recogniser, but for lines that look like one already read (:mod:`processors.extract.memory`). All networks run on one thread
each, several at a time, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from processors.extract import style
from processors.extract.carried import Page, carried, ink
from processors.extract.detect import detect
from processors.extract.geometry import Box, area, centre, grown, overlap
from processors.extract.line import Line
from processors.extract.lookat import Band, bands, unread
from processors.extract.memory import Memory, picture_of, shifted
from processors.extract.models import DETECTOR, RECOGNISER, Network
from processors.extract.pixels import peak
from processors.extract.recognise import Reading, Recogniser
from processors.extract.signs import without_signs
from processors.extract.timings import Timings
from processors.extract.watch import Settled
from processors.remembered import Remembered

REMEMBERED = 12  # screens kept as references
MARGIN = 0.22  # of the ink's height: what the recogniser sees about it
LOOKS = 2000  # lines whose looks are remembered


@dataclass
class ReadStats:
    """What reading cost: counts only, they are the same on every machine."""

    screens: int = 0
    looked_at: int = 0
    pixels_looked_at: int = 0
    lines_read: int = 0
    lines_reused: int = 0
    lines_remembered: int = 0


@dataclass
class Reader:
    """Reads settled screens one after the other."""

    detector: Network
    recogniser: Recogniser
    pool: ThreadPoolExecutor
    min_confidence: float
    timings: Timings = field(default_factory=Timings)
    stats: ReadStats = field(default_factory=ReadStats)
    _memory: Memory = field(default_factory=Memory)
    _pages: deque[Page] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _looks: Remembered[style.Look] = field(default_factory=lambda: Remembered(LOOKS))

    def read(self, screen: Settled) -> list[Line]:
        """Lines of a settled screen."""
        self.stats.screens += 1
        with self.timings.step("match_screens"):
            inked = ink(screen.luma)
            known, unknown = carried(list(self._pages)[::-1], screen.luma, screen.hidden, screen.dy)
            mask, kept = unread(unknown, inked, known)
            looked_at = bands(inked & mask)
        self.stats.looked_at += len(looked_at)
        self.stats.pixels_looked_at += sum(area(b.box) for b in looked_at)
        self.stats.lines_reused += len(kept)
        found = [box for boxes in self.pool.map(lambda b: self._detect(screen.image, b), looked_at) for box in boxes]
        boxes, kept = _apart({_snapped(screen.image, b) for b in found}, kept)
        read = [line for line in self._recognised(screen.image, boxes) if self._kept(line)]
        fresh = [line for r in read if (line := without_signs(_cut(screen.image, r.box), r)) is not None]
        lines = sorted(kept + fresh, key=lambda line: (line.box[1], line.box[0], line.text))
        self._pages.append(Page(screen.luma, screen.hidden, lines))
        return lines

    def _recognised(self, image: np.ndarray, boxes: list[Box]) -> list[Line]:
        """What stands in each box: remembered where it looks like a line read before or like another one here, else read."""
        with self.timings.step("match_lines"):
            pictures = [picture_of(_cut(image, box)) for box in boxes]
            known = []
            for picture in pictures:
                alike = self._memory.find(picture)
                known.append(alike if alike is not None else (picture, 0))
                if alike is None:
                    self._memory.add(picture)
        new = [n for n, (picture, (alike, _)) in enumerate(zip(pictures, known, strict=True)) if alike is picture]
        for n, reading in zip(new, self.pool.map(lambda n: self._recognise(_cut(image, boxes[n])), new), strict=True):
            pictures[n].reading = reading
        self.stats.lines_read += len(new)
        self.stats.lines_remembered += len(boxes) - len(new)
        return [Line(box, shifted(alike.reading, at)) for box, (alike, at) in zip(boxes, known, strict=True) if alike.reading is not None]

    def look(self, image: np.ndarray, line: Line) -> style.Look:
        """:func:`style.look`, measured once for a line that stays as it is, to the pixel."""
        given = (str(line.box).encode(), line.text.encode(), _cut(image, line.box).tobytes())
        return self._looks.get(lambda: style.look(image, line), *given)

    def _kept(self, line: Line) -> bool:
        return bool(line.text.strip()) and line.reading.confidence >= self.min_confidence

    def _detect(self, image: np.ndarray, band: Band) -> list[Box]:
        x, y, w, h = band.box
        with self.timings.step("detect"):
            found = self.detector.once(image[y : y + h, x : x + w], lambda part: detect(self.detector, part))
        boxes = [(f.box[0] + x, f.box[1] + y, f.box[2], f.box[3]) for f in found]
        return [b for b in boxes if _in(band.core, *centre(b))]

    def _recognise(self, cut: np.ndarray) -> Reading:
        with self.timings.step("recognise"):
            return self.recogniser.network.once(cut, self.recogniser.read)


def open_reader(device: str, folder: object, pool: ThreadPoolExecutor, min_confidence: float, timings: Timings) -> Reader:
    from pathlib import Path

    from processors.extract.models import open_network

    where = Path(str(folder)) if folder is not None else None
    return Reader(open_network(DETECTOR, device, where), Recogniser(open_network(RECOGNISER, device, where)), pool, min_confidence, timings)


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


def _apart(boxes: set[Box], kept: list[Line]) -> tuple[list[Box], list[Line]]:
    """The boxes, widest first, and the known lines, without those in one place: the known line stays unless the box is far larger."""
    out: list[Box] = []
    for box in sorted(boxes, key=lambda b: (-b[2], b)):
        same = [line for line in kept if overlap(box, line.box) > 0.5 * min(area(box), area(line.box))]
        if not any(area(box) <= 2 * area(line.box) for line in same):
            kept = [line for line in kept if not any(line is s for s in same)]
            out.append(box)
    return out, kept


def _in(box: Box, x: float, y: float) -> bool:
    return box[0] <= x < box[0] + box[2] and box[1] <= y < box[1] + box[3]
