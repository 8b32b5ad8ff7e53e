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

from processors.extract.decode import Part
from processors.extract.job import Planned, assemble_job, bundled, craft_version, part_job, plan_job, unbundled
from processors.extract.settings import ExtractSettings
from processors.pricing import priced
from schemas.names import ObjectRef
from schemas.records import FeaturesExtracted, Record, VideoSubmitted
from streams.contract import Context, Effect, Stage
from streams.cpu import CpuPool
from streams.failures import Refused, Rejected
from streams.objects import ObjectDamaged, claim, claimed
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, REQUEST_PROGRESSED, USAGE_RECORDED, VIDEO_SUBMITTED


class ExtractStageSettings(BaseModel):
    """How much is extracted at once, and what a recording may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: int = 1
    """Recordings at once. Each is read in processes of its own, ``craft.workers`` of them where it is long; a crash or the time limit ends them."""
    time_limit_s: float = 1800
    craft: ExtractSettings = Field(default_factory=ExtractSettings)


class Extractor:
    """The handler with what it needs."""

    def __init__(self, settings: ExtractStageSettings) -> None:
        self.settings = settings
        self._cpu: CpuPool | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with CpuPool(self.settings.processes * self.settings.craft.workers) as self._cpu:
            yield

    async def extract(self, record: VideoSubmitted, context: Context) -> Sequence[Record]:
        assert self._cpu is not None
        ref = context.own(record.media_uri)
        with tempfile.TemporaryDirectory(prefix="millrace-extract-") as folder:
            work = Path(folder)
            video, out = work / "video", work / "features.json"
            await asyncio.to_thread(self._fetch, context, ref, record.media_size, video)
            planned: Planned = await self._cpu.run(plan_job, video, self.settings.craft, progress=context.progress)
            if planned.rejected is not None or planned.facts is None:
                raise Rejected(*(planned.rejected or ("not_a_video", "nothing in it can be read")))
            await self._read(video, planned, work, ref, context)
            numbers = [p.number for p in planned.parts]
            answer = await self._cpu.run(assemble_job, planned.facts, numbers, work, out)
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
                deadline=record.deadline,
                **answer["facts"],
            )
        ]

    async def _read(self, video: Path, planned: Planned, work: Path, ref: ObjectRef, context: Context) -> None:
        """Every part into ``work``, several at a time. Finished parts of a long recording are kept: a later delivery reads only the others."""
        assert self._cpu is not None
        alone = len(planned.parts) == 1
        done = [0.0] * len(planned.parts)
        length = max(planned.facts.duration_s if planned.facts else 0.0, 0.001)
        settings = self.settings.craft
        known = hashlib.sha256(settings.model_dump_json(exclude={"workers"}).encode()).hexdigest()[:16]

        async def read(part: Part) -> None:
            begin = part.first_frame / planned.facts.fps if planned.facts and planned.facts.fps else 0.0
            key = f"parts/{ref.tenant}/{ref.sha256}/{craft_version()}-{known}/{part.number}"

            def report(t: float, what: str) -> None:
                done[part.number] = t - begin
                context.progress(min(0.98, sum(done) / length), what)

            kept = None if alone else await asyncio.to_thread(claimed, context.objects, key)
            if kept is not None:
                await asyncio.to_thread(unbundled, await context.get(kept.decode()), work)
                return
            assert self._cpu is not None
            threads = settings.workers if alone else 1
            refused = await self._cpu.run(part_job, video, part, planned.template, settings, work, threads, progress=report)
            if refused is not None:
                raise Rejected(*refused)
            if not alone:
                uri = await context.put(await asyncio.to_thread(bundled, work, part.number))
                await asyncio.to_thread(claim, context.objects, key, uri.encode())

        tasks = [asyncio.create_task(read(p)) for p in planned.parts]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
