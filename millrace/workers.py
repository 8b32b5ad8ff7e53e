"""Which stages a worker can run, and running them."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from functools import partial

import structlog
from prometheus_client import start_http_server

from millrace.settings import Settings
from sinks.clickhouse import ClickHouse, ClickHouseWriter, install
from streams.admin import ensure_topics
from streams.batch import BatchStage
from streams.contract import Stage
from streams.registry import Registry
from streams.topics import CATALOGUE, SINK, SUNK
from streams.worker import run_worker

log = structlog.get_logger()


def _extract(settings: Settings) -> Stage:
    from processors.extract.stage import stage

    return stage(settings.extract)


def _plan(settings: Settings) -> Stage:
    from processors.plan.stage import stage

    return stage()


def _generate(settings: Settings) -> Stage:
    from processors.generate.stage import stage
    from processors.toolchain.node import Toolchain

    return stage(settings.generate, Toolchain(settings=settings.toolchain))


def _validate(settings: Settings) -> Stage:
    from processors.toolchain.node import Toolchain
    from processors.validate.stage import stage

    return stage(settings.validating, Toolchain(settings=settings.toolchain))


def _sink(settings: Settings) -> BatchStage:
    registry = Registry(settings.streams.registry_url)
    return BatchStage(name=SINK, reads=SUNK, write=ClickHouseWriter(ClickHouse(settings.clickhouse), registry.text).write)


STAGES: dict[str, Callable[[Settings], Stage | BatchStage]] = {
    "extract": _extract,
    "plan": _plan,
    "generate": _generate,
    "validate": _validate,
    SINK: _sink,
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


def work(names: list[str], settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
    """Run stages by name until SIGTERM or SIGINT. Raises ``KeyError`` for a name that is none."""
    stages = [STAGES[name](settings) for name in names]
    port = settings.variables.metrics_port
    if port is not None:
        server, _ = start_http_server(port, addr=settings.variables.metrics_host)
        log.info("metrics", port=server.server_port)
    name = settings.variables.worker_name or f"{platform.node()}-{os.getpid()}"
    log.info("worker", name=name, stages=names)
    asyncio.run(run_worker(stages, settings.streams, settings.objects.open(), name=name, ready=partial(ready)))
