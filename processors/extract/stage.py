"""The extract stage: a recording becomes features."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from processors.extract.job import extract_job
from processors.extract.settings import ExtractSettings
from processors.pricing import priced
from schemas.names import ObjectRef
from schemas.records import FeaturesExtracted, Record, VideoSubmitted
from streams.contract import Context, Effect, Stage
from streams.cpu import CpuPool
from streams.failures import Refused, Rejected
from streams.objects import ObjectDamaged
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, REQUEST_PROGRESSED, USAGE_RECORDED, VIDEO_SUBMITTED


class ExtractStageSettings(BaseModel):
    """How much is extracted at once, and what a recording may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: int = 1
    """Recordings at once; each has a process of its own, which a crash or the time limit ends."""
    time_limit_s: float = 1800
    craft: ExtractSettings = Field(default_factory=ExtractSettings)


class Extractor:
    """The handler with what it needs."""

    def __init__(self, settings: ExtractStageSettings) -> None:
        self.settings = settings
        self._cpu: CpuPool | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with CpuPool(self.settings.processes) as self._cpu:
            yield

    async def extract(self, record: VideoSubmitted, context: Context) -> Sequence[Record]:
        assert self._cpu is not None
        ref = context.own(record.media_uri)
        with tempfile.TemporaryDirectory(prefix="millrace-extract-") as folder:
            video, out = Path(folder, "video"), Path(folder, "features.json")
            await asyncio.to_thread(self._fetch, context, ref, record.media_size, video)
            answer = await self._cpu.run(extract_job, video, out, self.settings.craft, progress=context.progress)
            if "rejected" in answer:
                raise Rejected(*answer["rejected"])
            features, pictures = await asyncio.to_thread(_results, out)
        frames = {name: await context.put(picture) for name, picture in pictures.items()}
        features_uri, frames_uri = await asyncio.gather(context.put(features), context.put(json.dumps(frames, sort_keys=True).encode()))
        context.meter("extract", **priced("extract", "video_second", answer["duration_s"], context.occurred_at), dims=answer["dims"])
        return [
            context.make(
                FeaturesExtracted,
                features_uri=features_uri,
                frames_uri=frames_uri,
                features_size=len(features),
                duration_s=answer["duration_s"],
                **answer["facts"],
            )
        ]

    def _fetch(self, context: Context, ref: ObjectRef, size: int, video: Path) -> None:
        """The recording as a file. A size other than announced means that the record and the object do not belong together."""
        limit = self.settings.craft.limits.max_bytes
        if size > limit:
            raise Rejected("too_large", f"the recording has {size:,} bytes; at most {limit:,} are taken")
        context.objects.get_file(ref.key, video)
        found = video.stat().st_size
        if found != size:
            raise Refused("bad_record", f"{ref} has {found:,} bytes, the record says {size:,}")
        with video.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != ref.sha256:
                raise ObjectDamaged(f"{ref} does not hold what its address says")


def _results(out: Path) -> tuple[bytes, dict[str, bytes]]:
    """The features document and the keyframes beside it."""
    return out.read_bytes(), {p.name: p.read_bytes() for p in sorted(out.with_suffix(".frames").glob("*.png"))}


def stage(settings: ExtractStageSettings) -> Stage:
    extractor = Extractor(settings)
    return Stage(
        name="extract",
        reads=(VIDEO_SUBMITTED,),
        writes=(FEATURES_EXTRACTED, ARTIFACT_REJECTED, USAGE_RECORDED, REQUEST_PROGRESSED),
        handler=extractor.extract,
        effect=Effect.IDEMPOTENT,
        recorded=True,  # another execution provider may read a text otherwise; within a run it is read once
        time_limit_s=settings.time_limit_s,
        concurrency=settings.processes,
        lifespan=extractor.lifespan,
    )
