"""A worker process of the chaos stack: ``python -m bench.chaos.worker CONFIG NAME STAGES READY_FILE``.

The product's own ``run_worker`` (synthetic stages) or ``millrace.workers.work`` (real ones) over an object store that can be told to fail.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.chaos.stages import stages
from bench.chaos.store import FaultyStore
from sinks.clickhouse import ClickHouse, ClickHouseSettings, ClickHouseWriter
from sinks.objects import FolderStore, ObjectsSettings
from streams.batch import BatchStage
from streams.contract import Stage
from streams.objects import ObjectStore
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import SINK, SUNK
from streams.worker import run_worker


class Config(BaseModel):
    """What every worker of one round is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    streams: StreamSettings
    clickhouse_url: str
    objects: Path
    control: Path
    provider_port: int
    real: bool


class FaultyObjects(ObjectsSettings):
    """The product's object store, behind one that can be told to fail."""

    control: Path

    def open(self) -> ObjectStore:
        return FaultyStore(super().open(), self.control)


def main() -> None:
    config = Config.model_validate_json(Path(sys.argv[1]).read_text())
    name, chosen, ready = sys.argv[2], sys.argv[3].split(","), Path(sys.argv[4])

    def is_ready(*_: object) -> None:
        ready.touch()

    if config.real:
        from millrace.settings import assemble, read_variables
        from millrace.workers import work

        addresses = {
            "bootstrap_servers": config.streams.bootstrap_servers,
            "registry_url": config.streams.registry_url,
            "clickhouse_url": config.clickhouse_url,
            "objects_url": config.objects.as_uri(),
        }
        settings = assemble(read_variables({"MILLRACE_WORKER_NAME": name}), addresses, embedded=True)
        faulty = FaultyObjects(**settings.objects.model_dump(), control=config.control)
        work(chosen, settings.model_copy(update={"objects": faulty, "streams": config.streams}), is_ready)
        return
    declared = stages(config.provider_port)
    running: list[Stage | BatchStage] = []
    for stage in chosen:
        if stage == SINK:
            writer = ClickHouseWriter(ClickHouse(ClickHouseSettings(url=config.clickhouse_url)), Registry(config.streams.registry_url).text)
            running.append(BatchStage(name=SINK, reads=SUNK, write=writer.write))
        else:
            running.append(declared[stage])
    store = FaultyStore(FolderStore(config.objects, durable=False), config.control)
    asyncio.run(run_worker(running, config.streams, store, name=name, ready=is_ready))


if __name__ == "__main__":
    main()
