"""Dialogs over a dimmed page: what lies behind the dim cannot be used, and is no element of the screen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box

SCALE = 8  # pixels of the picture per cell that is compared
DARKER = (0.25, 0.85)  # what a dim leaves of a cell's light
EVEN = 0.06  # by how much that share may differ between cells
RIM = 0.9  # share of the cells along the picture's edges that must be: a dim covers all, a dialog no edge
MOST = 0.5  # share of the lit cells that must be dimmed evenly


@dataclass
class Dimming:
    """Compares every settled screen with the last one that was not dimmed."""

    _bright: np.ndarray | None = None

    def dialog(self, image: np.ndarray) -> Box | None:
        """The box of the dialog, where the screen (BGR) is the one before under a dim with a dialog in front; else ``None``."""
        height, width = image.shape[:2]
        reduced = cv2.resize(image, (width // SCALE, height // SCALE), interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.cvtColor(reduced, cv2.COLOR_BGR2GRAY), np.float32)
        before = self._bright
        if before is None or before.shape != small.shape:
            self._bright = small
            return None
        lit = before > 12
        ratio = small[lit] / before[lit]
        within = ratio[(ratio > DARKER[0]) & (ratio < DARKER[1])]
        if within.size < MOST * ratio.size or not ratio.size:
            self._bright = small
            return None
        share = float(np.median(within))
        even = np.abs(ratio - share) <= EVEN + 1.5 / before[lit]
        alike = np.ones(small.shape, bool)
        alike[lit] = even
        rim = np.concatenate([alike[0], alike[-1], alike[:, 0], alike[:, -1]])
        if even.mean() < MOST or rim.mean() < RIM:
            self._bright = small
            return None
        odd = np.zeros(small.shape, np.uint8)
        odd[lit] = ~even
        odd = cv2.morphologyEx(odd, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        odd = cv2.morphologyEx(odd, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(odd, connectivity=8)
        if count < 2:
            return None
        x, y, w, h, _ = max((tuple(int(v) for v in s) for s in stats[1:count]), key=lambda s: s[4])
        return x * SCALE - SCALE, y * SCALE - SCALE, w * SCALE + 2 * SCALE, h * SCALE + 2 * SCALE
