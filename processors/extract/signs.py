"""Icons that were read as letters: a magnifier as Q, a chevron as V, a cross as X.

The recogniser knows letters only, and is often sure of them. What gives an icon away is its size beside the letters of its line, or, where it stands
alone, a shape that no such letter has. Only a letter or digit by itself at either end of a line, or alone, is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from processors.extract.line import Line
from processors.extract.recognise import Glyph, inked, reading_of

UNSURE = 0.8  # confidence below which a lone letter is none
UNSURE_DIGIT = 0.5  # the same for a digit: cells are full of them, and the recogniser is used to lines
TALL, WIDE = 1.25, 1.35  # of the height of the line's capitals: larger letters are none
ROUND = 1.1  # of that height: a Q or O that is wider is a magnifier or a ring
APART = 0.4  # of that height: how far an icon stands from its line at least
SQUARE_DIGIT, SQUARE_Q, FLAT = 0.95, 1.0, 1.25  # width by height, from which a lone digit, Q, or other letter is none
RULE = 10  # pixels from which a flat line is a rule
_DESCEND = frozenset("gjpqyQ,;()[]{}|/\\@$_")
_LOW = frozenset("acemnorsuvwxz.:-+=~ ")


@dataclass(frozen=True)
class _Ink:
    """A run of columns with ink: first and last column and row."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1


def without_signs(picture: np.ndarray, line: Line) -> Line | None:
    """The line without icons at its ends; ``None`` where nothing is left. ``picture`` is the line's own, BGR."""
    words = _words(line.reading.glyphs)
    if not words or not (_lone(words[0]) or _lone(words[-1])):
        return line
    runs = _runs(_without_frames(inked(picture)))
    if len(words) == 1:
        ink = _at(runs, words[0][0])
        return None if ink is not None and _no_letter(words[0][0], ink) else line
    first, last = 0, len(words)
    if _lone(words[0]) and _is_sign(words[0][0], words[1][0], words[1:], runs):
        first += 1
    if last - first > 1 and _lone(words[-1]) and _is_sign(words[-1][0], words[-2][-1], words[first:-1], runs):
        last -= 1
    return _cut(line, words[first:last], runs) if last - first < len(words) else line


def _words(glyphs: tuple[Glyph, ...]) -> list[list[Glyph]]:
    out: list[list[Glyph]] = [[]]
    for glyph in glyphs:
        if glyph.char == " ":
            out.append([])
        else:
            out[-1].append(glyph)
    return [word for word in out if word]


def _lone(word: list[Glyph]) -> bool:
    return len(word) == 1 and word[0].char.isalnum()


def _is_sign(glyph: Glyph, beside: Glyph, rest: list[list[Glyph]], runs: list[_Ink]) -> bool:
    """Whether a lone letter is an icon, judged by the line's other letters."""
    ink, next_to = _at(runs, glyph), _at(runs, beside)
    if ink is None or next_to is None or ink is next_to:
        return False
    letters = [run for run in runs if run is not ink and run.right >= rest[0][0].x - 2 and run.left <= rest[-1][-1].x + 2]
    if not letters:
        return False
    capital = _capital(max(r.bottom for r in letters) - min(r.top for r in letters) + 1, {g.char for word in rest for g in word})
    gap = max(ink.left - next_to.right, next_to.left - ink.right) - 1
    large = ink.height > TALL * capital or ink.width > WIDE * capital
    large |= glyph.char in "QO" and ink.width >= max(SQUARE_Q * ink.height, ROUND * capital)
    return gap >= APART * capital and (large or glyph.confidence < UNSURE)


def _capital(height: float, chars: set[str]) -> float:
    """The height of a line's capitals, from that of all its ink."""
    if chars <= _LOW:
        return 1.38 * height
    return height / 1.28 if chars & _DESCEND else height


def _no_letter(glyph: Glyph, ink: _Ink) -> bool:
    """Whether what stands alone is an icon."""
    aspect = ink.width / ink.height
    if glyph.char.isdigit():
        return aspect > SQUARE_DIGIT or glyph.confidence < UNSURE_DIGIT
    if glyph.confidence < UNSURE:
        return True
    return aspect >= (SQUARE_Q if glyph.char in "QO" else FLAT) and glyph.char not in "MWmw"


def _without_frames(ink: np.ndarray) -> np.ndarray:
    """The ink without rims and rules: of a cell or a button about the letter. Letters have no line so long, and leave a margin."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    height, width = ink.shape
    frames = []
    for n, (_, _, w, h, count) in enumerate(stats.tolist()):
        rim = (w >= 0.8 * width or h >= 0.8 * height) and count < 0.5 * w * h
        rule = (h <= 2 and w >= RULE) or (w <= 2 and h >= 0.8 * height)
        if n and (rim or rule):
            frames.append(n)
    inside = ink & ~np.isin(labels, frames)
    rows = np.flatnonzero(inside.any(axis=1))
    return np.asarray(inside if rows.size and rows[-1] - rows[0] + 1 >= 0.25 * height else ink)  # a nought is a rim about nothing


def _runs(ink: np.ndarray) -> list[_Ink]:
    """Stretches of columns with ink, blank columns between them."""
    columns = np.flatnonzero(ink.any(axis=0))
    if not columns.size:
        return []
    breaks = np.flatnonzero(np.diff(columns) > 1)
    out = []
    for left, right in zip([columns[0], *columns[breaks + 1]], [*columns[breaks], columns[-1]], strict=True):
        rows = np.flatnonzero(ink[:, left : right + 1].any(axis=1))
        out.append(_Ink(int(left), int(right), int(rows[0]), int(rows[-1])))
    return out


def _at(runs: list[_Ink], glyph: Glyph) -> _Ink | None:
    """The ink that a character was read from."""
    near = min(runs, key=lambda r: (max(r.left - glyph.x, glyph.x - r.right, 0.0), r.left), default=None)
    return near if near is not None and near.left - 4 <= glyph.x <= near.right + 4 else None


def _cut(line: Line, words: list[list[Glyph]], runs: list[_Ink]) -> Line:
    """The line of these words only, its box as close about them as it was about all."""
    x, y, w, h = line.box
    begin, end = _at(runs, words[0][0]), _at(runs, words[-1][-1])
    left = begin.left - runs[0].left if begin is not None else 0
    right = runs[-1].right - end.right if end is not None else 0
    spaced = [g for n, word in enumerate(words) for g in ([Glyph(" ", (words[n - 1][-1].x + word[0].x) / 2, 1.0)] if n else []) + word]
    return Line((x + left, y, w - left - right, h), reading_of([replace(g, x=g.x - left) for g in spaced]))
