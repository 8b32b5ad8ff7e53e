"""What is no recording is refused with its reason; what is damaged is read as far as it goes."""

from __future__ import annotations

import random
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from processors.extract.decode import Decoder, probe
from processors.extract.errors import BadVideo
from processors.extract.settings import Limits


def frames(count: int, width: int = 640, height: int = 360) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 255, (height, width, 3), np.uint8)
    return [np.roll(noise, n, axis=1) for n in range(count)]


def reason(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(BadVideo) as caught:
        probe(path, limits)
        for _ in Decoder(path, limits):
            pass
    assert str(caught.value)
    return caught.value.reason


def test_no_video_and_empty_file(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.write_bytes(b"")
    text.write_text("this is no video\n" * 100)
    assert reason(empty) == "empty_file"
    assert reason(text) == "not_a_video"


def test_random_bytes_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "noise.webm"
    path.write_bytes(random.Random(3).randbytes(50_000))
    assert reason(path) in {"not_a_video", "no_video_stream", "nothing_decodes"}


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(16000))
    assert reason(path) == "no_video_stream"


def test_too_small(video: Callable[..., Path]) -> None:
    assert reason(video(frames(3, 2, 2))) == "too_small"


def test_limits(video: Callable[..., Path]) -> None:
    path = video(frames(60))
    assert reason(path, Limits(max_bytes=100)) == "too_large"
    assert reason(path, Limits(max_seconds=1)) == "too_long"
    assert reason(path, Limits(max_frames=20)) == "too_many_frames"
    assert reason(path, Limits(max_pixels=1000)) == "too_many_pixels"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "nowhere.mp4")


def test_truncated_file_is_read_as_far_as_it_goes(video: Callable[..., Path], tmp_path: Path) -> None:
    whole = video(frames(60), "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    decoder = Decoder(cut)
    count = sum(1 for _ in decoder)
    assert 5 < count < 60


def test_an_mp4_without_its_index_is_no_video(video: Callable[..., Path], tmp_path: Path) -> None:
    whole = video(frames(60))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert reason(cut) == "not_a_video"


def test_mutated_files_end_in_frames_or_a_reason(video: Callable[..., Path], tmp_path: Path) -> None:
    data = video(frames(20), "seed.mkv").read_bytes()
    choose = random.Random(11)
    path = tmp_path / "mutant.mkv"
    for _ in range(40):
        mutant = bytearray(data)
        for _ in range(choose.choice([1, 4, 30])):
            mutant[choose.randrange(len(mutant))] = choose.randrange(256)
        path.write_bytes(bytes(mutant[: choose.choice([len(mutant), choose.randrange(1, len(mutant))])]))
        try:
            probe(path)
            assert sum(1 for _ in Decoder(path)) > 0
        except BadVideo as error:
            assert error.reason != "bad_video"


def test_times_are_the_streams_own(video: Callable[..., Path]) -> None:
    path = video(frames(4), "vfr.mkv", stamps=[0, 3, 30, 90])
    assert [f.t for f in Decoder(path)] == pytest.approx([0.0, 0.1, 1.0, 3.0], abs=0.002)
