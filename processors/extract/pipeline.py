"""From a video to its features: the parts of it read, side by side where there are several, and put together."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np

from processors.extract import actions, behaviour, cursor
from processors.extract.cursor import Template
from processors.extract.decode import Decoder, Frame, Part, VideoFacts, parts, probe
from processors.extract.describe import Named, document
from processors.extract.document import Features, StoredKeyframes, frames_folder
from processors.extract.gestures import gestures
from processors.extract.identity import SHAPE, Identities
from processors.extract.scene import Screen
from processors.extract.segment import Progress, Seen, joined, read_part
from processors.extract.settings import ExtractSettings, Limits
from processors.extract.timings import Timings, now

SAMPLED, SAMPLE = 5, 300  # parts of a long recording, and frames of each, in which the cursor is looked for

__all__ = ["Timings", "assemble", "extract", "plan"]


def extract(
    video: Path,
    out: Path | None = None,
    settings: ExtractSettings | None = None,
    progress: Progress | None = None,
    timings: Timings | None = None,
) -> Features:
    """Read a screen recording.

    :param video: any container and codec that ffmpeg reads
    :param out: where to write the features file; the keyframes go to ``NAME.frames/`` beside it
    :param progress: called with the share done (0 to 1) and what is being done
    :param timings: filled, if given
    :raises BadVideo: one of its kinds, where the file cannot or may not be read
    """
    settings = settings or ExtractSettings()
    timings = timings if timings is not None else Timings()
    tell = progress or (lambda share, what: None)
    began = now()
    tell(0.0, "learning the cursor")
    facts, pieces, template = plan(video, settings)
    timings.add("learn_cursor", began)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-parts-", dir=out.parent if out is not None else None)))
        seen = _read_all(video, facts, pieces, template, settings, work, tell)
        timings.include(seen.timings)
        with timings.step("actions"):
            features = assemble(facts, seen, work, out)
    timings.seconds["total"] = now()[0] - began[0]
    if out is not None:
        features.write(out)
    tell(1.0, "done")
    return features


def plan(video: Path, settings: ExtractSettings) -> tuple[VideoFacts, list[Part], Template | None]:
    """What the header says, the parts to read, and the cursor, if several parts need it: a single one learns it as it is read.

    :raises BadVideo: one of its kinds
    """
    facts = probe(video, settings.limits)
    pieces = parts(video, settings.part_s)
    return facts, pieces, cursor.learn(_samples(video, settings.limits, pieces)) if len(pieces) > 1 else None


def _samples(video: Path, limits: Limits, pieces: Sequence[Part]) -> Iterator[Frame]:
    """Frames of a long recording from which its cursor is learned: of its beginning, and of some parts all over it."""
    for piece in pieces[:: -(-len(pieces) // SAMPLED)]:
        yield from islice(Decoder(video, limits, piece), SAMPLE if piece.number else 2 * SAMPLE)


def assemble(facts: VideoFacts, seen: Seen, pictures: Path, out: Path | None) -> Features:
    """The features of what was seen; the keyframes are taken from the folder ``pictures``: moved beside ``out``, or held where there is none."""
    entries = seen.entries
    identities = Identities()
    names = [identities.of(np.frombuffer(bytes.fromhex(e.outline), np.uint8).reshape(SHAPE[1], SHAPE[0]), e.lines) for e in entries]
    done = actions.infer(seen.watch, [Screen(e.settled_start, e.settled_end, e.lines) for e in entries], facts.height)
    entries = behaviour.revised(entries, names, done, facts.width)
    done = sorted([*done, *gestures(seen.watch, entries, done)], key=lambda a: (a.t, a.kind))
    named = [Named(e, f"s{n:04d}", names[n], f"{n:04d}.png") for n, e in enumerate(entries)]
    held: dict[str, bytes] = {}
    stored = StoredKeyframes(frames_folder(out)) if out is not None else None
    if stored is not None:
        stored.empty()
    for n in named:
        picture = pictures / n.entry.keyframe
        if stored is not None:
            stored.take(n.keyframe, picture)
        else:
            held[n.keyframe] = picture.read_bytes()
    return Features(document(facts, seen, named, done), stored if stored is not None else held)


def _read_all(
    video: Path, facts: VideoFacts, pieces: Sequence[Part], template: Template | None, settings: ExtractSettings, work: Path, tell: Progress
) -> Seen:
    """Every part, several at a time in processes of their own. What comes out does not depend on how many there are."""
    reached = [0.0] * len(pieces)

    def report(number: int, begin: float) -> Callable[[float, str], None]:
        def told(t: float, what: str) -> None:
            reached[number] = t - begin
            if facts.duration_s > 0:
                tell(min(0.98, sum(reached) / facts.duration_s), what)

        return told

    if len(pieces) == 1 or settings.workers == 1:
        return joined([read_part(video, p, template, settings, work, settings.workers, report(p.number, _begin(facts, p))) for p in pieces])
    found: dict[int, Seen] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(settings.workers, len(pieces)), mp_context=spawn) as pool:
        jobs = {pool.submit(read_alone, video, p, template, settings, work): p.number for p in pieces}
        try:
            for job in as_completed(jobs):
                seen = found[jobs[job]] = job.result()
                report(jobs[job], _begin(facts, pieces[jobs[job]]))(seen.watch.duration, f"part {len(found)} of {len(pieces)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return joined([found[p.number] for p in pieces])


def read_alone(video: Path, part: Part, template: Template | None, settings: ExtractSettings, work: Path) -> Seen:
    """:func:`read_part` as a process's only task."""
    return read_part(video, part, template, settings, work, 1, lambda t, what: None)


def _begin(facts: VideoFacts, part: Part) -> float:
    return part.first_frame / facts.fps if facts.fps else 0.0
