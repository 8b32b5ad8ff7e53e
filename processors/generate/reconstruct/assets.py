"""Pictures cropped from the recording, within a budget."""

from __future__ import annotations

import re
from collections.abc import Iterable

import cv2
import numpy as np

from .dress import Scene
from .model import Box, Element
from .names import slug
from .pixels import Image, part
from .settings import ReconstructSettings

_ALIKE = 7.0  # mean difference of pixels up to which two crops are one picture
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHOWN = re.compile(r"(?:^|(?<=\{))image\w+(?=\}|$)")  # a whole expression, or one within JSX or a template


class Assets:
    """Crops by the name of their import; the same picture is kept once."""

    def __init__(self, settings: ReconstructSettings, viewport_area: float) -> None:
        self.files: dict[str, bytes] = {}
        self._left = settings.asset_bytes
        self._icon_area = settings.icon_share * viewport_area
        self._kept: list[tuple[str, Image]] = []
        self._paths: dict[str, str] = {}
        self._allowed: dict[int, set[str]] = {}

    def crop(self, scene: Scene, element: Element, icon: bool) -> str | None:
        """The import name of an element's picture; None where it shows nothing or the budget is spent."""
        picture = scene.sheet.picture
        if picture is None or (icon and element.id not in self._icons(scene)):
            return None
        pixels = part(picture, element.box)
        if int(np.ptp(pixels.reshape(-1, 3), axis=0).max()) < 24:
            return None
        for name, other in self._kept:
            if other.shape == pixels.shape and float(np.abs(other.astype(np.int16) - pixels).mean()) < _ALIKE:
                return name
        data, suffix = _encode(pixels)
        if len(data) > self._left:
            return None
        self._left -= len(data)
        stem = f"{slug(element.text, 'icon' if icon else 'picture')}-{len(self._kept) + 1}"
        name = "image" + "".join(w.capitalize() for w in stem.split("-"))
        self._kept.append((name, pixels.copy()))
        self._paths[name] = f"../assets/{name}{suffix}"
        self.files[f"src/assets/{name}{suffix}"] = data
        return name

    def path(self, name: str) -> str:
        """Path of an import, relative to a folder in src."""
        return self._paths[name]

    def imported(self, expressions: Iterable[str]) -> list[str]:
        """Import names of the pictures that expressions show, sorted. What they only say, as the options of a choice, is none."""
        return sorted({name for e in expressions for name in _SHOWN.findall(_STRING.sub('""', e)) if name in self._paths})

    def _icons(self, scene: Scene) -> set[str]:
        """Elements of a page whose crops stay within the share of a screen, the smallest first."""
        key = scene.sheet.page.index
        if key not in self._allowed:
            left, allowed = self._icon_area, set()
            texts = [t.box for t in scene.texts]
            candidates = [e for e in scene.elements if e.kind in {"icon", "button", "link"} and not _written(e.box, texts)]
            for e in sorted(candidates, key=lambda e: (e.box.area, e.id)):
                if e.box.area > left:
                    break
                left -= e.box.area
                allowed.add(e.id)
            self._allowed[key] = allowed
        return self._allowed[key]


def _written(box: Box, texts: list[Box]) -> bool:
    return any(box.contains(t.cx, t.cy) for t in texts)


def _encode(pixels: Image) -> tuple[bytes, str]:
    """PNG; where that is large, as for a photograph, JPEG."""
    png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    if len(png) <= 40_000:
        return png, ".png"
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return (jpeg, ".jpg") if len(jpeg) < 0.7 * len(png) else (png, ".png")
