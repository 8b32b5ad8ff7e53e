"""Where the words of a line stand on the picture, and how each of them is written.

What is known is what was read; what is measured are runs of columns with ink. Which runs make which word is found by dynamic
programming: a word must be as wide as its letters are in a font as high as its ink, and words have gaps between them. So the gaps
within a monospaced word are not taken for spaces, nor the narrow space of a small font for none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from .model import Box, Text
from .pixels import Image, hexadecimal, ink, part, prevailing
from .typography import width_em

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FACES = ("liberation-sans", "liberation-serif", "liberation-mono")
_FAINT = 30.0  # least difference from the ground that is ink
_SHARE = 0.3  # of the line's strongest difference: what is less is blur
_LOW = frozenset(".,-_~=+:*'\"`^·•«»‹›<>–—")  # their ink is much less high than a letter
_TALL = frozenset("bdfhijklt0123456789!\"#$%&'()*/?@[\\]^`{|}§©®°ß") | frozenset(map(chr, range(65, 91)))
_DEEP = frozenset("gjpqy,;()[]{}|/@Q$_\\§ç")
_MISFIT = 0.45  # mean cost of a word from which on the words are not where they are thought to be
_TINY = 12  # px of ink that are too few to tell a colour by
_LEAST = 5  # px: height of the smallest letters that are read
_MOST_STEPS = 200_000  # of the search for words: some times what a line as long as a page needs
_RULE = 4  # px: what is higher than this and as wide as the line is a patch, no rule


@dataclass(frozen=True)
class Word:
    """`vector` is the difference of ink and ground (BGR), `height` the font size by the height of the ink, `sizes` by its width and face."""

    text: str
    box: Box
    color: str
    vector: Vector
    height: float
    sizes: tuple[float, ...]
    """In the order of FACES."""
    stroke: float
    """Mean width of the strokes in pixels."""
    patch: int
    """Which patch of the line it stands on; 0: on the line's own ground."""
    glued: bool = False
    """Whether it follows the word before without a space."""

    @property
    def size(self) -> float:
        """Font size by the width, in the face in which it is nearest to that by the height."""
        return min(self.sizes, key=lambda s: abs(log(s / self.height)))


@dataclass(frozen=True)
class _Run:
    """Columns [x0, x1) that all have ink, in rows [y0, y1); `patch` as in Word."""

    x0: int
    x1: int
    y0: int
    y1: int
    patch: int


def words_of(text: Text, picture: Image) -> list[Word]:
    """The words of a line, in order; none where the picture does not show what was read."""
    said = text.text.split()
    if text.box.h < 6 or not said:
        return []
    pixels = part(picture, text.box)
    mask, runs = _runs(pixels)
    starts = _segment(said, runs)
    if starts is None:
        return []
    ground = prevailing(pixels)
    left, top = max(0, round(text.box.x)), max(0, round(text.box.y))
    bounds = [*starts, len(runs)]
    found = [
        (word, _measure(word, runs[a:b], pixels, mask, ground, left, top), runs[a:b])
        for word, a, b in zip(said, bounds, bounds[1:], strict=False)
    ]
    colors = [word.vector for _, word, _ in found if len(word.text) > 1]
    out: list[Word] = []
    for word, whole, own in found:
        pieces = _by_color(word, whole, own, colors, pixels, ground)
        if len(pieces) == 1:
            out.append(whole)
        else:
            out += [_measure(said, part, pixels, mask, ground, left, top, glued=k > 0) for k, (said, part) in enumerate(pieces)]
    return out


def angle(a: Vector, b: Vector) -> float:
    """How far two colours differ in hue, whatever their strength: degrees between their differences from the ground."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(float(a @ b) / lengths, -1, 1)))) if lengths else 0.0


def tightened(text: Text, picture: Image) -> Box:
    """The line's box without the rows of its neighbours: where lines stand close, a slanting reader takes in parts of them."""
    box = text.box
    if box.w < 8 or box.h < 8:
        return box
    pixels = part(picture, box)
    mask = _ink_mask(pixels, prevailing(pixels))
    count = mask.sum(axis=1)
    for a, b in _spans(np.asarray(mask.mean(axis=1) > 0.85)):
        if b - a <= _RULE:
            count[a:b] = 0
    most = box.w / min(width_em(text.text, face) for face in FACES)
    bands: list[tuple[int, int]] = []
    for a, b in _spans(count > 0):
        # A dot and its letter are one line, as long as the two are no higher than a line can be.
        if bands and a - bands[-1][1] <= 2 and b - bands[-1][0] <= 1.15 * most:
            bands[-1] = (bands[-1][0], b)
        else:
            bands.append((a, b))
    own = min(bands, key=lambda r: abs((r[0] + r[1] - pixels.shape[0]) / 2), default=None)
    if own is None or own[1] - own[0] < 0.3 * min(box.h, most):  # a dash, or nothing but the tops of letters
        return box
    own = _without_foreign(count, own, max(_LEAST, round(_em_height(text.text) * most)))
    return Box(box.x, max(0, round(box.y)) + own[0], box.w, own[1] - own[0])


def _without_foreign(count: npt.NDArray[np.int64], rows: tuple[int, int], high: int) -> tuple[int, int]:
    """The rows without what touches the line from below or above, as a cursor does, if they are higher than letters as wide as these."""
    if rows[1] - rows[0] <= 1.4 * high + 2:
        return rows
    start = max(range(rows[0], rows[1] - high + 1), key=lambda y: (int(count[y : y + high].sum()), -y))
    return start, start + high


def _spans(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where flags are set without a gap: [start, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _ink_mask(pixels: Image, ground: Vector) -> Mask:
    difference = np.abs(pixels.astype(np.int16) - np.round(ground).astype(np.int16)).max(axis=2)
    mask: Mask = difference > max(_FAINT, _SHARE * float(np.percentile(difference, 98)))
    return mask


def _runs(pixels: Image) -> tuple[Mask, list[_Run]]:
    """The ink and its runs; what is written on a patch of its own, as on a badge, is found on that patch."""
    mask = _ink_mask(pixels, prevailing(pixels))
    runs: list[_Run] = []
    patches = 0
    for run in _collect(mask, 0, 0, 0):
        area = mask[run.y0 : run.y1, run.x0 : run.x1]
        high, wide = area.shape
        if not (high >= 10 and wide >= 1.4 * high and min(area[:2].mean(), area[-2:].mean()) > 0.7 and area.mean() > 0.55):
            runs.append(run)
            continue
        y0, y1, x0, x1 = run.y0 + high // 6, run.y1 - high // 6, run.x0 + high // 5, run.x1 - high // 5
        inner = pixels[y0:y1, x0:x1]
        written = _ink_mask(inner, prevailing(inner))
        mask[run.y0 : run.y1, run.x0 : run.x1] = False
        mask[y0:y1, x0:x1] = written
        patches += 1
        runs += _collect(written, x0, y0, patches)
    return mask, runs


def _collect(mask: Mask, x: int, y: int, patch: int) -> list[_Run]:
    out = []
    for a, b in _spans(np.asarray(mask.any(axis=0))):
        rows = np.flatnonzero(mask[:, a:b].any(axis=1))
        out.append(_Run(x + a, x + b, y + int(rows[0]), y + int(rows[-1]) + 1, patch))
    return out


def _em_height(word: str) -> float:
    """Height of a word's ink in ems."""
    return (0.73 if any(c in _TALL for c in word) else 0.53) + (0.21 if any(c in _DEEP for c in word) else 0.0)


def _segment(said: Sequence[str], runs: Sequence[_Run]) -> list[int] | None:
    """The first run of every word; None where no division of the runs makes them."""
    n, count = len(said), len(runs)
    if count < n or count * sum(len(word) + 2 for word in said) > _MOST_STEPS:
        return None
    best = [[float("inf")] * (count + 1) for _ in range(n + 1)]
    back = [[0] * (count + 1) for _ in range(n + 1)]
    best[0][0] = 0.0
    for k, word in enumerate(said):
        widths = [width_em(word, face) for face in FACES]
        height = None if all(c in _LOW for c in word) else _em_height(word)
        most = len(word) + sum(c in '"%' for c in word) + 1
        last = count - (n - k - 1)
        for i in range(k, last):
            if best[k][i] == float("inf"):
                continue
            first = runs[i]
            top, bottom, inner = first.y0, first.y1, 0
            before = first.x0 - runs[i - 1].x1 if i and runs[i - 1].patch == first.patch else None
            for j in range(i, min(last, i + most)):
                run = runs[j]
                if run.patch != first.patch:
                    break
                inner = max(inner, run.x0 - runs[j - 1].x1) if j > i else 0
                top, bottom = min(top, run.y0), max(bottom, run.y1)
                cost = best[k][i] + _misfit(run.x1 - first.x0, bottom - top, widths, height, inner, before)
                if cost < best[k + 1][j + 1]:
                    best[k + 1][j + 1], back[k + 1][j + 1] = cost, i
    if best[n][count] > _MISFIT * n:
        return None
    starts, j = [], count
    for k in range(n, 0, -1):
        j = back[k][j]
        starts.append(j)
    return starts[::-1]


def _misfit(width: int, high: int, widths: Sequence[float], height: float | None, inner: int, before: int | None) -> float:
    """How unlikely it is that a word looks so: widths in ems by face, height in ems; gaps within and before it in pixels."""
    if height is None:
        size, cost = width / widths[0], 0.1
    else:
        size = high / height
        ranges = [(max(0.5, width - 1.0) / w, (width + 1.5) / w) for w in widths]
        off = [0.0 if a <= size <= b else min(abs(log(size / a)), abs(log(size / b))) for a, b in ranges]
        cost = min(1.5, *off)
    cost += 1.5 * max(0.0, inner / size - 0.3)
    if before is not None:
        cost += 4 * max(0.0, 0.2 - before / size) - 0.3 * min(1.0, before / size)
    return cost


def _measure(
    word: str, runs: Sequence[_Run], pixels: Image, mask: Mask, ground: Vector, left: int, top: int, *, glued: bool = False
) -> Word:
    x0, x1, y0, y1 = runs[0].x0, runs[-1].x1, min(r.y0 for r in runs), max(r.y1 for r in runs)
    own, marked = pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    below = prevailing(own) if runs[0].patch else ground
    color = ink(own, below)
    starts = int((np.diff(np.pad(marked.astype(np.int8), ((0, 0), (1, 1))), axis=1) == 1).sum())
    return Word(
        text=word,
        box=Box(left + x0, top + y0, x1 - x0, y1 - y0),
        color=hexadecimal(color),
        vector=color - below,
        height=(y1 - y0) / _em_height(word),
        sizes=tuple((x1 - x0) / width_em(word, face) for face in FACES),
        stroke=int(marked.sum()) / max(1, starts),
        patch=runs[0].patch,
        glued=glued,
    )


_Piece = tuple[str, Sequence[_Run]]


def _by_color(word: str, whole: Word, runs: Sequence[_Run], colors: Sequence[Vector], pixels: Image, ground: Vector) -> list[_Piece]:
    """A word's parts that are written in different colours, as the comma after a link and the marks of program text are."""
    pieces = [] if whole.patch else _tokens(word, whole, runs)
    out: list[tuple[str, Sequence[_Run], Vector]] = []
    for said, own in pieces:
        color = ink(pixels[_rows(own), own[0].x0 : own[-1].x1], ground) - ground
        tiny = said is not pieces[-1][0] and sum((r.x1 - r.x0) * (r.y1 - r.y0) for r in own) < _TINY  # a dot within a name has no colour
        if out and (tiny or not _another(out[-1][2], color, min(len(out[-1][0]), len(said)), colors)):
            before = out.pop()
            said, own, color = before[0] + said, [*before[1], *own], before[2] if len(before[0]) >= len(said) else color
        out.append((said, own, color))
    return [(said, own) for said, own, _ in out] or [(word, runs)]


def _another(a: Vector, b: Vector, shorter: int, colors: Sequence[Vector]) -> bool:
    """Whether two parts of a word have different colours; of a single mark, whether it has that of another word."""
    hue, off = angle(a, b), float(np.abs(a - b).max())
    if shorter >= 3:
        return hue > 8 and off > 30
    if hue <= 10 or off <= 25:
        return False
    return any(min(angle(a, c), angle(b, c)) < 0.6 * hue < max(angle(a, c), angle(b, c)) for c in colors)


def _tokens(word: str, whole: Word, runs: Sequence[_Run]) -> list[_Piece]:
    """Names and marks of a word with their runs; none where the gaps are not where its letters say."""
    said = re.findall(r"\w+|[^\w\s]+", word)
    if len(said) < 2 or "".join(said) != word:
        return []
    face = min(FACES, key=lambda f: abs(log(whole.sizes[FACES.index(f)] / whole.height)))
    scale = (runs[-1].x1 - runs[0].x0) / width_em(word, face)
    out: list[_Piece] = []
    start, x, joined = 0, float(runs[0].x0), ""
    for token in said[:-1]:
        joined += token
        x += width_em(token, face) * scale
        near = min(range(start + 1, len(runs)), key=lambda j: abs((runs[j - 1].x1 + runs[j].x0) / 2 - x), default=None)
        if near is None or abs((runs[near - 1].x1 + runs[near].x0) / 2 - x) > 0.25 * whole.height:
            continue
        out.append((joined, runs[start:near]))
        start, joined = near, ""
    return [*out, (joined + said[-1], runs[start:])] if out else []


def _rows(runs: Sequence[_Run]) -> slice:
    """The rows that runs cover together."""
    return slice(min(r.y0 for r in runs), max(r.y1 for r in runs))
