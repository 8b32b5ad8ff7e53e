"""How well and how fast a screen recording is read, beside what decoding alone costs.

    python -m bench.extract --json [--paces] [VIDEO ...]

Each VIDEO needs its ``NAME.truth.json`` beside it (``x.vp8.webm`` shares the truth of ``x.mp4``); without any, the sample recording is taken. More
recordings are made by ``python -m bench.recordings``. Scores are those of ``bench/scorers/score.py``, for every recording and pooled, and apart
for those called low-rate (``.webm``). Speeds are measured in this run, one after the other, on this machine: the whole extraction against the
video's length, and everything but text, elements and layout against bare decoding. ``cpu_seconds`` says what each step costs, of the threads that do
it; ``decoding_alone`` is another run, ``rest`` what no step names: mostly the decoder's own threads. ``start`` is a process with both networks
opened, once. They are a better guide than times where the machine has other work. What ``bench.recordings`` made is pooled by its part as well:
``dev`` may be tuned on, ``held`` is only scored.

``--paces`` makes three more of each recording (``bench/paces.py``) and times them: ``dense``, a new page every 8 s, ``typical``, every 20 s, and ``idle``, on which
only a clock and a text cursor change. ``to_decode`` is the whole extraction's rate of frames against that of bare decoding, ``to_decode_cpu`` the same by what
both cost of processors.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "scorers"))

from score import score

from bench.paces import PACES, RATE, idle, stretched
from bench.recordings import RECORDINGS
from processors.extract.decode import Decoder, Frame
from processors.extract.pipeline import Timings, extract
from processors.extract.settings import ExtractSettings
from processors.extract.watch import watched

SAMPLE = Path(__file__).parent.parent / "samples" / "sqlite_web.mp4"


def truth_of(video: Path) -> dict[str, Any]:
    """The truth beside a recording."""
    loaded: dict[str, Any] = json.loads((video.parent / f"{video.name.split('.')[0]}.truth.json").read_bytes())
    return loaded


def groups_of(video: Path) -> Iterator[str]:
    """What a recording is pooled with: low-rate ones apart, and those of ``bench.recordings`` by their part as well."""
    low = "_low_rate" if video.suffix == ".webm" else ""
    yield f"pooled{low}"
    if made := RECORDINGS.get(video.name.split(".")[0]):
        yield f"pooled_{made.part}{low}"


def spent() -> float:
    """Seconds that this process and those it waited for have had of processors so far."""
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def cost_of(work: Callable[[], object]) -> float:
    before = spent()
    work()
    return spent() - before


def start() -> None:
    """A process that is ready to read text."""
    ready = "from processors.extract import models, pipeline; [models.open_network(n) for n in (models.DETECTOR, models.RECOGNISER)]"
    subprocess.run([sys.executable, "-c", ready], check=True)


def bare_decoding(video: Path) -> float:
    """Frames per second of decoding alone, luma seen but not copied; the best of two."""
    return max(_rate(video, _look) for _ in range(2))


def watching(video: Path) -> float:
    """Frames per second of decoding, change gate, the cursor learned and followed, scrolling and keyframes; the best of two."""
    return max(_rate(video, lambda frames: _drain(watched(frames, None, ExtractSettings().settle_s, True))) for _ in range(2))


def _rate(video: Path, work: Callable[[Decoder], None]) -> float:
    decoder = Decoder(video)
    since = time.perf_counter()
    work(decoder)
    return decoder.count / (time.perf_counter() - since)


def _look(frames: Iterable[Frame]) -> None:
    for frame in frames:
        assert frame.luma.size


def _drain(things: Iterable[object]) -> None:
    for _ in things:
        pass


def speed(video: Path, settings: ExtractSettings) -> dict[str, Any]:
    """How fast a recording is read, beside decoding alone."""
    timings = Timings()
    before = spent()
    extract(video, None, settings, timings=timings)
    cpu = spent() - before
    frames, rate = timings.counts["frames"], bare_decoding(video)
    decoding = cost_of(lambda: _look(Decoder(video)))
    return {
        "duration_s": (seconds := round(frames / RATE, 1)),
        "screens": timings.counts["screens"],
        "times_real_time": round(seconds / timings.seconds["total"], 2),
        "times_real_time_per_cpu": round(seconds / cpu, 2),
        "to_decode": round(frames / timings.seconds["total"] / rate, 3),
        "to_decode_cpu": round(decoding / cpu, 3),
        "cpu_seconds": {"total": round(cpu, 2), "decoding_alone": round(decoding, 2)},
    }


def at_paces(video: Path, document: dict[str, Any], settings: ExtractSettings) -> dict[str, Any]:
    """:func:`speed` of what ``bench/paces.py`` makes of a recording."""
    with tempfile.TemporaryDirectory(prefix="millrace-paces-") as folder:
        made = {name: stretched(video, document, pace, Path(folder) / f"{name}.mp4") for name, pace in PACES.items()}
        made["idle"] = idle(video, document, Path(folder) / "idle.mp4")
        return {name: speed(path, settings) for name, path in made.items()}


def measure(video: Path, settings: ExtractSettings, out: Path | None) -> tuple[dict[str, Any], tuple[dict[str, Any], dict[str, Any]]]:
    """One recording: its scores and speeds, and the pair that pooled scores need."""
    timings = Timings()
    before = spent()
    target = out / f"{video.name}.json" if out else None
    features = extract(video, target, settings, timings=timings).document
    cpu = spent() - before
    truth = truth_of(video)
    bare, watched = bare_decoding(video), watching(video)
    seconds = features["video"]["duration_s"]
    return {
        "video": video.name,
        "scores": score([(features, truth)]),
        "duration_s": seconds,
        "screens": len(features["screens"]),
        "times_real_time": round(seconds / timings.seconds["total"], 2),
        "times_real_time_per_cpu": round(seconds / cpu, 2),
        "decode_only_fps": round(bare),
        "watch_fps": round(watched),
        "watch_to_decode": round(watched / bare, 3),
        "seconds": {k: round(v, 3) for k, v in timings.seconds.items()},
        "cpu_seconds": {
            **{k: round(v, 2) for k, v in timings.cpu.items()},
            "rest": round(cpu - sum(timings.cpu.values()), 2),
            "total": round(cpu, 2),
            "decoding_alone": round(cost_of(lambda: _look(Decoder(video))), 2),
        },
        "counts": timings.counts,
    }, (features, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description="Score and time the extraction.")
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--paces", action="store_true", help="time them dense, typical and idle as well")
    parser.add_argument("--out", type=Path, default=None, help="keep the features files in this folder")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    settings = ExtractSettings(workers=args.workers)
    results, groups = [], defaultdict[str, list[tuple[dict[str, Any], dict[str, Any]]]](list)
    for video in args.videos or [SAMPLE]:
        result, pair = measure(video, settings, args.out)
        if args.paces:
            result["paces"] = at_paces(video, pair[0], settings)
        results.append(result)
        for group in groups_of(video):
            groups[group].append(pair)
        if not args.json:
            print(
                f"{video.name}: x{result['times_real_time']} real time, watch/decode {result['watch_to_decode']}",
                json.dumps(result["scores"]),
                file=sys.stderr,
            )
    report = {
        "recordings": results,
        **{group: score(pairs) for group, pairs in groups.items()},
        "start": {"cpu_seconds": round(cost_of(start), 2)},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "cpus": len(os.sched_getaffinity(0)),
    }
    print(json.dumps(report, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
