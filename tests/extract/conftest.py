"""Small videos made on the spot: a page, a cursor, things that happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

WIDTH, HEIGHT, FPS = 640, 360, 30
ARROW = np.array([[0, 0], [0, 18], [5, 14], [8, 21], [11, 20], [8, 13], [14, 13]], np.int32)


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


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Writes frames (BGR) as an H.264 file and gives its path."""

    def write(frames: Sequence[np.ndarray], name: str = "made.mp4", codec: str = "libx264", stamps: Sequence[int] | None = None) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=FPS)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "18"} if codec == "libx264" else {}
            for n, image in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts = stamps[n] if stamps else n
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write
