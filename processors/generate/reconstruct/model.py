"""Features as values: what reconstruction reads of a features file, checked at the door.

Boxes are (x, y, width, height) in video pixels. Everything here comes from a video and is hostile until it was read
through `parse`: numbers are finite and within the picture, colours are colours, texts hold no control characters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .settings import ReconstructSettings

COLOR = re.compile(r"#[0-9a-fA-F]{6}")
CONTROLS = {"button", "link", "input", "checkbox", "radio", "select"}
_FAMILIES = {"sans", "serif", "mono"}


class FeaturesError(ValueError):
    """The features are not ones that an application can be made from; the message says why."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    @property
    def cx(self) -> float:
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        return self.y + self.h / 2

    @property
    def area(self) -> float:
        return self.w * self.h

    def contains(self, x: float, y: float, slack: float = 0) -> bool:
        return self.x - slack <= x <= self.right + slack and self.y - slack <= y <= self.bottom + slack

    def holds(self, other: Box, slack: float = 2) -> bool:
        return (
            self.x - slack <= other.x
            and self.y - slack <= other.y
            and self.right + slack >= other.right
            and self.bottom + slack >= other.bottom
        )

    def overlap(self, other: Box) -> float:
        w = min(self.right, other.right) - max(self.x, other.x)
        h = min(self.bottom, other.bottom) - max(self.y, other.y)
        return max(0.0, w) * max(0.0, h)

    def moved(self, dx: float, dy: float) -> Box:
        return Box(self.x + dx, self.y + dy, self.w, self.h)

    def union(self, other: Box) -> Box:
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Box(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)


@dataclass(frozen=True)
class Text:
    """One line of text."""

    text: str
    box: Box
    color: str | None = None
    font_size: float | None = None
    weight: int = 400
    family: str = "sans"
    confidence: float = 1.0


@dataclass(frozen=True)
class Element:
    """A control, a picture, a heading, a table, or anything else that has a box."""

    id: str
    kind: str
    text: str
    box: Box
    color: str | None = None
    background: str | None = None
    border: str | None = None
    radius: float = 0
    checked: bool = False
    placeholder: str | None = None
    masked: bool = False


@dataclass(frozen=True)
class Screen:
    """One settled interval of the recording."""

    id: str
    identity: str
    t_start: float
    t_end: float
    keyframe: str | None
    background: str | None
    texts: tuple[Text, ...]
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class Action:
    """Something that was done; `before` and `after` are indices of screens."""

    t: float
    kind: str
    x: float | None
    y: float | None
    dy: float
    text: str
    target: Box | None
    before: int
    after: int


@dataclass(frozen=True)
class Features:
    width: int
    height: int
    screens: tuple[Screen, ...]
    actions: tuple[Action, ...]


def words(text: str) -> list[str]:
    """Words as the comparison of screens counts them: case-folded letters and digits."""
    return [w for w in (re.sub(r"[^\w]|_", "", t).casefold() for t in text.split()) if w]


def likeness(a: Sequence[Text], b: Sequence[Text]) -> float:
    """F1 of two screens' words as multisets; 1 for two empty ones."""
    x, y = (Counter(w for t in side for w in words(t.text)) for side in (a, b))
    both = sum((x & y).values())
    return 2 * both / (sum(x.values()) + sum(y.values())) if x or y else 1.0


def clean(text: str) -> str:
    """A line of text without control, format and surrogate characters, its white space collapsed."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") else c for c in text)
    return re.sub(r"\s+", " ", kept).strip()


def parse(features: Mapping[str, Any], settings: ReconstructSettings) -> Features:
    """Read a features document. Raises FeaturesError with a reason where no application can be made from it."""
    video = _mapping(features.get("video"), "video")
    width, height = (_int(video.get(k), f"video.{k}", 2, 16384) for k in ("width", "height"))
    listed = features.get("screens")
    if not isinstance(listed, list) or not listed:
        raise FeaturesError("the features have no screens")
    if len(listed) > settings.max_screens:
        raise FeaturesError(f"the features have {len(listed)} screens, at most {settings.max_screens} are taken")
    screens = [_screen(_mapping(s, f"screens[{i}]"), i, width, height, settings) for i, s in enumerate(listed)]
    screens.sort(key=lambda s: (s.t_start, s.t_end))
    actions = [_action(_mapping(a, f"actions[{i}]"), i, screens) for i, a in enumerate(_list(features.get("actions", []), "actions"))]
    actions.sort(key=lambda a: a.t)
    return Features(width, height, tuple(screens), tuple(actions))


def _screen(raw: Mapping[str, Any], index: int, width: int, height: int, settings: ReconstructSettings) -> Screen:
    at = f"screens[{index}]"
    texts, elements = _list(raw.get("texts", []), f"{at}.texts"), _list(raw.get("elements", []), f"{at}.elements")
    if len(texts) + len(elements) > settings.max_items_per_screen:
        raise FeaturesError(f"{at} has {len(texts) + len(elements)} texts and elements, at most {settings.max_items_per_screen} are taken")
    lines = [_text(_mapping(t, f"{at}.texts[{i}]"), f"{at}.texts[{i}]", width, height) for i, t in enumerate(texts)]
    things = [_element(_mapping(e, f"{at}.elements[{i}]"), f"{at}.elements[{i}]", i, width, height) for i, e in enumerate(elements)]
    ident = str(raw.get("id", f"s{index:04}"))
    return Screen(
        id=ident,
        identity=str(raw.get("screen") or ident),
        t_start=_float(raw.get("t_start"), f"{at}.t_start"),
        t_end=_float(raw.get("t_end"), f"{at}.t_end"),
        keyframe=raw["keyframe"] if isinstance(raw.get("keyframe"), str) else None,
        background=_color(raw.get("background")),
        texts=tuple(t for t in lines if t is not None),
        elements=tuple(e for e in things if e is not None),
    )


def _text(raw: Mapping[str, Any], at: str, width: int, height: int) -> Text | None:
    box, text = _box(raw.get("box"), f"{at}.box", width, height), clean(str(raw.get("text", "")))[:2000]
    if box is None or not text:
        return None
    size = raw.get("font_size")
    return Text(
        text=text,
        box=box,
        color=_color(raw.get("color")),
        font_size=min(200.0, max(5.0, float(size))) if isinstance(size, (int, float)) and math.isfinite(size) and size > 0 else None,
        weight=700 if raw.get("weight") == 700 else 400,
        family=raw["family"] if raw.get("family") in _FAMILIES else "sans",
        confidence=_number(raw, "confidence") or 1.0,
    )


def _element(raw: Mapping[str, Any], at: str, index: int, width: int, height: int) -> Element | None:
    box = _box(raw.get("box"), f"{at}.box", width, height)
    kind = str(raw.get("kind", ""))
    if kind == "graphic" and box is not None:  # something drawn: as large as a chart it is a picture, else an icon
        kind = "image" if box.w >= 200 and box.h >= 80 else "icon"
    if box is None or box.w < 3 or box.h < 3 or not re.fullmatch(r"[a-z_]{1,24}", kind):
        return None
    radius = raw.get("radius")
    placeholder = raw.get("placeholder")
    return Element(
        id=str(raw.get("id", f"e{index}")),
        kind=kind,
        text=clean(str(raw.get("text") or ""))[:400],
        box=box,
        color=_color(raw.get("color")),
        background=_color(raw.get("background")),
        border=_color(raw.get("border")),
        radius=min(100.0, max(0.0, float(radius))) if isinstance(radius, (int, float)) and math.isfinite(radius) else 0.0,
        checked=raw.get("checked") is True,
        placeholder=clean(placeholder)[:400] or None if isinstance(placeholder, str) else None,
        masked=raw.get("masked") is True,
    )


def _action(raw: Mapping[str, Any], index: int, screens: Sequence[Screen]) -> Action:
    at = f"actions[{index}]"
    t = _float(raw.get("t"), f"{at}.t")
    # Time decides what was there before: a screen that only began after the action is what it led to.
    before = max((i for i, s in enumerate(screens) if s.t_start <= t), default=0)
    after = min(before + 1, len(screens) - 1)
    named = next((s for s in screens if s.id == str(raw.get("before"))), screens[before])
    target = next((e.box for e in named.elements if e.id == str(raw.get("target"))), None)
    return Action(
        t=t,
        kind=str(raw.get("kind", "")),
        x=_number(raw, "x"),
        y=_number(raw, "y"),
        dy=_number(raw, "dy") or 0.0,
        text=clean(str(raw.get("text") or ""))[:2000],
        target=target,
        before=before,
        after=after,
    )


def _number(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _mapping(value: object, at: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FeaturesError(f"{at} is not an object")
    return value


def _list(value: object, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise FeaturesError(f"{at} is not a list")
    return value


def _float(value: object, at: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise FeaturesError(f"{at} is not a number")
    return float(value)


def _int(value: object, at: str, low: int, high: int) -> int:
    number = _float(value, at)
    if not low <= number <= high:
        raise FeaturesError(f"{at} is {number:g}, not from {low} to {high}")
    return int(number)


def _color(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and COLOR.fullmatch(value) else None


def _box(value: object, at: str, width: int, height: int) -> Box | None:
    """The part of a box that lies in the picture, on a grid of a tenth of a pixel; None where nothing of it does."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 4:
        raise FeaturesError(f"{at} is not [x, y, width, height]")
    x, y, w, h = (_float(v, at) for v in value)
    left, top, right, bottom = max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h)
    if right - left < 1 or bottom - top < 1:
        return None
    return Box(round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1))
