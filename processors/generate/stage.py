"""The generate stage: a request becomes a project, built in the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict

from processors.generate.compose import compose
from processors.generate.job import reconstruct_job
from processors.pricing import priced
from processors.spec import InvalidSpec, Spec
from processors.toolchain import project
from processors.toolchain.build import build
from processors.toolchain.node import Toolchain
from schemas.records import ArtifactGenerated, GenerationRequested, Record
from streams.contract import Context, Effect, Stage
from streams.cpu import CpuPool
from streams.failures import Refused, Rejected
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, GENERATION_REQUESTED, REQUEST_PROGRESSED, USAGE_RECORDED


class GenerateSettings(BaseModel):
    """How much is generated at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = 2
    """Projects at once; each takes about a core while it is built."""
    processes: int = 1
    """For reconstruction, which is CPU work in Python."""
    time_limit_s: float = 180


class Generator:
    """The handler with what it needs."""

    def __init__(self, settings: GenerateSettings, toolchain: Toolchain) -> None:
        self.settings, self.toolchain = settings, toolchain
        self._cpu: CpuPool | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with CpuPool(self.settings.processes) as self._cpu:
            yield

    async def generate(self, request: GenerationRequested, context: Context) -> Sequence[Record]:
        context.progress(0.0, f"generating: {request.method}")
        if request.method == "compose":
            files = await self._compose(request, context)
        elif request.method == "reconstruct":
            files = await self._reconstruct(request, context)
        else:
            raise Rejected("needs_model", f"method {request.method!r} needs a language model, and none is configured")
        context.progress(0.6, "building")
        built = await build(files, self.toolchain, typecheck=False)  # validation checks the types of every artifact, and says so in its report
        if not built.ok:
            first = next(iter(built.findings), None)
            raise Rejected("build_failed", f"the generated project does not build: {first.message if first else 'no reason given'}")
        files = {**files, **built.dist}
        packed = project.pack(files)
        uri = await context.put(packed)
        context.meter(
            request.method,
            **priced(request.method, "project", 1, context.occurred_at),
            dims={"files": str(len(files)), "bytes": str(len(packed))},
        )
        return [
            context.make(
                ArtifactGenerated,
                method=request.method,
                artifact_uri=uri,
                artifact_size=len(packed),
                artifact_digest=project.digest(files),
                features_uri=request.features_uri,
                frames_uri=request.frames_uri,
            )
        ]

    async def _compose(self, request: GenerationRequested, context: Context) -> dict[str, bytes]:
        body = request.spec.encode() if request.spec is not None else await context.get(request.spec_uri) if request.spec_uri else None
        if body is None:
            raise Refused("bad_record", "a request to compose carries no spec")
        try:
            return await asyncio.to_thread(lambda: compose(Spec.from_json(body)))
        except InvalidSpec as error:
            raise Refused("bad_record", f"the spec is not one: {error}") from error

    async def _reconstruct(self, request: GenerationRequested, context: Context) -> dict[str, bytes]:
        if not request.features_uri or not request.frames_uri:
            raise Refused("bad_record", "a request to reconstruct carries no features")
        features, index = await asyncio.gather(context.get(request.features_uri), context.get(request.frames_uri))
        uris: dict[str, str] = json.loads(index)
        bodies = await asyncio.gather(*(context.get(uri) for uri in uris.values()))
        assert self._cpu is not None
        files: dict[str, bytes] = await self._cpu.run(reconstruct_job, features, dict(zip(uris, bodies, strict=True)))
        return files


def stage(settings: GenerateSettings, toolchain: Toolchain) -> Stage:
    generator = Generator(settings, toolchain)
    return Stage(
        name="generate",
        reads=tuple(GENERATION_REQUESTED.values()),
        writes=(ARTIFACT_GENERATED, ARTIFACT_REJECTED, USAGE_RECORDED, REQUEST_PROGRESSED),
        handler=generator.generate,
        effect=Effect.IDEMPOTENT,
        recorded=True,  # a build says the time and the toolchain's bytes: said once
        time_limit_s=settings.time_limit_s,
        concurrency=settings.concurrency,
        lifespan=generator.lifespan,
    )
