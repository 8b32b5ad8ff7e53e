"""From a video to its features: the steps in order, one screen at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from processors.extract import actions as acting
from processors.extract import cursor, elements, regions, style
from processors.extract.decode import Decoder, VideoFacts, probe
from processors.extract.document import SCHEMA, Features, StoredKeyframes, frames_folder, hex_colour
from processors.extract.geometry import Box, area, covered, holds
from processors.extract.identity import Identities
from processors.extract.modal import Dimming
from processors.extract.reading import Line, Reader, open_reader
from processors.extract.settings import ExtractSettings
from processors.extract.watch import Settled, Watcher

Progress = Callable[[float, str], None]


@dataclass
class Timings:
    """Where the time went, in seconds of wall clock, and how much was done. Never part of the features."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, step: str, since: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - since


@dataclass
class _Entry:
    """A settled screen, read."""

    id: str
    screen: str
    settled_start: float
    settled_end: float
    frame: int
    keyframe: str
    background: str
    lines: list[Line]
    texts: list[elements.Text]
    elements: list[elements.Element]


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
    began = time.perf_counter()
    facts = probe(video, settings.limits)
    tell(0.0, "learning the cursor")
    template = cursor.learn(Decoder(video, settings.limits))
    timings.add("learn_cursor", began)

    decoder = Decoder(video, settings.limits)
    watcher = Watcher(template, settings.settle_s)
    stored = StoredKeyframes(frames_folder(out)) if out is not None else None
    if stored is not None:
        stored.empty()
    held: dict[str, bytes] = {}
    entries: list[_Entry] = []
    identities, dimming = Identities(), Dimming()
    seen_moments = 0
    with ThreadPoolExecutor(settings.workers) as pool:
        reader = open_reader(settings.device, settings.models, pool, settings.min_confidence)
        since = time.perf_counter()
        for settled in watcher.run(decoder):
            timings.add("decode_and_watch", since)
            moments = watcher.seen.moments[seen_moments:]
            seen_moments = len(watcher.seen.moments)
            entry = _read(settled, sum(m.dy for m in moments), len(entries), reader, identities, dimming, timings)
            since = time.perf_counter()
            png = cv2.imencode(".png", settled.image, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes()
            timings.add("keyframes", since)
            if stored is not None:
                stored.add(entry.keyframe, png)
            else:
                held[entry.keyframe] = png
            entries.append(entry)
            if facts.duration_s > 0:
                tell(min(0.98, settled.t_end / facts.duration_s), f"screen {len(entries)} at {settled.t_end:.1f} s")
            since = time.perf_counter()
        timings.add("decode_and_watch", since)
    since = time.perf_counter()
    screens = [acting.Screen(e.settled_start, e.settled_end, e.lines) for e in entries]
    done = acting.infer(watcher.seen, screens, facts.height)
    features = Features(_document(facts, decoder, watcher, entries, done), stored if stored is not None else held)
    timings.add("actions", since)
    timings.seconds["total"] = time.perf_counter() - began
    timings.counts = {"frames": decoder.count, "screens": len(entries), **reader.stats.__dict__}
    if out is not None:
        features.write(out)
    tell(1.0, "done")
    return features


def _read(settled: Settled, dy: int, number: int, reader: Reader, identities: Identities, dimming: Dimming, timings: Timings) -> _Entry:
    since = time.perf_counter()
    lines = reader.read(settled, dy)
    timings.add("read_text", since)
    since = time.perf_counter()
    looked = [elements.Text(line, style.look(settled.image, line)) for line in lines]
    texts = [t for t in looked if not style.is_icon(t.text, t.look.ink, t.line.reading.confidence)]
    found = elements.find(settled.image, texts, regions.regions(settled.image))
    dialog = dimming.dialog(settled.image)
    if dialog is not None:  # what lies behind cannot be used
        found = [e for e in found if covered(e.box, dialog) > 0.5]
        found.insert(0, elements.Element("modal", dialog, "", 0.6))
    timings.add("elements", since)
    background = hex_colour(style.ground(settled.image[::4, ::4])) or "#ffffff"
    identity = identities.of(settled, lines)
    return _Entry(
        f"s{number:04d}", identity, settled.t_start, settled.t_end, settled.frame, f"{number:04d}.png", background, lines, texts, found
    )


def _document(facts: VideoFacts, decoder: Decoder, watcher: Watcher, entries: list[_Entry], done: list[acting.Action]) -> dict[str, Any]:
    screens = [_screen(e) for e in entries]
    actions = [_action(a, entries) for a in _with_consequences(done, entries)]
    duration = watcher.seen.duration
    damaged = decoder.damaged or (facts.duration_s > 0 and duration < 0.9 * facts.duration_s - 1)
    return {
        "schema": SCHEMA,
        "video": {
            "width": facts.width,
            "height": facts.height,
            "fps": facts.fps,
            "duration_s": round(duration, 3),
            "frames": decoder.count,
            "codec": facts.codec,
            "damaged": damaged,
        },
        "screens": screens,
        "actions": actions,
        "transitions": _transitions(actions),
        "tokens": _tokens(entries),
    }


def _with_consequences(done: list[acting.Action], entries: list[_Entry]) -> list[acting.Action]:
    """The actions, and what can be seen to follow from them: a page change (navigate), and the key that must have led to one after typing."""
    out = list(done)
    for n, a in enumerate(done):
        if a.kind not in ("click", "type"):
            continue
        limit = done[n + 1].t if n + 1 < len(done) else float("inf")
        before = _before(entries, a.t if a.kind == "click" else a.end + 0.2)
        after = next(
            (e for e in entries if e.settled_start >= a.t and e.settled_start < limit and before is not None and e.screen != before.screen),
            None,
        )
        if before is None or after is None:
            continue
        t = round(
            max(
                a.end if a.kind == "type" else a.t,
                min(after.settled_start - 0.05, before.settled_end if a.kind == "type" else after.settled_start),
            ),
            3,
        )
        if a.kind == "type":
            out.append(acting.Action(t, "key", t, a.x, a.y, text="Enter", confidence=0.5))
        out.append(acting.Action(round(max(t, a.t + 0.01), 3), "navigate", after.settled_start, confidence=0.8))
    return sorted(out, key=lambda a: (a.t, a.kind == "navigate"))


def _screen(e: _Entry) -> dict[str, Any]:
    return {
        "id": e.id,
        "screen": e.screen,
        "t_start": round(e.settled_start, 3),
        "t_end": round(e.settled_end, 3),
        "frame": e.frame,
        "keyframe": e.keyframe,
        "background": e.background,
        "texts": [_text(i, t) for i, t in enumerate(e.texts)],
        "elements": [_element(i, el, e.elements) for i, el in enumerate(e.elements)],
        "layout": None,
    }


def _text(number: int, t: elements.Text) -> dict[str, Any]:
    return {
        "id": f"t{number}",
        "text": t.text,
        "box": list(t.look.ink),
        "confidence": t.line.reading.confidence,
        "color": hex_colour(t.look.colour),
        "background": hex_colour(t.look.background),
        "font_size": t.look.font_size,
        "weight": t.look.weight,
        "family": t.look.family,
    }


def _element(number: int, e: elements.Element, everything: list[elements.Element]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": f"e{number}",
        "kind": e.kind,
        "text": e.text,
        "box": list(e.box),
        "confidence": round(e.confidence, 3),
        "color": None,
        "background": hex_colour(e.fill),
        "border": hex_colour(e.border),
        "radius": e.radius,
        "parent": _parent(number, e.box, everything),
        "texts": [f"t{i}" for i in e.lines],
    }
    if e.checked is not None:
        out["checked"] = e.checked
    if e.placeholder is not None:
        out["placeholder"] = e.placeholder
    if e.masked:
        out["masked"] = True
    return out


def _parent(number: int, box: Box, everything: list[elements.Element]) -> str | None:
    """The smallest element around this one."""
    around = [
        (area(o.box), i) for i, o in enumerate(everything) if i != number and area(o.box) > 1.2 * area(box) and covered(box, o.box) > 0.95
    ]
    return f"e{min(around)[1]}" if around else None


def _action(a: acting.Action, entries: list[_Entry]) -> dict[str, Any]:
    before = _before(entries, a.t)
    after = next((e for e in entries if e.settled_start >= a.end - 0.001), entries[-1] if entries else None)
    return {
        "t": a.t,
        "kind": a.kind,
        "x": None if a.x is None else round(a.x, 1),
        "y": None if a.y is None else round(a.y, 1),
        "dy": a.dy,
        "text": a.text,
        "target": _target(a, before),
        "confidence": round(a.confidence, 3),
        "before": before.id if before else None,
        "after": after.id if after else None,
    }


def _before(entries: list[_Entry], t: float) -> _Entry | None:
    """The last screen that had settled when the action began."""
    earlier = [e for e in entries if e.settled_start <= t + 0.005]
    return earlier[-1] if earlier else (entries[0] if entries else None)


def _target(a: acting.Action, before: _Entry | None) -> str | None:
    """The smallest element at the place of a click or of what was typed."""
    if before is None or a.kind == "scroll":
        return None
    x, y = (a.x, a.y)
    if a.kind == "type" and a.region is not None:
        x, y = a.region[0] + 8, a.region[1] + a.region[3] / 2
    if x is None or y is None:
        return None
    hit = [(area(e.box), i) for i, e in enumerate(before.elements) if e.kind not in ("card", "table") and holds(e.box, x, y, 3)]
    return f"e{min(hit)[1]}" if hit else None


def _transitions(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"from": a["before"], "to": a["after"], "action": i}
        for i, a in enumerate(actions)
        if a["kind"] != "navigate" and a["before"] and a["after"] and a["before"] != a["after"]
    ]


def _tokens(entries: list[_Entry]) -> dict[str, list[Any]]:
    """What the recording uses most: colours by how many things have them, font sizes and radii likewise."""
    colours: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    radii: Counter[int] = Counter()
    for e in entries:
        colours[e.background] += 1
        for t in e.texts:
            colours[hex_colour(t.look.colour) or ""] += 1
            sizes[round(t.look.font_size)] += 1
        for el in e.elements:
            for c in (el.fill, el.border):
                if c is not None:
                    colours[hex_colour(c) or ""] += 1
            if el.radius:
                radii[el.radius] += 1

    def top(counter: Counter[Any], most: int) -> list[Any]:
        return [k for k, _ in sorted(counter.items(), key=lambda kv: (-kv[1], str(kv[0])))[:most]]

    return {"colors": top(colours, 16), "font_sizes": top(sizes, 8), "radii": top(radii, 6)}
