"""A broker and a schema registry for one measurement, in a folder of its own that goes with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.kafka import Kafka, KafkaSettings
from infra.embedded.registry import Registry, RegistrySettings


@dataclass(frozen=True)
class Broker:
    bootstrap_servers: str
    registry_url: str
    folder: Path


@contextmanager
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as name:
        folder = Path(name)
        kafka = Kafka(KafkaSettings(data=folder / "kafka", log=folder / "kafka.log"))
        kafka.start()
        try:
            kafka.ready()
            registry = Registry(RegistrySettings(bootstrap_servers=kafka.bootstrap_servers, log=folder / "registry.log"))
            registry.start()
            try:
                registry.ready()
                yield Broker(kafka.bootstrap_servers, registry.url, folder)
            finally:
                registry.stop()
        finally:
            kafka.stop()
