"""The plan stage: what is to be generated, from a prompt or from a recording's features."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from processors.plan.errors import BadPrompt, NotUnderstood
from processors.plan.understand import understand
from processors.task import Task
from schemas.records import FeaturesExtracted, GenerationRequested, PromptSubmitted, Record
from streams.contract import Context, Effect, Stage
from streams.failures import Rejected
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, PROMPT_SUBMITTED

INLINE_BYTES = 128 << 10
"""A larger spec travels by claim check."""


class PlanSettings(BaseModel):
    """Who is asked where rules do not reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: bool = False
    """Whether a language model is configured: a prompt that the grammar does not understand goes to it instead of being rejected."""
    recordings: bool = False
    """Whether a recording goes to the model too, which makes an application for what it shows, instead of a reconstruction of its screens."""


class Planner:
    """The handler."""

    def __init__(self, settings: PlanSettings) -> None:
        self.settings = settings

    async def plan(self, record: PromptSubmitted | FeaturesExtracted, context: Context) -> Sequence[Record]:
        if isinstance(record, FeaturesExtracted):
            if self.settings.recordings:
                return [await _asked(record, context, "model", Task(features_uri=record.features_uri).to_json())]
            about = {"features_uri": record.features_uri, "frames_uri": record.frames_uri}
            return [context.make(GenerationRequested, method="reconstruct", **about, deadline=record.deadline)]
        try:
            spec = await asyncio.to_thread(understand, record.prompt)
        except NotUnderstood as error:
            if self.settings.model:
                return [await _asked(record, context, "model", Task(prompt=record.prompt, why=str(error)).to_json())]
            raise Rejected(error.reason, str(error)) from error
        except BadPrompt as error:
            raise Rejected(error.reason, str(error)) from error
        return [await _asked(record, context, "compose", spec.to_json())]


async def _asked(record: PromptSubmitted | FeaturesExtracted, context: Context, method: str, body: bytes) -> GenerationRequested:
    spec = {"spec": body.decode()} if len(body) <= INLINE_BYTES else {"spec_uri": await context.put(body)}
    return context.make(GenerationRequested, method=method, **spec, deadline=record.deadline)


def stage(settings: PlanSettings | None = None) -> Stage:
    return Stage(
        name="plan",
        reads=(PROMPT_SUBMITTED, FEATURES_EXTRACTED),
        writes=(*GENERATION_REQUESTED.values(), ARTIFACT_REJECTED),
        handler=Planner(settings or PlanSettings()).plan,
        effect=Effect.IDEMPOTENT,
        time_limit_s=30,
        concurrency=16,
    )
