"""What waits in a stage's topics, partition by partition, asked from the broker alone: right also where no worker runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import KafkaException

from streams.admin import admin
from streams.offsets import Place, Watermarks, patiently
from streams.settings import StreamSettings
from streams.topics import Topic

_PARTITIONS_FOR_S = 60.0
"""How long the number of partitions is believed: only a person changes it."""


class Queue(NamedTuple):
    """One partition's, in offsets."""

    next: int
    """The first record that the group has not committed as done."""
    end: int


class Queues:
    """Asks about the topics that a stage's group reads. Blocks; used by one thread at a time."""

    def __init__(self, settings: StreamSettings, stage: str, topics: Iterable[Topic], timeout_s: float = 10.0) -> None:
        """Raises :class:`~streams.admin.BrokerUnreachable`."""
        self._group = f"{settings.group_prefix}.{stage}"
        self._topics = {settings.topic_prefix + t.name for t in topics}
        self._timeout_s = timeout_s
        admin(settings, timeout_s)  # so that who asks where no broker is hears where it looked
        self._watermarks = Watermarks(settings, self._group)
        self._places: list[Place] = []
        self._places_at = float("-inf")

    def read(self) -> dict[Place, Queue]:
        """What every partition with a leader holds for the group, by topic (as in Kafka) and partition. Raises ``KafkaException``."""
        try:
            return patiently(self._read, self._timeout_s)
        except KafkaException:
            self._places_at = float("-inf")  # a partition may have lost its leader since
            raise

    def _read(self) -> dict[Place, Queue]:
        if time.monotonic() > self._places_at + _PARTITIONS_FOR_S:
            self._places = self._watermarks.places(self._topics, self._timeout_s)
            self._places_at = time.monotonic()
        if not self._places:
            return {}
        ends = self._watermarks.read(self._places, self._timeout_s)
        committed = self._watermarks.committed(self._places, self._timeout_s)
        # A partition without a committed offset starts at its earliest record, as the runner does.
        return {place: Queue(min(end, start if (at := committed.get(place, -1)) < 0 else at), end) for place, (start, end) in ends.items()}
