"""Recordings at the pace of people: one whose pages were visited in a hurry, stretched; and a screen on which nothing is done.

A recording made for a test turns a page every other second. Here each page that it shows is held, as it settled last, until ``pace`` seconds have passed
since it came; what is done on it stays as it was. Held pictures are encoded anew, frame by frame, as a recorder at a constant rate does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from processors.extract.decode import Decoder

PACES = {"dense": 8.0, "typical": 20.0}  # seconds from a page to the next
SECONDS = 80.0  # of each recording at most: it is read as one part, without the start of further processes
RATE = 30
BLINK = 0.53  # seconds that a text cursor is shown, or not


def stretched(video: Path, document: Mapping[str, Any], pace: float, out: Path) -> Path:
    """``video`` with a new page every ``pace`` seconds; ``document`` are its features, which say when its pages come and go."""
    return _written(out, itertools.islice(_held(video, document, pace), round(SECONDS * RATE)))


def idle(video: Path, document: Mapping[str, Any], out: Path) -> Path:
    """The first page of ``video`` and nobody there: a text cursor blinks in the middle, a clock in the corner goes on."""
    until = document["screens"][0]["t_end"]
    page = next(f for f in Decoder(video) if f.t >= until).bgr()
    return _written(out, _nobody(page))


def _held(video: Path, document: Mapping[str, Any], pace: float) -> Iterator[np.ndarray]:
    visits = [list(v) for _, v in itertools.groupby(document["screens"], key=lambda s: s["screen"])]
    holds = [(v[-1]["t_end"], max(0.0, pace - (v[-1]["t_end"] - v[0]["t_start"]))) for v in visits]
    late, written = 0.0, 0
    for frame in Decoder(video):
        image = frame.bgr()
        while holds and frame.t >= holds[0][0]:
            late += holds.pop(0)[1]
        for _ in range(round((frame.t + late) * RATE) + 1 - written):
            yield image
            written += 1


def _nobody(page: np.ndarray) -> Iterator[np.ndarray]:
    height, width = page.shape[:2]
    x, y = width // 2, height // 2
    for n in range(round(SECONDS * RATE)):
        image = page.copy()
        ink = (0, 0, 0) if int(page[y, x].sum()) > 382 else (255, 255, 255)
        if n / RATE / BLINK % 2 < 1:
            image[y : y + 17, x : x + 2] = ink
        image[8:32, -100:-8] = page[20, -104]
        cv2.putText(
            image, f"10:{n // RATE // 60:02d}:{n // RATE % 60:02d}", (width - 96, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (128, 128, 128), 1
        )
        yield image


def _written(out: Path, images: Iterable[np.ndarray]) -> Path:
    with av.open(str(out), "w") as container:
        stream = None
        for n, image in enumerate(images):
            if stream is None:
                stream = container.add_stream("libx264", rate=RATE)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt, stream.options = "yuv420p", {"crf": "20", "preset": "veryfast"}
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = n
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode())
    return out
