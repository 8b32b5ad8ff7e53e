"""Giving up is an outcome of a step like any other: there is one, whoever does the step, however often and at the same time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest

from schemas import ids
from schemas.records import FeaturesExtracted, Record, Verdict
from sinks.objects import FolderStore, StoreUnreachable
from streams import runs, steps
from streams.contract import Context, Delivery, Effect, Retry
from streams.failures import Rejected
from streams.topics import ARTIFACT_REJECTED, CATALOGUE, FEATURES_EXTRACTED, GENERATION_REQUESTED
from tests.streams.world import World, features, plan, run, stage, until

pytestmark = pytest.mark.kafka
OUT = GENERATION_REQUESTED["normal"]


class Failing(FolderStore):
    """Fails the first creates of keys that start so."""

    def fail(self, prefix: str, times: int) -> None:
        self.prefix, self.times = prefix, times

    def create(self, key: str, body: bytes) -> bool:
        if key.startswith(self.prefix) and self.times:
            self.times -= 1
            raise StoreUnreachable("away for a moment")
        return super().create(key, body)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("prefix", ["claims/recorded/", "claims/verdicts/"])
def test_a_store_that_fails_while_a_record_is_given_up(world: World, recorded: bool, prefix: str) -> None:
    """The handler would succeed when it is called again; but the first outcome is the step's, and nobody sees half of it."""
    store = Failing(world.store.root, durable=False)
    store.fail(prefix, 1)
    world = World(world.settings, store)
    called = 0

    async def fails_twice(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal called
        called += 1
        if called <= 2:
            raise RuntimeError("out of order")
        return await plan(record, context)

    declared = stage(fails_twice, effect=Effect.IDEMPOTENT if recorded else Effect.PURE, recorded=recorded, retry=Retry(2))
    world.create(declared)
    world.send(FEATURES_EXTRACTED, features())

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.messages(ARTIFACT_REJECTED) or world.messages(OUT), task=task)

    run(main())
    letters, verdicts, outputs = world.dead(), world.records(ARTIFACT_REJECTED), world.records(OUT)
    if prefix == "claims/recorded/":
        # Nothing was written down: the record was tried again, and the handler did it.
        assert (called, len(letters), len(verdicts), len(outputs)) == (3, 0, 0, 1)
    else:
        assert (called, len(letters), len(verdicts), len(outputs)) == (2, 1, 1, 0)
        assert verdicts[0].reason == "dead_letter.handler_error"


@pytest.mark.parametrize("given_up_first", [True, False])
def test_a_duplicate_that_is_done_while_the_other_is_given_up(world: World, given_up_first: bool) -> None:
    first_is_over = asyncio.Event()

    async def by_partition(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        fails = context.delivery.partition == 0
        if fails != given_up_first:
            await first_is_over.wait()
        if fails:
            raise RuntimeError("out of order")
        return await plan(record, context)

    declared = stage(by_partition, effect=Effect.IDEMPOTENT, recorded=True, retry=Retry(1))
    world.create(declared)
    record = features()
    for partition in (0, 1):
        world.send(FEATURES_EXTRACTED, record, partition=partition)

    def seen() -> tuple[int, int, int]:
        return len(world.dead()), len(world.messages(ARTIFACT_REJECTED)), len(world.messages(OUT))

    async def main() -> None:
        async with world.running(declared) as task:
            once, twice = ((1, 1, 0), (2, 2, 0)) if given_up_first else ((0, 0, 1), (0, 0, 2))
            await until(lambda: seen() == once, task=task)
            first_is_over.set()
            await until(lambda: seen() == twice, task=task)

    run(main())
    for topic in (CATALOGUE["dead.letters"], ARTIFACT_REJECTED, OUT):
        assert len({message.value() for message in world.messages(topic)}) <= 1, "published again, and the same"


def test_a_run_does_not_take_over_that_its_parent_gave_up(world: World) -> None:
    letter: Any = steps.Output("dead.letters", b"k", b"v", [("millrace-event-id", b"e"), ("millrace-tenant", b"acme")])
    source = features()
    steps.record(world.store, source, "plan", 0, [letter], "v1")
    found = steps.recorded(world.store, world.codec, source, "plan", 0)
    assert found and steps.gave_up(found)
    child = ids.new_id()
    runs.open_run(world.store, child, kind="dead_letters", parent="", mode="reuse")
    assert steps.recorded(world.store, world.codec, features(request_id=source.request_id, run=child), "plan", 0) is None


@pytest.mark.parametrize("recorded", [True, False])
def test_a_verdict_that_no_topic_takes_ends_its_request_and_not_the_worker(world: World, recorded: bool) -> None:
    """Said by a handler; claimed by an earlier release, which claimed before it looked; and with a reason that is a novel."""
    world = world.with_settings(partitions=1)
    novel = os.urandom(1 << 20).hex()

    async def judge(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        if record.frames == 2:
            raise Rejected(novel + "\ud800", novel + "\ud800")
        return [verdict(context)] if record.frames < 2 else await plan(record, context)

    def verdict(context: Context) -> Verdict:
        return context.make(Verdict, state="rejected", stage="plan", reason="novel", message=novel)

    declared = stage(judge, effect=Effect.IDEMPOTENT, recorded=recorded, retry=Retry(2))
    world.create(declared)
    sent = [features(n) for n in range(4)]
    before = Context("plan", sent[1], Delivery("features.extracted", 0, 1, 0, 1), None)  # type: ignore[arg-type]
    outputs = steps.encode(world.codec, before.finish([verdict(before)]))
    if recorded:
        steps.record(world.store, sent[1], "plan", 0, outputs, "0")
    else:
        steps.settle(world.store, sent[1], outputs)
    for record in sent:
        world.send(FEATURES_EXTRACTED, record)

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.committed("plan", FEATURES_EXTRACTED) == {0: 4}, task=task)

    run(main())
    assert [(letter.offset, letter.reason) for letter in world.dead()] == [(0, "output_too_large"), (1, "output_too_large")]
    said: dict[str, Verdict] = {v.request_id: v for v in world.records(ARTIFACT_REJECTED)}
    reasons = [said[record.request_id].reason for record in sent[:3]]
    assert reasons == ["dead_letter.output_too_large", "novel", novel[:100] + "..."]
    assert said[sent[1].request_id].event_id == outputs[0].header("millrace-event-id") and novel.startswith(
        said[sent[1].request_id].message[:-3]
    )
    assert [r.request_id for r in world.records(OUT)] == [sent[3].request_id]
