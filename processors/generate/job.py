"""What the generate stage runs in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable


def reconstruct_job(features: bytes, frames: dict[str, bytes], report: Callable[[float, str], None]) -> dict[str, bytes]:
    """Features (JSON) and keyframes (PNG by file name) to project files, without ``dist``."""
    from processors.generate.reconstruct import reconstruct

    report(0.1, "reconstructing")
    return reconstruct(json.loads(features), frames)
