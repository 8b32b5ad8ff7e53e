"""Which stages a worker can run, and running them."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
from collections.abc import Callable
from functools import cache, partial

import structlog

from millrace.settings import BadSettings, Settings
from sinks.archive import Archiver
from sinks.clickhouse import ClickHouse, ClickHouseWriter, install
from streams.admin import ensure_topics, topic_id
from streams.batch import BatchStage
from streams.contract import Stage
from streams.health import Health, HealthServer
from streams.registry import Registry
from streams.runs import counts
from streams.topics import ARCHIVE, ARCHIVED, CATALOGUE, SINK, SUNK
from streams.worker import run_worker

log = structlog.get_logger()


def _extract(settings: Settings) -> Stage:
    from processors.extract.stage import stage

    return stage(settings.extract)


def _plan(settings: Settings) -> Stage:
    from processors.plan.stage import stage

    return stage(settings.plan)


def _generate(settings: Settings) -> Stage:
    from processors.generate.stage import stage
    from processors.model_prices import ModelPrices
    from processors.toolchain.node import Toolchain

    book = settings.variables.model_prices
    try:
        prices = ModelPrices.read(book.read_text()) if book else None
    except (OSError, ValueError) as error:
        raise BadSettings(f"MILLRACE_MODEL_PRICES: {error}") from error
    return stage(settings.generate, Toolchain(settings=settings.toolchain), prices=prices)


def _validate(settings: Settings) -> Stage:
    from processors.toolchain.node import Toolchain
    from processors.validate.stage import stage

    return stage(settings.validating, Toolchain(settings=settings.toolchain))


def _sink(settings: Settings) -> BatchStage:
    registry = Registry(settings.streams.registry_url)
    return BatchStage(name=SINK, reads=SUNK, write=ClickHouseWriter(ClickHouse(settings.clickhouse), registry.text).write)


def _archive(settings: Settings) -> BatchStage:
    @cache
    def archiver() -> Archiver:  # when there is something to write, as the sink's connection is
        return Archiver(settings.objects.open(), partial(topic_id, settings.streams), Registry(settings.streams.registry_url).text)

    limits = settings.archive
    return BatchStage(
        name=ARCHIVE, reads=ARCHIVED, write=lambda topic, records: archiver().write(topic, records), whole=True,
        linger_s=limits.linger_s, max_records=limits.max_records, max_bytes=limits.max_bytes,
    )  # fmt: skip


WINDOWS = "windows"
"""No stage of ours: Faust has a loop of its own, so it runs in a process of its own."""

STAGES: dict[str, Callable[[Settings], Stage | BatchStage]] = {
    "extract": _extract,
    "plan": _plan,
    "generate": _generate,
    "validate": _validate,
    SINK: _sink,
    ARCHIVE: _archive,
}
"""To add a stage: write its file, name its topics in ``streams.topics``, and give it a line here. A worker loads the stages it runs, no others."""


def prepare(settings: Settings) -> None:
    """Topics, schemas and tables as they should be. Any number of processes may do it at once."""
    ensure_topics(settings.streams, CATALOGUE.values())
    Registry(settings.streams.registry_url).register(CATALOGUE.values())
    clickhouse = ClickHouse(settings.clickhouse)
    try:
        install(clickhouse)
    finally:
        clickhouse.close()


def work(names: list[str], settings: Settings, ready: Callable[[str | None], None] = lambda _: None) -> None:
    """Run stages by name until SIGTERM or SIGINT. Raises ``KeyError`` for a name that is none.

    ``ready`` is called when they take records, with the address where the worker answers ``/metrics``, ``/healthz`` and ``/readyz``, if it does.
    """
    if WINDOWS in names:
        _work_windows(settings, ready)
        return
    stages = [STAGES[name](settings) for name in names]
    health, url = Health(), None
    if settings.variables.metrics_port is not None:
        url = HealthServer(health, settings.variables.metrics_host, settings.variables.metrics_port).url
        log.info("metrics", url=url)
    name = settings.variables.worker_name or f"{platform.node()}-{os.getpid()}"
    log.info("worker", name=name, stages=names)
    try:
        asyncio.run(run_worker(stages, settings.streams, settings.objects.open(), name=name, ready=partial(ready, url), health=health))
    finally:
        health.close()


def _work_windows(settings: Settings, ready: Callable[[str | None], None]) -> None:
    """Run the live windows until SIGTERM or SIGINT."""
    from processors.windows.stage import WindowsApp

    objects = settings.objects.open()

    async def main() -> None:
        app = WindowsApp(settings.streams, partial(counts, objects))
        url = None
        if settings.variables.metrics_port is not None:
            url = HealthServer(app, settings.variables.metrics_host, settings.variables.metrics_port).url
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        log.info("worker", name=settings.variables.worker_name or f"{platform.node()}-{os.getpid()}", stages=[WINDOWS])
        ready(url)  # nobody waits for a live estimate; /readyz says when its tables are there
        await app.run(stop)

    asyncio.run(main())
