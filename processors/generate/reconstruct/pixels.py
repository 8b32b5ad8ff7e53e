"""Pixels of a box, and what colour they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .model import Box

Image = npt.NDArray[np.uint8]
"""Rows, columns, BGR."""


def hexadecimal(bgr: npt.NDArray[np.generic]) -> str:
    b, g, r = (int(min(255, max(0, round(float(v))))) for v in bgr)
    return f"#{r:02x}{g:02x}{b:02x}"


def distance(a: str, b: str) -> float:
    """Largest difference of two colours in any channel."""
    return max(abs(int(a[i : i + 2], 16) - int(b[i : i + 2], 16)) for i in (1, 3, 5))


def part(picture: Image, box: Box) -> Image:
    """The pixels of a box, at least one."""
    h, w = picture.shape[:2]
    x, y = min(w - 1, max(0, round(box.x))), min(h - 1, max(0, round(box.y)))
    return picture[y : max(y + 1, min(h, round(box.bottom))), x : max(x + 1, min(w, round(box.right)))]


def prevailing(pixels: Image) -> npt.NDArray[np.float64]:
    """The most frequent colour, BGR: the mean of the fullest cell of a coarse histogram."""
    flat = pixels.reshape(-1, 3)
    cells = (flat.astype(np.int32) + 4) // 12
    keys = cells[:, 0] * 1024 + cells[:, 1] * 32 + cells[:, 2]
    values, counts = np.unique(keys, return_counts=True)
    chosen: npt.NDArray[np.float64] = flat[keys == values[counts.argmax()]].mean(axis=0)
    return chosen


def ink(pixels: Image, ground: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The colour of what is written on `ground`: the mean of the tenth of the marked pixels that differ most."""
    flat = pixels.reshape(-1, 3).astype(np.float64)
    far = np.abs(flat - ground).max(axis=1)
    marked = max(1, int((far > 24).sum() * 0.25))
    strongest: npt.NDArray[np.float64] = flat[np.argsort(far, kind="stable")[-marked:]].mean(axis=0)
    return strongest
