"""The pipeline's stages without Kafka: a request's records go from handler to handler in this process, through the engine's own contexts and ledger.

For what is about the handlers (answers, repairs, costs), not about how records travel. Everything else is real: the object store, the sandbox, the
browser, the endpoint's HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from processors.generate.stage import GenerateSettings
from processors.generate.stage import stage as generate_stage
from processors.model_prices import ModelPrices
from processors.plan.stage import PlanSettings
from processors.plan.stage import stage as plan_stage
from processors.toolchain.node import Toolchain
from processors.validate.stage import ValidateSettings
from processors.validate.stage import stage as validate_stage
from schemas import ids
from schemas.records import (
    ArtifactGenerated,
    FeaturesExtracted,
    GenerationRequested,
    PromptSubmitted,
    Record,
    RequestProgressed,
    UsageRecorded,
    Verdict,
)
from streams.contract import Context, Delivery, Effect, Stage, Writer
from streams.failures import ProviderFailed, Rejected
from streams.objects import ObjectStore
from streams.paid import Calls
from streams.quota import Quotas
from streams.settings import StreamSettings


@dataclass
class Course:
    """What became of one request."""

    verdict: Verdict | None = None
    records: list[Record] = field(default_factory=list)

    def all(self, kind: type[Any]) -> list[Any]:
        return [r for r in self.records if isinstance(r, kind)]

    @property
    def usage(self) -> list[UsageRecorded]:
        return self.all(UsageRecorded)

    @property
    def artifacts(self) -> list[ArtifactGenerated]:
        return self.all(ArtifactGenerated)


class InProcess:
    """A worker with plan, generate and validate. ``async with InProcess.running(...) as pipeline``."""

    def __init__(self, store: ObjectStore, stages: Sequence[Stage]) -> None:
        self.objects, self.writer = store, Writer()
        self.settings = StreamSettings(bootstrap_servers="-", registry_url="-")
        self.progress: list[RequestProgressed] = []
        self.delivered: list[Record] = []
        self._reads = {topic.record: stage for stage in stages for topic in stage.reads}

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        store: ObjectStore,
        generate: GenerateSettings,
        *,
        prices: ModelPrices | None = None,
        validating: Stage | None = None,
        recordings: bool = False,
        toolchain: Toolchain | None = None,
    ) -> AsyncIterator[InProcess]:
        """``validating``: a stage that lives already, and goes on: browsers and a database are warm in it."""
        toolchain = toolchain or Toolchain()
        own = [
            plan_stage(PlanSettings(model=generate.model is not None, recordings=recordings)),
            generate_stage(generate, toolchain, prices=prices),
            *([] if validating else [validate_stage(ValidateSettings(reuse=generate.cache), toolchain)]),
        ]
        async with AsyncExitStack() as living:
            for stage in own:
                if stage.lifespan is not None:
                    await living.enter_async_context(stage.lifespan())
            yield cls(store, [*own, validating] if validating else own)

    def publish_progress(self, record: RequestProgressed) -> None:
        self.progress.append(record)

    async def deliver(self, records: Sequence[Record]) -> None:
        self.delivered += records

    async def account(self, source: Any) -> Any:
        return await asyncio.to_thread(lambda: Quotas(self.objects, self.settings.quota).account(source))

    async def step(self, record: Any) -> list[Record]:
        """One record through its stage; what the engine does about a failure is left out, but for a rejection. Raises what else goes wrong."""
        stage = self._reads[type(record)]
        context = Context(stage.name, record, Delivery("in-process", 0, 0, ids.id_time_ms(record.request_id), 1), self)
        if stage.effect is Effect.PAID:
            context.calls = Calls(record, context, self)
        if stage.is_recorded:
            context.stamp()
        produced: Sequence[Record]
        try:
            async with asyncio.timeout(stage.time_limit_s):
                produced = await stage.handler(record, context)
            if context.calls:
                await context.calls.bill.settle()
        except (Rejected, ProviderFailed) as error:
            reason = error.reason
            if context.calls:
                await context.calls.bill.settle(closed=reason)
            wait = getattr(error, "retry_after_s", 0)
            produced = [
                context.make(Verdict, state="rejected", stage=stage.name, reason=reason, message=str(error)[:2000], retry_after_s=wait)
            ]
        return context.finish(produced)

    async def run(
        self, record: PromptSubmitted | FeaturesExtracted | GenerationRequested | ArtifactGenerated, until: type[Any] = Verdict
    ) -> Course:
        """A record, and all that follows from it, to the verdict or the first record of another kind."""
        course = Course()
        pending: list[Any] = [record]
        while pending:
            for made in await self.step(pending.pop(0)):
                course.records.append(made)
                if isinstance(made, Verdict):
                    course.verdict = made
                elif isinstance(made, until):
                    return course
                elif isinstance(made, FeaturesExtracted | GenerationRequested | ArtifactGenerated):
                    pending.append(made)
        return course

    async def prompt(self, text: str, tenant: str = "acme", until: type[Any] = Verdict, **more: Any) -> Course:
        return await self.run(PromptSubmitted(request_id=ids.new_id(), tenant=tenant, project="p", prompt=text, **more), until)
