"""Give every thing on the pages its colours and its place in the whole application.

Colours come from the features where they are given, else from the picture. The same thing on two pages gets the same box,
colour and wording, so that what pages share is recognisably the same, and one palette serves all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .lines import cut_lines
from .model import Box, Element, Text
from .mosaic import Sheet
from .pages import in_field
from .paint import Panel, panels
from .pixels import distance, hexadecimal, ink, part, prevailing

_FIELDS = {"input", "select"}
_PRINT = 60.0  # px about a chart in which its labels stand
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
    dialog: Panel | None = None
    """The dialog that lies over another page, if this is one."""


def dress(sheet: Sheet) -> Scene:
    """Colours and panels of one page."""
    picture = sheet.picture
    ground = _ground(sheet)
    found = panels(picture, ground) if picture is not None else []
    elements = sorted(sheet.elements, key=lambda e: (e.box.y, e.box.x, -e.box.area, e.kind))
    elements = [e for e in elements if not (e.kind in {"image", "icon"} and _is_bar(e, sheet))]
    modal = next((e for e in elements if e.kind == "modal"), None)
    elements = [e for e in elements if e.kind != "modal"]
    elements = [e for e in elements if not (e.kind == "image" and _holds_a_picture(e, elements, sheet))]
    charts = {e.id: _with_labels(e, sheet) for e in elements if e.kind == "image"}
    elements = [replace(e, box=charts[e.id]) if e.id in charts else e for e in elements]
    pictures = [e for e in elements if e.kind == "image"]
    elements = [e for e in elements if e in pictures or not any(p.box.overlap(e.box) > 0.7 * e.box.area for p in pictures)]
    closed = [e for e in elements if e.kind in _CLOSED]
    fields = [e for e in elements if e.kind in _FIELDS]
    values: dict[str, Text] = {}
    free_lines = []
    for t in sorted(sheet.texts, key=lambda t: (t.box.y, t.box.x, t.text)):
        field = in_field(t.box, fields)
        if field is not None and t.box.h >= 1.2 * field.box.h:
            field = None
        if field is not None:
            values.setdefault(field.id, _text(t, sheet))
        elif not any(e.box.contains(t.box.cx, t.box.cy) for e in closed):
            free_lines.append(t)
    texts = [_text(t, sheet) for t in cut_lines([_beside(t, closed) for t in free_lines], picture)]
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
    if modal is None:
        return Scene(sheet, ground, texts, dressed, free, values)
    dialog = _dialog(modal, free, sheet)
    return Scene(sheet, ground, texts, dressed, [p for p in free if p is not dialog and dialog.box.holds(p.box)], values, dialog)


def _dialog(modal: Element, found: Sequence[Panel], sheet: Sheet) -> Panel:
    """The panel of a dialog: the flat one where it was seen, else its box."""
    near = max((p for p in found if _iou(p.box, modal.box) > 0.6), key=lambda p: _iou(p.box, modal.box), default=None)
    if near is not None:
        return near
    color = hexadecimal(prevailing(part(sheet.picture, modal.box))) if sheet.picture is not None else modal.background or "#ffffff"
    return Panel(modal.box, color, modal.border, modal.radius)


def _ground(sheet: Sheet) -> str:
    """The colour of the page itself: what runs down its sides, or what there is most of."""
    picture = sheet.picture
    if picture is None:
        return sheet.background or "#ffffff"
    sides = np.concatenate([picture[::2, :10], picture[::2, -10:]], axis=1)
    color = prevailing(sides)
    if float((np.abs(sides.astype(np.float64) - color).max(axis=2) <= 8).mean()) > 0.6:
        return hexadecimal(color)
    return sheet.background or hexadecimal(prevailing(picture[::2, ::2]))


def _beside(t: Text, closed: Sequence[Element]) -> Text:
    """The line without the box to tick or the icon before it, which a reader takes in at times."""
    ends = [e.box.right for e in closed if e.box.x < t.box.x + 4 and e.box.right < t.box.cx and abs(e.box.cy - t.box.cy) <= 0.5 * t.box.h]
    left = max(ends, default=0.0)
    return replace(t, box=Box(left, t.box.y, t.box.right - left, t.box.h)) if left > t.box.x + 2 else t


def _is_bar(image: Element, sheet: Sheet) -> bool:
    """Whether a picture is only a strip with text on it: a row of a list, a bar."""
    inside = [t for t in sheet.texts if image.box.contains(t.box.cx, t.box.cy) and image.box.overlap(t.box) > 0.7 * t.box.area]
    return image.box.h <= 90 and sum(len(t.text) for t in inside) >= 3


def _holds_a_picture(image: Element, elements: Sequence[Element], sheet: Sheet) -> bool:
    """Whether a picture is a card with a picture in it and words beside that: then it is no picture itself."""
    inner = [
        e.box for e in elements if e.kind == "image" and image.box.holds(e.box) and 0.1 * image.box.area < e.box.area < 0.8 * image.box.area
    ]
    return any(
        image.box.holds(t.box, 4) and len(t.text.split()) >= 3 and not box.contains(t.box.cx, t.box.cy)
        for box in inner
        for t in sheet.texts
    )


def _with_labels(image: Element, sheet: Sheet) -> Box:
    """A chart with the small print at its sides: axis labels and legend are drawn with it, they are no text of the page."""
    if image.box.w < 200 or image.box.h < 80:
        return image.box
    box, limit = image.box, Box(image.box.x - _PRINT, image.box.y - _PRINT, image.box.w + 2 * _PRINT, image.box.h + 2 * _PRINT)
    small = [
        t
        for t in sheet.texts
        if ((t.font_size or t.box.h) <= 13.5 or 2 * sum(c.isdigit() for c in t.text) > len(t.text))
        and limit.contains(t.box.cx, t.box.cy)
        and limit.holds(t.box, 30)
    ]
    if sum(any(c.isdigit() for c in t.text) for t in small) < 4:
        return image.box
    for t in small:
        box = box.union(t.box)
    return box


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
            same = next(
                (k for k in known_elements if _close(k.box, e.box, 3) and k.background == e.background and k.border == e.border), None
            )
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
