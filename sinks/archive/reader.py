"""Reading the archive: what there is, whether it is whole, and the records of a stretch, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sinks.archive.files import ROOT, ArchiveDamaged, Segment, unpacked
from streams.objects import ObjectStore
from streams.replay.log import Kept, LogRecord, RangeGone


class Archive:
    """Implements :class:`streams.replay.log.Archive` over an object store.

    ``topic_id`` gives Kafka's id of a topic as it is now: stretches of a topic that was deleted are listed, but not part of the one that took
    its name. None: the only id there is in the archive, else an error.
    """

    def __init__(self, store: ObjectStore, topic_id: Callable[[str], str] | None = None) -> None:
        self._store, self._topic_id = store, topic_id
        self._listed: dict[str, list[Segment]] = {}

    def topics(self) -> list[str]:
        """Every topic of which something was archived."""
        return sorted({segment.topic for segment in self._list("")})

    def segments(self, topic: str = "", topic_id: str | None = None, partition: int | None = None) -> list[Segment]:
        """Files in order of topic, id, partition and first offset."""
        found = [
            s for s in self._list(topic) if (topic_id is None or s.topic_id == topic_id) and (partition is None or s.partition == partition)
        ]
        return sorted(found, key=lambda s: (s.topic, s.topic_id, s.partition, s.first, -s.last))

    def kept(self, topic: str) -> Sequence[Kept]:
        if topic not in self._listed:
            self._listed[topic] = self.segments(topic, self._id_of(topic))
        return [Kept(s.partition, s.first, s.last + 1, s.min_ms, s.max_ms) for s in self._listed[topic]]

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        """Raises :class:`~streams.replay.log.RangeGone` where a file is missing, ``ArchiveDamaged`` where one is not what it says."""
        at = first
        for segment in self.segments(topic, self._id_of(topic), partition):
            if segment.last < at or segment.first >= end:
                continue
            if segment.first > at:
                break
            for record in unpacked(segment, self._store.get(segment.key).body):
                if at <= record.offset < end:
                    yield record
            at = segment.last + 1
        if at < end:
            raise RangeGone(f"{topic}/{partition} offsets {at:,} to {end - 1:,} are not in the archive")

    def check(self, segment: Segment) -> None:
        """Read a file whole. Raises :class:`ArchiveDamaged` where it is not what its name says, ``ObjectMissing`` where it is gone."""
        offsets, times = [], []
        for record in unpacked(segment, self._store.get(segment.key).body):
            offsets.append(record.offset)
            times.append(max(0, record.timestamp))
        found = (offsets[0], offsets[-1], len(offsets), min(times), max(times))
        if found != (segment.first, segment.last, segment.count, segment.min_ms, segment.max_ms) or offsets != sorted(set(offsets)):
            raise ArchiveDamaged(f"{segment.key} holds other records than its name says")

    def _id_of(self, topic: str) -> str | None:
        if self._topic_id is not None:
            return self._topic_id(topic)
        ids = sorted({s.topic_id for s in self._list(topic)})
        if len(ids) > 1:
            raise ArchiveDamaged(f"{topic} was made more than once; say which of {', '.join(ids)} is meant")
        return ids[0] if ids else None

    def _list(self, topic: str) -> list[Segment]:
        keys = self._store.keys(f"{ROOT}/{topic}/" if topic else f"{ROOT}/")
        return [s for s in map(Segment.parse, keys) if s is not None]


def gaps(segments: Sequence[Segment]) -> list[tuple[Segment, int, int]]:
    """Offsets between files of one partition that are in none: ``(the file after the gap, first, last)``. Offsets without a record (compaction,
    transaction markers) show as gaps, too; Millrace's topics have none."""
    found: list[tuple[Segment, int, int]] = []
    place: tuple[str, str, int] | None = None
    at = 0
    for segment in segments:
        if place != (segment.topic, segment.topic_id, segment.partition):
            place, at = (segment.topic, segment.topic_id, segment.partition), segment.first
        if segment.first > at:
            found.append((segment, at, segment.first - 1))
        at = max(at, segment.last + 1)
    return found
