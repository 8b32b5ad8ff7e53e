"""What the extract stage runs in processes of its own: plan, read a part, put together. Results lie in a folder, so that little is handed about."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from processors.extract.cursor import Template
from processors.extract.decode import Part, VideoFacts
from processors.extract.errors import BadVideo
from processors.extract.settings import ExtractSettings

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Planned:
    """What the header says, what is to be read, and the cursor; or why nothing is (``rejected``: reason, message)."""

    facts: VideoFacts | None = None
    parts: tuple[Part, ...] = ()
    template: Template | None = None
    rejected: tuple[str, str] | None = None


def plan_job(video: Path, settings: ExtractSettings, report: Report) -> Planned:
    from processors.extract.pipeline import plan

    report(0.0, "learning the cursor")
    try:
        facts, pieces, template = plan(video, settings)
    except BadVideo as error:
        return Planned(rejected=(error.reason, str(error)))
    return Planned(facts, tuple(pieces), template)


def part_job(
    video: Path, part: Part, template: Template | None, settings: ExtractSettings, work: Path, threads: int, report: Report
) -> tuple[str, str] | None:
    """Read a part; what was seen goes to ``part_file`` in ``work``, its keyframes beside it. Returns why it cannot be used, if so."""
    from processors.extract.segment import packed, read_part

    try:
        seen = read_part(video, part, template, settings, work, threads, report)
    except BadVideo as error:
        return error.reason, str(error)
    part_file(work, part.number).write_bytes(packed(seen))
    return None


def assemble_job(facts: VideoFacts, numbers: Sequence[int], work: Path, out: Path, report: Report) -> dict[str, Any]:
    """Write the features to ``out`` and its ``.frames`` folder. Returns ``{"duration_s", "facts", "dims"}`` for the stage's records."""
    from processors.extract.pipeline import assemble
    from processors.extract.segment import joined, unpacked

    seen = joined(unpacked(part_file(work, n).read_bytes()) for n in numbers)
    found = assemble(facts, seen, work, out)
    found.write(out)
    about = found.document["video"]
    counts = {
        "frames": about["frames"],
        "width": about["width"],
        "height": about["height"],
        "screens": len(found.document["screens"]),
        "actions": len(found.document["actions"]),
    }
    dims = {"frames": str(about["frames"]), "ocr_lines": str(seen.timings.counts.get("lines_read", 0))}
    return {"duration_s": float(about["duration_s"]), "facts": counts, "dims": dims}


def part_file(work: Path, number: int) -> Path:
    return work / f"{number:03d}.seen.json"


def bundled(work: Path, number: int) -> bytes:
    """A finished part, what was seen and its keyframes, as one object to keep."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in (part_file(work, number), *sorted(work.glob(f"{number:03d}-*.png"))):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return out.getvalue()


def unbundled(data: bytes, work: Path) -> None:
    """Put a kept part back into ``work``."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            (work / Path(name).name).write_bytes(archive.read(name))


@lru_cache(maxsize=1)
def craft_version() -> str:
    """A digest of this package, code and forests: parts that another version read are not mixed with ours."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*")):
        if path.suffix in (".py", ".onnx"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
