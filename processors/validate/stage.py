"""The validate stage: an artifact becomes a verdict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ConfigDict, Field

from processors.pricing import priced
from processors.toolchain import project
from processors.toolchain.node import Toolchain
from processors.validate.policy import ValidationPolicy
from schemas import records
from schemas.records import ArtifactGenerated, Record
from streams.contract import Context, Effect, Stage
from streams.failures import Refused
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, ARTIFACT_VALIDATED, REQUEST_PROGRESSED, USAGE_RECORDED
from streams.versions import claim_version

if TYPE_CHECKING:
    from processors.validate.validator import Validator

log = structlog.get_logger()
FINDINGS_IN_RECORD = 100


class ValidateSettings(BaseModel):
    """How much is validated at once, and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = 2
    """Artifacts at once; each takes about a core."""
    time_limit_s: float = 300
    policy: ValidationPolicy = Field(default_factory=ValidationPolicy)


class ValidateStage:
    """The handler with what it needs: a warm validator (browsers, database)."""

    def __init__(self, settings: ValidateSettings, toolchain: Toolchain) -> None:
        self.settings, self.toolchain = settings, toolchain
        self._validator: Validator | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        from processors.validate.validator import Validator

        async with Validator(self.toolchain, self.settings.policy) as validator:
            self._validator = validator
            yield

    async def validate(self, record: ArtifactGenerated, context: Context) -> Sequence[Record]:
        assert self._validator is not None
        context.progress(0.0, "validating")
        packed = await context.get(record.artifact_uri)
        try:
            files = await asyncio.to_thread(project.unpack, packed)
        except project.ProjectError as error:
            raise Refused("bad_artifact", f"{record.artifact_uri} is not a project: {error}") from error
        features, frames = None, None
        if record.features_uri and record.frames_uri:
            features = json.loads(await context.get(record.features_uri))
            uris: dict[str, str] = json.loads(await context.get(record.frames_uri))
            bodies = await asyncio.gather(*(context.get(uri) for uri in uris.values()))
            frames = dict(zip(uris, bodies, strict=True))
        found = await self._validator.validate(files, features=features, keyframes=frames, tenant=record.tenant, progress=context.progress)
        html_uri, json_uri = await asyncio.gather(
            context.put(found.report_html), context.put(json.dumps(found.report(), sort_keys=True, ensure_ascii=False).encode())
        )
        version = 0
        if found.state == "validated":
            identity = f"{record.run or 'original'}.{record.request_id}.{record.round}"
            version = await asyncio.to_thread(claim_version, context.objects, record.tenant, record.project, identity)
        log.info("validated", request=record.request_id, state=found.state, reason=found.reason, ms={g.gate: g.ms for g in found.gates})
        context.meter("validate", **priced("validate", "artifact", 1, context.occurred_at), dims={"state": found.state})
        return [
            context.make(
                records.Verdict,
                state=found.state,
                reason=found.reason or "",
                message=found.message[:2000],
                stage="validate",
                method=record.method,
                artifact_uri=record.artifact_uri,
                artifact_size=record.artifact_size,
                artifact_digest=record.artifact_digest,
                version=version,
                report_uri=html_uri,
                report_json_uri=json_uri,
                errors=sum(f.severity == "error" for f in found.findings),
                warnings=sum(f.severity == "warning" for f in found.findings),
                findings=tuple(
                    records.Finding(
                        gate=f.gate, rule=f.rule, severity=f.severity, message=f.message[:500], file=f.file or "", line=f.line or 0
                    )
                    for f in found.findings[:FINDINGS_IN_RECORD]
                ),
                scores=dict(found.scores),
            )
        ]


def stage(settings: ValidateSettings, toolchain: Toolchain) -> Stage:
    validating = ValidateStage(settings, toolchain)
    return Stage(
        name="validate",
        reads=(ARTIFACT_GENERATED,),
        writes=(ARTIFACT_VALIDATED, ARTIFACT_REJECTED, USAGE_RECORDED, REQUEST_PROGRESSED),
        handler=validating.validate,
        effect=Effect.IDEMPOTENT,
        recorded=True,  # a browser is not deterministic to the last pixel; a verdict is given once
        time_limit_s=settings.time_limit_s,
        concurrency=settings.concurrency,
        lifespan=validating.lifespan,
    )
