"""The features file: one JSON document per recording, canonical, so that the same video gives the same bytes.

The shape is the contract of the project's scorer (screens with texts and elements, actions) and more: style, layout, identity,
transitions, tokens, and the frames that everything comes from. Boxes are [x, y, width, height] in video pixels, times in seconds from the first frame.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = "millrace.features/1"


@dataclass
class Features:
    """What an extraction yields: the ``document``, and its keyframes (PNG) by the name the document gives them."""

    document: dict[str, Any]
    keyframes: Mapping[str, bytes] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return canonical(self.document)

    def write(self, path: Path) -> Path:
        """Write ``path`` and, beside it, the folder of keyframes ``NAME.frames``; the folder's path comes back."""
        folder = frames_folder(path)
        if isinstance(self.keyframes, StoredKeyframes) and self.keyframes.folder == folder:
            path.write_bytes(self.to_json())
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.png"):
            if stale.name not in self.keyframes:
                stale.unlink()
        for name, png in self.keyframes.items():
            (folder / name).write_bytes(png)
        path.write_bytes(self.to_json())
        return folder


class StoredKeyframes(Mapping[str, bytes]):
    """Keyframes in a folder, written as they come and read when asked for: a long video's do not fit in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[str] = []

    def empty(self) -> None:
        """Make the folder, and remove what an earlier run left in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob("*.png"):
            stale.unlink()
        self.names.clear()

    def take(self, name: str, picture: Path) -> None:
        """Move a picture here, under this name."""
        shutil.move(picture, self.folder / name)
        self.names.append(name)

    def __getitem__(self, name: str) -> bytes:
        if name not in self.names:
            raise KeyError(name)
        return (self.folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def frames_folder(path: Path) -> Path:
    """Where the keyframes of a features file lie: ``x.features.json`` and ``x.json`` both have ``x.frames/``."""
    name = path.name.removesuffix(".json").removesuffix(".features")
    return path.with_name(name + ".frames")


def canonical(document: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8, keys sorted, floats as Python writes them shortest, one final newline."""
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode()


def read(path: Path) -> Features:
    """Read a features file and its keyframes.

    :raises ValueError: where it is no features file
    """
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{path.name} is no features file of schema {SCHEMA}")
    folder = frames_folder(path)
    keyframes = StoredKeyframes(folder)
    keyframes.names = sorted(f.name for f in folder.glob("*.png")) if folder.is_dir() else []
    return Features(document, keyframes)


def hex_colour(bgr: tuple[int, int, int] | None) -> str | None:
    if bgr is None:
        return None
    b, g, r = bgr
    return f"#{r:02x}{g:02x}{b:02x}"
