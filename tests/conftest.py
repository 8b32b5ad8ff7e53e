"""The real things that tests run against: one broker, one ClickHouse engine and one registry a session, started when first asked for.

With ``-n`` each worker process is a session.

Each test takes names of its own (``topic``, ``database``), so that none sees another's records.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest


class TopicFactory(Protocol):
    def __call__(self, name: str = "topic", partitions: int = 1, **config: str | int) -> str: ...


def unique(name: str) -> str:
    """A name that no other test has."""
    return f"{name}-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of a real Kafka that lives as long as the session."""
    from infra.embedded.kafka import Kafka, KafkaSettings

    folder = tmp_path_factory.mktemp("kafka")
    kafka = Kafka(KafkaSettings(data=folder / "data", log=folder / "kafka.log"))
    kafka.start()
    try:
        kafka.ready()
        yield kafka.bootstrap_servers
    finally:
        kafka.stop()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real ClickHouse engine behind its HTTP interface that lives as long as the session."""
    from infra.embedded.clickhouse import ClickHouse, ClickHouseSettings

    folder = tmp_path_factory.mktemp("clickhouse")
    engine = ClickHouse(ClickHouseSettings(data=folder / "data", log=folder / "clickhouse.log"))
    engine.start()
    try:
        engine.ready()
        yield engine.url
    finally:
        engine.stop()


@pytest.fixture
def database(clickhouse: str) -> Iterator[str]:
    """The name of an empty database of the test's own, dropped after it."""
    import httpx

    def command(sql: str) -> None:
        httpx.post(clickhouse, content=sql, timeout=60, trust_env=False).raise_for_status()

    name = unique("test").replace("-", "_")
    command(f"CREATE DATABASE {name}")
    yield name
    command(f"DROP DATABASE {name} SYNC")


@pytest.fixture(scope="session")
def registry(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a schema registry over the session's broker."""
    from infra.embedded.registry import Registry, RegistrySettings

    served = Registry(RegistrySettings(bootstrap_servers=broker, log=tmp_path_factory.mktemp("registry") / "registry.log"))
    served.start()
    try:
        served.ready()
        yield served.url
    finally:
        served.stop()


@pytest.fixture
def topic(broker: str, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Makes topics: ``topic("orders", partitions=3, **{"cleanup.policy": "compact"})`` -> a name like ``orders-1f0c…``, there when returned."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker})

    def make(name: str = "topic", partitions: int = 1, **config: str | int) -> str:
        full = unique(re.sub(r"[^A-Za-z0-9._-]", "-", name))
        new = NewTopic(full, partitions, 1, config={k: str(v) for k, v in config.items()})
        admin.create_topics([new])[full].result(30)
        return full

    return make
