"""The plan stage: what is to be generated, from a prompt or from a recording's features."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from processors.plan.errors import BadPrompt, NotUnderstood
from processors.plan.understand import understand
from schemas.records import FeaturesExtracted, GenerationRequested, PromptSubmitted, Record
from streams.contract import Context, Effect, Stage
from streams.failures import Rejected
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, PROMPT_SUBMITTED

INLINE_BYTES = 128 << 10
"""A larger spec travels by claim check."""


async def plan(record: PromptSubmitted | FeaturesExtracted, context: Context) -> Sequence[Record]:
    if isinstance(record, FeaturesExtracted):
        return [context.make(GenerationRequested, method="reconstruct", features_uri=record.features_uri, frames_uri=record.frames_uri)]
    try:
        spec = await asyncio.to_thread(understand, record.prompt)
    except (BadPrompt, NotUnderstood) as error:
        raise Rejected(error.reason, str(error)) from error
    body = spec.to_json()
    if len(body) <= INLINE_BYTES:
        return [context.make(GenerationRequested, method="compose", spec=body.decode())]
    return [context.make(GenerationRequested, method="compose", spec_uri=await context.put(body))]


def stage() -> Stage:
    return Stage(
        name="plan",
        reads=(PROMPT_SUBMITTED, FEATURES_EXTRACTED),
        writes=(*GENERATION_REQUESTED.values(), ARTIFACT_REJECTED),
        handler=plan,
        effect=Effect.IDEMPOTENT,
        time_limit_s=30,
        concurrency=16,
    )
