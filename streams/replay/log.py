"""Where the records of the past lie: Kafka, as far as its retention reaches, and the archive beyond it.

:func:`plan` turns a selection into slices of one partition each, and says what of it is nowhere any more. Its bounds are offsets that exist when
the plan is made, so a replay ends however much is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.offsets import patiently
from streams.replay.selection import BadSelection, Selection
from streams.settings import StreamSettings
from streams.taken import readable
from streams.topics import CATALOGUE

OUT_OF_ORDER_MS = 3_600_000
"""How much later in its partition a record may lie than its writer's clock says, where the writer sets the time."""
_WAIT_S = 30.0


class RangeGone(LookupError):
    """Records that were asked for are no longer there; the message says which, and how to go on without them."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record as it lay in Kafka. The topic is named as in the catalogue."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A stretch of a partition in the archive: offsets ``first`` up to but without ``end``, and its records' times."""

    partition: int
    first: int
    end: int
    min_ms: int
    max_ms: int


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of a partition to be read, ``end`` not included."""

    topic: str
    partition: int
    first: int
    end: int
    source: str
    """``kafka`` or ``archive``."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A stretch that is in neither place. ``certain``: it was asked for; else it may only lie in the time range asked for, or was not asked for."""

    topic: str
    partition: int
    first: int
    end: int
    certain: bool
    why: str = "no longer in Kafka, and not in the archive"

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} offsets {self.first:,} to {self.end - 1:,}: {self.why}"


class Archive(Protocol):
    """What the archive must answer. ``sinks.archive`` does."""

    def kept(self, topic: str) -> Sequence[Kept]:
        """What there is of a topic as it is now; stretches may overlap."""

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        """The records of a stretch in order of their offsets, each once."""


class KafkaLog:
    """Topics of the catalogue, read by offset and time without joining a group. Not safe for threads."""

    def __init__(self, settings: StreamSettings) -> None:
        self._prefix = settings.topic_prefix
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": f"{settings.group_prefix}.replay",  # asked for by the client; never joined, nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.message.max.bytes": settings.max_record_bytes * 10,
                "queued.max.messages.kbytes": 16 << 10,
                "log_level": 0,
            }
        )

    def close(self) -> None:
        self._consumer.close()

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """The earliest offset and the end of each partition. Raises :class:`~streams.replay.selection.BadSelection` for a topic that is not there."""
        name = self._prefix + topic
        found = self._consumer.list_topics(name, timeout=_WAIT_S).topics[name]
        if found.error is not None:
            raise BadSelection(f"topic {name} is not there: {found.error.str()}")
        return {
            p: patiently(partial(self._consumer.get_watermark_offsets, TopicPartition(name, p), timeout=_WAIT_S))
            for p in sorted(found.partitions)
        }

    def first_at(self, topic: str, at: int) -> dict[int, int | None]:
        """For each partition the first offset whose record's time is ``at`` (ms) or later; None where there is none."""
        name = self._prefix + topic
        places = [TopicPartition(name, p, at) for p in self.bounds(topic)]
        answers = patiently(lambda: self._consumer.offsets_for_times(places, timeout=_WAIT_S))
        return {p.partition: p.offset if p.offset >= 0 else None for p in answers}

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        """The records of a stretch. Raises :class:`RangeGone` where they were deleted meanwhile, ``KafkaException`` where the broker does not answer."""
        if first >= end:
            return
        self._consumer.assign([TopicPartition(self._prefix + topic, partition, first)])
        at = first
        try:
            while True:
                message = self._consumer.poll(_WAIT_S)
                if message is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{topic}/{partition}: nothing came from offset {at}"))
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return  # what lies before the end holds no record (transaction markers)
                    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                        raise RangeGone(f"{topic}/{partition}: offset {at:,} and what follows was deleted while it was being read")
                    if error.retriable():
                        continue
                    raise KafkaException(error)
                if message.offset() >= end:
                    return
                yield _record(topic, message)
                at = message.offset() + 1
                if at >= end:
                    return
        finally:
            self._consumer.unassign()


@contextmanager
def kafka_log(settings: StreamSettings) -> Iterator[KafkaLog]:
    log = KafkaLog(settings)
    try:
        yield log
    finally:
        log.close()


def _record(topic: str, message: Message) -> LogRecord:
    readable(message)
    return LogRecord(
        topic,
        message.partition(),
        message.offset(),
        max(0, message.timestamp()[1]),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, in order, and what of the selection is nowhere."""

    slices: tuple[Slice, ...]
    lost: tuple[Lost, ...] = ()

    @property
    def asked_for_and_lost(self) -> list[Lost]:
        return [found for found in self.lost if found.certain]


def plan(selection: Selection, kafka: KafkaLog, archive: Archive) -> Plan:
    """Where the selection's records lie. Raises :class:`~streams.replay.selection.BadSelection` where a topic or partition is not there."""
    slices: list[Slice] = []
    lost: list[Lost] = []
    for topic in selection.topics:
        one = _by_offsets if selection.offsets else _by_time
        for found in one(selection, topic, kafka, archive):
            (slices if isinstance(found, Slice) else lost).append(found)  # type: ignore[arg-type]
    return Plan(tuple(slices), tuple(lost))


def _by_offsets(selection: Selection, topic: str, kafka: KafkaLog, archive: Archive) -> Iterator[Slice | Lost]:
    bounds = kafka.bounds(topic)
    for asked in selection.offsets:
        if asked.partition not in bounds:
            raise BadSelection(f"{topic} has partitions {min(bounds)} to {max(bounds)}, not {asked.partition}")
        low, high = bounds[asked.partition]
        end = high if asked.last is None else asked.last + 1
        if asked.first < low:
            yield from _archived(topic, asked.partition, asked.first, min(end, low), archive, certain=True)
        if (first := max(asked.first, low)) < (stop := min(end, high)):
            yield Slice(topic, asked.partition, first, stop, "kafka")
        if (beyond := max(asked.first, high)) < end or (asked.last is None and asked.first > high):
            yield Lost(topic, asked.partition, beyond, max(end, asked.first + 1), True, f"not written yet: the partition ends at {high:,}")


def _by_time(selection: Selection, topic: str, kafka: KafkaLog, archive: Archive) -> Iterator[Slice | Lost]:
    since, until = selection.since, selection.until
    from_time = kafka.first_at(topic, since) if since is not None else {}
    slack = 0 if CATALOGUE[topic].log_append_time else OUT_OF_ORDER_MS
    to_time = kafka.first_at(topic, until + slack) if until is not None else {}

    for number, (low, high) in kafka.bounds(topic).items():
        first = low if since is None else from_time[number] if from_time.get(number) is not None else high
        stop = to_time.get(number)
        end = high if stop is None else min(high, stop)
        assert first is not None
        if low > 0 and first <= low:  # else what is gone is older than what was asked for
            yield from _archived(topic, number, 0, low, archive, certain=since is not None, since=since, until=until)
        if first < end:
            yield Slice(topic, number, first, end, "kafka")


def _archived(
    topic: str, partition: int, first: int, end: int, archive: Archive, *, certain: bool, since: int | None = None, until: int | None = None
) -> Iterator[Slice | Lost]:
    """The archive's part of a stretch. A gap matters unless something after it is older than what is wanted, or something before it younger."""
    merged: list[list[int]] = []
    lost: list[Lost] = []
    at = first
    for kept in sorted((k for k in archive.kept(topic) if k.partition == partition), key=lambda k: (k.first, -k.end)):
        start, stop = max(kept.first, at), min(kept.end, end)
        if start >= stop:
            continue
        if start > at:
            lost.append(Lost(topic, partition, at, start, certain))
        at = stop
        if until is not None and kept.min_ms >= until + OUT_OF_ORDER_MS:
            at = end
            break
        if since is not None and kept.min_ms < since:
            lost.clear()
            if kept.max_ms < since:
                continue
        if merged and merged[-1][1] == start:
            merged[-1][1] = stop
        else:
            merged.append([start, stop])
    if at < end:
        lost.append(Lost(topic, partition, at, end, certain))
    yield from lost
    for start, stop in merged:
        yield Slice(topic, partition, start, stop, "archive")


class Reader:
    """Reads slices, wherever their records lie by now: retention goes on while a replay does, and so does the archiver.

    With ``skip_missing`` what is nowhere is passed over (and listed in ``lost``), else it raises :class:`RangeGone`.
    """

    def __init__(self, kafka: KafkaLog, archive: Archive, *, skip_missing: bool = False) -> None:
        self._kafka, self._archive, self._skip = kafka, archive, skip_missing
        self.lost: list[Lost] = []

    def read(self, piece: Slice) -> Iterator[LogRecord]:
        """The records of a slice, in order."""
        at = piece.first
        try:
            for record in (self._kafka if piece.source == "kafka" else self._archive).read(piece.topic, piece.partition, at, piece.end):
                yield record
                at = record.offset + 1
            return
        except RangeGone:
            if piece.source != "kafka" and not self._skip:
                raise
        low, high = self._kafka.bounds(piece.topic)[piece.partition]
        for found in _archived(piece.topic, piece.partition, at, min(low, piece.end), self._archive, certain=True):
            if isinstance(found, Slice):
                yield from self._archive.read(found.topic, found.partition, found.first, found.end)
            elif self._skip:
                self.lost.append(found)
            else:
                raise RangeGone(str(found))
        yield from self._kafka.read(piece.topic, piece.partition, max(at, low), min(high, piece.end))
