"""What was typed into is a field, whatever it was taken for: found on the picture around the place, then on every screen.

A person typing is stronger evidence than pixels. The rim of the field is looked for around the place: an edge to the left
and to the right that is as high as a line, then the rows between them that are an edge over most of their length, since a
label may sit on the rim. A screen on which the same rim stands has the same field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .model import CONTROLS, Box, Element, Features, Screen
from .mosaic import decode
from .pixels import Image, hexadecimal, part, prevailing

_FIELDS = {"input", "select"}
_EDGE = 7  # step between two rows or columns of pixels that is an edge
_HALF = 9  # px above and below the place that an edge at the side must run along


def find_fields(features: Features, keyframes: Mapping[str, bytes]) -> Features:
    """The features with an input wherever something was typed."""
    screens = list(features.screens)
    frames: dict[int, Image | None] = {}

    def frame(i: int) -> Image | None:
        if i not in frames:
            frames[i] = decode(keyframes, screens[i].keyframe, features.width, features.height)
        return frames[i]

    for a in features.actions:
        if a.kind != "type":
            continue
        spot = (a.x, a.y) if a.x is not None and a.y is not None else (a.target.cx, a.target.cy) if a.target else None
        if spot is None:
            continue
        known = next((s for s in (screens[a.before], screens[a.after]) if _field_at(s, *spot) is not None), None)
        made = _field_at(known, *spot) if known else None
        picture = frame(a.before)
        if made is None:
            box = outline(picture, *spot) if picture is not None else None
            if box is None:
                box = _taken_for(screens[a.before], *spot)
            if box is None:
                continue
            made = Element(f"typed-{round(box.x)}-{round(box.y)}", "input", "", box)
        for i, screen in enumerate(screens):
            if _field_at(screen, made.box.cx, made.box.cy) is None and (
                i in (a.before, a.after)
                or _stands(screen, made.box)
                or _same_rim(picture, frame(i), made.box)
                or _same_step(picture, frame(i), made.box)
            ):
                screens[i] = _with_field(screen, made, frame(i))
    return replace(features, screens=tuple(screens))


def _field_at(screen: Screen, x: float, y: float) -> Element | None:
    return min((e for e in screen.elements if e.kind in _FIELDS and e.box.contains(x, y, 3)), key=lambda e: e.box.area, default=None)


def _taken_for(screen: Screen, x: float, y: float) -> Box | None:
    """The element that the field was taken for."""
    boxes = [e.box for e in screen.elements if e.box.contains(x, y, 2) and e.box.w >= 40 and 16 <= e.box.h <= 200]
    return min(boxes, key=lambda b: b.area, default=None)


def _stands(screen: Screen, box: Box) -> bool:
    """Whether something else was seen in the field's very place: a field with no rim is taken for a link or a picture."""
    return any(e.box.overlap(box) > 0.75 * max(e.box.area, box.area) for e in screen.elements)


def _with_field(screen: Screen, made: Element, picture: Image | None) -> Screen:
    """The screen with the field; what lay inside it is its value, not a thing of its own."""
    kept = tuple(
        e for e in screen.elements if not (made.box.holds(e.box, 3) and (e.kind not in CONTROLS or e.box.area > 0.7 * made.box.area))
    )
    background = made.background or (hexadecimal(prevailing(part(picture, made.box))) if picture is not None else None)
    border = made.border
    if border is None and picture is not None:
        side = part(picture, Box(made.box.x, made.box.y + 0.25 * made.box.h, 2, 0.5 * made.box.h))
        border = hexadecimal(np.median(side.reshape(-1, 3), axis=0))
    return replace(screen, elements=(*kept, replace(made, background=background, border=border, text="")))


def outline(picture: Image, x: float, y: float) -> Box | None:
    """The smallest box with a visible rim around a place; None where there is none."""
    height, width = picture.shape[:2]
    grey = picture.astype(np.int16)
    row, column = round(y), round(x)
    top, bottom = max(1, row - _HALF), min(height - 1, row + _HALF)
    across = np.abs(np.diff(grey[top:bottom], axis=1)).max(axis=2) > _EDGE
    # An edge may be smeared over two columns.
    sides = (across | np.roll(across, 1, axis=1)).mean(axis=0) > 0.85
    left = [c for c in range(column - 4, max(0, column - 1100), -1) if sides[min(c, width - 2)]][:12]
    right = [c for c in range(column + 4, min(width - 2, column + 1100)) if sides[c]][:12]
    down = np.abs(np.diff(grey, axis=0)).max(axis=2) > _EDGE
    best: Box | None = None
    for a in left:
        for b in right:
            if b - a < 40:
                continue
            rows = (down[:, a : b + 1] | np.roll(down[:, a : b + 1], 1, axis=0)).mean(axis=1) > 0.6
            upper = next((r for r in range(row - 5, max(-1, row - 160), -1) if rows[r]), None)
            lower = next((r for r in range(row + 5, min(height - 2, row + 160)) if rows[r]), None)
            if upper is None or lower is None or not 16 <= lower - upper <= 200:
                continue
            box = Box(a - 1, upper - 1, b - a + 3, lower - upper + 3)  # the rim itself lies outside the edge's inner side
            if _closed(across_columns(grey, box)) and (best is None or box.area < best.area):
                best = box
    return best


def across_columns(grey: npt.NDArray[np.int16], box: Box) -> tuple[float, float]:
    """How much of the left and of the right side of a box is an edge."""
    y0, y1 = round(box.y) + 3, round(box.bottom) - 3
    shares = []
    for x in (round(box.x), round(box.right)):
        strip = grey[y0:y1, max(0, x - 3) : x + 4]
        shares.append(float((np.abs(np.diff(strip, axis=1)).max(axis=2) > _EDGE).any(axis=1).mean()) if strip.size else 0.0)
    return shares[0], shares[1]


def _closed(sides: tuple[float, float]) -> bool:
    return min(sides) > 0.8


def _same_rim(a: Image | None, b: Image | None, box: Box) -> bool:
    """Whether the edge of a box looks the same on two pictures, its colour aside: a field with the focus has another."""
    if a is None or b is None:
        return False
    shares = []
    for picture in (a, b):
        grey = part(picture, Box(box.x - 3, box.y - 3, box.w + 6, box.h + 6)).astype(np.int16)
        down = np.abs(np.diff(grey, axis=0)).max(axis=2) > _EDGE
        along = np.abs(np.diff(grey, axis=1)).max(axis=2) > _EDGE
        rim = [down[:7].any(axis=0), down[-7:].any(axis=0), along[:, :7].any(axis=1), along[:, -7:].any(axis=1)]
        shares.append(np.array([float(r.mean()) for r in rim]))
    return bool((shares[1] > 0.55).all() and (shares[0] > 0.5).all())


def _same_step(a: Image | None, b: Image | None, box: Box) -> bool:
    """Whether a box stands out from what is around it in the same colours on two pictures, as a field without a rim does."""
    if a is None or b is None:
        return False
    ours, theirs = _steps(a, box), _steps(b, box)
    return bool(((np.abs(ours) >= 3).any(axis=1)).sum() >= 3 and np.abs(ours - theirs).max() <= 6)


def _steps(picture: Image, box: Box) -> npt.NDArray[np.float64]:
    """The difference of what is inside and outside of a box, by side (left, right, upper, lower) and channel."""
    sides = []
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        middles = []
        for off in (-6, 6):  # a little inside, a little outside
            x = box.x - off - 1.5 if dx < 0 else box.right + off - 1.5
            y = box.y - off - 1.5 if dy < 0 else box.bottom + off - 1.5
            strip = Box(x, box.y + 0.2 * box.h, 3, 0.6 * box.h) if dx else Box(box.x + 0.1 * box.w, y, 0.8 * box.w, 3)
            middles.append(np.median(part(picture, strip).reshape(-1, 3).astype(np.float64), axis=0))
        sides.append(middles[0] - middles[1])
    return np.array(sides)
