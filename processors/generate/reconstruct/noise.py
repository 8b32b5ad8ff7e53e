"""What was read and is no text of the page: the mouse cursor, what lies behind a dialog, a word mark that is read another way every time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from statistics import mean

from .model import Box, Element, Features, Text

_ARROW = Box(-4, -4, 26, 34)  # about the hot spot: where a cursor of usual size may reach
_MIDDLE = Box(2, 4, 14, 18)  # about the hot spot: where its middle is
_LARGE = 20.0  # px: font size from which on a word mark is looked for
_SURE = 0.97  # mean confidence from which on a large line is text
_CORNER = Box(0, 0, 260, 70)  # of the window: where a brand stands
_SMALL = {"icon", "checkbox", "radio", "image", "button", "heading"}


def without_cursor(features: Features) -> Features:
    """The features without what can only be the cursor, on the screens about every action with a known place."""
    screens = list(features.screens)
    for a in features.actions:
        if a.x is None or a.y is None:
            continue
        reach, middle = _ARROW.moved(a.x, a.y), _MIDDLE.moved(a.x, a.y)
        for i in {a.before, a.after}:
            s = screens[i]
            texts = tuple(t for t in s.texts if not (len(t.text) <= 2 and reach.holds(t.box, 2) and middle.contains(t.box.cx, t.box.cy)))
            elements = tuple(
                e for e in s.elements if not (e.kind in _SMALL and reach.holds(e.box, 2) and middle.contains(e.box.cx, e.box.cy))
            )
            screens[i] = replace(s, texts=texts, elements=elements)
    return replace(features, screens=tuple(screens))


def without_marks(features: Features) -> Features:
    """The features with word marks as icons: large lines, or any in the corner where brands stand, that were never read surely."""
    readings: defaultdict[tuple[int, int], list[Text]] = defaultdict(list)
    for s in features.screens:
        for t in s.texts:
            if _CORNER.contains(t.box.cx, t.box.cy) or ((t.font_size or t.box.h) >= _LARGE and len(t.text.split()) == 1):
                readings[_spot(t)].append(t)
    drawn = {spot for spot, found in readings.items() if _is_drawn(found)}
    screens = []
    for s in features.screens:
        marks = [t for t in s.texts if _spot(t) in drawn and t in readings[_spot(t)]]
        icons = tuple(Element(f"mark-{round(t.box.x)}-{round(t.box.y)}", "icon", "", t.box) for t in marks)
        elements = tuple(
            e for e in s.elements if not (e.kind == "heading" and any(e.box.holds(t.box) and e.box.area < 3 * t.box.area for t in marks))
        )
        screens.append(replace(s, texts=tuple(t for t in s.texts if t not in marks), elements=(*elements, *icons)))
    return replace(features, screens=tuple(screens))


def _spot(t: Text) -> tuple[int, int]:
    """Where a line ends, roughly: the end of a mark is read alike even where its beginning is not."""
    return round(t.box.right / 16), round(t.box.cy / 12)


def _is_drawn(found: list[Text]) -> bool:
    if mean(t.confidence for t in found) >= _SURE:
        return False
    return len({t.text for t in found}) > 1 or _CORNER.contains(found[0].box.cx, found[0].box.cy)


def without_backdrop(features: Features) -> Features:
    """The features with only the dialog on screens that have one: what is behind it belongs to the page before."""
    screens = []
    for s in features.screens:
        dialog = next((e.box for e in s.elements if e.kind == "modal"), None)
        if dialog is not None:
            inside = tuple(e for e in s.elements if e.kind == "modal" or dialog.contains(e.box.cx, e.box.cy))
            s = replace(s, texts=tuple(t for t in s.texts if dialog.contains(t.box.cx, t.box.cy)), elements=inside)
        screens.append(s)
    return replace(features, screens=tuple(screens))
