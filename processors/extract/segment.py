"""A part of a video, read: its settled screens with texts and elements, and all that moved in it.

Parts (:func:`processors.extract.decode.parts`) are cut at key frames by the file alone and are read each by itself, by any process, in any
order; :func:`joined` puts them together again. So a long video uses all cores, memory does not grow with its length, and what was read once
can be kept (:func:`packed`, :func:`unpacked`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

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
from processors.extract.watch import Settled, Watch, Watcher

Progress = Callable[[float, str], None]


@dataclass
class Timings:
    """Where the time went, in seconds of wall clock, and how much was done. Never part of the features."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, step: str, since: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - since

    def include(self, other: Timings) -> None:
        for k, v in other.seconds.items():
            self.seconds[k] = self.seconds.get(k, 0.0) + v
        for k, n in other.counts.items():
            self.counts[k] = self.counts.get(k, 0) + n


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
    """:raises ValueError: where ``data`` is not what :func:`packed` gives."""
    return _SEEN.validate_json(data)


def read_part(
    video: Path, part: Part, template: Template | None, settings: ExtractSettings, folder: Path, threads: int, tell: Progress
) -> Seen:
    """Read one part; its keyframes are written into ``folder`` as they come.

    :param tell: called with the time reached (in seconds of the video) and what is being done
    """
    timings = Timings()
    decoder = Decoder(video, settings.limits, part)
    watcher = Watcher(template, settings.settle_s)
    entries: list[Entry] = []
    dimming = Dimming()
    seen_moments = 0
    with ThreadPoolExecutor(threads) as pool:
        reader = open_reader(settings.device, settings.models, pool, settings.min_confidence)
        since = time.perf_counter()
        for settled in watcher.run(decoder):
            timings.add("decode_and_watch", since)
            moments = watcher.seen.moments[seen_moments:]
            seen_moments = len(watcher.seen.moments)
            name = f"{part.number:03d}-{len(entries):04d}.png"
            entries.append(_read(settled, sum(m.dy for m in moments), name, reader, dimming, timings))
            since = time.perf_counter()
            png = cv2.imencode(".png", settled.image, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes()
            (folder / name).write_bytes(png)
            timings.add("keyframes", since)
            tell(settled.t_end, f"screen at {settled.t_end:.1f} s")
            since = time.perf_counter()
        timings.add("decode_and_watch", since)
    timings.counts = {"frames": decoder.count, "screens": len(entries), **asdict(reader.stats)}
    return Seen(entries, watcher.seen, decoder.damaged, timings)


def _read(settled: Settled, dy: int, name: str, reader: Reader, dimming: Dimming, timings: Timings) -> Entry:
    since = time.perf_counter()
    lines = reader.read(settled, dy)
    timings.add("read_text", since)
    since = time.perf_counter()
    looked = [Text(line, reader.look(settled.image, line)) for line in lines]
    texts = [t for t in looked if not style.is_icon(t.text, t.look.ink, t.line.reading.confidence)]
    found = elements.look_for(settled.image, texts, regions.regions(settled.image))
    things, possible = found.elements, found.possible
    dialog = dimming.dialog(settled.image)
    if dialog is not None:  # what lies behind cannot be used
        things = [Element("modal", dialog, "", 0.6), *(e for e in things if covered(e.box, dialog) > 0.5)]
        possible = [e for e in possible if covered(e.box, dialog) > 0.5]
    timings.add("elements", since)
    background = hex_colour(style.ground(settled.image[::4, ::4])) or "#ffffff"
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


def joined(parts: Sequence[Seen]) -> Seen:
    """All parts as one. A part ends with the frame that the next one begins with, so that the change between them is seen by the former; a screen that
    rests across a seam is one screen."""
    watch = Watch()
    entries: list[Entry] = []
    timings = Timings()
    for n, seen in enumerate(parts):
        timings.include(seen.timings)
        watch.moments += seen.watch.moments
        watch.track += seen.watch.track if n == 0 else [p for p in seen.watch.track if p[1] is not None or p[0] > seen.watch.track[0][0]]
        watch.frames, watch.duration = max(watch.frames, seen.watch.frames), max(watch.duration, seen.watch.duration)
        mine = list(seen.entries)
        if entries and mine and entries[-1].settled_end >= mine[0].settled_start - 1e-6:
            last = entries[-1]
            if last.settled_end <= last.settled_start:
                entries.pop()
            elif [line.text for line in last.lines] == [line.text for line in mine[0].lines]:
                mine[0] = replace(mine[0], settled_start=entries.pop().settled_start)
        entries += mine
    timings.counts["frames"] = watch.frames
    timings.counts["screens"] = len(entries)
    return Seen(entries, watch, any(p.damaged for p in parts), timings)
