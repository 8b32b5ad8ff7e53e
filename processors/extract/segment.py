"""A part of a video, read: its settled screens with texts and elements, and all that moved in it.

Parts (:func:`processors.extract.decode.parts`) are cut at key frames by the file alone and are read each by itself, by any process, in any
order; :func:`joined` puts them together again. So a long video uses all cores, memory does not grow with its length, and what was read once
can be kept (:func:`packed`, :func:`unpacked`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import cv2
from pydantic import TypeAdapter

from processors.extract import elements, regions, style
from processors.extract.cursor import Template
from processors.extract.decode import Decoder, Part
from processors.extract.document import hex_colour
from processors.extract.geometry import covered
from processors.extract.identity import outline
from processors.extract.line import Line
from processors.extract.modal import Dimming
from processors.extract.page import Element, Text
from processors.extract.reading import Reader, open_reader
from processors.extract.settings import ExtractSettings
from processors.extract.timings import Timings, now
from processors.extract.watch import Settled, Watch, watched

Progress = Callable[[float, str], None]
P = ParamSpec("P")
T = TypeVar("T")
PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)  # on screens a third of the time, and no larger
AHEAD = 3  # settled screens that may wait to be read and described while decoding goes on


@dataclass(frozen=True)
class Entry:
    """A settled screen, read. ``keyframe`` names its PNG; ``outline`` is 36 rows of 64 bytes, in hex; ``possible`` are elements only if used."""

    settled_start: float
    settled_end: float
    frame: int
    keyframe: str
    background: str
    lines: tuple[Line, ...]
    texts: tuple[Text, ...]
    elements: tuple[Element, ...]
    possible: tuple[Element, ...]
    outline: str


@dataclass
class Seen:
    """What was seen in one part, or in all of them."""

    entries: list[Entry]
    watch: Watch
    damaged: bool
    timings: Timings


_SEEN = TypeAdapter(Seen)


def packed(seen: Seen) -> bytes:
    """As JSON, exact to the bit."""
    return _SEEN.dump_json(seen)


def unpacked(data: bytes) -> Seen:
    """What :func:`packed` packed. What several of its screens have in common is held once: of a long video, most is.

    :raises ValueError: where ``data`` is not what :func:`packed` gives
    """
    seen = _SEEN.validate_json(data)
    held: dict[Any, Any] = {}
    seen.entries = [
        replace(
            e,
            lines=tuple(held.setdefault(n, n) for n in e.lines),
            texts=tuple(held.setdefault(t, replace(t, line=held.setdefault(t.line, t.line))) for t in e.texts),
            elements=tuple(held.setdefault(x, x) for x in e.elements),
            possible=tuple(held.setdefault(x, x) for x in e.possible),
        )
        for e in seen.entries
    ]
    return seen


def read_part(
    video: Path, part: Part, template: Template | None, settings: ExtractSettings, folder: Path, threads: int, tell: Progress
) -> Seen:
    """Read one part; its keyframes are written into ``folder`` as they come. A part that is all of the video learns the cursor itself.

    :param tell: called with the time reached (in seconds of the video) and what is being done
    """
    cv2.setNumThreads(1)  # several things are done at once here: threads within each would only be in each other's way
    timings = Timings()
    decoder = Decoder(video, settings.limits, part)
    entries: list[Entry] = []
    seen, number = Watch(), 0
    with ThreadPoolExecutor(threads) as pool, _Line(threads) as reading, _Line(threads) as describing:
        reader = open_reader(settings.device, settings.models, pool, settings.min_confidence, timings)
        describer = _Describer(reader, folder, timings)
        under_way: deque[Future[Entry]] = deque()

        def take(at_most: int) -> None:
            while len(under_way) > at_most:
                entries.append(under_way.popleft().result())
                tell(entries[-1].settled_end, f"screen at {entries[-1].settled_end:.1f} s")

        since = now()
        for watch, settled in watched(decoder, template, settings.settle_s, part.whole):
            timings.add("decode_and_watch", since)
            seen = watch
            lines = reading.submit(reader.read, settled)
            under_way.append(describing.submit(describer.describe, settled, lines, f"{part.number:03d}-{number:04d}.png"))
            number += 1
            take(AHEAD)
            since = now()
        timings.add("decode_and_watch", since)
        take(0)
    timings.counts = {"frames": decoder.count, "screens": len(entries), **asdict(reader.stats)}
    return Seen(entries, seen, decoder.damaged, timings)


class _Line:
    """A thread that does one thing after the other; none, each thing being done at once, where there is but one core to use."""

    def __init__(self, threads: int) -> None:
        self._thread = ThreadPoolExecutor(1) if threads > 1 else None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._thread is not None:
            return self._thread.submit(work, *args, **kwargs)
        done: Future[T] = Future()
        done.set_result(work(*args, **kwargs))
        return done


class _Describer:
    """What is done with each settled screen once it is read, in their order, while the next one is read."""

    def __init__(self, reader: Reader, folder: Path, timings: Timings) -> None:
        self.reader, self.folder, self.timings = reader, folder, timings
        self.dimming = Dimming()

    def describe(self, settled: Settled, reading: Future[list[Line]], name: str) -> Entry:
        lines = reading.result()
        with self.timings.step("looks"):
            looked = [Text(line, self.reader.look(settled.image, line)) for line in lines]
            texts = [t for t in looked if not style.is_icon(t.text, t.look.ink, t.line.reading.confidence)]
        with self.timings.step("elements"):
            found = elements.look_for(settled.image, texts, regions.regions(settled.image))
            things, possible = found.elements, found.possible
            dialog = self.dimming.dialog(settled.image)
            if dialog is not None:  # what lies behind cannot be used
                things = [Element("modal", dialog, "", 0.6), *(e for e in things if covered(e.box, dialog) > 0.5)]
                possible = [e for e in possible if covered(e.box, dialog) > 0.5]
        background = hex_colour(style.ground(settled.image[::4, ::4])) or "#ffffff"
        with self.timings.step("keyframes"):
            (self.folder / name).write_bytes(cv2.imencode(".png", settled.image, PNG)[1].tobytes())
        return Entry(
            settled.t_start,
            settled.t_end,
            settled.frame,
            name,
            background,
            tuple(lines),
            tuple(texts),
            tuple(things),
            tuple(possible),
            outline(settled.luma).tobytes().hex(),
        )


def joined(parts: Iterable[Seen]) -> Seen:
    """All parts as one, taken one by one. A part ends with the frame that the next one begins with, so that the change between them is seen by the former; a screen that
    rests across a seam is one screen."""
    watch = Watch()
    entries: list[Entry] = []
    timings = Timings()
    damaged = False
    for n, seen in enumerate(parts):
        timings.include(seen.timings)
        damaged |= seen.damaged
        watch.moments += seen.watch.moments
        watch.track += seen.watch.track if n == 0 else [p for p in seen.watch.track if p[1] is not None or p[0] > seen.watch.track[0][0]]
        watch.frames, watch.duration = max(watch.frames, seen.watch.frames), max(watch.duration, seen.watch.duration)
        mine = list(seen.entries)
        if entries and mine and entries[-1].settled_end >= mine[0].settled_start - 1e-6:
            last = entries[-1]
            if last.settled_end <= last.settled_start:
                entries.pop()
            elif [t.text for t in last.texts] == [t.text for t in mine[0].texts]:  # what may be an icon aside
                mine[0] = replace(mine[0], settled_start=entries.pop().settled_start)
        entries += mine
    timings.counts["frames"] = watch.frames
    timings.counts["screens"] = len(entries)
    return Seen(entries, watch, damaged, timings)
