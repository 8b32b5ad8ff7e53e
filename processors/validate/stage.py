"""The validate stage: an artifact becomes a verdict, or, where a model made it and can repair it, a request for another round."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field

from processors import validated
from processors.pricing import priced
from processors.task import InvalidTask, Task
from processors.toolchain import project
from processors.toolchain.node import Toolchain
from processors.validate import repair
from processors.validate.policy import ValidationPolicy
from processors.versions import version_of
from schemas import ids, records
from schemas.records import ArtifactGenerated, GenerationRequested, Record
from streams import runs
from streams.contract import Context, Effect, Stage
from streams.failures import Refused
from streams.objects import Shelf
from streams.topics import (
    ARTIFACT_GENERATED,
    ARTIFACT_REJECTED,
    ARTIFACT_VALIDATED,
    GENERATION_REQUESTED,
    REQUEST_PROGRESSED,
    USAGE_RECORDED,
)
from streams.versions import claim_version

if TYPE_CHECKING:
    from processors.validate.validator import Validator
    from processors.validate.verdict import Verdict as Found

log = structlog.get_logger()
FINDINGS_IN_RECORD = 100


class ValidateSettings(BaseModel):
    """How much is validated at once, and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = 2
    """Artifacts at once; each takes about a core."""
    time_limit_s: float = 300
    reuse: bool = True
    """Whether an artifact that this very validator found good before, of the same tenant and byte for byte the same, is good again unseen."""
    policy: ValidationPolicy = Field(default_factory=ValidationPolicy)


class ValidateStage:
    """The handler with what it needs: a warm validator (browsers, database)."""

    def __init__(self, settings: ValidateSettings, toolchain: Toolchain) -> None:
        self.settings, self.toolchain = settings, toolchain
        self._validator: Validator | None = None
        self._by = f"{version_of('validate', 'toolchain')}.{hashlib.sha256(settings.policy.model_dump_json().encode()).hexdigest()[:16]}"

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        from processors.validate.validator import Validator

        async with Validator(self.toolchain, self.settings.policy) as validator:
            self._validator = validator
            yield

    async def validate(self, record: ArtifactGenerated, context: Context) -> Sequence[Record]:
        assert self._validator is not None
        context.own(record.artifact_uri)
        if (again := await self._known(record, context)) is not None:
            return again
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
        context.meter("validate", **priced("validate", "artifact", 1, context.occurred_at), dims={"state": found.state})
        log.info("validated", request=record.request_id, state=found.state, reason=found.reason, ms={g.gate: g.ms for g in found.gates})
        if found.state == "rejected" and record.method == "model" and record.task_uri:
            return [await self._after_rejection(record, context, found, html_uri, json_uri)]
        about = _about(found, record, html_uri, json_uri)
        if found.state == "validated" and features is None:
            await asyncio.to_thread(validated.mark, Shelf(context.objects), record.tenant, record.artifact_uri, self._by, about)
        return [await self._verdict(record, context, about)]

    async def _known(self, record: ArtifactGenerated, context: Context) -> Sequence[Record] | None:
        """The verdict on bytes that were validated before; on what is held against a recording none is kept."""
        if not self.settings.reuse or record.features_uri or record.run:
            return None
        about = await asyncio.to_thread(validated.said, Shelf(context.objects), record.tenant, record.artifact_uri, self._by)
        if about is None:
            return None
        price = priced("validate", "artifact", 1, context.occurred_at)
        context.meter(
            "validate",
            **price | {"cost_usd": Decimal(0)},
            outcome="cache_hit",
            saved_usd=price["cost_usd"] or Decimal(0),
            dims={"state": "validated"},
        )
        return [await self._verdict(record, context, about)]

    async def _verdict(self, record: ArtifactGenerated, context: Context, about: Mapping[str, Any]) -> Record:
        version = 0
        # What an isolated run validates is nobody's next version.
        if about["state"] == "validated" and await asyncio.to_thread(runs.counts, context.objects, record.run):
            identity = f"{ids.run_name(record.run)}.{record.request_id}.{record.round}"
            version = await asyncio.to_thread(claim_version, context.objects, record.tenant, record.project, identity)
        findings = tuple(records.Finding(**f) for f in about["findings"])
        return context.make(records.Verdict, **{**about, "findings": findings}, stage="validate", method=record.method, version=version)

    async def _after_rejection(self, record: ArtifactGenerated, context: Context, found: Found, html_uri: str, json_uri: str) -> Record:
        """The next round of a model's application, in the request's own class and age; or the verdict, on the best round there was."""
        try:
            task = Task.from_json(await context.get(record.task_uri or ""))
        except InvalidTask as error:
            raise Refused("bad_record", str(error)) from error
        attempt = repair.attempt_of(record, task, found, html_uri, json_uri)
        further = repair.next_round(task, attempt)
        if further is not None:
            context.progress(0.95, f"round {record.round} rejected ({attempt.reason}), to be repaired: {attempt.message[:300]}")
            return context.make(
                GenerationRequested,
                method="model",
                spec_uri=await context.put(further.to_json()),
                round=record.round + 1,
                deadline=task.deadline,
            )
        about = _about(found, record, html_uri, json_uri)
        best = max((*task.attempts, attempt), key=lambda a: a.rank)
        if best is not attempt:
            kept = ("artifact_uri", "artifact_size", "artifact_digest", "report_uri", "report_json_uri", "reason", "errors", "warnings")
            about |= {name: getattr(best, name) for name in kept}
            about |= {"scores": dict(best.scores or {}), "findings": [_finding_of(dict(f)) for f in best.findings]}
        if task.attempts:
            about["message"] = f"best of {len(task.attempts) + 1} rounds (round {best.round}): {best.message}"[:2000]
        return await self._verdict(record, context, about)


def _about(found: Found, record: ArtifactGenerated, html_uri: str, json_uri: str) -> dict[str, Any]:
    """What a verdict says of an artifact, whoever asked for it: JSON values."""
    return {
        "state": found.state,
        "reason": found.reason or "",
        "message": found.message[:2000],
        "artifact_uri": record.artifact_uri,
        "artifact_size": record.artifact_size,
        "artifact_digest": record.artifact_digest,
        "report_uri": html_uri,
        "report_json_uri": json_uri,
        "errors": sum(f.severity == "error" for f in found.findings),
        "warnings": sum(f.severity == "warning" for f in found.findings),
        "findings": [_finding_of(f.as_json()) for f in found.findings[:FINDINGS_IN_RECORD]],
        "scores": dict(found.scores),
    }


def _finding_of(f: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "gate": f["gate"],
        "rule": f["rule"],
        "severity": f.get("severity", "error"),
        "message": f["message"][:500],
        "file": f["file"] or "",
        "line": f["line"] or 0,
    }


def stage(settings: ValidateSettings, toolchain: Toolchain) -> Stage:
    validating = ValidateStage(settings, toolchain)
    return Stage(
        name="validate",
        reads=(ARTIFACT_GENERATED,),
        writes=(ARTIFACT_VALIDATED, ARTIFACT_REJECTED, *GENERATION_REQUESTED.values(), USAGE_RECORDED, REQUEST_PROGRESSED),
        handler=validating.validate,
        effect=Effect.IDEMPOTENT,
        recorded=True,  # a browser is not deterministic to the last pixel; a verdict is given once
        time_limit_s=settings.time_limit_s,
        concurrency=settings.concurrency,
        lifespan=validating.lifespan,
    )
