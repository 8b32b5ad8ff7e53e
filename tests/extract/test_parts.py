"""A long video is read in parts, and what comes out is what one reading would have found."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from processors.extract.decode import WHOLE, Decoder, parts
from processors.extract.job import assemble_job, bundled, part_file, part_job, plan_job, unbundled
from processors.extract.pipeline import Timings, extract
from processors.extract.segment import Seen, joined, packed, unpacked
from processors.extract.settings import ExtractSettings
from processors.extract.watch import Watch
from tests.extract import made


def test_parts_cover_every_frame_once_and_share_their_seams(tmp_path: Path) -> None:
    video = made.recording(tmp_path)
    pieces = parts(video, 5)
    assert len(pieces) == 4 and pieces[0].begin is None and pieces[-1].end is None
    whole = [(f.t, f.index) for f in Decoder(video)]
    read = [[(f.t, f.index) for f in Decoder(video, part=p)] for p in pieces]
    assert [f for n, frames in enumerate(read) for f in frames[bool(n) :]] == whole
    assert all(a[-1] == b[0] for a, b in itertools.pairwise(read))
    assert parts(video, 60) == [WHOLE]


def test_a_file_that_is_damaged_is_one_part(tmp_path: Path) -> None:
    video = made.recording(tmp_path, "long.mkv")
    data = video.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) * 2 // 3])
    assert all(sum(1 for _ in Decoder(cut, part=p)) > 0 for p in parts(cut, 5))


def test_in_parts_by_several_processes_as_by_one(tmp_path: Path) -> None:
    video = made.recording(tmp_path)
    timings = Timings()
    by_one = extract(video, settings=ExtractSettings(workers=1, part_s=5), timings=timings)
    by_two = extract(video, tmp_path / "two.json", ExtractSettings(workers=2, part_s=5))
    assert by_one.to_json() == by_two.to_json()
    assert dict(by_one.keyframes) == dict(by_two.keyframes)
    assert timings.counts["frames"] == by_one.document["video"]["frames"] == 180
    starts = [s["t_start"] for s in by_one.document["screens"]]
    assert len(starts) == 3, "a screen that rests across a seam is one screen"
    assert starts == pytest.approx([0, 6, 12], abs=0.35)  # the frames after a key frame are passed over


def test_kept_parts_are_put_together_without_reading_again(tmp_path: Path) -> None:
    video, settings = made.recording(tmp_path), ExtractSettings(workers=1, part_s=5)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    planned = plan_job(video, settings, lambda t, what: None)
    assert planned.facts is not None
    for part in planned.parts:
        assert part_job(video, part, planned.template, settings, first, 1, lambda t, what: None) is None
        unbundled(bundled(first, part.number), second)
    out = tmp_path / "out.json"
    answer = assemble_job(planned.facts, [p.number for p in planned.parts], second, out, lambda t, what: None)
    assert out.read_bytes() == extract(video, settings=settings).to_json()
    assert answer["facts"]["screens"] == 3
    seen = unpacked(part_file(first, 0).read_bytes())
    assert packed(seen) == part_file(first, 0).read_bytes()


def test_parts_that_saw_nothing_are_joined_too() -> None:
    nothing = Seen([], Watch(frames=3, duration=0.1), False, Timings())
    damaged = Seen([], Watch(frames=7, duration=0.3), True, Timings())
    both = joined([nothing, damaged])
    assert (both.entries, both.damaged, both.watch.frames) == ([], True, 7)
