"""The features document: what was seen and inferred, in the words of its contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from processors.extract import layout
from processors.extract.decode import VideoFacts
from processors.extract.document import SCHEMA, hex_colour
from processors.extract.geometry import Box, area, covered, holds
from processors.extract.page import Element, Text
from processors.extract.scene import Action
from processors.extract.segment import Entry, Seen

WIDEST_GAP = 96  # pixels; more is no spacing but a place left empty


@dataclass(frozen=True)
class Named:
    """An entry with its ``id``, its ``screen`` (identity), and the name of its keyframe's file."""

    entry: Entry
    id: str
    screen: str
    keyframe: str

    @property
    def start(self) -> float:
        return self.entry.settled_start

    @property
    def end(self) -> float:
        return self.entry.settled_end


def document(facts: VideoFacts, seen: Seen, entries: Sequence[Named], done: Sequence[Action]) -> dict[str, Any]:
    """Screens, actions, transitions and tokens as JSON."""
    screens = [_screen(e, facts.width, facts.height) for e in entries]
    actions = [_action(a, entries) for a in _with_consequences(done, entries)]
    duration = seen.watch.duration
    return {
        "schema": SCHEMA,
        "video": {
            "width": facts.width,
            "height": facts.height,
            "fps": facts.fps,
            "duration_s": round(duration, 3),
            "frames": seen.watch.frames,
            "codec": facts.codec,
            "damaged": seen.damaged or (facts.duration_s > 0 and duration < 0.9 * facts.duration_s - 1),
        },
        "screens": screens,
        "actions": actions,
        "transitions": _transitions(actions),
        "tokens": _tokens(entries, screens),
    }


def _with_consequences(done: Sequence[Action], entries: Sequence[Named]) -> list[Action]:
    """The actions, and what can be seen to follow from them: a page change (navigate), and the key that must have led to one after typing."""
    out = list(done)
    for n, a in enumerate(done):
        if a.kind not in ("click", "type"):
            continue
        limit = next((b.t for b in done[n + 1 :] if b.kind in ("click", "type", "scroll")), float("inf"))
        before = _before(entries, a.t if a.kind == "click" else a.end + 0.2)
        after = next(
            (e for e in entries if e.start >= a.t and e.start < limit and before is not None and e.screen != before.screen),
            None,
        )
        if before is None or after is None:
            continue
        t = round(
            max(
                a.end if a.kind == "type" else a.t,
                min(after.start - 0.05, before.end if a.kind == "type" else after.start),
            ),
            3,
        )
        if a.kind == "type":
            out.append(Action(t, "key", t, a.x, a.y, text="Enter", confidence=0.5))
        out.append(Action(round(max(t, a.t + 0.01), 3), "navigate", after.start, confidence=0.8))
    return sorted(out, key=lambda a: (a.t, a.kind == "navigate"))


def _screen(e: Named, width: int, height: int) -> dict[str, Any]:
    entry = e.entry
    return {
        "id": e.id,
        "screen": e.screen,
        "t_start": round(e.start, 3),
        "t_end": round(e.end, 3),
        "frame": entry.frame,
        "keyframe": e.keyframe,
        "background": entry.background,
        "texts": [_text(i, t) for i, t in enumerate(entry.texts)],
        "elements": [_element(i, el, entry.elements) for i, el in enumerate(entry.elements)],
        "layout": layout.tree(entry.elements, [x.look.ink for x in entry.texts], width, height),
    }


def _text(number: int, t: Text) -> dict[str, Any]:
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


def _element(number: int, e: Element, everything: Sequence[Element]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": f"e{number}",
        "kind": e.kind,
        "text": e.text,
        "box": list(e.box),
        "confidence": round(e.confidence, 3),
        "color": hex_colour(e.colour),
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


def _parent(number: int, box: Box, everything: Sequence[Element]) -> str | None:
    """The smallest element around this one."""
    around = [
        (area(o.box), i) for i, o in enumerate(everything) if i != number and area(o.box) > 1.2 * area(box) and covered(box, o.box) > 0.95
    ]
    return f"e{min(around)[1]}" if around else None


def _action(a: Action, entries: Sequence[Named]) -> dict[str, Any]:
    before = _before(entries, a.t)
    after = next((e for e in entries if e.start >= a.end - 0.001), entries[-1] if entries else None)
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


def _before(entries: Sequence[Named], t: float) -> Named | None:
    """The last screen that had settled when the action began."""
    earlier = [e for e in entries if e.start <= t + 0.005]
    return earlier[-1] if earlier else (entries[0] if entries else None)


def _target(a: Action, before: Named | None) -> str | None:
    """The smallest element at the place of a click or of what was typed."""
    if before is None or a.kind == "scroll":
        return None
    x, y = (a.x, a.y)
    if a.kind == "type" and a.region is not None:
        x, y = a.region[0] + 8, a.region[1] + a.region[3] / 2
    if x is None or y is None:
        return None
    hit = [(area(e.box), i) for i, e in enumerate(before.entry.elements) if e.kind not in ("card", "table") and holds(e.box, x, y, 3)]
    return f"e{min(hit)[1]}" if hit else None


def _transitions(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"from": a["before"], "to": a["after"], "action": i}
        for i, a in enumerate(actions)
        if a["kind"] != "navigate" and a["before"] and a["after"] and a["before"] != a["after"]
    ]


def _tokens(entries: Sequence[Named], screens: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What the recording uses most: colours by how many things have them, font sizes and radii likewise."""
    colours: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    radii: Counter[int] = Counter()
    spaces: Counter[int] = Counter()
    for s in screens:
        spaces.update(g for g in layout.gaps(s["layout"]) if g <= WIDEST_GAP)
    for e in entries:
        colours[e.entry.background] += 1
        for t in e.entry.texts:
            colours[hex_colour(t.look.colour) or ""] += 1
            sizes[round(t.look.font_size)] += 1
        for el in e.entry.elements:
            for c in (el.fill, el.border):
                if c is not None:
                    colours[hex_colour(c) or ""] += 1
            if el.radius:
                radii[el.radius] += 1

    def top(counter: Counter[Any], most: int) -> list[Any]:
        return [k for k, _ in sorted(counter.items(), key=lambda kv: (-kv[1], str(kv[0])))[:most]]

    return {"colors": top(colours, 16), "font_sizes": top(sizes, 8), "radii": top(radii, 6), "spacing": top(spaces, 8)}
