"""One tall page out of the screens that show parts of it: its texts, its elements and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .frame import Frame, frame_of, present, to_edges
from .model import Box, Element, Features, Screen, Text
from .pages import Page, alike
from .pixels import Image, part

_NEAR = 4.0
_SAME_PIXELS = 10.0  # mean difference up to which two pictures of a line are of the same line


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
    frame: Frame
    """What stays in place while the rest scrolls."""


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
    image: Image | None = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if image is not None and image.shape[:2] != (height, width):
        resized: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return resized
    return image


def assemble(features: Features, page: Page, keyframes: Mapping[str, bytes]) -> Sheet:
    """Put the page together. What stays while the page scrolls is taken once, from the page's first part."""
    viewport = features.height
    first = features.screens[page.shots[0][0]]
    frame = to_edges(frame_of(features, page), decode(keyframes, first.keyframe, features.width, viewport))
    parts = _parts(features, page, frame)
    height = round(max([viewport, *(p.offset + viewport for p in parts)]))
    picture: Image | None = None
    texts: list[Text] = []
    elements: list[Element] = []
    for k, piece in enumerate(parts):
        shot = decode(keyframes, piece.screen.keyframe, features.width, viewport)
        if shot is not None:
            if picture is None:
                fill = np.median(shot.reshape(-1, 3), axis=0).astype(np.uint8)
                picture = np.full((height, features.width, 3), fill, np.uint8)
            _paste(picture, shot, piece, frame)
            if k == 0:
                _paste_frame(picture, shot, frame)
        for t in piece.screen.texts:
            if frame.holds(t.box):
                texts += [t] if k == 0 else []
                continue
            box = t.box.moved(0, piece.offset)
            if piece.top <= box.cy < piece.bottom and not any(_twin(t, box, other) for other in texts):
                texts.append(replace(t, box=box))
        for e in piece.screen.elements:
            named = replace(e, id=f"{piece.screen.id}/{e.id}")
            if frame.holds(e.box):
                elements += [named] if k == 0 else []
            else:
                _add_element(elements, replace(named, box=e.box.moved(0, piece.offset)), piece)
    texts += _also_read(features, page, keyframes, picture, texts, frame)
    return Sheet(page, features.width, height, first.background, texts, elements, picture, frame)


def share_frame(sheets: Sequence[Sheet]) -> None:
    """What stays on one page that scrolls stays on every page that has it, whether it was seen to scroll or not."""
    model = next((s for s in sheets if s.frame != Frame()), None)
    if model is None:
        return
    for sheet in sheets:
        if sheet.frame == Frame() and sheet.page.shots[0][1] == 0 and present(model.frame, sheet.texts, model.texts):
            sheet.frame = model.frame


def _paste(picture: Image, shot: Image, piece: _Part, frame: Frame) -> None:
    """The piece's rows, without what stays."""
    top = round(max(piece.top, piece.offset + frame.bar, 0.0))
    bottom = min(picture.shape[0], round(piece.bottom))
    start, left = top - round(piece.offset), round(frame.column)
    strip = shot[start : start + max(0, bottom - top), left:]
    picture[top : top + strip.shape[0], left:] = strip


def _paste_frame(picture: Image, shot: Image, frame: Frame) -> None:
    bar, column = round(frame.bar), round(frame.column)
    picture[:bar] = shot[:bar]
    picture[: shot.shape[0], :column] = shot[:, :column]


def _also_read(
    features: Features, page: Page, keyframes: Mapping[str, bytes], picture: Image | None, texts: list[Text], frame: Frame
) -> list[Text]:
    """Lines that were read on another screen of the page only, where that screen shows the same picture there."""
    found: list[Text] = []
    for i, offset in page.shots:
        screen = features.screens[i]
        missing = [
            (t, box)
            for t in screen.texts
            if t.box.y > 6 and t.box.bottom < features.height - 6 and not frame.holds(t.box)
            for box in [t.box.moved(0, offset)]
            if not any(box.overlap(o.box) > 0.2 * min(box.area, o.box.area) for o in [*texts, *found])
        ]
        shot = decode(keyframes, screen.keyframe, features.width, features.height) if missing and picture is not None else None
        if shot is None or picture is None:
            continue
        for t, box in missing:
            here, there = part(picture, box), part(shot, t.box)
            if here.shape == there.shape and float(np.abs(here.astype(np.int16) - there).mean()) < _SAME_PIXELS:
                found.append(replace(t, box=box))
    return found


def _parts(features: Features, page: Page, frame: Frame) -> list[_Part]:
    """One screen an offset, and between neighbours the border in the middle of what both show."""
    viewport = features.height
    acted = {a.before for a in features.actions}
    places: list[tuple[float, list[int]]] = []
    for i, offset in page.shots:
        place = next((p for p in places if abs(p[0] - offset) <= _NEAR), None)
        if place is None:
            places.append((offset, [i]))
        else:
            place[1].append(i)
    chosen = []
    for offset, shots in sorted(places, key=lambda p: p[0]):
        # Until something was first done there, and of that what lasted longest: while a page loads it is not all there yet.
        run = shots[: 1 + next((k for k, i in enumerate(shots) if i in acted or i + 1 not in shots), len(shots))]
        most = max(len(features.screens[i].texts) for i in run)
        whole = [features.screens[i] for i in run if len(features.screens[i].texts) >= 0.9 * most]
        chosen.append((offset, max(whole, key=lambda s: s.t_end - s.t_start)))
    parts = []
    for k, (offset, screen) in enumerate(chosen):
        above = chosen[k - 1][0] + viewport if k else None
        below = chosen[k + 1][0] if k + 1 < len(chosen) else None
        top = (above + offset + frame.bar) / 2 if above is not None and above > offset + frame.bar else offset
        bottom = (
            (below + frame.bar + offset + viewport) / 2
            if below is not None and below + frame.bar < offset + viewport
            else offset + viewport
        )
        parts.append(_Part(screen, offset, top, bottom))
    # What was never shown above the page's first screen is taken from the page that it came from.
    for i, offset in page.above:
        top = parts[0].top
        if offset < top and all(p.screen is not features.screens[i] for p in parts):
            parts.insert(0, _Part(features.screens[i], offset, offset, min(top, offset + viewport)))
    return parts


def _twin(t: Text, box: Box, other: Text) -> bool:
    return abs(other.box.cy - box.cy) <= _NEAR and abs(other.box.x - box.x) <= 2 * _NEAR and alike(other.text, t.text)


def _add_element(elements: list[Element], new: Element, part: _Part) -> None:
    """Add an element of one part; where two parts show the two ends of one thing, make it one again."""
    for k, old in enumerate(elements):
        if old.kind != new.kind or abs(old.box.x - new.box.x) > 3 or abs(old.box.w - new.box.w) > 3:
            continue
        same_row = abs(old.box.y - new.box.y) <= _NEAR and abs(old.box.bottom - new.box.bottom) <= _NEAR
        cut_above = new.box.y <= part.offset + 2 and old.box.y < new.box.y - 2 <= old.box.bottom
        # A table begins with its first whole row on either part: where the two overlap they are one.
        one_table = new.kind == "table" and new.box.y < old.box.bottom and old.box.y < new.box.bottom
        if same_row or cut_above or one_table:
            elements[k] = replace(old, box=old.box.union(new.box))
            return
    if part.top <= new.box.cy < part.bottom or new.box.h > 60:
        elements.append(new)
