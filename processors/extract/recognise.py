"""What a line says: PP-OCRv6's recogniser on one line at a time, unpadded, and its output decoded to text.

One line per run: on a processor batches gain nothing and padding costs (cost is linear in width).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from processors.extract.models import Network

HEIGHT = 48
STEP = 8  # pixels of the scaled line per output step
MAX_WIDTH = 2400
GAP = 0.62  # of the ink's height: a gap wider than this is a blank, whatever the network says
NARROW = (0.3, 0.05)  # of the ink's height, from which a gap is a blank if the network gave at least this score to one there
INK = 0.45  # of the contrast that columns of a line usually have: what stands out so much is ink


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character, and where its peak is: ``x`` in pixels of the line's own picture."""

    char: str
    x: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    confidence: float
    glyphs: tuple[Glyph, ...]


class Recogniser:
    """Reads lines of text. The character set comes from the network's own metadata."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @cached_property
    def characters(self) -> list[str]:
        stored = self.network.session.get_modelmeta().custom_metadata_map["character"].split("\n")
        return ["", *stored, " "]

    @cached_property
    def allowed(self) -> np.ndarray:
        """Indices of the classes that a screen in a European language shows: the network knows 18,000 more, and confuses."""
        return np.array([i for i, c in enumerate(self.characters) if i == 0 or c == " " or _is_western(c)])

    def read(self, line: np.ndarray) -> Reading:
        """Read one line, BGR uint8, cut with a margin of a few pixels."""
        height, width = line.shape[:2]
        scaled_width = int(min(MAX_WIDTH, max(16, round(width * HEIGHT / height))))
        way = cv2.INTER_CUBIC if height < HEIGHT else cv2.INTER_AREA
        scaled = cv2.resize(line, (scaled_width, HEIGHT), interpolation=way)
        scaled = cv2.copyMakeBorder(scaled, 0, 0, 0, -scaled_width % STEP, cv2.BORDER_REPLICATE)
        batch = (scaled.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1)[None]
        scores = self.network.run(np.ascontiguousarray(batch))[0]
        scale = width / scaled_width
        return spaced(self._decode(scores, scale), line, scores[:, -1], STEP * scale)

    def _decode(self, scores: np.ndarray, scale: float) -> Reading:
        western = scores[:, self.allowed]
        best = self.allowed[western.argmax(axis=1)]
        peak = western.max(axis=1)
        glyphs: list[Glyph] = []
        last = 0
        for step, index in enumerate(best.tolist()):
            if index != last and index:
                glyphs.append(Glyph(self.characters[index], (step + 0.5) * STEP * scale, round(float(peak[step]), 4)))
            last = index
        while glyphs and glyphs[0].char == " ":
            glyphs.pop(0)
        while glyphs and glyphs[-1].char == " ":
            glyphs.pop()
        return reading_of(glyphs)


def reading_of(glyphs: Sequence[Glyph]) -> Reading:
    """What these characters say, and how sure that is on the mean: blanks left out."""
    seen = [g.confidence for g in glyphs if g.char != " "]
    confidence = sum(seen) / len(seen) if seen else 0.0
    return Reading("".join(g.char for g in glyphs), round(confidence, 4), tuple(glyphs))


def spaced(reading: Reading, line: np.ndarray, blanks: np.ndarray, step: float) -> Reading:
    """The reading with blanks where the picture has gaps between letters that the network ran together.

    :param line: the line's picture, BGR
    :param blanks: the network's score for a blank by output step, ``step`` pixels of the picture each
    """
    glyphs = reading.glyphs
    if len(glyphs) < 2:
        return reading
    strong = inked(line)
    rows = np.flatnonzero(strong.any(axis=1))
    columns = np.flatnonzero(strong.any(axis=0))
    if columns.size < 2:
        return reading
    height = float(rows[-1] - rows[0] + 1)
    steps = np.diff(columns)
    gaps = [(int(columns[i] + columns[i + 1]) / 2, int(steps[i])) for i in np.flatnonzero(steps > NARROW[0] * height)]
    told = [g.x for g in glyphs if g.char == " "]  # a gap that the network saw is no blank before the letter beside it, too
    gaps = [(middle, wide) for middle, wide in gaps if not any(abs(x - middle) <= step for x in told)]
    out: list[Glyph] = []
    for left, right in itertools.pairwise(glyphs):
        out.append(left)
        if " " in (left.char, right.char):
            continue
        widest = max((wide for middle, wide in gaps if left.x - 2 < middle < right.x + 2), default=0)
        hinted = float(blanks[int(left.x / step) : int(right.x / step) + 1].max(initial=0.0)) > NARROW[1]
        if widest > GAP * height or (widest - 1 > NARROW[0] * height and hinted):
            out.append(Glyph(" ", (left.x + right.x) / 2, 1.0))
    out.append(glyphs[-1])
    return Reading("".join(g.char for g in out), reading.confidence, tuple(out))


def inked(line: np.ndarray) -> np.ndarray:
    """Where a line's picture (BGR) has ink: bool ``(height, width)``. What its rim shows most is the ground: a bold letter alone covers more than half."""
    rim = np.concatenate([line[0], line[-1], line[:, 0], line[:, -1]])
    contrast = np.abs(line.astype(np.int16) - np.median(rim, axis=0)).max(axis=2)
    by_column = contrast.max(axis=0)
    faint = 24.0  # grey levels: a picture in the line is often stronger than its letters, so the strongest says nothing of them
    if not (by_column > faint).any():
        return np.asarray(contrast > faint)
    return np.asarray(contrast > max(faint, INK * float(np.median(by_column[by_column > faint]))))


def _is_western(char: str) -> bool:
    """Latin, Greek and Cyrillic letters, punctuation, currency, arrows and the signs that interfaces use."""
    code = ord(char[0])
    return (
        0x20 < code < 0x250
        or 0x370 <= code < 0x530
        or 0x1E00 <= code < 0x2000
        or 0x2010 <= code < 0x2060
        or 0x20A0 <= code < 0x20D0
        or 0x2100 <= code < 0x2400
        or 0x25A0 <= code < 0x2800
    )
