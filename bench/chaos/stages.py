"""Four cheap stages under the pipeline's own names and topics: pure, idempotent and recorded, and paid.

What is made carries a fresh id wherever a handler may say something else the second time, so that a step done twice shows in its outputs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from bench.chaos import provider
from schemas import ids
from schemas.records import ArtifactGenerated, FeaturesExtracted, GenerationRequested, PromptSubmitted, Record, Verdict, VideoSubmitted
from streams.contract import Context, Effect, Stage
from streams.ledger import Answer, Metered
from streams.topics import (
    ARTIFACT_GENERATED,
    ARTIFACT_REJECTED,
    ARTIFACT_VALIDATED,
    FEATURES_EXTRACTED,
    GENERATION_REQUESTED,
    PROMPT_SUBMITTED,
    REQUEST_PROGRESSED,
    USAGE_RECORDED,
    VIDEO_SUBMITTED,
)
from streams.versions import claim_version

EXTRACT_PRICE, VALIDATE_PRICE = Decimal("0.0010000001"), Decimal("0.0005000007")
BILL = Metered(kind="model", provider="chaos")
CALL_S = 4.0
"""The time limit of a call, twenty times what the provider takes: so long a killed owner's call keeps others waiting."""
NO_MEDIA = "object:none/" + "0" * 64
"""What a submitted recording refers to: nobody looks."""


def stages(provider_port: int) -> dict[str, Stage]:
    """By name."""

    async def extract(record: VideoSubmitted, context: Context) -> Sequence[Record]:
        context.progress(0.5, "extracting")
        uri = await context.put(f"features of {record.request_id}, made as {ids.new_id()}".encode())
        context.meter("extract", quantity=1, unit="video", cost_usd=EXTRACT_PRICE, dims={"made": ids.new_id()})
        return [
            context.make(
                FeaturesExtracted,
                features_uri=uri,
                frames_uri=uri,
                features_size=1,
                duration_s=1.0,
                frames=1,
                width=1,
                height=1,
                screens=1,
                actions=1,
            )
        ]

    async def plan(record: PromptSubmitted | FeaturesExtracted, context: Context) -> Sequence[Record]:
        if isinstance(record, PromptSubmitted):
            return [context.make(GenerationRequested, method="chaos", spec=record.prompt)]
        return [context.make(GenerationRequested, method="chaos", features_uri=record.features_uri)]

    async def generate(record: GenerationRequested, context: Context) -> Sequence[Record]:
        if record.features_uri:
            await context.get(record.features_uri)  # what was recorded must be there, and whole

        async def ask(call: int) -> Answer:
            said = await provider.ask(provider_port, record.request_id, call)
            if not said["ok"]:
                return Answer(ok=False, error=said["error"], metered=replace(BILL, cost_usd=Decimal(0)))
            return Answer(body=said["answer"].encode(), metered=replace(BILL, cost_usd=Decimal(provider.PRICE)))

        answer = await context.paid(ask, input_hash=record.spec or record.features_uri or "", time_limit_s=CALL_S, bill=BILL)
        body = answer.body
        uri = await context.put(body)
        return [
            context.make(
                ArtifactGenerated,
                method="chaos",
                artifact_uri=uri,
                artifact_size=len(body),
                artifact_digest=hashlib.sha256(body).hexdigest(),
            )
        ]

    async def validate(record: ArtifactGenerated, context: Context) -> Sequence[Record]:
        body = await context.get(record.artifact_uri)
        version = await asyncio.to_thread(claim_version, context.objects, record.tenant, record.project, f"original.{record.request_id}.0")
        context.meter("validate", quantity=1, unit="artifact", cost_usd=VALIDATE_PRICE, dims={"made": ids.new_id()})
        return [
            context.make(
                Verdict,
                state="validated",
                stage="validate",
                message=f"made as {ids.new_id()}",
                artifact_uri=record.artifact_uri,
                artifact_size=len(body),
                artifact_digest=record.artifact_digest,
                version=version,
            )
        ]

    more = (ARTIFACT_REJECTED, USAGE_RECORDED, REQUEST_PROGRESSED)
    declared = (
        Stage(name="extract", reads=(VIDEO_SUBMITTED,), writes=(FEATURES_EXTRACTED, *more), handler=extract, effect=Effect.IDEMPOTENT,
              recorded=True, time_limit_s=20),
        Stage(name="plan", reads=(PROMPT_SUBMITTED, FEATURES_EXTRACTED), writes=(*GENERATION_REQUESTED.values(), *more), handler=plan,
              effect=Effect.PURE, time_limit_s=20),
        Stage(name="generate", reads=tuple(GENERATION_REQUESTED.values()), writes=(ARTIFACT_GENERATED, *more), handler=generate,
              effect=Effect.PAID, time_limit_s=30),
        Stage(name="validate", reads=(ARTIFACT_GENERATED,), writes=(ARTIFACT_VALIDATED, *more), handler=validate, effect=Effect.IDEMPOTENT,
              recorded=True, time_limit_s=20),
    )  # fmt: skip
    return {stage.name: stage for stage in declared}
