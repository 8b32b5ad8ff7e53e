"""What lies in a partition that the client has lost sight of, and a commit that got lost, are found by asking the broker."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from schemas import ids
from streams import quiet
from streams.acknowledgement import Window
from streams.admin import ensure_topics
from streams.offsets import Watermarks
from streams.quiet import LOOK_EVERY_S, QUIET_S, Quiet
from streams.settings import StreamSettings
from streams.source import Source
from streams.taken import Taken
from streams.topics import FEATURES_EXTRACTED
from tests.streams.world import until


class Broker:
    """A consumer that only tells how far partition 0 of "t" goes and is committed."""

    def __init__(self, high: int, committed: int = 0) -> None:
        self.high, self.stands, self.asked = high, committed, 0

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        self.asked += 1
        return 0, self.high

    def committed(self, places: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, self.stands) for p in places]


def delivered(count: int) -> Window:
    window = Window("t", 0)
    for offset in range(count):
        window.deliver(offset)
    return window


def looks(broker: Any, window: Window, *times: float) -> list[int]:
    """Where the partition was to be fetched anew, over looks at these times."""
    asked = Quiet("g")
    return [place.offset for now in times for place in asked.look(broker, [window], now)]


ENOUGH = (100.0, 100 + QUIET_S, 100 + QUIET_S + LOOK_EVERY_S)


def test_what_lies_there_undelivered_at_two_looks_is_fetched_from_where_delivery_ended() -> None:
    assert looks(Broker(high=7), delivered(5), *ENOUGH) == [5]
    assert looks(Broker(high=7), delivered(5), *ENOUGH[:2]) == []  # it may be just on its way
    assert looks(Broker(high=5), delivered(5), *ENOUGH) == []
    assert looks(Broker(high=3), delivered(0), *ENOUGH) == [0]  # nothing ever came


def test_a_partition_that_moves_is_not_asked_after() -> None:
    broker, window, asked = Broker(high=9), delivered(3), Quiet("g")
    for n in range(8):
        window.deliver(3 + n)
        assert asked.look(broker, [window], 100 + n * LOOK_EVERY_S) == []
    assert not broker.asked


def test_what_is_not_to_be_fetched_begins_to_be_silent_when_it_is_again() -> None:
    broker, window, asked = Broker(high=9), delivered(3), Quiet("g")
    assert asked.look(broker, [window], 100) == []
    assert asked.look(broker, [], 100 + QUIET_S) == []  # held, or all is full
    assert asked.look(broker, [window], 100 + QUIET_S + LOOK_EVERY_S) == []
    assert not broker.asked


def test_a_commit_that_the_broker_does_not_have_is_made_again() -> None:
    window = delivered(5)
    window.committed = 4
    looks(Broker(high=5, committed=4), window, *ENOUGH)
    assert window.committed == 4
    looks(Broker(high=5, committed=2), window, *ENOUGH)
    assert window.committed is None  # as where a commit is known to have failed


def test_a_broker_that_is_away_is_asked_again_later() -> None:
    class Away(Broker):
        def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
            self.asked += 1
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    broker = Away(high=9)
    assert looks(broker, delivered(5), *ENOUGH) == [] and broker.asked == 2


@pytest.mark.kafka
def test_a_partition_that_the_client_forgot_is_fetched_and_a_lost_commit_made_again(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "QUIET_S", 1.0)
    monkeypatch.setattr(quiet, "LOOK_EVERY_S", 0.2)
    name = f"quiet-{ids.new_id()[-8:]}"
    settings = StreamSettings(bootstrap_servers=broker, registry_url="http://127.0.0.1:1", topic_prefix=f"{name}.", partitions=1)
    ensure_topics(settings, [FEATURES_EXTRACTED])
    topic = settings.topic_prefix + FEATURES_EXTRACTED.name
    producer = Producer({"bootstrap.servers": broker})

    def send() -> None:
        producer.produce(topic, b"x")
        producer.flush(10)

    async def main() -> None:
        offsets: list[int] = []

        def arrived(records: list[Taken]) -> None:
            offsets.extend(r.offset for r in records)
            made.done(records)

        async def revoked(*_: Any) -> None:
            pass

        made = Source(settings, name, [FEATURES_EXTRACTED.name], Taken, arrived, revoked, lambda _: None)
        commit, lost, forget = made.poll._commit, [], threading.Event()

        def in_its_turn() -> None:  # of the poll thread, which alone may use the consumer
            while made._wishes.commits and not lost:
                lost.append(made._wishes.commits.popleft())  # the first commit never reaches the broker, and nobody says so
            if lost:
                commit()
            if forget.is_set():
                made.poll._consumer.pause([TopicPartition(topic, 0)])  # behind the engine's back
                forget.clear()

        monkeypatch.setattr(made.poll, "_commit", in_its_turn)
        asking = Watermarks(settings, name)
        made.start()
        try:
            send()
            await until(lambda: bool(lost))
            await until(lambda: asking.committed([(topic, 0)], 5)[topic, 0] == 1)
            forget.set()
            await until(lambda: not forget.is_set())
            send()
            await until(lambda: offsets == [0, 1])
        finally:
            await made.stop()
            asking.close()

    asyncio.run(main())
