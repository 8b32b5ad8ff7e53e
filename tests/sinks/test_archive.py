"""The archive: exact bytes, a name that is the index, nothing doubled however batches are cut, and what is wrong is said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_codec import BadRecord, frame
from sinks.archive import Archive, ArchiveDamaged, Archiver, Segment
from sinks.archive.files import SCHEMAS, packed, unpacked
from sinks.archive.reader import gaps
from sinks.objects import FolderStore
from streams.batch import RawRecord
from streams.objects import ObjectStore
from streams.replay.log import LogRecord, RangeGone

TOPIC = "prompt.submitted"


def record(offset: int, partition: int = 0, **changes: object) -> RawRecord:
    base = {"key": b"k%d" % offset, "value": frame(7) + b"body%d" % offset, "event_id": None, "timestamp": 1000 + offset}
    return RawRecord(**(base | {"partition": partition, "offset": offset, "headers": (("h", b"v"), ("none", None))} | changes))  # type: ignore[arg-type]


def as_read(records: Sequence[RawRecord]) -> list[LogRecord]:
    return [LogRecord(TOPIC, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]


def schema_of(schema_id: int) -> str:
    if schema_id == 7:
        return '{"type":"record","name":"R","fields":[]}'
    raise BadRecord("unknown")


@pytest.fixture
def archiver(store: ObjectStore) -> Archiver:
    return Archiver(store, lambda topic: "first-id", schema_of)


def read(store: ObjectStore, first: int, end: int, partition: int = 0) -> list[LogRecord]:
    return list(Archive(store).read(TOPIC, partition, first, end))


def test_what_comes_out_is_what_went_in(store: ObjectStore, archiver: Archiver) -> None:
    odd = [
        record(0),
        record(1, key=None, value=None, headers=()),
        record(2, key=b"", value=b"", timestamp=-1),
        record(3, value=b"no wire format"),
        record(4, value=frame(99) + b"somebody's"),
        record(5, value=b"x" * 100_000, timestamp=9_999_999_999_999),
    ]
    assert archiver.write(TOPIC, odd) == []
    assert read(store, 0, 6) == as_read(odd)
    [segment] = Archive(store).segments()
    assert (segment.first, segment.last, segment.count, segment.min_ms, segment.max_ms) == (0, 5, 6, 0, 9_999_999_999_999)
    assert segment.schemas == "7.99" and Segment.parse(segment.key) == segment
    [schema] = store.keys(f"{SCHEMAS}/")
    assert store.get(schema).body.decode() == schema_of(7)
    Archive(store).check(segment)


def test_any_avro_reader_opens_a_file(store: ObjectStore, archiver: Archiver) -> None:
    archiver.write(TOPIC, [record(3)])
    [segment] = Archive(store).segments()
    reader = fastavro.reader(io.BytesIO(store.get(segment.key).body))
    assert reader.metadata["millrace.topic"] == TOPIC and reader.metadata["millrace.schemas"] == "[7]"
    assert next(reader) == {  # type: ignore[comparison-overlap]
        "offset": 3, "timestamp": 1003, "key": b"k3", "value": frame(7) + b"body3", "headers": [{"name": "h", "value": b"v"}, {"name": "none", "value": None}],
    }  # fmt: skip


def test_the_same_batch_again_is_the_same_file(store: ObjectStore, archiver: Archiver) -> None:
    for _ in range(2):
        archiver.write(TOPIC, [record(i) for i in range(5)])
    assert len(Archive(store).segments()) == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_however_batches_are_cut_and_repeated_each_record_is_read_once(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A crash reads again from what was committed, which lies at or before what was written, and cuts anew."""
    store = FolderStore(tmp_path_factory.mktemp("archive"), durable=False)
    archiver = Archiver(store, lambda topic: "id", schema_of)
    total, at = data.draw(st.integers(1, 30)), 0
    while at < total:
        end = data.draw(st.integers(at + 1, total))
        archiver.write(TOPIC, [record(i) for i in range(at, end)])
        at = data.draw(st.sampled_from([end, end, data.draw(st.integers(0, end - 1))])) if end < total else end
    assert [r.offset for r in read(store, 0, total)] == list(range(total))
    assert not gaps(Archive(store).segments(TOPIC))
    first = data.draw(st.integers(0, total - 1))
    assert [r.offset for r in read(store, first, total)] == list(range(first, total))


def test_partitions_are_kept_apart_and_jumps_are_gaps(store: ObjectStore, archiver: Archiver) -> None:
    archiver.write(TOPIC, [record(0, 0), record(0, 1), record(1, 0), record(5, 0), record(1, 1), record(6, 0)])
    found = Archive(store).segments(TOPIC)
    assert [(s.partition, s.first, s.last) for s in found] == [(0, 0, 1), (0, 5, 6), (1, 0, 1)]
    assert [(s.partition, first, last) for s, first, last in gaps(found)] == [(0, 2, 4)]
    with pytest.raises(RangeGone, match="2 to 6"):
        read(store, 0, 7)


def test_a_topic_made_anew_is_another_one(store: ObjectStore) -> None:
    """Its offsets start anew: the first time they go back, Kafka is asked whether it is still the same topic."""
    ids = iter(["old", "old", "new"])
    archiver = Archiver(store, lambda topic: next(ids), schema_of)
    archiver.write(TOPIC, [record(0), record(1)])
    archiver.write(TOPIC, [record(1)])  # a redelivery
    archiver.write(TOPIC, [record(0, value=b"another")])
    archiver.write(TOPIC, [record(1, value=b"another")])
    assert {s.topic_id for s in Archive(store).segments()} == {"old", "new"}
    assert [r.value for r in Archive(store, lambda topic: "new").read(TOPIC, 0, 0, 2)] == [b"another", b"another"]
    with pytest.raises(ArchiveDamaged, match="more than once"):
        Archive(store).kept(TOPIC)


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, durable=False)
    Archiver(store, lambda topic: "id", schema_of).write(TOPIC, [record(0), record(1)])
    archive = Archive(store)
    [segment] = archive.segments()
    body = store.get(segment.key).body
    store.put(segment.key, body[:-1] + b"\0")
    for use in (lambda: archive.check(segment), lambda: read(store, 0, 2)):
        with pytest.raises(ArchiveDamaged):
            use()
    lying, honest = packed(TOPIC, "id", [record(0), record(1)])
    lying = replace(lying, count=3)
    store.put(lying.key, honest)
    with pytest.raises(ArchiveDamaged, match="other records"):
        archive.check(lying)
    with pytest.raises(ArchiveDamaged):
        list(unpacked(replace(segment, sha256="0" * 64), body))


def test_a_store_that_is_not_well_leaves_nothing_done(tmp_path: Path) -> None:
    class Failing(FolderStore):
        def create(self, key: str, body: bytes) -> bool:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Archiver(Failing(tmp_path, durable=False), lambda topic: "id", schema_of).write(TOPIC, [record(0)])


def test_many_schemas_fit_in_a_name(store: ObjectStore, archiver: Archiver) -> None:
    archiver.write(TOPIC, [record(i, value=frame(2**31 - 1 - i) + b"x", timestamp=2**62) for i in range(40)])
    archiver.write(TOPIC, [record(100 + i, value=frame(2**31 - 1 - i) + b"x", timestamp=2**62) for i in range(8)])
    assert len(Archive(store).segments()) == 2 and len(read(store, 0, 40)) == 40
