"""What a result was made by, as one hash: a change of any of it makes another result possible."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_CODE = frozenset({".py", ".ts", ".tsx", ".css", ".js", ".mjs", ".html", ".json", ".bpf"})


@cache
def version_of(*parts: str) -> str:
    """SHA-256 in hex over the sources under ``processors/PART`` (folders or files), names and contents length-framed."""
    h = hashlib.sha256()
    for part in sorted(parts):
        place = _HERE / part
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in _CODE and path.is_file() and "node_modules" not in path.parts:
                for raw in (path.relative_to(_HERE).as_posix().encode(), path.read_bytes()):
                    h.update(len(raw).to_bytes(8, "big"))
                    h.update(raw)
    return h.hexdigest()
