"""How far a stage is behind, in records and in seconds.

Lag in seconds is the age of the oldest record that is not done, fetched or not: the one at the committed offset. Time is what people and
scalers understand: a thousand records may be a moment's work or a day's. A record in a delay tier is late from when it is due.

:class:`LagReader` asks the broker alone, so it is right also for a stage that is paused, full, or has no worker at all.
:class:`Gauges` is a worker's own view of its partitions, and asks the broker only while it leaves records there for want of room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams import provenance
from streams.admin import BrokerUnreachable, admin
from streams.metrics import State
from streams.offsets import Place, Watermarks, patiently
from streams.producer import AckedProducer
from streams.settings import StreamSettings
from streams.source import Source
from streams.topics import READ_BY, TIERS, retry_topic

Spot = tuple[str, int, int]
"""Topic (as in Kafka), partition, offset."""
_TIMEOUT_S = 10.0
_METADATA_S = 30.0
"""How long partition counts are believed: they change by an operator's hand alone."""


@dataclass(frozen=True, slots=True)
class StageLag:
    """One stage as the broker knows it."""

    stage: str
    records: int
    """Between the committed offsets and the ends; some may be done beyond one that is not."""
    seconds: float
    partitions: int
    """Of the topics it reads, tiers left out: more workers than these cannot all be given work."""


class Peek:
    """Looks at single records, in no group. Blocking; for one thread at a time."""

    def __init__(self, settings: StreamSettings) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.group_prefix}.peek",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                # One record is wanted; the broker gives at least the batch it lies in.
                "fetch.message.max.bytes": 1024,
                "queued.min.messages": 1,
                "fetch.wait.max.ms": 10,
                "fetch.queue.backoff.ms": 10,
                "queued.max.messages.kbytes": 1024,
                "log_level": 0,
            }
        )
        self._tiers = f"{settings.topic_prefix}retry."
        self._known: dict[Spot, int] = {}

    def late_since(self, spots: Iterable[Spot]) -> dict[Spot, int]:
        """Of the first record at or after each spot: its broker time, in a delay tier when it is due; ms. Those without one are left out.

        What was looked at is remembered while it is asked for. Raises ``KafkaException`` where the broker does not answer.
        """
        wanted = set(spots)
        self._known = {spot: found for spot, found in self._known.items() if spot in wanted}
        left = wanted - self._known.keys()
        while left:  # a partition at a time: two stages may stand at different offsets of one
            turn: dict[Place, Spot] = {(topic, partition): (topic, partition, offset) for topic, partition, offset in left}
            self._known |= {spot: at for spot, at in self._look(turn).items() if at is not None}
            left -= set(turn.values())
        return dict(self._known)

    def _look(self, turn: Mapping[Place, Spot]) -> dict[Spot, int | None]:
        found: dict[Spot, int | None] = {}
        self._consumer.assign([TopicPartition(*spot) for spot in turn.values()])
        try:
            end = time.monotonic() + _TIMEOUT_S
            while len(found) < len(turn):
                message = self._consumer.poll(max(0.0, end - time.monotonic()))
                if message is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {_TIMEOUT_S:.0f} s"))
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    if error.retriable() or error.code() == KafkaError._TRANSPORT:
                        continue  # the broker comes back, or the time is over
                    raise KafkaException(error)
                place = message.topic(), message.partition()
                # At the end without a record: only gaps (compaction, transaction markers) are left.
                found.setdefault(turn[place], self._late_since(message) if error is None else None)
                self._consumer.incremental_unassign([TopicPartition(*place)])
        finally:
            self._consumer.unassign()
        return found

    def _late_since(self, message: Message) -> int:
        due = provenance.due_ms(message) if message.topic().startswith(self._tiers) else 0  # elsewhere the header is its producer's
        return max(due, int(message.timestamp()[1]), 0)

    def close(self) -> None:
        self._consumer.close()


class LagReader:
    """Reads the lag of stages from the broker. Blocking; for one thread. ``stages`` are all that the catalogue names, unless given."""

    def __init__(self, settings: StreamSettings, stages: Iterable[str] | None = None) -> None:
        self._settings = settings
        self._admin = admin(settings)
        self._peek = Peek(settings)
        names = READ_BY if stages is None else list(stages)
        self._watermarks = {stage: Watermarks(settings, f"{settings.group_prefix}.{stage}") for stage in names}
        self._topics = {s: [settings.topic_prefix + t.name for t in READ_BY[s]] for s in names}
        self._tiers = {s: [settings.topic_prefix + retry_topic(s, tier).name for tier in TIERS] for s in names}
        self._partitions: dict[str, list[int]] = {}
        self._led: dict[str, list[int]] = {}
        self._partitions_at = float("-inf")

    def read(self) -> dict[str, StageLag]:
        """Every stage's lag now. Raises :class:`~streams.admin.BrokerUnreachable`."""
        try:
            return patiently(self._read, _TIMEOUT_S)
        except KafkaException as error:
            self._partitions_at = float("-inf")  # a partition may have lost its leader since
            raise BrokerUnreachable(f"{self._settings.bootstrap_servers}: {error.args[0].str()}") from error

    def _read(self) -> dict[str, StageLag]:
        self._count_partitions()
        behind: dict[str, list[Spot]] = {}
        records: dict[str, int] = {}
        known: dict[Place, tuple[int, int]] = {}
        for stage, watermarks in self._watermarks.items():
            mine = [(t, p) for t in (*self._topics[stage], *self._tiers[stage]) for p in self._led.get(t, ())]
            committed = watermarks.committed(mine, _TIMEOUT_S) if mine else {}
            known |= watermarks.read((place for place in mine if place not in known), _TIMEOUT_S)
            # Where nothing is committed yet, or what was is gone, a worker starts at the earliest there is.
            spots = [(*place, max(committed[place], known[place][0])) for place in mine]
            behind[stage] = [spot for spot in spots if spot[2] < known[spot[:2]][1]]
            records[stage] = sum(known[spot[:2]][1] - spot[2] for spot in behind[stage])
        since = self._peek.late_since(spot for spots in behind.values() for spot in spots)
        now = time.time() * 1000
        return {
            stage: StageLag(
                stage=stage,
                records=records[stage],
                seconds=max((max(0.0, now - since[spot]) / 1000 for spot in behind[stage] if spot in since), default=0.0),
                partitions=sum(len(self._partitions.get(topic, ())) for topic in topics),
            )
            for stage, topics in self._topics.items()
        }

    def _count_partitions(self) -> None:
        if time.monotonic() < self._partitions_at + _METADATA_S:
            return
        there = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        mine = {topic for by_stage in (self._topics, self._tiers) for topics in by_stage.values() for topic in topics}
        self._partitions = {topic: sorted(there[topic].partitions) for topic in sorted(mine) if topic in there}
        # One without a leader says nothing, and is not to keep the others from saying how they are.
        self._led = {topic: [n for n in numbers if there[topic].partitions[n].leader >= 0] for topic, numbers in self._partitions.items()}
        self._partitions_at = time.monotonic()

    def close(self) -> None:
        self._peek.close()
        for watermarks in self._watermarks.values():
            watermarks.close()


class Gauges:
    """What a stage in a worker says of itself once a second. Belongs to the event loop."""

    def __init__(self, settings: StreamSettings, source: Source[Any], producer: AckedProducer, tiers: Mapping[str, float]) -> None:
        """``tiers``: the stage's delay tiers, named as in Kafka, and the seconds that their records wait at most."""
        self._settings, self._source, self._producer, self._tiers = settings, source, producer, tiers
        self._peek: Peek | None = None

    async def state(self) -> State:
        source, poll = self._source, self._source.poll
        windows = list(source.windows.items())
        return State(
            in_flight=sum(w.in_flight for _, w in windows),
            in_flight_bytes=sum(w.bytes_in_flight for _, w in windows),
            lag_records=poll.lag,
            lag_seconds=await self._lag_seconds(),
            partitions=len(windows),
            producer_queue=self._producer.under_way,
            commits=poll.commits,
            commits_failed=poll.commits_failed,
            rebalances=poll.assignment.rebalances,
            rebalance_seconds=poll.assignment.rebalance_seconds,
        )

    async def _lag_seconds(self) -> float:
        now = time.time() * 1000
        oldest = now
        unread: list[Spot] = []
        for (topic, partition), window in self._source.windows.items():
            if window.oldest_ms is not None:
                oldest = min(oldest, window.oldest_ms + self._tiers.get(topic, 0.0) * 1000)
            elif self._source.full:
                position = window.committable if window.committable is not None else window.committed
                unread.append((topic, partition, OFFSET_BEGINNING if position is None else position))
        if unread:
            self._peek = self._peek or Peek(self._settings)
            try:
                since = await asyncio.to_thread(self._peek.late_since, unread)
            except KafkaException:
                since = {}  # the broker is away: what is in hand says enough, and the source says what is wrong
            oldest = min([oldest, *since.values()])
        return max(0.0, now - oldest) / 1000

    async def close(self) -> None:
        if self._peek:
            await asyncio.to_thread(self._peek.close)
