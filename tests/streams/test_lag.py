"""Lag in seconds: right whether a stage runs, is full, waits, or has no worker at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import REGISTRY

from schemas.records import FeaturesExtracted, Record
from streams import provenance
from streams.admin import BrokerUnreachable
from streams.contract import Context
from streams.lag import LagReader
from streams.members import Members, Unknown
from streams.topics import FEATURES_EXTRACTED, READ_BY, retry_topic
from tests.streams.world import World, features, run, stage, until

pytestmark = pytest.mark.kafka


def ago(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


def test_a_stage_without_any_worker_is_behind_by_the_age_of_its_oldest_record(world: World) -> None:
    world.create(stage())
    reader = LagReader(world.settings, ["plan"])
    empty = reader.read()["plan"]
    assert (empty.records, empty.seconds) == (0, 0)
    assert empty.partitions == world.settings.partitions, "tiers are not counted"
    for partition, age in ((0, 100), (0, 5), (1, 300)):
        world.send(FEATURES_EXTRACTED, features(), partition=partition, timestamp=ago(age))
    found = reader.read()["plan"]
    assert found.records == 3
    assert 300 <= found.seconds < 400

    async def main() -> None:
        async with world.running(stage()) as task:
            await until(lambda: reader.read()["plan"].records == 0, task=task)
            assert reader.read()["plan"].seconds == 0

    run(main())
    reader.close()


def test_what_waits_in_a_delay_tier_is_late_from_when_it_is_due(world: World) -> None:
    world.create(stage())
    reader = LagReader(world.settings, ["plan"])
    tier = retry_topic("plan", "10m")
    due = {"future": ago(-600), "past": ago(200)}
    world.send(tier, b"later", key=b"k", headers=[(provenance.NOT_BEFORE, str(due["future"]).encode())], timestamp=ago(500))
    assert reader.read()["plan"].records == 1
    assert reader.read()["plan"].seconds == 0
    other = LagReader(world.settings.model_copy(update={"group_prefix": "another"}), ["plan"])
    world.send(
        retry_topic("plan", "1m"), b"due", key=b"k", headers=[(provenance.NOT_BEFORE, str(due["past"]).encode())], timestamp=ago(500)
    )
    assert 200 <= reader.read()["plan"].seconds < 300
    assert 200 <= other.read()["plan"].seconds < 300, "each group by its own offsets"
    reader.close()
    other.close()


def test_a_full_stage_tells_the_age_of_what_it_has_not_fetched(world: World) -> None:
    """One record fills it; an older one arrives in another partition and cannot be fetched."""
    world = world.with_settings(max_in_flight=1)

    async def main() -> None:
        release = asyncio.Event()

        async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            await release.wait()
            return []

        declared = stage(wait, name="plan", time_limit_s=300)
        world.create(declared)
        async with world.running(declared) as task:
            world.send(FEATURES_EXTRACTED, features(), partition=0)
            sample, lag = ("millrace_in_flight", {"stage": "plan"}), ("millrace_lag_seconds", {"stage": "plan"})
            # Full for longer than the moment that a source waits before it pauses.
            await until(lambda: REGISTRY.get_sample_value(*sample) == 1 and (REGISTRY.get_sample_value(*lag) or 0) > 3, task=task)
            world.send(FEATURES_EXTRACTED, features(), partition=1, timestamp=ago(900))
            found = await until(lambda: (s := REGISTRY.get_sample_value(*lag)) and s > 800 and s, task=task)
            assert 900 <= found < 1000
            assert REGISTRY.get_sample_value(*sample) == 1
            release.set()
            await until(lambda: REGISTRY.get_sample_value(*lag) == 0, task=task)

    run(main())


def test_the_catalogue_names_what_each_stage_reads() -> None:
    """So that lag can be read without loading a stage: held against the stages themselves."""
    from millrace.settings import assemble, read_variables
    from millrace.workers import STAGES

    addresses = {"bootstrap_servers": "b:1", "registry_url": "http://r", "clickhouse_url": "http://c:1", "objects_url": "file:///o"}
    settings = assemble(read_variables({}), addresses, embedded=True)
    for name in READ_BY:
        assert STAGES[name](settings).reads == READ_BY[name], name


def test_a_broker_that_is_there_and_says_nothing_is_one_that_cannot_be_reached(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again and again (scaling, watching) expects one error and must not end by another."""

    def silent(_: LagReader) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(LagReader, "_read", silent)
    monkeypatch.setattr("streams.lag._TIMEOUT_S", 0.2)
    reader = LagReader(world.settings)
    with pytest.raises(BrokerUnreachable):
        reader.read()
    reader.close()


def test_the_command_names_workers_and_says_so_where_nobody_knows_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from millrace.cli import app
    from millrace.commands import watch

    @contextlib.contextmanager
    def connected(_: Any) -> Iterator[Any]:
        yield SimpleNamespace(settings=SimpleNamespace(streams=world.settings))

    monkeypatch.setattr(watch, "connected", connected)
    world.create(stage())
    world.send(FEATURES_EXTRACTED, features())
    told = CliRunner().invoke(app, ["lag", "--json"])
    plan = next(line for line in json.loads(told.stdout) if line["stage"] == "plan")
    assert (plan["records"], plan["workers"], plan["partitions"]) == (1, 0, world.settings.partitions)

    def unknown(*_: Any) -> None:
        raise Unknown("who asked died")

    monkeypatch.setattr(Members, "read", unknown)
    told = CliRunner().invoke(app, ["lag"])
    assert told.exit_code == 0 and "?" in told.stdout and "who asked died" in told.stderr
