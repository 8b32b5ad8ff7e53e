"""One file of the archive: an Avro object container of records as they lay in Kafka, and the name that is its entry in the index.

A record is kept as an envelope (offset, time, key, value, headers) with its exact bytes, not as rows of its schema: what comes out is what went
in, whatever it was, and any Avro reader opens the file. The writers' schemas lie beside it (``archive/schemas``), since a registry's ids mean
nothing without the registry.

The name says all that a reader needs to choose a file, so a listing is the index, and there is no second object that could be missing::

    archive/records/TOPIC/TOPIC-ID/PARTITION/FIRST-LAST-COUNT-EARLIEST-LATEST-SCHEMAS-SHA256.avro

TOPIC-ID is Kafka's: a topic that was deleted and made anew starts its offsets anew. EARLIEST and LATEST are times in ms, SCHEMAS registry
ids joined by dots (``many`` where that gets long; the file's metadata has them all), SHA256 that of the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fastavro

from schemas.avro_codec import BadRecord, unframe
from streams.batch import RawRecord
from streams.replay.log import LogRecord

ROOT = "archive/records"
SCHEMAS = "archive/schemas"
ENVELOPE = {
    "type": "record",
    "name": "ArchivedRecord",
    "namespace": "millrace",
    "doc": "A Kafka record with its exact bytes",
    "fields": [
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long", "doc": "ms since 1970, as the broker had it"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"], "doc": "Mostly Confluent's wire format"},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Header",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
        },
    ],
}
_PARSED = fastavro.parse_schema(ENVELOPE)
_MANY = 40
"""Characters that the schemas' ids may take in a name; a key's segment has 200 at most."""
_NAME = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]+)/(?P<topic_id>[A-Za-z0-9_-]+)/(?P<partition>\d+)/"
    r"(?P<first>\d+)-(?P<last>\d+)-(?P<count>\d+)-(?P<min_ms>\d+)-(?P<max_ms>\d+)-(?P<schemas>[0-9.]*|many)-(?P<sha256>[0-9a-f]{64})\.avro\Z"
)


class ArchiveDamaged(ValueError):
    """A file of the archive does not hold what its name says."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the archive, as its name tells. ``first`` and ``last`` are offsets, both in it; times are ms since 1970."""

    topic: str
    topic_id: str
    partition: int
    first: int
    last: int
    count: int
    min_ms: int
    max_ms: int
    schemas: str
    """Registry ids of the values, joined by dots, or ``many``."""
    sha256: str

    @property
    def key(self) -> str:
        name = f"{self.first:016d}-{self.last:016d}-{self.count}-{self.min_ms}-{self.max_ms}-{self.schemas}-{self.sha256}.avro"
        return f"{ROOT}/{self.topic}/{self.topic_id}/{self.partition:05d}/{name}"

    @classmethod
    def parse(cls, key: str) -> Segment | None:
        """The file under a key; None where the key names none."""
        match = _NAME.match(key.removeprefix(f"{ROOT}/"))
        if match is None:
            return None
        texts = match.groupdict()
        numbers = {n: int(texts.pop(n)) for n in ("partition", "first", "last", "count", "min_ms", "max_ms")}
        return cls(**texts, **numbers)  # type: ignore[arg-type]


def schema_ids(records: Sequence[RawRecord]) -> list[int]:
    """The registry ids that the values name, each once, in order."""
    found = set()
    for record in records:
        try:
            found.add(unframe(record.value))
        except BadRecord:
            continue  # no wire format: kept as it is, like all others
    return sorted(found)


def packed(topic: str, topic_id: str, records: Sequence[RawRecord]) -> tuple[Segment, bytes]:
    """A file of records of one partition, in order of their offsets. The same records give the same bytes."""
    ids = schema_ids(records)
    first, last = records[0], records[-1]
    metadata = {
        "millrace.topic": topic,
        "millrace.topic_id": topic_id,
        "millrace.partition": str(first.partition),
        "millrace.schemas": json.dumps(ids),
    }
    file = io.BytesIO()
    fastavro.writer(
        file,
        _PARSED,
        (
            {
                "offset": r.offset,
                "timestamp": r.timestamp,
                "key": r.key,
                "value": r.value,
                "headers": [{"name": name, "value": value} for name, value in r.headers],
            }
            for r in records
        ),
        codec="deflate",
        codec_compression_level=1,
        metadata=metadata,
        sync_marker=hashlib.sha256(f"{topic_id}/{first.partition}/{first.offset}".encode()).digest()[:16],
    )
    body = file.getvalue()
    times = [max(0, r.timestamp) for r in records]
    named = ".".join(map(str, ids))
    segment = Segment(
        topic,
        topic_id,
        first.partition,
        first.offset,
        last.offset,
        len(records),
        min(times),
        max(times),
        named if len(named) <= _MANY else "many",
        hashlib.sha256(body).hexdigest(),
    )
    return segment, body


def unpacked(segment: Segment, body: bytes) -> Iterator[LogRecord]:
    """The records of a file. Raises :class:`ArchiveDamaged` before the first one where the bytes are not those of the name."""
    if hashlib.sha256(body).hexdigest() != segment.sha256:
        raise ArchiveDamaged(f"{segment.key} does not hold what its name says")
    for r in fastavro.reader(io.BytesIO(body)):
        headers = tuple((h["name"], h["value"]) for h in r["headers"])
        yield LogRecord(segment.topic, segment.partition, r["offset"], r["timestamp"], r["key"], r["value"], headers)
