"""The generate stage: a request becomes a project, built in the sandbox.

Three ways: *reconstruct* (from a recording's features) and *compose* (from a spec), which are deterministic, and *model* (from what neither
understands), which is paid for. What was asked for before and proved good is not made again (``model.cache``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from processors.generate.compose import compose
from processors.generate.job import reconstruct_job
from processors.generate.model.answer import Answer, Unusable
from processors.generate.model.cache import Cache, Entry, key
from processors.generate.model.fixers import fix_findings
from processors.generate.model.flight import Flights
from processors.generate.model.lease import Answered, Held, Leases
from processors.generate.model.making import Made, cache_key, make
from processors.generate.model.port import Model, Partial
from processors.generate.model.settings import ModelSettings
from processors.generate.model.stage import Paying
from processors.model_prices import ModelPrices, default_prices
from processors.pricing import priced
from processors.spec import InvalidSpec, Spec
from processors.task import InvalidTask, Task
from processors.toolchain import project
from processors.toolchain.build import BuildResult, build
from processors.toolchain.compilers import Compilers
from processors.toolchain.node import Toolchain
from processors.versions import version_of
from schemas.records import ArtifactGenerated, GenerationRequested, Record
from streams.admission import Admission
from streams.contract import Context, Effect, Stage
from streams.cpu import CpuPool
from streams.failures import Refused, Rejected, Waiting
from streams.objects import ObjectMissing, Shelf
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, GENERATION_REQUESTED, REQUEST_PROGRESSED, USAGE_RECORDED

PARTIAL_S = 0.5
"""Between two progress events of a model that is answering."""
TAIL = 300
"""Characters of a partial answer in a progress event."""
ASKED_S = 5.0
"""Until somebody looks again whether another worker has its answer."""
NOTE = 500
"""Characters of a note in a progress event."""


class GenerateSettings(BaseModel):
    """How much is generated at once, and by whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = 2
    """Projects at once; each takes about a core while it is built."""
    processes: int = 1
    """For reconstruction, which is CPU work in Python."""
    time_limit_s: float = 180
    cache: bool = True
    """Whether what was asked for before, and validated, is given again."""
    model: ModelSettings | None = None


@dataclass(frozen=True, slots=True)
class _Generated:
    """An artifact, and the task with the answer it came from where a model made it."""

    entry: Entry
    files: int
    task_uri: str | None = None


class Generator:
    """The handler with what it needs. ``model`` stands in for the endpoint that the settings name."""

    def __init__(
        self, settings: GenerateSettings, toolchain: Toolchain, *, model: Model | None = None, prices: ModelPrices | None = None
    ) -> None:
        self.settings, self.toolchain = settings, toolchain
        self._model, self._prices = model, prices or default_prices()
        self._compilers = Compilers(toolchain)
        self._cpu: CpuPool | None = None
        self._cache: Cache | None = None
        self._flights: Flights[tuple[_Generated, bool]] = Flights()
        self._places = asyncio.Semaphore(settings.concurrency)
        self.version = version_of("generate/compose", "generate/scaffold", "generate/model", "spec.py", "toolchain")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self.settings.model is not None and self._model is None:
            from processors.generate.model.openai_endpoint import OpenAIEndpoint

            self._model = OpenAIEndpoint(self.settings.model)
        try:
            async with CpuPool(self.settings.processes) as self._cpu:
                yield
        finally:
            await self._compilers.close()
            if self._model is not None:
                await self._model.close()

    async def generate(self, request: GenerationRequested, context: Context) -> Sequence[Record]:
        context.progress(0.0, f"generating: {request.method}")
        match request.method:
            case "compose":
                return await self._compose(request, context)
            case "reconstruct":
                async with self._places:
                    files = await self._reconstruct(request, context)
                    generated = await self._artifact(request, context, files, await self._built(files, context))
                return [self._metered(request, context, generated)]
            case "model" if self.settings.model is not None and self._model is not None:
                return await self._asked(self.settings.model, self._model, request, context)
        raise Rejected("needs_model", f"method {request.method!r} needs a language model, and none is configured")

    # ---- compose ---------------------------------------------------------------------------------------------------------

    async def _compose(self, request: GenerationRequested, context: Context) -> Sequence[Record]:
        body = await self._body(request, context, "spec")
        try:
            spec = Spec.from_json(body)
        except InvalidSpec as error:
            raise Refused("bad_record", f"the spec is not one: {error}") from error
        _tell(spec, context)
        asked = key("compose", self.version, request.tenant, body)
        if (hit := await self._remembered(request, context, asked)) is not None:
            return [hit]
        async with self._places:
            files = await asyncio.to_thread(compose, spec)
            generated = await self._artifact(request, context, files, await self._built(files, context))
        cost = priced(request.method, "project", 1, context.occurred_at)["cost_usd"]
        await self._offer(request, context, asked, replace(generated.entry, cost_usd=None if cost is None else str(cost)))
        return [self._metered(request, context, generated)]

    def _metered(self, request: GenerationRequested, context: Context, generated: _Generated) -> ArtifactGenerated:
        dims = {"files": str(generated.files), "bytes": str(generated.entry.artifact_size)}
        context.meter(request.method, **priced(request.method, "project", 1, context.occurred_at), dims=dims)
        return self._made(request, context, generated)

    # ---- reconstruct -----------------------------------------------------------------------------------------------------

    async def _reconstruct(self, request: GenerationRequested, context: Context) -> dict[str, bytes]:
        if not request.features_uri or not request.frames_uri:
            raise Refused("bad_record", "a request to reconstruct carries no features")
        features, index = await asyncio.gather(context.get(request.features_uri), context.get(request.frames_uri))
        uris: dict[str, str] = json.loads(index)
        bodies = await asyncio.gather(*(context.get(uri) for uri in uris.values()))
        assert self._cpu is not None
        files: dict[str, bytes] = await self._cpu.run(reconstruct_job, features, dict(zip(uris, bodies, strict=True)))
        return files

    # ---- model -----------------------------------------------------------------------------------------------------------

    async def _asked(self, settings: ModelSettings, model: Model, request: GenerationRequested, context: Context) -> Sequence[Record]:
        try:
            task = Task.from_json(await self._body(request, context, "task"))
        except InvalidTask as error:
            raise Refused("bad_record", str(error)) from error
        asked = cache_key(request.tenant, task, settings, self.version)
        if asked and not task.attempts and (hit := await self._remembered(request, context, asked)) is not None:
            return [hit]
        progress = _Partials(context)

        async def ask(partial: Partial) -> _Generated:
            paying = Paying(settings, model, self._prices, context, partial)
            return await self._answered(settings, paying, task, request, context)

        if asked is None or request.run:
            generated, shared = await ask(progress), False
        else:
            # A repair is the same question only where the same attempts went before.
            question = key(asked, *(f"{a.artifact_uri} {a.fingerprint}" for a in task.attempts))

            async def ask_alone(partial: Partial) -> tuple[_Generated, bool]:
                return await self._alone(settings, question, request, context, lambda: ask(partial))

            (generated, elsewhere), here = await self._flights.join(question, progress, ask_alone)
            shared = elsewhere or here
        if shared:
            self._spared(context, generated.entry, "coalesced")
        if asked:
            await self._offer(request, context, asked, generated.entry)
        return [self._made(request, context, generated)]

    async def _alone(
        self,
        settings: ModelSettings,
        question: str,
        request: GenerationRequested,
        context: Context,
        ask: Callable[[], Awaitable[_Generated]],
    ) -> tuple[_Generated, bool]:
        """What ``ask`` gives, or what another worker was told that asked the same; and whether it is the latter. Whoever finds another at it waits."""
        leases, owner = Leases(context.objects, ObjectMissing), f"{request.request_id}.{request.round}"
        longest = settings.calls * settings.total_s + self.settings.time_limit_s
        found = await asyncio.to_thread(leases.take, request.tenant, question, owner, longest, request.occurred_at / 1000)
        if isinstance(found, Held):
            raise Waiting("asked_elsewhere", "another worker is asking the model the same", seconds=min(found.seconds, ASKED_S))
        if isinstance(found, Answered):
            return _Generated(Entry(**found.answer["entry"]), found.answer["files"], found.answer["task_uri"]), True
        try:
            generated = await ask()
        except BaseException:
            await asyncio.shield(asyncio.to_thread(leases.release, request.tenant, question, owner))
            raise
        await asyncio.to_thread(leases.answered, request.tenant, question, owner, asdict(generated))
        return generated, False

    async def _answered(
        self, settings: ModelSettings, paying: Paying, task: Task, request: GenerationRequested, context: Context
    ) -> _Generated:
        features = json.loads(await context.get(task.features_uri)) if task.features_uri else None
        base = Answer.from_json(await context.get(task.best.answer_uri)) if task.best else None
        try:
            made = await make(task, features, base, settings, paying)
        except Unusable as error:
            raise Rejected("model_answer_unusable", f"the model gave no usable answer: {str(error)[:500]}") from error
        _tell(made.answer.spec, context)
        async with self._places:
            answer, files, built = await self._built_with_fixes(made, context)
            spent = None if task.spent_usd is None or made.cost_usd is None else Decimal(task.spent_usd) + made.cost_usd
            cost = None if spent is None else str(spent)
            answered = replace(task, answer_uri=await context.put(answer.to_json()), spent_usd=cost, deadline=request.deadline)
            generated = await self._artifact(request, context, files, built)
        entry = replace(generated.entry, cost_usd=cost, provider=settings.provider_name, model=settings.model)
        return _Generated(entry, generated.files, await context.put(answered.to_json()))

    async def _built_with_fixes(self, made: Made, context: Context) -> tuple[Answer, dict[str, bytes], BuildResult]:
        """The project, built; where the type checker objects, built once more with what can be fixed without judgement.

        One that does not build goes on without ``dist``: validate finds the same, says it as findings and may ask for a repair.
        """
        fixed_so_far = f" (fixed: {', '.join(made.answer.fixed)})" if made.answer.fixed else ""
        context.progress(0.6, f"building{fixed_so_far}")
        files, answer = made.files, made.answer
        built = await build(files, self._compilers)
        if not built.ok and made.own:
            sources = {path: content.decode(errors="replace") for path, content in files.items() if path.endswith((".ts", ".tsx"))}
            changed, fixed = fix_findings(sources, made.own, built.findings)
            if changed:
                files = files | {path: text.encode() for path, text in changed.items()}
                answer = Answer(answer.spec, {**answer.files, **changed}, (*answer.fixed, *(f"code.{f}" for f in fixed)))
                built = await build(files, self._compilers)
        return answer, files, built

    # ---- what they share -------------------------------------------------------------------------------------------------

    async def _body(self, request: GenerationRequested, context: Context, what: str) -> bytes:
        if request.spec is not None:
            return request.spec.encode()
        if request.spec_uri:
            return await context.get(request.spec_uri)
        raise Refused("bad_record", f"a request of method {request.method} carries no {what}")

    async def _built(self, files: dict[str, bytes], context: Context) -> BuildResult:
        context.progress(0.6, "building")
        built = await build(files, self._compilers, typecheck=False)  # by rule, not by a model: validate checks the types
        if not built.ok:
            first = next(iter(built.findings), None)
            raise Rejected("build_failed", f"the generated project does not build: {first.message if first else 'no reason given'}")
        return built

    async def _artifact(self, request: GenerationRequested, context: Context, files: dict[str, bytes], built: BuildResult) -> _Generated:
        files = {**files, **built.dist}
        packed = project.pack(files)
        entry = Entry(
            method=request.method,
            artifact_uri=await context.put(packed),
            artifact_size=len(packed),
            artifact_digest=project.digest(files),
            request_id=request.request_id,
        )
        return _Generated(entry, len(files))

    def _made(self, request: GenerationRequested, context: Context, generated: _Generated) -> ArtifactGenerated:
        # What a model made of a recording is an application of its own, not held against the recording's pictures.
        compared = request if request.method == "reconstruct" else None
        return context.make(
            ArtifactGenerated,
            method=generated.entry.method,
            artifact_uri=generated.entry.artifact_uri,
            artifact_size=generated.entry.artifact_size,
            artifact_digest=generated.entry.artifact_digest,
            features_uri=compared and compared.features_uri,
            frames_uri=compared and compared.frames_uri,
            task_uri=generated.task_uri,
        )

    async def _remembered(self, request: GenerationRequested, context: Context, asked: str) -> ArtifactGenerated | None:
        """What was made of the same before and validated. A replay asks for its own sake: it gets what its own run recorded, or makes it."""
        if not self.settings.cache or request.run:
            return None
        entry = await asyncio.to_thread(self._cached(context).find, request.tenant, asked)
        if entry is None:
            return None
        self._spared(context, entry, "cache_hit")
        return self._made(request, context, _Generated(entry, 0))

    async def _offer(self, request: GenerationRequested, context: Context, asked: str, entry: Entry) -> None:
        if self.settings.cache and not request.run:
            await asyncio.to_thread(self._cached(context).offer, request.tenant, asked, entry)

    def _cached(self, context: Context) -> Cache:
        if self._cache is None:
            self._cache = Cache(Shelf(context.objects))
        return self._cache

    def _spared(self, context: Context, entry: Entry, outcome: str) -> None:
        context.meter(
            "cache.hit",
            quantity=1,
            unit="project",
            cost_usd=Decimal(0),
            outcome=outcome,
            saved_usd=entry.saved_usd,
            provider=entry.provider,
            model=entry.model,
            dims={"made_by": entry.request_id, "method": entry.method},
        )


def _tell(spec: Spec, context: Context) -> None:
    """What was assumed or left out, in the request's timeline: its producer need not open the project to know."""
    for note in spec.notes:
        context.progress(0.5, f"note: {note[:NOTE]}")


class _Partials:
    """A model's answer as it comes, as progress events: seldom enough not to be a flood."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._clock = context, clock
        self._last = -PARTIAL_S

    def __call__(self, text: str) -> None:
        now = self._clock()
        if now - self._last >= PARTIAL_S:
            self._last = now
            # How long it will be is not known: the fraction nears a half.
            fraction = 0.5 * len(text) / (len(text) + 4_000)
            self._context.progress(fraction, f"answering, {len(text)} characters: {text[-TAIL:]}")


def stage(settings: GenerateSettings, toolchain: Toolchain, *, model: Model | None = None, prices: ModelPrices | None = None) -> Stage:
    generator = Generator(settings, toolchain, model=model, prices=prices)
    asks = settings.model
    return Stage(
        name="generate",
        reads=tuple(GENERATION_REQUESTED.values()),
        writes=(ARTIFACT_GENERATED, ARTIFACT_REJECTED, USAGE_RECORDED, REQUEST_PROGRESSED),
        handler=generator.generate,
        effect=Effect.PAID if asks else Effect.IDEMPOTENT,
        counts=True,
        admission=Admission(),
        recorded=True,  # a build says the time and the toolchain's bytes: said once
        time_limit_s=settings.time_limit_s + (asks.calls * asks.total_s if asks else 0),
        # A model is waited for; what is built takes one of the generator's own places.
        concurrency=settings.concurrency + (asks.at_once if asks else 0),
        lifespan=generator.lifespan,
    )
