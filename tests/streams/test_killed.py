"""Worker processes that are killed, stopped and woken up, or that come and go: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.records import FeaturesExtracted, Record
from streams.contract import Context, Effect
from streams.failures import Waiting
from streams.topics import FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from tests.streams import engine_worker
from tests.streams.world import World, features, plan, run, stage, until

pytestmark = pytest.mark.kafka
OUT = GENERATION_REQUESTED["normal"]
ROOT = Path(__file__).parents[2]


class Processes:
    """Worker processes of one test, ended with it."""

    def __init__(self, world: World) -> None:
        self.world, self.all = world, []

    def start(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            engine_worker.__file__,
            self.world.settings.model_dump_json(),
            str(self.world.store.root),
            f"w{len(self.all)}",
        ]
        log = self.world.store.root.parent / f"worker-{len(self.all)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=file, stderr=file)
        self.all.append(process)
        return process

    def end(self) -> None:
        for process in self.all:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def processes(world: World) -> Iterator[Callable[[World], Processes]]:
    made: list[Processes] = []

    def make(world: World) -> Processes:
        made.append(Processes(world))
        return made[-1]

    yield make
    for p in made:
        p.end()


def feed(world: World, count: int) -> set[str]:
    sent = set()
    for n in range(count):
        record = features(n)
        sent.add(record.request_id)
        world.send_soon(FEATURES_EXTRACTED, record)
    world.flush()
    return sent


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def exact(world: World, sent: set[str]) -> None:
    """Every request has its output and its usage event; whoever published them, they are the same ones."""
    for topic in (OUT, USAGE_RECORDED):
        contents: dict[str, set[bytes]] = defaultdict(set)
        requests: dict[str, set[str]] = defaultdict(set)
        for message in world.messages(topic):
            assert topic.record
            record = world.codec.decode(topic.record, message.value())
            contents[record.event_id].add(message.value())
            requests[record.request_id].add(record.event_id)
        assert set(requests) == sent, "lost or invented"
        assert all(len(ids) == 1 for ids in requests.values()), "counted twice"
        assert all(len(values) == 1 for values in contents.values()), "the same id with other content"
    assert not world.dead()


def all_committed(world: World, count: int) -> bool:
    return sum(world.committed("plan", FEATURES_EXTRACTED).values()) == count


@pytest.mark.parametrize(("protocol", "kills"), [("consumer", 3), ("classic", 1)])  # a classic group misses a dead member after 10 s only
def test_sigkill_in_the_middle_again_and_again(world: World, processes: Any, protocol: str, kills: int) -> None:
    world = world.with_settings(group_protocol=protocol)
    world.create(engine_worker.STAGE)
    count = 300 * kills
    sent = feed(world, count)
    workers = processes(world)
    running = [workers.start(), workers.start()]
    chance = random.Random(7)
    for _ in range(kills):
        before = sum(world.committed("plan", FEATURES_EXTRACTED).values())
        with contextlib.suppress(AssertionError):
            wait_for(lambda before=before: sum(world.committed("plan", FEATURES_EXTRACTED).values()) > before + 50, 15)
        victim = running.pop(chance.randrange(2))
        victim.kill()
        running.append(workers.start())
    wait_for(lambda: all_committed(world, count), 90)
    exact(world, sent)


def test_a_zombie_that_wakes_up_after_losing_its_partitions_doubles_nothing(world: World, processes: Any) -> None:
    world.create(engine_worker.STAGE)
    sent = feed(world, 1000)
    workers = processes(world)
    zombie = workers.start()
    wait_for(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) > 50)
    zombie.send_signal(signal.SIGSTOP)
    workers.start()
    wait_for(lambda: all_committed(world, 1000), 90)
    committed = world.committed("plan", FEATURES_EXTRACTED)
    zombie.send_signal(signal.SIGCONT)
    sent |= feed(world, 300)
    wait_for(lambda: all_committed(world, 1300), 90)
    exact(world, sent)
    assert all(world.committed("plan", FEATURES_EXTRACTED)[p] >= offset for p, offset in committed.items()), (
        "the zombie turned a commit back"
    )


def test_a_member_that_joins_and_leaves_takes_nothing_along(world: World) -> None:
    world.create(stage())
    sent = set()

    async def main() -> None:
        async with world.running(stage(), name="stays") as task:
            for _ in range(3):
                sent.update(await asyncio.to_thread(feed, world, 300))
                async with world.running(stage(), name="passes"):
                    sent.update(await asyncio.to_thread(feed, world, 300))
                    await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) >= len(sent) - 300, task=task)
            await until(lambda: all_committed(world, len(sent)), task=task)

    run(main())
    assert {r.request_id for r in world.records(OUT)} == sent


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_partition_that_was_held_when_it_went_is_fetched_when_it_comes_back(world: World, protocol: str) -> None:
    """Each record waits once, so that its partition is held; the second member takes one of the two, works it off and leaves."""
    world = world.with_settings(partitions=2, revoke_deadline_s=0.2, stop_deadline_s=1.0, group_protocol=protocol)
    waited: set[int] = set()

    async def once(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        if record.frames not in waited:
            waited.add(record.frames)
            raise Waiting("later", "the first time", seconds=600)
        return await plan(record, context)

    declared = stage(once, order="key")
    world.create(declared)
    first = [features(n) for n in range(2)]
    later = [features(n) for n in range(2, 4)]
    waited.update({2, 3})
    for partition, record in enumerate(first):
        world.send_soon(FEATURES_EXTRACTED, record, partition=partition)
    world.flush()

    async def main() -> None:
        async with world.running(declared, name="stays") as task:
            await until(lambda: waited >= {0, 1}, task=task)
            async with world.running(declared, name="passes"):
                await until(lambda: len(world.messages(OUT)) == 1, task=task)
            moved = world.records(OUT)[0].request_id
            partition = next(n for n, record in enumerate(first) if record.request_id == moved)
            world.send_soon(FEATURES_EXTRACTED, later[partition], partition=partition)
            world.flush()
            await until(lambda: later[partition].request_id in {r.request_id for r in world.records(OUT)}, task=task)

    run(main())


@pytest.mark.parametrize(
    ("effect", "protocol"), [(Effect.PURE, "consumer"), (Effect.IDEMPOTENT, "consumer"), (Effect.IDEMPOTENT, "classic")]
)
def test_a_handler_that_hangs_holds_a_rebalance_no_longer_than_the_deadline(world: World, effect: Effect, protocol: str) -> None:
    """One member hangs on every record. Another joins, gets half of the partitions within the deadline, and works."""
    world = world.with_settings(revoke_deadline_s=1.0, stop_deadline_s=0.5, group_protocol=protocol)
    hanging: list[int] = []

    async def hang(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        hanging.append(record.frames)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)  # and does not even end when told to
        return []

    declared = stage(hang, effect=effect, order="key", time_limit_s=3600, concurrency=100)  # no tiers to share out
    world.create(declared)
    feed(world, 40)

    async def main() -> None:
        async with world.running(declared, name="hangs") as first:
            await until(lambda: len(hanging) == 40, task=first)
            async with world.running(stage(plan, order="key"), name="works") as second:
                await until(lambda: world.messages(OUT), 15, task=second)

    run(main())
    assert world.messages(OUT)
