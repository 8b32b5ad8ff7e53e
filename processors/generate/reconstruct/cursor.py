"""The mouse cursor is no part of the page: a letter or an icon read where it stood is dropped."""

from __future__ import annotations

from dataclasses import replace

from .model import Box, Features

_ARROW = Box(-4, -4, 26, 34)  # about the hot spot: where a cursor of usual size may reach
_MIDDLE = Box(2, 4, 14, 18)  # about the hot spot: where its middle is
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
