"""How a line of text looks: its ink, colours, font size, weight and class of family, all measured from pixels.

Sizes come from which letters a line has: an ``a`` is 0.52 of the font size high, a capital 0.72, and a ``g`` reaches 0.21 below
the line, in the common interface fonts alike (within a few percent).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box
from processors.extract.line import Line
from processors.extract.pixels import peak

X_HEIGHT, CAPITAL, DESCENT, ASCENT = 0.52, 0.72, 0.21, 0.92
FLAT = set("acemnorsuvwxz+-~=<>•·:;,.…_–—")
HANGING = set("gjpqy,;()[]{}|/\\@Q$")
LOW = set(",.…_-–—~=·•:;'\"`^*")


@dataclass(frozen=True)
class Look:
    """``ink`` is the tight box of the letters; ``box`` the line box a browser gives the text; colours are (b, g, r)."""

    ink: Box
    box: Box
    colour: tuple[int, int, int]
    background: tuple[int, int, int]
    font_size: float
    weight: int
    family: str


def look(image: np.ndarray, line: Line) -> Look:
    """Measure one line in the screen's picture (BGR)."""
    x, y, w, h = line.box
    part = np.ascontiguousarray(image[y : y + h, x : x + w])
    background = ground(part)
    distance = peak(cv2.absdiff(part, np.broadcast_to(np.array(background, np.uint8), part.shape).copy())) if part.size else part[..., 0]
    counts = np.bincount(distance.ravel(), minlength=256)
    top = float(np.searchsorted(counts.cumsum(), 0.995 * distance.size)) if distance.size else 0.0  # all but the strongest two hundredth
    mask = distance > max(12.0, 0.4 * top)
    mask = _letters(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        size = max(8.0, h * 0.6)
        return Look(line.box, line.box, background, background, round(size, 1), 400, "sans")
    ink = (x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
    strong = part[distance >= 0.8 * top]
    colour = _colour(np.median(strong, axis=0)) if len(strong) else background
    size, baseline = _size(line.text, ink)
    above, height = round(ASCENT * size), round(1.15 * size)
    box = (ink[0] - 1, round(baseline - above), ink[2] + 2, height)
    return Look(ink, box, colour, background, round(size, 1), _weight(mask, size), _family(line))


def ground(part: np.ndarray) -> tuple[int, int, int]:
    """The colour most pixels have, BGR."""
    flat = part.reshape(-1, 3).astype(np.int32)
    if not len(flat):
        return 255, 255, 255
    keys = (flat[:, 0] >> 3 << 10) | (flat[:, 1] >> 3 << 5) | (flat[:, 2] >> 3)
    most = np.bincount(keys.astype(np.int64)).argmax()
    return _colour(np.median(flat[keys == most], axis=0))


def _colour(value: np.ndarray) -> tuple[int, int, int]:
    b, g, r = (round(float(v)) for v in value)
    return b, g, r


def _letters(mask: np.ndarray) -> np.ndarray:
    """Ink without rules and frames that cross the whole crop at its edges."""
    out = mask.copy()
    height, width = out.shape
    for row in (*range(min(4, height)), *range(max(0, height - 4), height)):
        if out[row].mean() > 0.9:
            out[row] = False
    for column in (*range(min(4, width)), *range(max(0, width - 4), width)):
        if width > 12 and out[:, column].mean() > 0.9:
            out[:, column] = False
    return out if out.any() else mask


def _size(text: str, ink: Box) -> tuple[float, float]:
    """Font size and baseline, in pixels, from the ink's height and the letters in it."""
    letters = [c for c in text if not c.isspace()]
    tall = any(c not in FLAT and c not in LOW for c in letters)
    hanging = any(c in HANGING for c in letters)
    up = CAPITAL if tall else X_HEIGHT
    if letters and all(c in LOW for c in letters):
        return max(8.0, float(ink[3])), float(ink[1] + ink[3])
    down = DESCENT if hanging else 0.0
    size = ink[3] / (up + down)
    return size, ink[1] + up * size


def _weight(mask: np.ndarray, size: float) -> int:
    """Bold where strokes are thicker than an eighth of the font size."""
    if mask.sum() < 8:
        return 400
    thickness = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L1, 3)
    ridge = thickness[(thickness >= cv2.dilate(thickness, np.ones((3, 3), np.uint8))) & (thickness > 0)]
    stroke = 2 * float(ridge.mean()) - 0.6 if ridge.size else 1.0
    return 700 if stroke > 0.135 * size and stroke > 1.6 else 400


def _family(line: Line) -> str:
    """``mono`` where letters advance evenly whatever they are, else ``sans``."""
    glyphs = list(line.reading.glyphs)
    if len(glyphs) < 6:
        return "sans"
    steps = np.diff([g.x for g in glyphs])
    narrow = [s for s, a in zip(steps, glyphs, strict=False) if a.char in "ilI.,:;'|!1tjfr"]
    wide = [s for s, a in zip(steps, glyphs, strict=False) if a.char in "mwMWGOQ@HND"]
    if narrow and wide:
        return "mono" if np.mean(wide) < 1.22 * np.mean(narrow) else "sans"
    return "mono" if float(np.std(steps)) < 0.16 * float(np.mean(steps)) else "sans"


def coloured_runs(image: np.ndarray, line: Line, look: Look) -> list[tuple[str, Box, tuple[int, int, int]]]:
    """Words of a line that follow one another in one colour: (text, box of the ink's height, colour).

    A line of plain text may hold a link in its middle: words are cut where the recogniser saw blanks, and joined again where colours agree.
    """
    x, _y, _w, _h = line.box
    glyphs = line.reading.glyphs
    if " " not in line.text or not glyphs:
        return [(line.text, look.ink, look.colour)]
    left, right = look.ink[0], look.ink[0] + look.ink[2]
    cuts = [g.x + x for g in glyphs if g.char == " "]
    words = line.text.split(" ")
    if len(words) != len(cuts) + 1:
        return [(line.text, look.ink, look.colour)]
    bounds = [float(left), *cuts, float(right)]
    ground_colour = np.array(look.background, np.int16)
    out: list[tuple[str, Box, tuple[int, int, int]]] = []
    for word, a, b in zip(words, bounds, bounds[1:], strict=False):
        x0, x1 = max(0, round(a)), max(round(a) + 1, round(b))
        part = image[look.ink[1] : look.ink[1] + look.ink[3], x0:x1].astype(np.int16)
        if not part.size:
            continue
        distance = peak(np.abs(part - ground_colour))
        strong = distance >= 0.7 * distance.max()
        columns = np.flatnonzero((distance > 0.4 * distance.max()).any(axis=0))
        if not columns.size:  # nothing but ground: a blank that was read as a letter
            continue
        colour = _colour(np.median(part[strong], axis=0))
        box = (x0 + int(columns[0]), look.ink[1], int(columns[-1] - columns[0]) + 1, look.ink[3])
        last = out[-1] if out else None
        if last is not None and max(abs(p - q) for p, q in zip(last[2], colour, strict=True)) <= 60:
            joined = (last[1][0], last[1][1], box[0] + box[2] - last[1][0], last[1][3])
            out[-1] = (last[0] + " " + word, joined, last[2])
        else:
            out.append((word, box, colour))
    return out


def is_icon(text: str, ink: Box, confidence: float) -> bool:
    """Whether a reading of one or two signs is an icon taken for a letter: its shape is none that the letter has."""
    bare = text.replace(" ", "")
    if len(bare) != 1:
        return len(bare) == 2 and confidence < 0.7
    if bare.isdigit():
        return ink[2] > 0.95 * ink[3] or confidence < 0.7
    if bare in "+-–—_~…•·*|/\\<>^=.,:;'\"#?!&@%$€£()[]{}✓✔✕×":
        return False
    return ink[2] > (1.35 if bare in "mwMW" else 1.02) * ink[3] or confidence < 0.9 or (bare in "xXvV" and ink[2] >= 0.9 * ink[3])
