"""Small videos made on the spot: a page, a cursor, things that happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, FPS = 640, 360, 30
ARROW = np.array([[0, 0], [0, 18], [5, 14], [8, 21], [11, 20], [8, 13], [14, 13]], np.int32)
FINE = {"crf": "18"}
PAGES = [
    [("Inventory", 40, 60), ("Products", 40, 120)],
    [("Products", 40, 60), ("Lamp", 60, 170), ("19.50", 240, 170)],
    [("Settings", 300, 250), ("Language", 60, 130)],
]


def page(words: Sequence[tuple[str, int, int]] = (), colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """A page with words at (x, baseline)."""
    image = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    ink = (20, 20, 20) if sum(colour) > 380 else (235, 235, 235)
    for word, x, y in words:
        cv2.putText(image, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.55, ink, 1, cv2.LINE_AA)
    return image


def with_cursor(image: np.ndarray, x: int, y: int) -> np.ndarray:
    out = image.copy()
    cv2.fillPoly(out, [ARROW + np.array([x, y], np.int32)], (0, 0, 0))
    cv2.polylines(out, [ARROW + np.array([x, y], np.int32)], True, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def video(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: int = FPS,
    codec: str = "libx264",
    stamps: Sequence[int] | None = None,
    options: Mapping[str, str] = FINE,
) -> Path:
    """Writes frames (BGR) as a file of one codec, each at its stamp (in frames), and gives the file's path."""
    coming = iter(frames)
    first = next(coming)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = dict(options)
        for n, image in enumerate(chain([first], coming)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = stamps[n] if stamps else n
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def recording(tmp_path: Path, name: str = "long.mp4") -> Path:
    """Eighteen seconds, a key frame each second, three pages."""
    pages = (with_cursor(page(PAGES[n // 60]), 500 - 22 * min(n % 60, 20), 300) for n in range(180))
    return video(tmp_path / name, pages, 10, options={"crf": "18", "g": "10", "bf": "2"})
