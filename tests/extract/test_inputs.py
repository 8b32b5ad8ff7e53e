"""Recordings of every kind, and what is none: each ends in features or in a clear reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from processors.extract.errors import BadVideo
from processors.extract.pipeline import extract
from processors.extract.settings import ExtractSettings
from tests.extract import made

HOME, ORDERS = [("Inventory", 40, 60), ("Suppliers", 40, 150)], [("Orders", 40, 60), ("Berlin", 60, 170)]
Write = Callable[[Sequence[np.ndarray], int], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes frames as H.264 at a rate of frames and gives the file's path."""
    return lambda frames, rate: made.video(tmp_path / "made.mp4", frames, rate, options={"crf": "20", "preset": "ultrafast"})


def read(path: Path) -> dict[str, Any]:
    return extract(path, settings=ExtractSettings(workers=1)).document


def texts(document: dict[str, Any]) -> list[set[str]]:
    return [{t["text"] for t in s["texts"]} for s in document["screens"]]


@pytest.mark.parametrize("rate", [5, 120])
def test_few_and_many_frames_a_second(write: Write, rate: int) -> None:
    document = read(write([made.page(HOME)] * rate + [made.page(ORDERS)] * rate, rate))
    assert document["video"]["frames"] == 2 * rate and document["video"]["duration_s"] == pytest.approx(2, abs=0.25)
    first, *_, last = texts(document)
    assert "Inventory" in first and "Orders" in last


def test_portrait(write: Write) -> None:
    page = np.full((640, 360, 3), 255, np.uint8)
    cv2.putText(page, "Settings", (40, 500), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 20, 20), 1, cv2.LINE_AA)
    document = read(write([page] * 20, 20))
    assert (document["video"]["width"], document["video"]["height"]) == (360, 640)
    assert texts(document) == [{"Settings"}]


@pytest.mark.parametrize("grey", [0, 255])
def test_nothing_to_be_seen(write: Write, grey: int) -> None:
    document = read(write([np.full((240, 320, 3), grey, np.uint8)] * 20, 20))
    assert texts(document) == [set()] and document["actions"] == []


def test_a_page_that_never_changes(write: Write) -> None:
    document = read(write([made.page(HOME)] * 60, 20))
    (screen,) = document["screens"]
    assert screen["t_end"] > 2.8 and document["actions"] == []
    assert {"Inventory", "Suppliers"} <= texts(document)[0]


def test_noise_and_a_film(write: Write) -> None:
    rng = np.random.default_rng(7)
    noise = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(30)]
    assert read(write(noise, 20))["video"]["frames"] == 30
    scene = cv2.resize(rng.integers(0, 255, (24, 64, 3), np.uint8), (960, 240), interpolation=cv2.INTER_CUBIC)
    film = read(write([np.ascontiguousarray(scene[:, 9 * n : 9 * n + 320]) for n in range(60)], 20))
    assert film["video"]["frames"] == 60 and [a for a in film["actions"] if a["kind"] == "type"] == []


def test_8k_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(7680, 4320, "yuvj420p")))
        container.mux(stream.encode())
    with pytest.raises(BadVideo) as caught:
        read(path)
    assert caught.value.reason == "too_many_pixels" and "7680x4320" in str(caught.value)
