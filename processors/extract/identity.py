"""Which settled screens are one and the same: revisited screens share an identity, states of a screen do too."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np

from processors.extract.reading import Line
from processors.extract.watch import Settled

ALIKE_TEXT = 0.7  # share of words in common
ALIKE_SHAPE = 0.82  # correlation of the edge maps
SHAPE = (64, 36)


@dataclass
class Identities:
    """Names screens A, B, ... Z, AA, ... in the order in which they are first seen."""

    _known: list[tuple[Counter[str], np.ndarray, str]] = field(default_factory=list)

    def of(self, screen: Settled, lines: list[Line]) -> str:
        words = Counter(w for line in lines for w in line.text.casefold().split() if any(c.isalpha() for c in w))
        shape = _shape(screen.luma)
        best, name = 0.0, ""
        for known, outline, label in self._known:
            text = _in_common(words, known)
            form = _correlation(shape, outline)
            likeness = 0.6 * text + 0.4 * form
            if ((text >= ALIKE_TEXT and form >= 0.35) or (form >= ALIKE_SHAPE and text >= 0.5)) and likeness > best:
                best, name = likeness, label
        if not name:
            name = _label(len(self._known))
            self._known.append((words, shape, name))
        return name


def _shape(luma: np.ndarray) -> np.ndarray:
    edges = cv2.absdiff(luma[:, 1:], luma[:, :-1])[1:].astype(np.float32) + cv2.absdiff(luma[1:], luma[:-1])[:, 1:]
    small = cv2.resize(np.minimum(edges, 64), SHAPE, interpolation=cv2.INTER_AREA)
    return np.asarray(small - small.mean())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
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
