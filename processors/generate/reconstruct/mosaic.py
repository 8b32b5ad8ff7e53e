"""One tall page out of the screens that show parts of it: its texts, its elements and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from .model import Box, Element, Features, Screen, Text
from .pages import Page, alike

Image = npt.NDArray[np.uint8]
_NEAR = 4.0


@dataclass
class Sheet:
    """A page in its own coordinates. `picture` is BGR and as large as the page, None without keyframes."""

    page: Page
    width: int
    height: int
    background: str | None
    texts: list[Text]
    elements: list[Element]
    picture: Image | None
    fixed: tuple[Box, ...] = ()
    """What stayed in place while the rest scrolled."""


@dataclass(frozen=True)
class _Part:
    """The rows [top, bottom) of the page are taken from this screen."""

    screen: Screen
    offset: float
    top: float
    bottom: float


def decode(keyframes: Mapping[str, bytes], name: str | None, width: int, height: int) -> Image | None:
    """The keyframe as BGR in the recording's size; None where there is none or it is no picture."""
    if name is None or name not in keyframes:
        return None
    raw = np.frombuffer(keyframes[name], np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if image is None:
        return None
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image.astype(np.uint8)


def assemble(features: Features, page: Page, keyframes: Mapping[str, bytes]) -> Sheet:
    """Put the page together. Of several screens at one offset the first speaks: it is what the recording opens on."""
    viewport = features.height
    parts = _parts(features, page)
    height = round(max([viewport, *(p.offset + viewport for p in parts)]))
    first = features.screens[page.shots[0][0]]
    fixed = _fixed(parts) if page.sticky else ()
    picture: Image | None = None
    texts: list[Text] = []
    elements: list[Element] = []
    for k, part in enumerate(parts):
        stays = () if k == 0 else fixed
        frame = decode(keyframes, part.screen.keyframe, features.width, viewport)
        if frame is not None:
            if picture is None:
                fill = np.median(frame.reshape(-1, 3), axis=0).astype(np.uint8)
                picture = np.full((height, features.width, 3), fill, np.uint8)
            top, bottom = max(0, round(max(part.top, part.offset))), min(height, round(part.bottom))
            start = top - round(part.offset)
            strip = frame[start : start + bottom - top]
            target = picture[top : top + strip.shape[0]]
            keep = np.ones(strip.shape[:2], bool)
            for box in stays:
                y0 = max(0, round(box.y) - start)
                keep[y0 : max(y0, round(box.bottom) - start), round(box.x) : round(box.right)] = False
            target[keep] = strip[keep]
        for t in part.screen.texts:
            if any(b.contains(t.box.cx, t.box.cy) for b in stays):
                continue
            box = t.box.moved(0, part.offset)
            if part.top <= box.cy < part.bottom and not any(_twin(t, box, other) for other in texts):
                texts.append(replace(t, box=box))
        for e in part.screen.elements:
            if not any(b.contains(e.box.cx, e.box.cy) and b.holds(e.box, 4) for b in stays):
                _add_element(elements, replace(e, id=f"{part.screen.id}/{e.id}", box=e.box.moved(0, part.offset)), part)
    return Sheet(page, features.width, height, first.background, texts, elements, picture, fixed)


def _parts(features: Features, page: Page) -> list[_Part]:
    """One screen an offset, and between neighbours the border in the middle of what both show."""
    viewport = features.height
    places: list[tuple[float, list[Screen]]] = []
    for i, offset in page.shots:
        place = next((p for p in places if abs(p[0] - offset) <= _NEAR), None)
        if place is None:
            places.append((offset, [features.screens[i]]))
        else:
            place[1].append(features.screens[i])
    # The first that is nearly complete: right after a change some of a page may not be there yet.
    chosen = [(at, next(s for s in shots if len(s.texts) >= 0.93 * max(len(o.texts) for o in shots))) for at, shots in sorted(places, key=lambda p: p[0])]
    parts = []
    for k, (offset, screen) in enumerate(chosen):
        above = chosen[k - 1][0] + viewport if k else None
        below = chosen[k + 1][0] if k + 1 < len(chosen) else None
        top = (above + offset) / 2 if above is not None and above > offset else offset
        bottom = (below + offset + viewport) / 2 if below is not None and below < offset + viewport else offset + viewport
        parts.append(_Part(screen, offset, top, bottom))
    # What was never shown above the page's first screen is taken from the page that it came from.
    for i, offset in page.above:
        top = parts[0].top
        if offset < top and all(p.screen is not features.screens[i] for p in parts):
            parts.insert(0, _Part(features.screens[i], offset, offset, min(top, offset + viewport)))
    return parts


def _fixed(parts: list[_Part]) -> tuple[Box, ...]:
    """Boxes that are at the same place of the window on two screens at different offsets."""
    out: list[Box] = []
    for a, b in zip(parts, parts[1:], strict=False):
        for t in a.screen.texts:
            if any(abs(t.box.x - o.box.x) <= 1.5 and abs(t.box.y - o.box.y) <= 1.5 and alike(t.text, o.text) for o in b.screen.texts):
                out.append(t.box)
        for e in a.screen.elements:
            if any(e.kind == o.kind and abs(e.box.x - o.box.x) + abs(e.box.y - o.box.y) + abs(e.box.w - o.box.w) + abs(e.box.h - o.box.h) <= 4 for o in b.screen.elements):
                out.append(e.box)
    return tuple(dict.fromkeys(out))


def _twin(t: Text, box: Box, other: Text) -> bool:
    return abs(other.box.cy - box.cy) <= _NEAR and abs(other.box.x - box.x) <= 2 * _NEAR and alike(other.text, t.text)


def _add_element(elements: list[Element], new: Element, part: _Part) -> None:
    """Add an element of one part; where two parts show the two ends of one thing, make it one again."""
    for k, old in enumerate(elements):
        if old.kind != new.kind or abs(old.box.x - new.box.x) > 3 or abs(old.box.w - new.box.w) > 3:
            continue
        same_row = abs(old.box.y - new.box.y) <= _NEAR and abs(old.box.bottom - new.box.bottom) <= _NEAR
        cut_above = new.box.y <= part.offset + 2 and old.box.y < new.box.y - 2 <= old.box.bottom
        if same_row or cut_above:
            elements[k] = replace(old, box=old.box.union(new.box))
            return
    if part.top <= new.box.cy < part.bottom or new.box.h > 60:
        elements.append(new)
