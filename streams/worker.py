"""A worker process: some stages and sinks over one producer, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from streams.admin import check_topics
from streams.batch import BatchRunner, BatchStage
from streams.codec import Codec
from streams.contract import Stage, Writer, problems
from streams.health import Health
from streams.objects import ObjectStore
from streams.producer import AckedProducer
from streams.registry import Registry
from streams.runner import StageRunner, UnsafeStage, topics_of
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import CATALOGUE, Topic
from streams.tracing import Tracing

log = structlog.get_logger()


async def run_worker(
    stages: Sequence[Stage | BatchStage],
    settings: StreamSettings,
    objects: ObjectStore,
    *,
    name: str,
    ready: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
    health: Health | None = None,
) -> None:
    """Run the stages until ``stop`` is set or, where none is given, SIGTERM or SIGINT comes; the second signal ends at once.

    Raises before anything starts: :class:`~streams.runner.UnsafeStage` with all that is wrong with the declarations,
    :class:`~streams.admin.BrokerUnreachable`, :class:`~streams.admin.TopicsMissing`, or ``Transient`` where the registry does not answer. Later:
    what made a stage's going on impossible; then all of them stop, so that whoever supervises sees it.
    """
    if found := _problems(stages):
        raise UnsafeStage("; ".join(found))
    topics = list(dict.fromkeys(t for s in stages for t in needed(s)))
    await asyncio.to_thread(check_topics, settings, topics)
    if stop is None:
        stop = _stopped_by_signals()
    registry = Registry(settings.registry_url)
    await asyncio.to_thread(registry.register, topics)  # so that encoding never asks in the loop's time
    producer = AckedProducer(settings)
    tracing = Tracing.of(settings, service="millrace", instance=name)
    shared = Shared(settings, Codec(registry), producer, objects, Writer(), name, tracing)
    runners: list[StageRunner | BatchRunner] = [StageRunner(s, shared) if isinstance(s, Stage) else BatchRunner(s, shared) for s in stages]
    tune_collector()
    loop = asyncio.get_running_loop()
    crashed: asyncio.Future[None] = loop.create_future()
    before = loop.get_exception_handler()
    loop.set_exception_handler(partial(_unhandled, crashed))
    tasks = [asyncio.create_task(r.run(stop), name=r.stage.name) for r in runners]
    if health:
        health.watch([runner.pulse for runner in runners], settings)
    ready()
    try:
        await asyncio.wait([*tasks, crashed], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if error := task.exception():
                log.error("stage ended", stage=task.get_name(), error=f"{type(error).__name__}: {error}")
                raise error
        if crashed.done():
            crashed.result()
    finally:
        loop.set_exception_handler(before)
        left = await producer.close()
        if left:
            log.error("records not delivered before the end; their inputs are not committed and will be delivered again", records=left)
        if tracing:
            await asyncio.to_thread(tracing.close)


def _unhandled(crashed: asyncio.Future[None], loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the event loop hears of and nobody else does.

    An exception that a callback lets out would only be logged, and what the callback was to move (records to start, to acknowledge, to wake up)
    would stand still while all looks well. So it ends the worker: whoever supervises starts it again, and what was in hand is delivered again.
    """
    error = context.get("exception")
    log.error("unhandled in the event loop", what=context.get("message"), error=f"{type(error).__name__}: {error}", exc_info=error)
    if isinstance(error, Exception) and "handle" in context and not crashed.done():
        crashed.set_exception(error)


def tune_collector() -> None:
    """Let the garbage collector leave alone what is there for good, and look at records in hand less often.

    Each record is a dozen objects that live until its outputs are acknowledged, and none of them is part of a cycle. With the defaults the
    collector walks all of those thousands over and over, which costs a fast stage a third of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def needed(stage: Stage | BatchStage) -> list[Topic]:
    """Every topic that must exist for a stage to run."""
    if isinstance(stage, Stage):
        return topics_of(stage)
    return list(dict.fromkeys([*stage.reads, *(CATALOGUE[n] for n in ("dead.letters", "metrics.recorded", "audit.recorded"))]))


def _problems(stages: Sequence[Stage | BatchStage]) -> list[str]:
    found = [p for s in stages if isinstance(s, Stage) for p in problems(s)]
    names = [s.name for s in stages]
    twice = sorted({n for n in names if names.count(n) > 1})
    return found + [f"stage {n}: declared twice in one worker" for n in twice]


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            raise SystemExit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop
