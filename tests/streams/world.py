"""A small world for engine tests: real broker, real registry, an object store in a folder, topics and groups of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from schemas import ids
from schemas.records import DeadLetter, FeaturesExtracted, GenerationRequested, PromptSubmitted, Record, VideoSubmitted
from sinks.objects import FolderStore
from streams.admin import ensure_topics
from streams.batch import BatchStage
from streams.codec import Codec
from streams.contract import Context, Effect, Stage
from streams.offsets import Watermarks, patiently
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, CATALOGUE, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED, Topic, key_of
from streams.worker import needed, run_worker


class World:
    """Everything a test needs to drive stages and to see from outside what they did."""

    def __init__(self, settings: StreamSettings, store: FolderStore) -> None:
        self.settings, self.store = settings, store
        self.codec = Codec(Registry(settings.registry_url))
        self._groups: dict[str, Watermarks] = {}
        self._producer = Producer(
            {"bootstrap.servers": settings.bootstrap_servers, "message.max.bytes": 12 << 20, "linger.ms": 2, "acks": "all", "log_level": 0}
        )

    def with_settings(self, **changes: Any) -> World:
        return World(self.settings.model_copy(update=changes), self.store)

    def create(self, *stages: Stage | BatchStage, **settings: Any) -> None:
        ensure_topics(self.settings.model_copy(update=settings), dict.fromkeys(t for stage in stages for t in needed(stage)))

    def send(self, topic: Topic, value: Record | bytes | None, *, key: bytes | str | None = "own", **more: Any) -> tuple[int, int]:
        """Produce one record and wait for it; returns its partition and offset."""
        places: list[tuple[int, int]] = []

        def report(error: Any, message: Message) -> None:
            if error:
                raise KafkaException(error)
            places.append((message.partition(), message.offset()))

        self.send_soon(topic, value, key=key, on_delivery=report, **more)
        self._producer.flush(20)
        return places[0]

    def send_soon(self, topic: Topic, value: Record | bytes | None, *, key: bytes | str | None = "own", **more: Any) -> None:
        if value is not None and not isinstance(value, bytes):
            key = key_of(value) if key == "own" else key
            value = self.codec.encode(topic, value)
        self._producer.produce(self.settings.topic_prefix + topic.name, value, key=None if key == "own" else key, **more)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def messages(self, topic: Topic | str) -> list[Message]:
        """All that lies in a topic now, in order of partition and offset."""
        name = self.settings.topic_prefix + (topic if isinstance(topic, str) else topic.name)
        consumer = Consumer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "group.id": "test", "enable.auto.commit": False, "auto.offset.reset": "earliest",
             "fetch.message.max.bytes": 12 << 20, "log_level": 0, "enable.partition.eof": False}
        )  # fmt: skip
        try:
            found: list[Message] = []
            for partition in consumer.list_topics(name, timeout=20).topics[name].partitions:
                low, high = patiently(partial(consumer.get_watermark_offsets, TopicPartition(name, partition), timeout=20))
                if low == high:
                    continue
                consumer.assign([TopicPartition(name, partition, low)])
                while True:
                    message = consumer.poll(20)
                    assert message is not None and not message.error(), message and message.error()
                    found.append(message)
                    if message.offset() >= high - 1:
                        break
            return found
        finally:
            consumer.close()

    def records(self, topic: Topic) -> list[Any]:
        assert topic.record
        return [self.codec.decode(topic.record, m.value()) for m in self.messages(topic)]

    def dead(self) -> list[DeadLetter]:
        return self.records(CATALOGUE["dead.letters"])

    def committed(self, stage: str, topic: Topic) -> dict[int, int]:
        watermarks = self._groups.get(stage)
        if watermarks is None:
            watermarks = self._groups[stage] = Watermarks(self.settings, f"{self.settings.group_prefix}.{stage}")
        places = watermarks.places([self.settings.topic_prefix + topic.name])
        found = patiently(partial(watermarks.committed, places, 10.0))
        return {partition: offset for (_, partition), offset in found.items() if offset >= 0}

    @contextlib.asynccontextmanager
    async def running(
        self, *stages: Stage | BatchStage, name: str = "worker-test", crashes: bool = False
    ) -> AsyncIterator[asyncio.Task[None]]:
        stop = asyncio.Event()
        task = asyncio.create_task(run_worker(stages, self.settings, self.store, name=name, stop=stop))
        try:
            yield task
        finally:
            stop.set()
            done, _ = await asyncio.wait({task}, timeout=60)
            if not done:
                task.cancel()
                raise AssertionError("the worker did not stop within a minute")
            if not crashes:
                task.result()


async def until(condition: Callable[[], Any], timeout_s: float = 30.0, *, task: asyncio.Task[None] | None = None) -> Any:
    """Wait for a condition that blocks on the broker; returns what it returned. Fails at the deadline or when the worker ended."""
    end = time.monotonic() + timeout_s
    while True:
        found = await asyncio.to_thread(condition)
        if found:
            return found
        if task is not None and task.done():
            task.result()
            raise AssertionError("the worker ended before the condition came true")
        assert time.monotonic() < end, f"not within {timeout_s} s; last seen: {found!r}"
        await asyncio.sleep(0.05)


def prompt(text: str = "an app", **changes: Any) -> PromptSubmitted:
    return PromptSubmitted(**({"request_id": ids.new_id(), "tenant": "acme", "project": "demo", "prompt": text} | changes))


def video(**changes: Any) -> VideoSubmitted:
    base = {"request_id": ids.new_id(), "tenant": "acme", "project": "demo", "media_uri": "object:acme/" + "0" * 64, "media_size": 1}
    return VideoSubmitted(**(base | changes))


def features(number: int = 0, **changes: Any) -> FeaturesExtracted:
    """A record of a topic that is no entry: nothing is registered for it. ``frames`` carries the number."""
    base: dict[str, Any] = {
        "event_id": ids.new_id(), "request_id": ids.new_id(), "tenant": "acme", "project": "demo", "occurred_at": 1_700_000_000_000,
        "features_uri": "object:acme/" + "1" * 64, "frames_uri": "object:acme/" + "2" * 64, "features_size": 1, "duration_s": 1.0,
        "frames": number, "width": 1, "height": 1, "screens": 1, "actions": 1,
    }  # fmt: skip
    return FeaturesExtracted(**(base | changes))


def run(main: Any) -> Any:
    """Run a test's coroutine; a hanging one fails by pytest's own time limit."""
    return asyncio.run(main)


def places(messages: Sequence[Message]) -> list[tuple[str, int, int]]:
    return [(m.topic(), m.partition(), m.offset()) for m in messages]


async def plan(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
    return [context.make(GenerationRequested, method="reconstruct", features_uri=record.features_uri)]


def stage(handler: Any = plan, **changes: Any) -> Stage:
    base: dict[str, Any] = {
        "name": "plan", "reads": (FEATURES_EXTRACTED,), "writes": (GENERATION_REQUESTED["normal"], ARTIFACT_REJECTED, USAGE_RECORDED),
        "handler": handler, "effect": Effect.PURE, "time_limit_s": 10,
    }  # fmt: skip
    return Stage(**(base | changes))
