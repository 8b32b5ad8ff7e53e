"""The archiver: what a sink's batch holds, as files.

1. A file is durable before its records are done, so an offset is committed only when its record is in the archive.
2. A batch that comes again (the process died between writing and committing) is written again, cut as it may be: the same cut is the same file,
   another one overlaps, and whoever reads takes each offset once (``reader``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field

from schemas.avro_codec import BadRecord
from sinks.archive.files import SCHEMAS, packed, schema_ids
from streams.batch import RawRecord, RefusedRecord
from streams.objects import ObjectStore


class ArchiveSettings(BaseModel):
    """How large files get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linger_s: float = Field(30.0, gt=0)
    """How long records collect before they are written: fewer, larger files against how much a crash reads again."""
    max_bytes: int = Field(16 << 20, ge=1)
    """Collected at most, over all partitions."""
    max_records: int = Field(50_000, ge=1)
    """The same in records."""


class Archiver:
    """Writes records of any topic. ``topic_id`` gives Kafka's id of a topic; ``schema_of`` the schema of a registry id, or raises ``BadRecord``."""

    def __init__(self, store: ObjectStore, topic_id: Callable[[str], str], schema_of: Callable[[int], str]) -> None:
        self._store, self._topic_id, self._schema_of = store, topic_id, schema_of
        self._ids: dict[str, str] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._schemas: set[int] = set()

    def write(self, topic: str, records: Sequence[RawRecord]) -> list[RefusedRecord]:
        """Archive ``records`` of a topic; none is ever refused. Raises what the store, Kafka or the registry raise, and nothing is done then."""
        for run in _by_partition(records):
            segment, body = packed(topic, self._id_of(topic, run), run)
            for schema_id in schema_ids(run):
                self._keep_schema(schema_id)
            self._store.create(segment.key, body)  # where it is there already, it is the same
            self._ends[topic, run[0].partition] = segment.last
        return []

    def _id_of(self, topic: str, run: Sequence[RawRecord]) -> str:
        """Asked for again where offsets go back: a redelivery, or the topic was made anew."""
        if topic not in self._ids or run[0].offset <= self._ends.get((topic, run[0].partition), -1):
            self._ids[topic] = self._topic_id(topic)
        return self._ids[topic]

    def _keep_schema(self, schema_id: int) -> None:
        if schema_id in self._schemas:
            return
        try:
            text = self._schema_of(schema_id).encode()
        except BadRecord:
            return  # somebody's bytes that only look framed
        self._store.create(f"{SCHEMAS}/{schema_id}.{hashlib.sha256(text).hexdigest()[:16]}.avsc", text)
        self._schemas.add(schema_id)


def _by_partition(records: Sequence[RawRecord]) -> Iterator[list[RawRecord]]:
    """Records by partition, each without a gap in its offsets: where they jump, something was lost, or read again from an earlier place, and a
    file's name must not claim more than is in it."""
    partitions: dict[int, list[RawRecord]] = {}
    for record in records:
        partitions.setdefault(record.partition, []).append(record)
    for of_one in partitions.values():
        run = [of_one[0]]
        for record in of_one[1:]:
            if record.offset != run[-1].offset + 1:
                yield run
                run = []
            run.append(record)
        yield run
