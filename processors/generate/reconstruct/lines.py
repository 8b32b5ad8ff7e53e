"""A line that is written in two ways is two pieces of text.

A reader of pictures joins what stands in one row: a heading and the remark beside it, a link within a sentence. Where the
colour, the size or the distance of neighbouring words changes on the picture, the line is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from .model import Box, Text
from .pixels import Image, distance, hexadecimal, ink, part, prevailing
from .typography import width_em

_MARKED = 40  # difference from the ground that is ink
_COLOR = 80  # difference of two words' colours that makes them two pieces
_SIZE = 1.27  # ratio of two words' sizes that does
_GAP = 1.15  # distance of two words, in ems, that does


@dataclass(frozen=True)
class _Word:
    text: str
    box: Box
    color: str
    sizes: tuple[float, float]
    """Font size by its width, if it is set in a proportional face and if in a monospaced one."""


def cut_lines(texts: Iterable[Text], picture: Image | None) -> list[Text]:
    """The lines, cut where their looks change."""
    if picture is None:
        return list(texts)
    return [piece for t in texts for piece in _cut(t, picture)]


def _cut(text: Text, picture: Image) -> list[Text]:
    words = _words(text, picture)
    if len(words) < 2:
        return [text]
    groups: list[list[_Word]] = [[words[0]]]
    usual = median(w.sizes[0] for w in words if len(w.text) >= 3) if any(len(w.text) >= 3 for w in words) else text.box.h
    for a, b in pairwise(words):
        group = groups[-1]
        long = [w for w in group if len(w.text) >= 3]
        apart = b.box.x - a.box.right > _GAP * usual
        # A single mark has too few pixels to tell its colour by: it goes with the word after it where that is another's.
        last = next((w for w in reversed(group) if len(w.text) >= 2), None)
        other_color = last is not None and len(b.text) >= 2 and distance(last.color, b.color) > _COLOR
        other_size = bool(long) and len(b.text) >= 3 and all(_ratio(median(w.sizes[k] for w in long), b.sizes[k]) > _SIZE for k in (0, 1))
        if apart or other_color or other_size:
            marks = 0 if apart else len(group) - 1 - max((k for k, w in enumerate(group) if len(w.text) >= 2), default=len(group) - 1)
            groups.append([*group[len(group) - marks :], b])
            del group[len(group) - marks :]
        else:
            group.append(b)
    if len(groups) == 1:
        return [text]
    return [_piece(text, g) for g in groups]


def _ratio(a: float, b: float) -> float:
    return max(a, b) / min(a, b)


def _piece(text: Text, words: list[_Word]) -> Text:
    box = words[0].box
    for w in words[1:]:
        box = box.union(w.box)
    longest = max(words, key=lambda w: len(w.text))
    said = " ".join(w.text for w in words)
    size = box.w / width_em(said, "liberation-sans")
    return replace(text, text=said, box=box, color=longest.color, font_size=round(size, 1) if text.font_size is not None else None)


def _words(text: Text, picture: Image) -> list[_Word]:
    """The words with their boxes; none where the picture does not show as many as were read."""
    said = text.text.split()
    if len(said) < 2 or text.box.h < 6:
        return []
    pixels = part(picture, text.box)
    ground = prevailing(pixels)
    marked = np.abs(pixels.astype(np.float64) - ground).max(axis=2) > _MARKED
    filled = np.flatnonzero(marked.any(axis=0))
    if filled.size < 2:
        return []
    gaps = np.diff(filled)
    order = np.argsort(-gaps, kind="stable")[: len(said) - 1]
    chosen = sorted(int(k) for k in order)
    if len(chosen) < len(said) - 1 or min(gaps[k] for k in chosen) < 3:
        return []
    rest = np.delete(gaps, chosen)
    if rest.size and rest.max() >= min(gaps[k] for k in chosen):
        return []
    starts = [int(filled[0]), *(int(filled[k + 1]) for k in chosen)]
    ends = [*(int(filled[k]) for k in chosen), int(filled[-1])]
    x0, y0 = round(text.box.x), round(text.box.y)
    words = []
    for word, a, b in zip(said, starts, ends, strict=True):
        rows = np.flatnonzero(marked[:, a : b + 1].any(axis=1))
        box = Box(x0 + a, y0 + int(rows[0]), b - a + 1, int(rows[-1] - rows[0]) + 1)
        color = hexadecimal(ink(pixels[:, a : b + 1], ground))
        sizes = ((b - a + 1) / width_em(word, "liberation-sans"), (b - a + 1) / width_em(word, "liberation-mono"))
        words.append(_Word(word, box, color, sizes))
    # The gaps are those between the words if the words are about as wide as they should be.
    middle = median(w.sizes[0] for w in words)
    return words if all(0.4 < w.sizes[0] / middle < 2.5 for w in words if len(w.text) >= 3) else []
