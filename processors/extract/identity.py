"""Which settled screens are one and the same: revisited screens share an identity, states of a screen do too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from processors.extract.line import Line

ALIKE_TEXT = 0.7  # share of words in common
ALIKE_SHAPE = 0.82  # correlation of the edge maps
SHAPE = (64, 36)


@dataclass
class Identities:
    """Names screens A, B, ... Z, AA, ... in the order in which they are first seen."""

    _known: list[tuple[Counter[str], np.ndarray, str]] = field(default_factory=list)

    def of(self, shape: np.ndarray, lines: Sequence[Line]) -> str:
        """The name of a screen with these ``lines`` and this :func:`outline`."""
        words = Counter(w for line in lines for w in line.text.casefold().split() if any(c.isalpha() for c in w))
        best, name = 0.0, ""
        for known, edges, label in self._known:
            text = _in_common(words, known)
            form = _correlation(shape, edges)
            likeness = 0.6 * text + 0.4 * form
            if ((text >= ALIKE_TEXT and form >= 0.35) or (form >= ALIKE_SHAPE and text >= 0.5)) and likeness > best:
                best, name = likeness, label
        if not name:
            name = _label(len(self._known))
            self._known.append((words, shape, name))
        return name


def outline(luma: np.ndarray) -> np.ndarray:
    """Where a screen has edges, (36, 64) uint8: enough to tell its layout from others."""
    edges = cv2.absdiff(luma[:, 1:], luma[:, :-1])[1:].astype(np.float32) + cv2.absdiff(luma[1:], luma[:-1])[:, 1:]
    small = cv2.resize(np.minimum(edges, 64), SHAPE, interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(small * 3.98), np.uint8)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - float(a.mean()), b - float(b.mean())
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 1.0


def _in_common(a: Counter[str], b: Counter[str]) -> float:
    larger = max(sum(a.values()), sum(b.values()))
    return sum((a & b).values()) / larger if larger else 1.0


def _label(number: int) -> str:
    out = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        out = chr(65 + rest) + out
    return out
