"""A worker process: some stages and sinks over one producer, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

import structlog

from streams.batch import BatchRunner, BatchStage
from streams.codec import Codec
from streams.contract import Stage, Writer, problems
from streams.objects import ObjectStore
from streams.producer import AckedProducer
from streams.registry import Registry
from streams.runner import Shared, StageRunner, UnsafeStage
from streams.settings import StreamSettings

log = structlog.get_logger()


async def run_worker(
    stages: Sequence[Stage | BatchStage],
    settings: StreamSettings,
    objects: ObjectStore,
    *,
    name: str,
    ready: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run the stages until ``stop`` is set or, where none is given, SIGTERM or SIGINT comes; the second signal ends at once.

    Topics must exist and schemas be registered. Raises :class:`~streams.runner.UnsafeStage` with all that is wrong with the declarations,
    or what made a stage's going on impossible: then all of them stop, so that whoever supervises sees it.
    """
    if found := [p for s in stages if isinstance(s, Stage) for p in problems(s)]:
        raise UnsafeStage("; ".join(found))
    if stop is None:
        stop = _stopped_by_signals()
    registry = Registry(settings.registry_url)
    producer = AckedProducer(settings)
    shared = Shared(settings, Codec(registry), producer, objects, Writer(), name)
    runners: list[StageRunner | BatchRunner] = [StageRunner(s, shared) if isinstance(s, Stage) else BatchRunner(s, shared) for s in stages]
    tasks = [asyncio.create_task(r.run(stop), name=r.stage.name) for r in runners]
    ready()
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if error := task.exception():
                log.error("stage ended", stage=task.get_name(), error=f"{type(error).__name__}: {error}")
                raise error
    finally:
        left = await producer.close()
        if left:
            log.error("records not delivered before the end; their inputs are not committed and will be delivered again", records=left)


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            raise SystemExit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop
