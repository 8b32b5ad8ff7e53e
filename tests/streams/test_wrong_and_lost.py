"""On the real broker: records, topics, offsets and settings that are wrong. Each is said or dead-lettered; none stops the stage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import ValidationError
from structlog.testing import capture_logs

from schemas.records import FeaturesExtracted, Record
from streams.admin import otherwise
from streams.contract import Context, Effect
from streams.settings import StreamSettings
from streams.topics import AUDIT_RECORDED, FEATURES_EXTRACTED, GENERATION_REQUESTED
from tests.streams.world import World, features, plan, run, stage, until

kafka = pytest.mark.kafka
OUT = GENERATION_REQUESTED["normal"]

_WARM = 200
"""Good records first: what the interpreter has specialised leaves out checks."""
# What no Python client lets one do: aiokafka, made to write a header name as these bytes.
_BAD_NAME = """
import asyncio, sys
from aiokafka import AIOKafkaProducer
class Raw(str):
    def encode(self, *_): return b"\\xff\\xfe"
async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"value", key=b"key", headers=[(Raw("x"), b"1"), ("good", b"2")])
asyncio.run(main())
"""


@kafka
def test_header_names_that_are_not_utf8_are_a_dead_letter_and_not_the_end_of_the_process(world: World) -> None:
    world = world.with_settings(partitions=1)
    world.create(stage())
    name = world.settings.topic_prefix + FEATURES_EXTRACTED.name
    for n in range(_WARM):
        world.send_soon(FEATURES_EXTRACTED, features(n))
    world.flush()
    environment = os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"}
    subprocess.run([sys.executable, "-c", _BAD_NAME, world.settings.bootstrap_servers, name], check=True, timeout=60, env=environment)
    world.send(FEATURES_EXTRACTED, features(1), headers=[("value", b"\xff\xfe")])

    async def main() -> None:
        async with world.running(stage()) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: _WARM + 2}, task=task)

    run(main())
    (letter,) = world.dead()
    assert (letter.reason, letter.key, letter.value, letter.offset) == ("bad_headers", b"key", b"value", _WARM)
    assert [h.name for h in letter.headers] == ["millrace-headers"]
    assert len(world.messages(OUT)) == _WARM + 1


@kafka
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_range_lost_while_running_is_counted_said_and_skipped(world: World, protocol: str) -> None:
    """The stage is full and paused when retention overtakes it: where it stands is gone when it goes on."""
    world = world.with_settings(partitions=1, max_in_flight=1, group_protocol=protocol)
    gate, started = asyncio.Event(), asyncio.Event()

    async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        started.set()
        await gate.wait()
        return await plan(record, context)

    declared = stage(wait, effect=Effect.IDEMPOTENT, time_limit_s=120)
    world.create(declared)
    for n in range(9):
        world.send(FEATURES_EXTRACTED, features(n))
    name = world.settings.topic_prefix + FEATURES_EXTRACTED.name
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})

    async def main() -> None:
        async with world.running(declared) as task:
            await started.wait()
            await asyncio.sleep(2.5)  # longer than a stage is full before it pauses, which throws away what was fetched ahead
            for future in admin.delete_records([TopicPartition(name, 0, 7)]).values():
                await asyncio.to_thread(future.result, 20)
            gate.set()
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 9}, task=task)
            await until(lambda: world.records(AUDIT_RECORDED), task=task)

    run(main())
    (audit,) = world.records(AUDIT_RECORDED)
    assert (audit.action, audit.target) == ("range_lost", "features.extracted/0")
    assert audit.details == {"committed": "1", "earliest": "7", "records": "6"}
    assert len(world.messages(OUT)) == 3  # 0, 7 and 8


@kafka
def test_a_topic_that_is_deleted_under_the_stage_stops_nothing_else_and_is_read_again_when_it_is_back(world: World) -> None:
    world = world.with_settings(partitions=1)
    from schemas.records import PromptSubmitted, VideoSubmitted
    from streams.topics import PROMPT_SUBMITTED
    from tests.streams.world import prompt

    async def either(record: FeaturesExtracted | PromptSubmitted | VideoSubmitted, context: Context) -> Sequence[Record]:
        from schemas.records import GenerationRequested

        return [context.make(GenerationRequested, method="m", spec="s")]

    declared = replace(stage(either), reads=(FEATURES_EXTRACTED, PROMPT_SUBMITTED))
    world.create(declared)
    name = world.settings.topic_prefix + FEATURES_EXTRACTED.name
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})
    world.send(FEATURES_EXTRACTED, features())
    world.send(PROMPT_SUBMITTED, prompt())

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 1}, task=task)
            await asyncio.to_thread(admin.delete_topics([name])[name].result, 20)
            world.send(PROMPT_SUBMITTED, prompt())
            await until(lambda: len(world.messages(OUT)) == 3, task=task)
            await until(lambda: name not in admin.list_topics(timeout=20).topics, task=task)
            world.create(declared)
            await asyncio.to_thread(world.send, FEATURES_EXTRACTED, features())
            await until(lambda: len(world.messages(OUT)) == 4, timeout_s=60, task=task)

    run(main())
    assert not world.dead()
    (audit,) = world.records(AUDIT_RECORDED)
    assert (audit.action, audit.target, audit.details["topic"]) == ("range_lost", "features.extracted/0", "made anew")


@kafka
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_work_longer_than_the_poll_interval_keeps_its_place_in_the_group(world: World, protocol: str) -> None:
    limit = 3.0 if protocol == "consumer" else 10.0
    world = world.with_settings(partitions=1, max_poll_interval_s=limit, revoke_deadline_s=1.0, group_protocol=protocol)
    calls: list[int] = []

    async def slow(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        calls.append(record.frames)
        await asyncio.sleep(limit + 2)
        return await plan(record, context)

    declared = stage(slow, effect=Effect.IDEMPOTENT, time_limit_s=60)
    world.create(declared)
    world.send(FEATURES_EXTRACTED, features(1))

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 1}, task=task)

    run(main())
    assert calls == [1] and len(world.messages(OUT)) == 1


@kafka
def test_a_stage_is_bounded_in_bytes_too(world: World) -> None:
    world = world.with_settings(partitions=1, max_record_bytes=100_000, max_in_flight_bytes=300_000)
    gate = asyncio.Event()
    in_hand = 0

    async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal in_hand
        in_hand += 1
        await gate.wait()
        return []

    declared = stage(wait, concurrency=1000, time_limit_s=60)
    world.create(declared)
    for n in range(30):
        world.send(FEATURES_EXTRACTED, features(n, features_uri="x" * 50_000))

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: in_hand >= 6, task=task)
            await asyncio.sleep(1)  # what would arrive beyond the bound has its chance
            assert in_hand <= 8
            gate.set()
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 30}, task=task)

    run(main())


def test_settings_that_contradict_each_other_are_all_named_at_once() -> None:
    with pytest.raises(ValidationError) as raised:
        StreamSettings(
            bootstrap_servers="x", registry_url="y", retry_delays_s=(5, 1, 600), max_in_flight_bytes=10, revoke_deadline_s=400, group_protocol="classic",
            max_poll_interval_s=5,
        )  # fmt: skip
    said = str(raised.value)
    assert all(name in said for name in ("retry_delays_s", "max_in_flight_bytes", "revoke_deadline_s", "session time-out"))


@kafka
@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_workers_that_come_and_go_lose_nothing_under_either_protocol(world: World, protocol: str) -> None:
    world = world.with_settings(partitions=4, group_protocol=protocol, stop_deadline_s=0.5, revoke_deadline_s=1.0)

    async def slow(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        await asyncio.sleep(0.01)
        return await plan(record, context)

    declared = stage(slow, effect=Effect.IDEMPOTENT, concurrency=2)
    world.create(declared)
    for n in range(400):
        world.send_soon(FEATURES_EXTRACTED, features(n))
    world.flush()

    async def main() -> None:
        async with world.running(declared, name="stays") as task:
            await until(lambda: len(world.messages(OUT)) >= 20, task=task)
            async with world.running(declared, name="comes and goes") as other:
                await until(lambda: len(world.messages(OUT)) >= 150, task=other)
            await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) == 400, timeout_s=60, task=task)

    run(main())
    assert len({o.request_id for o in world.records(OUT)}) == 400 and not world.dead()


@kafka
def test_where_the_broker_offers_no_kip_848_a_stage_joins_a_classic_group(world: World, tmp_path: Path) -> None:
    from infra.embedded.kafka import Kafka, KafkaSettings

    old = Kafka(
        KafkaSettings(data=tmp_path / "kafka", log=tmp_path / "kafka.log", properties={"group.coordinator.rebalance.protocols": "classic"})
    )
    old.start()
    try:
        old.ready()
        world = world.with_settings(bootstrap_servers=old.bootstrap_servers)
        world.create(stage())
        world.send(FEATURES_EXTRACTED, features(1))

        async def main() -> None:
            async with world.running(stage()) as task:
                await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) == 1, task=task)

        run(main())
        assert len(world.messages(OUT)) == 1
    finally:
        old.stop()


@kafka
def test_a_topic_with_fewer_partitions_than_declared_is_said_and_worked_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from millrace.cli import app
    from millrace.commands import operate

    world.create(stage(), partitions=2)
    world = world.with_settings(partitions=3)
    for n in range(6):
        world.send(FEATURES_EXTRACTED, features(n), partition=n % 2)

    async def main() -> None:
        async with world.running(stage()) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 3, 1: 3}, task=task)

    with capture_logs() as said:
        run(main())
    assert len(world.messages(OUT)) == 6
    found = {line["topic"]: line["found"] for line in said if line["event"] == "topic is not as declared"}
    assert "it has 2 of 3 partitions" in found["features.extracted"] and "--partitions 3" in found["features.extracted"]
    assert "retry.plan.5s" not in found and "dead.letters" in found

    @contextlib.contextmanager
    def connected(_: Path | None) -> Iterator[Any]:
        yield SimpleNamespace(settings=SimpleNamespace(streams=world.settings))

    monkeypatch.setattr(operate, "connected", connected)
    result = CliRunner().invoke(app, ["topics", "--check", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["features.extracted"] == [found["features.extracted"]] and "not there" in told["artifact.validated"][0]


def partition(leader: int) -> Any:
    return SimpleNamespace(leader=leader)


def test_partitions_without_a_leader_are_told_apart() -> None:
    settings = StreamSettings(bootstrap_servers="b:1", registry_url="http://r", partitions=3)
    topic: Any = SimpleNamespace(partitions={0: partition(1), 1: partition(-1), 2: partition(-1)})
    (found,) = otherwise(FEATURES_EXTRACTED, settings, topic)
    assert "partitions 1, 2 have no leader" in found
    assert otherwise(FEATURES_EXTRACTED, settings, SimpleNamespace(partitions=dict.fromkeys(range(5), partition(1)))) == []  # type: ignore[arg-type]
