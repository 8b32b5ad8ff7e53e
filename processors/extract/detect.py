"""Where text is: PP-OCRv6's detector on a page or on a part of one, and its probability map made into boxes.

The network is fed at the picture's own scale (text on screens is read best unscaled), sides padded to multiples of 32.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from processors.extract.geometry import Box
from processors.extract.models import Network

TEXT = 0.3  # probability from which a pixel belongs to text
LINE = 0.45  # mean probability from which a component is a line
UNCLIP = 1.5  # the network is trained on shrunken lines: grow by area * UNCLIP / perimeter
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Found:
    """A line of text, not yet read. ``box`` is (x, y, w, h) in pixels of the picture given."""

    box: Box
    score: float


def detect(network: Network, image: np.ndarray) -> list[Found]:
    """Lines of text in ``image`` (BGR, uint8), from top to bottom."""
    probability = text_map(network, image)
    return lines(probability)


def text_map(network: Network, image: np.ndarray) -> np.ndarray:
    """The network's probability of text, float32, of the picture's shape."""
    height, width = image.shape[:2]
    bottom, right = -height % 32, -width % 32
    padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    batch = ((padded.astype(np.float32) / 255.0 - MEAN) / STD).transpose(2, 0, 1)[None]
    return network.run(np.ascontiguousarray(batch))[0, 0, :height, :width]


def lines(probability: np.ndarray) -> list[Found]:
    """Connected components of the probability map as boxes, grown back to the text's own size."""
    height, width = probability.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((probability > TEXT).astype(np.uint8), connectivity=8)
    out = []
    for i in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[i])
        if min(w, h) < 3 or area < 12:
            continue
        part = labels[y : y + h, x : x + w] == i
        score = float(probability[y : y + h, x : x + w][part].mean())
        if score < LINE:
            continue
        grow = UNCLIP * (w * h) / (2.0 * (w + h))
        x0, y0 = max(0, int(np.floor(x - grow))), max(0, int(np.floor(y - grow)))
        x1, y1 = min(width, int(np.ceil(x + w + grow))), min(height, int(np.ceil(y + h + grow)))
        out.append(Found((x0, y0, x1 - x0, y1 - y0), score))
    return sorted(out, key=lambda f: (f.box[1], f.box[0]))
