"""A line that is written in several ways is several pieces of text.

A reader of pictures joins what stands in one row: a heading and the remark beside it, a link within a sentence. Where the
colour, the strength, the size or the distance of neighbouring words changes on the picture, or the patch that they stand on, the
line is cut. The bounds were read off pairs of words of which a recorder knew whether they were one text (`bench.reconstruct` shows
what they do): within one text hardly a pair in a hundred differs as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from math import log
from statistics import median

from .model import Text
from .pixels import Image, distance
from .typography import width_em
from .words import FACES, Word, angle, tightened, words_of

_GAP = 1.0  # distance of two words, in ems
_HUE = 6.0, 25.0  # degrees between two words' colours, and their least difference
_HUE_OF_MARK = 13.0, 40.0  # the same where one of the two is a single letter, which is blurred more
_STRENGTH = 0.2, 33.0  # logarithm of how much more strongly one of them is written, and their least difference
_STROKE = 0.44  # logarithm of the ratio of their strokes' widths
_SIZE = 0.28  # logarithm of the ratio of their sizes
_TOGETHER = 1.4  # what colour, strokes and size, each as a share of its bound, come to where none is enough alone
_SURE = 0.18  # logarithm by which a word's sizes by height and by width may differ where they tell anything
_BOLD = 1.3  # ratio of a piece's strokes to those of the line's finest piece that makes it bold


def cut_lines(texts: Iterable[Text], picture: Image | None) -> list[Text]:
    """The lines in boxes of their own rows, cut where their looks change."""
    if picture is None:
        return list(texts)
    return [piece for t in texts for piece in _cut(_without_neighbours(t, picture), picture)]


def _without_neighbours(text: Text, picture: Image) -> Text:
    box = tightened(text, picture)
    if box.h > text.box.h - 3:
        return text
    size = text.font_size
    return replace(text, box=box, font_size=round(size * max(0.5, box.h / text.box.h), 1) if size is not None else None)


def _cut(text: Text, picture: Image) -> list[Text]:
    words = words_of(text, picture)
    if len(words) < 2:
        return [text]
    letters = [w.height for w in words if sum(c.isalnum() for c in w.text) >= 2]
    em = median(letters or [w.height for w in words])
    groups = [[words[0]]]
    for a, b in pairwise(words):
        if _differ(a, b, em):
            groups.append([b])
        else:
            groups[-1].append(b)
    return [text] if len(groups) == 1 else _pieces(text, groups)


def _differ(a: Word, b: Word, em: float) -> bool:
    """Whether two neighbouring words are of different texts."""
    if b.glued or a.patch != b.patch or b.box.x - a.box.right > _GAP * em:
        return True
    shorter, off, hue = min(len(a.text), len(b.text)), distance(a.color, b.color), angle(a.vector, b.vector)
    least = _HUE_OF_MARK if shorter == 1 else _HUE
    if hue > least[0] and off > least[1]:
        return True
    if shorter >= 2 and abs(_ratio(_length(a), _length(b))) > _STRENGTH[0] and off > _STRENGTH[1]:
        return True
    if shorter < 2:
        return False
    stroke, size = abs(_ratio(a.stroke, b.stroke)) / _STROKE, _by_size(a, b) / _SIZE
    if shorter == 2:  # two letters tell little
        return min(stroke, size) > 1
    return max(stroke, size) > 1 or stroke + size + (hue / _HUE[0] if off > _HUE[1] else 0.0) > _TOGETHER


def _by_size(a: Word, b: Word) -> float:
    """How much the sizes of two words differ, by height and by width alike."""
    if max(abs(_ratio(w.size, w.height)) for w in (a, b)) > _SURE:
        return 0.0
    high, wide = _ratio(a.height, b.height), _ratio(a.size, b.size)
    return min(abs(high), abs(wide)) if high * wide > 0 else 0.0


def _ratio(a: float, b: float) -> float:
    return log(max(a, 0.01) / max(b, 0.01))


def _length(word: Word) -> float:
    return float((word.vector**2).sum() ** 0.5)


def _pieces(text: Text, groups: list[list[Word]]) -> list[Text]:
    strokes = [median(w.stroke / max(1.0, w.height) for w in g) for g in groups]
    # Strokes of single letters are blurred; they make nothing bold, nor fine.
    told = [s for s, g in zip(strokes, groups, strict=True) if any(len(w.text) >= 3 for w in g)]
    finest = min(told, default=min(strokes))
    return [
        _piece(text, g, 700 if s > _BOLD * finest and any(len(w.text) >= 3 for w in g) else text.weight if s > 1.1 * finest else 400)
        for g, s in zip(groups, strokes, strict=True)
    ]


def _piece(text: Text, words: list[Word], weight: int) -> Text:
    box = words[0].box
    for w in words[1:]:
        box = box.union(w.box)
    longest = max(words, key=lambda w: len(w.text))
    said = "".join(w.text if k == 0 or w.glued else f" {w.text}" for k, w in enumerate(words))
    family = _family(text.family, [w for w in words if len(w.text) >= 3])
    size = box.w / width_em(said, "liberation-mono" if family == "mono" else "liberation-sans", weight)
    return replace(
        text,
        text=said,
        box=box,
        color=longest.color,
        font_size=round(size, 1) if text.font_size is not None else None,
        weight=weight,
        family=family,
    )


def _family(family: str, words: list[Word]) -> str:
    """Whether the words are as wide as they are high in a monospaced face rather than in a proportional one; else as the line."""
    if not words or family == "serif":
        return family
    sans, mono = (median(abs(_ratio(w.height, w.sizes[k])) for w in words) for k in (0, FACES.index("liberation-mono")))
    return family if abs(sans - mono) < 0.1 else "mono" if mono < sans else "sans"
