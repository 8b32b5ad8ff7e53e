"""Where partitions begin and end, and how far a group is: asked in a way that outlives a broker's restart.

All of it is asked through consumers that join no group. The client's asynchronous requests to coordinators and leaders
(``AdminClient.list_consumer_group_offsets``, ``describe_consumer_groups``, ``list_offsets``) end their own process by an assertion of librdkafka
2.16.0 where the broker is killed and comes back meanwhile: in four of eleven restarts, when asked again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.settings import StreamSettings

Place = tuple[str, int]
"""Topic (as in Kafka) and partition."""
T = TypeVar("T")
_OF_THE_MOMENT = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._WAIT_COORD,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
"""What a broker, or a client that just got to know it, answers while something moves or starts."""


def of_the_moment(error: KafkaException) -> bool:
    """Whether asking again may help."""
    return error.args[0].code() in _OF_THE_MOMENT


def patiently(call: Callable[[], T], seconds: float = 30) -> T:
    """Ask the broker until it answers: a coordinator or leader may be moving or starting. Raises ``KafkaException`` after the given time."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except KafkaException as error:
            if not of_the_moment(error) or time.monotonic() > end:
                raise
            time.sleep(0.1)


def committed(consumer: Consumer, places: Sequence[TopicPartition], timeout_s: float) -> list[TopicPartition]:
    """What the consumer's group has committed of each, -1 or less where it has not; with what was noted beside it. Raises ``KafkaException``."""
    found: list[TopicPartition] = consumer.committed(list(places), timeout=timeout_s)
    for place in found:
        if place.error:
            raise KafkaException(place.error)
    return found


class Watermarks:
    """Asks for one group, by a consumer that joins none and reads nothing. Blocks; used by one thread at a time."""

    def __init__(self, settings: StreamSettings, group: str = "watermarks") -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": settings.bootstrap_servers, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        )

    def places(self, topics: Iterable[str], timeout_s: float = 10.0) -> list[Place]:
        """The partitions of those topics that are there and have a leader: others say nothing. Raises ``KafkaException``."""
        there = self._consumer.list_topics(timeout=timeout_s).topics
        return [(t, n) for t in sorted(set(topics) & set(there)) for n, p in sorted(there[t].partitions.items()) if p.leader >= 0]

    def read(self, places: Iterable[Place], timeout_s: float) -> dict[Place, tuple[int, int]]:
        """The first offset and one past the last. Raises ``KafkaException``."""
        return {place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout_s) for place in places}

    def committed(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """What the group has committed, -1 or less where it has not. Raises ``KafkaException``."""
        found = committed(self._consumer, [TopicPartition(*place) for place in places], timeout_s)
        return {(p.topic, p.partition): p.offset for p in found}

    def close(self) -> None:
        self._consumer.close()
