"""The source without a broker: what happens between its two threads when something goes wrong, or goes away, on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.acknowledgement import Window
from streams.settings import StreamSettings
from streams.source import Source
from streams.taken import Taken

SETTINGS = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return 0

    def topic(self) -> str:
        return "t"

    def headers(self) -> list[tuple[str, bytes]]:
        return []

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def error(self) -> None:
        return None

    def __len__(self) -> int:
        return 1


class Polled:
    """A consumer that gives one record, and others once something has happened in between."""

    def __init__(self, first: int, between: Callable[[], object], rest: Sequence[int]) -> None:
        self._first, self._between, self._rest = first, between, rest

    def poll(self, _: float) -> Any:
        return Message(self._first)

    def consume(self, *_: Any, **__: Any) -> Any:
        self._between()
        return [Message(offset) for offset in self._rest]


def source(arrived: Callable[[list[Taken]], None]) -> Source[Taken]:
    async def revoked(*_: Any) -> None:
        pass

    return Source(SETTINGS, "g", ["t"], Taken, arrived, revoked, lambda _: None)


def assign(made: Source[Taken]) -> Window:
    window = Window("t", 0)
    made.poll.assignment.windows = {("t", 0): window}
    made.windows = {("t", 0): window}
    return window


async def turn(made: Source[Taken], consumer: Any) -> None:
    """A turn of the poll thread, without what needs a broker, and the loop's turns after it."""
    poll = made.poll
    poll._consumer = consumer
    poll._commit = poll._measure_lag = poll._look_at_topics = lambda: None  # type: ignore[method-assign]
    poll._turn()
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_record_taken_before_a_rebalance_is_not_put_into_the_window_after_it() -> None:
    """Between two looks the partition goes and comes back, to be read again from offset 8. Taken for the new window, 10 would hide 8 and 9 for good."""

    async def main() -> None:
        got: list[int] = []
        made = source(lambda batch: got.extend(r.offset for r in batch))
        assign(made)
        await turn(made, Polled(10, lambda: assign(made), [8, 9, 10]))
        assert got == [8, 9, 10]
        await turn(made, Polled(11, lambda: None, [12]))
        assert got == [8, 9, 10, 11, 12]
        window = made.windows["t", 0]
        assert (window.committable, made._room.in_hand) == (8, 5)

    asyncio.run(main())


def test_an_error_on_the_way_to_the_stage_ends_it_instead_of_leaving_it_silent() -> None:
    async def main() -> None:
        def arrived(_: list[Taken]) -> None:
            raise ZeroDivisionError

        made = source(arrived)
        assign(made)
        await turn(made, Polled(1, lambda: None, []))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(made.finished, 1)

    asyncio.run(main())


class Assigning:
    """A consumer whose partition 1 has no leader."""

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, 7) for p in partitions]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        if place.partition == 1:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return 5, 9

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned += partitions

    def resume(self, _: list[TopicPartition]) -> None:
        pass


def test_a_partition_without_a_leader_keeps_no_other_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says whether its offset is still there; it will, when it has a leader, and until then it is assigned like any other."""
    monkeypatch.setattr("streams.assignment._BOUNDS_WITHIN_S", 0.2)
    monkeypatch.setattr("streams.assignment.topic_ids", lambda *_: {})

    async def main() -> None:
        made = source(lambda _: None)
        consumer: Any = Assigning()
        made.poll.assignment.on_assign(consumer, [TopicPartition("t", 0), TopicPartition("t", 1)])
        assert [(p.partition, p.offset) for p in consumer.assigned] == [(0, 7), (1, 7)]
        await asyncio.sleep(0)
        assert set(made.windows) == {("t", 0), ("t", 1)}

    asyncio.run(main())
