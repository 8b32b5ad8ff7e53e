"""Give every thing on the pages its colours and its place in the whole application.

Colours come from the features where they are given, else from the picture. The same thing on two pages gets the same box,
colour and wording, so that what pages share is recognisably the same, and one palette serves all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .mosaic import Sheet
from .model import Box, Element, Text
from .paint import Panel, distance, hexadecimal, ink, panels, part, prevailing

_FIELDS = {"input", "select"}
_CLOSED = {"image", "checkbox", "radio", "icon"}


@dataclass
class Scene:
    """A page ready to be laid out: nothing is there twice, and every colour is known."""

    sheet: Sheet
    ground: str
    texts: list[Text]
    elements: list[Element]
    panels: list[Panel]
    values: dict[str, Text]
    """The line shown in a field, by the id of its element."""


def dress(sheet: Sheet) -> Scene:
    """Colours and panels of one page."""
    picture = sheet.picture
    ground = sheet.background or (hexadecimal(prevailing(picture[::2, ::2])) if picture is not None else "#ffffff")
    found = panels(picture, ground) if picture is not None else []
    elements = sorted(sheet.elements, key=lambda e: (e.box.y, e.box.x, -e.box.area, e.kind))
    pictures = [e for e in elements if e.kind == "image"]
    elements = [e for e in elements if e in pictures or not any(p.box.holds(e.box) for p in pictures)]
    closed = [e for e in elements if e.kind in _CLOSED]
    fields = [e for e in elements if e.kind in _FIELDS]
    values: dict[str, Text] = {}
    texts: list[Text] = []
    for t in sorted(sheet.texts, key=lambda t: (t.box.y, t.box.x, t.text)):
        colored = _text(t, sheet)
        field = next((e for e in fields if e.box.contains(t.box.cx, t.box.cy) and t.box.h < 1.2 * e.box.h), None)
        if field is not None:
            values.setdefault(field.id, colored)
        elif not any(e.box.contains(t.box.cx, t.box.cy) for e in closed):
            texts.append(colored)
    tables = [e.box for e in elements if e.kind == "table"]
    dressed, free = [], found
    for e in elements:
        mate = max((p for p in free if _iou(p.box, e.box) > 0.6), key=lambda p: _iou(p.box, e.box), default=None)
        if mate is not None and e.kind not in _CLOSED:
            free = [p for p in free if p is not mate]
        dressed.append(_element(e, mate, sheet, ground))
    shut = [e.box for e in elements if e.kind in _CLOSED or e.kind in _FIELDS]
    free = [
        p
        for p in free
        if not any(b.holds(p.box, 3) or p.box.overlap(b) > 0.6 * p.box.area for b in shut)
        # In a table rules and stripes are the rows' own; only a patch of another colour is a thing in a cell.
        and not any(t.holds(p.box, 6) and (p.border is not None or p.contrast < 24 or p.box.area > 0.05 * t.area) for t in tables)
    ]
    return Scene(sheet, ground, texts, dressed, free, values)


def _text(t: Text, sheet: Sheet) -> Text:
    if t.color is not None or sheet.picture is None:
        return t if t.color is not None else replace(t, color="#222222")
    pixels = part(sheet.picture, t.box)
    return replace(t, color=hexadecimal(ink(pixels, prevailing(pixels))))


def _element(e: Element, mate: Panel | None, sheet: Sheet, ground: str) -> Element:
    if e.kind in _CLOSED:
        return e
    background = e.background or (mate.color if mate else None)
    border = e.border or (mate.border if mate else None)
    radius = e.radius or (mate.radius if mate else 0.0)
    if background is None and sheet.picture is not None and e.kind in {"button", "input", "select"}:
        background = hexadecimal(prevailing(part(sheet.picture, e.box)))
    return replace(e, background=background, border=border, radius=radius)


def _iou(a: Box, b: Box) -> float:
    both = a.overlap(b)
    return both / (a.area + b.area - both)


def unify(scenes: Sequence[Scene]) -> None:
    """Snap what pages share to one box, one wording and one palette."""
    palette = _palette(scenes)
    seen_texts: dict[str, list[Text]] = {}
    seen_elements: dict[str, list[Element]] = {}
    seen_panels: list[Panel] = []
    for scene in scenes:
        snapped = []
        for t in scene.texts:
            t = replace(t, color=palette.get(t.color or "", t.color))
            known = seen_texts.setdefault(t.text, [])
            twin = next((k for k in known if _close(k.box, t.box, 3) and distance(k.color or "#000000", t.color or "#000000") < 60), None)
            if twin is None:
                known.append(t)
            snapped.append(twin or t)
        scene.texts = snapped
        things = []
        for e in scene.elements:
            e = replace(e, background=palette.get(e.background or ""), border=palette.get(e.border or ""))
            known_elements = seen_elements.setdefault(e.kind, [])
            same = next((k for k in known_elements if _close(k.box, e.box, 3) and k.background == e.background and k.border == e.border), None)
            if same is None:
                known_elements.append(e)
            else:
                e = replace(e, box=same.box, radius=same.radius)
            things.append(e)
        scene.elements = things
        boxes = []
        for p in scene.panels:
            p = replace(p, color=palette.get(p.color, p.color), border=palette.get(p.border or ""))
            again = next((k for k in seen_panels if _close(k.box, p.box, 3) and k.color == p.color and k.border == p.border), None)
            if again is None:
                seen_panels.append(p)
            boxes.append(again or p)
        scene.panels = boxes
        scene.ground = palette.get(scene.ground, scene.ground)


def _close(a: Box, b: Box, slack: float) -> bool:
    return max(abs(a.x - b.x), abs(a.y - b.y), abs(a.right - b.right), abs(a.bottom - b.bottom)) <= slack


def _palette(scenes: Sequence[Scene]) -> dict[str, str]:
    """Every colour in use -> the frequent colour that it is a shade of."""
    used: Counter[str] = Counter()
    for s in scenes:
        used[s.ground] += 50
        used.update(t.color for t in s.texts if t.color)
        used.update(c for e in s.elements for c in (e.background, e.border) if c)
        used.update(c for p in s.panels for c in (p.color, p.border) if c)
    chosen: list[str] = []
    palette: dict[str, str] = {}
    for color, _ in sorted(used.items(), key=lambda c: (-c[1], c[0])):
        near = next((c for c in chosen if distance(c, color) <= 6), None)
        if near is None:
            chosen.append(color)
        palette[color] = near or color
    return palette
