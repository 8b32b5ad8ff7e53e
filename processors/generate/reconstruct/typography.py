"""Which font, size and letter spacing make a line as wide as it was.

`advances.json` holds, for fonts that a page falls back to where no web font loads, the advance widths of printable ASCII
(thousandths of an em, regular and bold) with ascent and descent. Widths identify a face far better than shapes do, and a
size found from a width of 200 px is right to half a percent, where one found from a height of 11 px is right to ten. So
faces are voted over the whole application, and sizes are gathered into one scale; never is a line styled on its own.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from statistics import median

from .model import Text

STACKS = {
    "liberation-sans": 'Arial, "Liberation Sans", Helvetica, sans-serif',
    "dejavu-sans": '"DejaVu Sans", Verdana, sans-serif',
    "liberation-serif": '"Times New Roman", "Liberation Serif", Times, serif',
    "dejavu-serif": '"DejaVu Serif", Georgia, serif',
    "liberation-mono": '"Courier New", "Liberation Mono", Courier, monospace',
    "dejavu-mono": '"DejaVu Sans Mono", Menlo, Consolas, monospace',
}
_FACES = {
    "sans": ("liberation-sans", "dejavu-sans"),
    "serif": ("liberation-serif", "dejavu-serif"),
    "mono": ("dejavu-mono", "liberation-mono"),
}
_STEP = 1.035  # sizes nearer than this factor are one size of the scale
_ONE_SIZE = 1.13  # factor by which sizes of lines in one role may differ by how they were read
_MOSTLY = 0.5  # share of the letters of one role whose family speaks for all: a short line is easily misread
_SPACED = 0.015  # of the size: what is less than this is no letter spacing


@dataclass(frozen=True)
class Type:
    """The look of a line: `face` names a font stack, `size` is in pixels, `spacing` in pixels a letter."""

    face: str
    size: float
    weight: int
    spacing: float = 0.0


@lru_cache(maxsize=1)
def _advances() -> dict[str, dict[str, list[int]]]:
    loaded: dict[str, dict[str, list[int]]] = json.loads(resources.files(__package__).joinpath("advances.json").read_text("utf-8"))
    return loaded


def width_em(text: str, face: str, weight: int = 400) -> float:
    """Width of a line in ems. A letter that is not ASCII counts as an average one, a full-width one as an em."""
    table = _advances()[face][str(weight)]
    return sum(table[ord(c) - 32] if 32 <= ord(c) < 127 else 1000 if ord(c) > 0x2E80 else table[ord("n") - 32] for c in text) / 1000


def height_em(face: str) -> float:
    """Height of a line's content area in ems."""
    metrics = _advances()[face]
    return (float(metrics["ascent"]) + float(metrics["descent"])) / 1000  # type: ignore[arg-type]


class Typography:
    """The faces and the scale of sizes of one application, voted by all of its lines."""

    def __init__(self, texts: Iterable[Text]) -> None:
        lines = list(texts)
        self.faces = {family: self._vote(family, [t for t in lines if t.family == family]) for family in _FACES}
        sized = [(s, len(t.text)) for t in lines if (s := self._size_by_width(t)) is not None]
        self.scale = _scale(sized)
        # Heights are measured with a bias of their own: compare them with the sizes that the widths gave.
        ratios = [s / t.font_size for t in lines if t.font_size and (s := self._size_by_width(t)) is not None]
        self.bias = median(ratios) if ratios else 1.0
        self._agreed: dict[Text, Type] = {}

    def agree(self, lines: Sequence[Text]) -> None:
        """Lines of one role get one size and spacing, where theirs are so close that they differ by how they were read."""
        letters: Counter[str] = Counter()
        for t in lines:
            letters[t.family] += len(t.text)
        family, often = letters.most_common(1)[0]
        if often < _MOSTLY * letters.total():
            return
        fits = [self.fit(t if t in self._agreed else replace(t, family=family)) for t in lines]
        sizes = sorted({f.size for f in fits})
        if len({f.face for f in fits}) > 1 or sizes[-1] > _ONE_SIZE * sizes[0]:
            return
        known = next((self._agreed[t] for t in lines if t in self._agreed), None)
        size = (
            known.size
            if known
            else max(sizes, key=lambda s: (sum(len(t.text) for t, f in zip(lines, fits, strict=True) if f.size == s), s))
        )
        spare = [(t.box.w - width_em(t.text, fits[0].face, t.weight) * size) / len(t.text) for t in lines if len(t.text) > 3]
        spacing = known.spacing if known else round(median(spare), 1) if spare and abs(median(spare)) >= _SPACED * size else 0.0
        for t, f in zip(lines, fits, strict=True):
            self._agreed.setdefault(t, replace(f, size=size, spacing=max(-0.08 * size, min(0.15 * size, spacing))))

    def fit(self, text: Text) -> Type:
        """Face, size and spacing for one line."""
        if text in self._agreed:
            return self._agreed[text]
        face = self.faces[text.family]
        nominal = self._nominal(text)
        size = self._nearest(self._size_by_width(text) or nominal * self.bias)
        spare = text.box.w - width_em(text.text, face, text.weight) * size
        spacing = 0.0
        if len(text.text) > 3 and abs(spare) > max(1.5, 0.02 * text.box.w):
            spacing = max(-0.08 * size, min(0.15 * size, spare / len(text.text)))
        return Type(face, size, text.weight, round(spacing, 2))

    def _nominal(self, text: Text) -> float:
        return text.font_size or text.box.h / height_em(self.faces[text.family])

    def _size_by_width(self, text: Text) -> float | None:
        """Size from the width where the line is long enough and its height does not speak against it."""
        if len(text.text) < 4:
            return None
        size = text.box.w / width_em(text.text, self.faces[text.family], text.weight)
        return size if 5 <= size <= 120 and abs(math.log(size / self._nominal(text))) < 0.16 else None

    def _nearest(self, size: float) -> float:
        if not self.scale:
            return round(size * 2) / 2
        best = min(self.scale, key=lambda s: (abs(math.log(s / size)), s))
        return best if abs(math.log(best / size)) < 0.12 else round(size * 2) / 2

    @staticmethod
    def _vote(family: str, lines: Sequence[Text]) -> str:
        faces = _FACES[family]
        usable = [t for t in lines if len(t.text) >= 5 and t.text.isascii()]

        def misfit(face: str) -> float:
            """How widely width and height disagree about the size, whatever the bias of the heights."""
            logs = [math.log(t.box.w / width_em(t.text, face, t.weight) / (t.font_size or t.box.h / height_em(face))) for t in usable]
            middle = median(logs)
            return median(abs(v - middle) for v in logs) + 0.25 * abs(middle)

        return min(faces, key=misfit) if usable else faces[0]


def _scale(sizes: Sequence[tuple[float, int]]) -> list[float]:
    """Sizes gathered into few: neighbours nearer than a step join, and the weighted median speaks for them."""
    scale: list[float] = []
    group: list[tuple[float, int]] = []
    for size, weight in sorted(sizes):
        if group and size > group[0][0] * _STEP * _STEP:
            scale.append(_middle(group))
            group = []
        group.append((size, weight))
    if group:
        scale.append(_middle(group))
    return sorted(set(scale))


def _middle(group: Sequence[tuple[float, int]]) -> float:
    half, seen = sum(w for _, w in group) / 2, 0
    for size, weight in group:
        seen += weight
        if seen >= half:
            return round(size * 4) / 4
    return round(group[-1][0] * 4) / 4
