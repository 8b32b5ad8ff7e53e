"""What the extract stage runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from processors.extract.errors import BadVideo
from processors.extract.settings import ExtractSettings


def extract_job(video: Path, out: Path, settings: ExtractSettings, report: Callable[[float, str], None]) -> dict[str, Any]:
    """Extract ``video`` to ``out`` and its ``.frames`` folder.

    Returns ``{"duration_s", "facts", "dims"}`` for the stage's records, or ``{"rejected": (reason, message)}`` for what is no video one can use.
    """
    from processors.extract.pipeline import Timings, extract

    timings = Timings()
    try:
        found = extract(video, out, settings, report, timings)
    except BadVideo as error:
        return {"rejected": (error.reason, str(error))}
    about = found.document["video"]
    facts = {
        "frames": about["frames"],
        "width": about["width"],
        "height": about["height"],
        "screens": len(found.document["screens"]),
        "actions": len(found.document["actions"]),
    }
    dims = {"frames": str(about["frames"]), "ocr_lines": str(timings.counts.get("lines_read", 0))}
    return {"duration_s": float(about["duration_s"]), "facts": facts, "dims": dims}
