"""On the real broker: each record is acknowledged by itself, order and concurrency are as declared, stopping and going on lose nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from schemas import ids
from schemas.records import FeaturesExtracted, GenerationRequested, Record
from streams.contract import Context, Effect, Retry
from streams.topics import FEATURES_EXTRACTED, GENERATION_REQUESTED, RETRY
from tests.streams.world import World, features, run, stage, until

pytestmark = pytest.mark.kafka
OUT = GENERATION_REQUESTED["normal"]


def made(record: FeaturesExtracted, context: Context) -> list[Record]:
    return [context.make(GenerationRequested, method="reconstruct", spec=str(record.frames))]


def test_a_slow_record_holds_up_neither_others_nor_their_outputs_and_only_it_is_seen_again(world: World) -> None:
    """Commits stay at the slow record; after a restart it comes again, with those done beyond it, whose outputs have the same ids."""
    world = world.with_settings(partitions=1, stop_deadline_s=0.2)
    hang = asyncio.Event()
    seen: list[int] = []

    async def slow(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        seen.append(record.frames)
        if record.frames == 3:
            await hang.wait()
        return made(record, context)

    declared = stage(slow, effect=Effect.IDEMPOTENT, time_limit_s=60)
    world.create(declared)
    for n in range(10):
        world.send(FEATURES_EXTRACTED, features(n))

    async def first() -> None:
        async with world.running(declared) as task:
            await until(lambda: len(world.messages(OUT)) == 9, task=task)
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 3}, task=task)

    run(first())
    assert sorted(seen) == list(range(10))
    assert world.committed("plan", FEATURES_EXTRACTED) == {0: 3}
    seen.clear()

    async def second() -> None:
        hang.set()
        async with world.running(declared) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 10}, task=task)

    run(second())
    assert sorted(seen) == list(range(3, 10))
    out = world.records(OUT)
    by_id = defaultdict(set)
    for o in out:
        by_id[o.event_id].add(o.spec)
    assert len(by_id) == 10 and all(len(specs) == 1 for specs in by_id.values())


def test_more_run_at_once_than_there_are_partitions_and_never_more_than_declared(world: World) -> None:
    world = world.with_settings(partitions=1)
    running = most = 0
    full = asyncio.Event()

    async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 25:
            full.set()
        await full.wait()
        await asyncio.sleep(0)
        running -= 1
        return []

    declared = stage(wait, concurrency=25)
    world.create(declared)
    for n in range(60):
        world.send_soon(FEATURES_EXTRACTED, features(n))
    world.flush()

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 60}, task=task)

    run(main())
    assert most == 25


def test_by_key_one_at_a_time_in_order_with_retries_in_place_and_keys_side_by_side(world: World) -> None:
    world = world.with_settings(partitions=2)
    keys = [ids.new_id() for _ in range(6)]
    order: dict[str, list[int]] = defaultdict(list)
    busy: set[str] = set()
    most = 0
    failed: set[tuple[str, int]] = set()

    async def projection(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal most
        assert record.request_id not in busy
        busy.add(record.request_id)
        most = max(most, len(busy))
        try:
            await asyncio.sleep(0.005)
            if record.frames == 2 and (record.request_id, 2) not in failed:
                failed.add((record.request_id, 2))
                raise RuntimeError("once")
            order[record.request_id].append(record.frames)
        finally:
            busy.discard(record.request_id)
        return []

    declared = stage(projection, order="key", effect=Effect.IDEMPOTENT, retry=Retry(3))
    world.create(declared)
    for n in range(8):
        for key in keys:
            world.send_soon(FEATURES_EXTRACTED, features(n, request_id=key))
    world.flush()

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) == 48, task=task)

    run(main())
    assert dict(order) == {key: list(range(8)) for key in keys}
    assert most > 1 and len(failed) == 6


def test_retries_go_through_the_tiers_in_order_and_tries_are_counted(world: World) -> None:
    tries: list[int] = []

    async def fails(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        tries.append(context.delivery.tries)
        place = context.delivery
        assert (place.topic, place.timestamp > 0) == ("features.extracted", True)
        raise RuntimeError("never")

    declared = stage(fails, retry=Retry(4))
    world.create(declared)
    partition, offset = world.send(FEATURES_EXTRACTED, features(), headers=[("mine", b"\xff\x00")])

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.dead(), task=task)

    run(main())
    assert tries == [1, 2, 3, 4]
    times = []
    for number, (tier, topic) in enumerate(RETRY["plan"].items(), 1):
        (message,) = world.messages(topic)
        headers = dict(message.headers())
        assert headers["millrace-tries"] == str(number).encode() and headers["mine"] == b"\xff\x00"
        assert headers["millrace-origin"].decode().startswith(f"features.extracted {partition} {offset} ")
        times.append((int(headers["millrace-not-before"]), tier))
    assert [t for _, t in sorted(times)] == ["5s", "1m", "10m"]
    (letter,) = world.dead()
    assert (letter.tries, letter.partition, letter.offset) == (4, partition, offset)
    assert [(h.name, h.value) for h in letter.headers] == [("mine", b"\xff\x00")]


def test_a_retry_that_waits_takes_no_room(world: World) -> None:
    """With room for two records in hand, five that wait in a tier leave all of it to others."""
    world = world.with_settings(max_in_flight=2, retry_delays_s=(120.0, 120.0, 120.0))

    async def some_fail(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        if record.frames < 5:
            raise RuntimeError("later")
        return made(record, context)

    declared = stage(some_fail)
    world.create(declared)
    for n in range(5):
        world.send(FEATURES_EXTRACTED, features(n))

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: len(world.messages(RETRY["plan"]["5s"])) == 5, task=task)
            for n in range(5, 25):
                world.send_soon(FEATURES_EXTRACTED, features(n))
            await asyncio.to_thread(world.flush)
            await until(lambda: len(world.messages(OUT)) == 20, task=task)

    run(main())
    assert not any(world.committed("plan", RETRY["plan"]["5s"]).values()), "what waits is not done"


def test_a_full_stage_pauses_keeps_polling_and_goes_on(world: World) -> None:
    world = world.with_settings(max_in_flight=10, partitions=2)
    gate = asyncio.Event()
    in_hand = most = 0

    async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        await gate.wait()
        in_hand -= 1
        return []

    declared = stage(wait, concurrency=1000, time_limit_s=60)
    world.create(declared)
    for n in range(200):
        world.send_soon(FEATURES_EXTRACTED, features(n))
    world.flush()

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: in_hand >= 10, task=task)
            await asyncio.sleep(1)  # what would arrive beyond the bound has its chance
            assert in_hand == most <= 12
            gate.set()
            await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) == 200, task=task)

    run(main())
    assert most <= 12


def test_a_time_limit_ends_a_step_and_is_a_retry(world: World) -> None:
    cancelled: list[int] = []

    async def hangs(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(context.delivery.tries)
            raise
        return []

    declared = stage(hangs, time_limit_s=0.05, retry=Retry(2))
    world.create(declared)
    world.send(FEATURES_EXTRACTED, features())

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.dead(), task=task)

    run(main())
    (letter,) = world.dead()
    assert (letter.reason, letter.tries) == ("timeout", 2) and "limit of 0.05 s" in letter.message
    assert cancelled == [1, 2]


def test_a_stop_lets_work_finish_and_commits_it(world: World) -> None:
    world = world.with_settings(partitions=1)
    started = asyncio.Event()

    async def slow(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        started.set()
        await asyncio.sleep(0.5)
        return made(record, context)

    declared = stage(slow)
    world.create(declared)
    for n in range(5):
        world.send(FEATURES_EXTRACTED, features(n))

    async def main() -> None:
        async with world.running(declared):
            await started.wait()

    run(main())
    done = world.committed("plan", FEATURES_EXTRACTED)
    assert done and len(world.messages(OUT)) == done[0] >= 1


def test_a_range_lost_to_retention_is_reported_and_the_stage_goes_on_at_the_earliest(world: World) -> None:
    from confluent_kafka import TopicPartition

    from streams.topics import AUDIT_RECORDED

    world = world.with_settings(partitions=1)
    world.create(stage())
    name = world.settings.topic_prefix + FEATURES_EXTRACTED.name
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})

    async def committed_at(count: int) -> None:
        async with world.running(stage()) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: count}, task=task)

    for n in range(4):
        world.send(FEATURES_EXTRACTED, features(n))
    run(committed_at(4))
    for n in range(4, 10):
        world.send(FEATURES_EXTRACTED, features(n))
    for future in admin.delete_records([TopicPartition(name, 0, 8)]).values():
        future.result(20)
    run(committed_at(10))
    assert len(world.messages(OUT)) == 6  # 0 to 3, then 8 and 9
    (audit,) = world.records(AUDIT_RECORDED)
    assert (audit.action, audit.target, audit.details) == (
        "range_lost",
        "features.extracted/0",
        {"committed": "4", "earliest": "8", "records": "4"},
    )


def test_recorded_outputs_are_published_again_byte_for_byte(world: World) -> None:
    world = world.with_settings(partitions=1)
    calls: list[int] = []

    async def different_each_time(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        calls.append(record.frames)
        context.meter("plan", quantity=len(calls), unit="x", cost_usd=None)
        return [context.make(GenerationRequested, method="m", spec=ids.new_id())]

    declared = stage(different_each_time, recorded=True)
    world.create(declared)
    for n in range(5):
        world.send(FEATURES_EXTRACTED, features(n))

    async def main(times: int) -> None:
        async with world.running(declared) as task:
            await until(lambda: len(world.messages(OUT)) == 5 * times, task=task)
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 5}, task=task)

    run(main(1))
    forget(world, "plan")
    run(main(2))
    assert len(calls) == 5
    values = [m.value() for m in world.messages(OUT)]
    assert sorted(values[:5]) == sorted(values[5:])
    from streams.topics import USAGE_RECORDED

    usage = [m.value() for m in world.messages(USAGE_RECORDED)]
    assert len(usage) == 10 and len(set(usage)) == 5


def forget(world: World, group: str) -> None:
    """Have the group start anew, as after a crash before its first commit."""
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})
    name = f"{world.settings.group_prefix}.{group}"
    for future in admin.delete_consumer_groups([name]).values():
        future.result(20)


def test_a_broker_that_is_not_there_is_a_clear_error(world: World, tmp_path: Any) -> None:
    from streams.admin import BrokerUnreachable, TopicsMissing, admin

    away = world.settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1"):
        admin(away, timeout_s=1)

    async def main() -> None:
        async with world.running(stage(), crashes=True) as task:
            await asyncio.wait({task}, timeout=30)
            with pytest.raises(TopicsMissing, match=r"features\.extracted.*retry\.plan\.1m"):
                task.result()

    run(main())
