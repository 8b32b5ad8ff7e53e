"""What Faust 0.15.3 does wrong or otherwise than one would think, and ``processors.windows`` keeps clear of.

Each test says what holds now. One that fails after an upgrade means: read what changed, then change ``processors/windows/stage.py`` or this page.
The cases are those of faust-streaming's issues 606, 316, 672, 315 and of its source.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

faust = pytest.importorskip("faust")

from faust.transport.consumer import Consumer  # noqa: E402
from faust.types import TP  # noqa: E402

HERE = TP("topic", 0)


class Bookkeeping(Consumer):
    """Faust's consumer without a broker: only its books of what was acknowledged."""

    logger: Any = None

    def __init__(self) -> None:
        app = faust.App("traps", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False, web_enabled=False)
        super().__init__(
            app.transport, callback=lambda m: None, on_partitions_revoked=lambda p: None, on_partitions_assigned=lambda p: None
        )
        self.committed: list[dict[TP, int]] = []
        self.broker_takes_commits = True

    async def _commit(self, offsets: Any) -> bool:
        self.committed.append(dict(offsets))
        return self.broker_takes_commits

    def assignment(self) -> set[TP]:
        return {HERE}

    def acknowledge(self, *offsets: int) -> None:
        for offset in offsets:
            if offset not in self._acked_index[HERE]:
                self._acked_index[HERE].add(offset)
                self._acked[HERE].append(offset)


for name in Consumer.__abstractmethods__ - set(vars(Bookkeeping)):
    setattr(Bookkeeping, name, lambda self, *a, **k: None)
Bookkeeping.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


@pytest.fixture
def books() -> Any:
    async def make() -> Bookkeeping:
        return Bookkeeping()

    return asyncio.run(make())


def test_the_release_is_the_one_whose_traps_are_known():
    assert importlib.metadata.version("faust-streaming") == "0.15.3"
    assert importlib.metadata.version("aiokafka").startswith("0.14.")


def test_it_commits_past_a_record_in_flight(books: Any):
    """Issue 606: with more than one record at work, a crash loses the one in flight. So: concurrency 1."""
    books._committed_offset[HERE] = 2  # record 2 is in flight
    books.acknowledge(3, 4)
    assert books._new_offset(HERE) == 5


def test_a_gap_swallows_the_next_record_in_flight(books: Any):
    """A compaction gap before record 9, which is in flight, counts as done together with it once 10 is acknowledged."""

    async def gap() -> None:
        await books._add_gap(HERE, 5 + 1, 9)

    books._committed_offset[HERE] = 5
    asyncio.run(gap())
    books.acknowledge(5, 10)
    assert books._new_offset(HERE) == 11


def test_with_one_record_at_a_time_the_books_are_right(books: Any):
    books._committed_offset[HERE] = 0
    for offset in (0, 1, 2):
        books.acknowledge(offset)
        assert books._new_offset(HERE) == offset + 1
    books._committed_offset[HERE] = 3
    assert books._new_offset(HERE) is None


def test_a_refused_commit_is_booked_as_done(books: Any):
    """Issue 316: not tried again until something newer is acknowledged. For windows that is a repetition, which ids catch."""
    books.broker_takes_commits = False

    async def commit() -> bool:
        return bool(await books._commit_offsets({HERE: 5}))

    async def nothing() -> None:
        return None

    class Producer:
        flush = staticmethod(nothing)

    books.app.producer = Producer()
    assert asyncio.run(commit()) is False
    assert books.committed == [{HERE: 5}] and books._committed_offset[HERE] == 5


def test_the_threaded_producer_cannot_be_stopped():
    from faust.transport.drivers.aiokafka import ThreadedProducer

    assert not inspect.iscoroutinefunction(ThreadedProducer._shutdown_thread), "it is awaited: producer_threaded stays off"


def test_its_confluent_driver_places_keys_by_a_hash_salted_for_each_process():
    source = "from faust.transport.drivers import confluent; import inspect; print(inspect.getsource(confluent))"
    text = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "hash(" in text, "the confluent driver may be usable now: it placed keys by Python's salted hash()"


def test_a_table_cannot_be_changed_from_outside_a_stream():
    app = faust.App("traps", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False, web_enabled=False)
    table = app.Table("t", partitions=1)
    with pytest.raises((TypeError, RuntimeError), match="outside"):
        table["key"] = 1


def test_recovery_starts_before_the_first_record():
    """Issue 176: it seeks to one before the earliest, which stalls where that is not zero. So: changelogs are compacted, never deleted from."""
    from faust.tables import recovery

    assert "offset - 1" in inspect.getsource(recovery)


def test_a_group_by_gives_records_the_time_of_their_sending():
    """Issue 427: so a stage's costs carry their own time in the value, which is what the windows go by."""
    from faust.streams import Stream

    assert "timestamp" not in inspect.getsource(Stream.group_by)


def test_only_eager_assignors_so_every_change_stops_the_world():
    from faust.assignor.partition_assignor import PartitionAssignor

    assert "cooperative" not in inspect.getsource(sys.modules[PartitionAssignor.__module__]).lower()


def test_both_clients_place_the_same_keys_in_the_same_partitions(broker: str, topic: Any):
    """aiokafka has the Java client's murmur2; librdkafka's default is CRC32, so the runner's producer and the doors ask for murmur2_random."""
    from aiokafka.partitioner import DefaultPartitioner
    from confluent_kafka import Producer

    name = topic("placed", partitions=4)
    keys = [f"tenant-{n}".encode() for n in range(64)]

    def placed(partitioner: str) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        producer = Producer({"bootstrap.servers": broker, "partitioner": partitioner})
        for key in keys:
            producer.produce(name, b"", key, on_delivery=lambda _, m: found.__setitem__(m.key(), m.partition()))
        assert producer.flush(20) == 0
        return found

    theirs = {key: DefaultPartitioner()(key, [0, 1, 2, 3], [0, 1, 2, 3]) for key in keys}
    assert placed("murmur2_random") == theirs
    assert placed("consistent_random") != theirs


def test_a_raising_agent_loses_its_record(broker: str, topic: Any, tmp_path: Path):
    """Issue 315: an exception that escapes acknowledges the record, and the agent never sees it again. So: ours let none out."""
    from confluent_kafka import Producer

    name = topic("raising")
    producer = Producer({"bootstrap.servers": broker})
    for n in range(3):
        producer.produce(name, str(n).encode())
    assert producer.flush(20) == 0
    seen: list[bytes] = []

    async def main() -> None:
        app = faust.App(
            f"{name}-app", broker=f"kafka://{broker}", store="memory://", autodiscover=False, web_enabled=False, topic_disable_leader=True,
            topic_allow_declare=False, consumer_auto_offset_reset="earliest", logging_config=None, value_serializer="raw", broker_commit_interval=0.2,
            datadir=tmp_path,
        )  # fmt: skip
        source = app.topic(name, value_type=bytes, value_serializer="raw", partitions=1)
        done = asyncio.Event()

        async def raises(stream: Any) -> None:
            async for value in stream:
                seen.append(value)
                if value == b"1":
                    raise RuntimeError("a bug")
                if value == b"2":
                    done.set()

        app.agent(source)(raises)
        await app.start()
        try:
            await asyncio.wait_for(done.wait(), 60)
        finally:
            await app.stop()

    asyncio.run(main())
    assert seen == [b"0", b"1", b"2"], "the record that failed is seen again now: agents may raise"


def test_recovery_gives_a_partition_it_does_not_know_to_the_table_before_it():
    """So all tables' changelogs have as many partitions as their source, are made together, and are read by nobody else's app."""
    mine, unknown = TP("changelog", 0), TP("another", 0)
    applied: list[TP] = []
    slurping: asyncio.Future[None]

    class Table:
        recovery_buffer_size = 100

        async def on_changelog_event(self, event: Any) -> None:
            applied.append(event.message.tp)
            if len(applied) == 2:
                slurping.cancel()

    async def main() -> None:
        nonlocal slurping
        app = faust.App("traps", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False, web_enabled=False)
        recovery = app.tables.recovery
        table = Table()
        recovery.active_tps.add(mine)
        recovery.tp_to_table[mine] = table  # type: ignore[assignment]
        slurping = asyncio.ensure_future(type(recovery)._slurp_changelogs.fun(recovery))
        for tp in (mine, unknown):
            app.tables.changelog_queue.put_nowait(SimpleNamespace(message=SimpleNamespace(tp=tp, offset=len(applied) + 7)))  # type: ignore[arg-type]
        await asyncio.wait({slurping}, timeout=20)
        slurping.cancel()

    asyncio.run(main())
    assert applied == [mine, unknown], "an event of a partition that is no table's is left out now"


def test_a_windowed_tables_close_does_not_tell_the_aggregate():
    """Two windows that overlap are looked up by a key under which nothing lies. So: windows of our own, in plain tables."""
    from faust.tables.base import Collection
    from faust.windows import HoppingWindow

    window = HoppingWindow(10, 5, expires=1)
    first, second = window.ranges(7)
    closed: list[Any] = []

    async def on_window_close(key: Any, value: Any) -> None:
        closed.append(value)

    table: Any = SimpleNamespace(
        window=window,
        _partition_timestamps={0: [first[1]]},
        _partition_timestamp_keys={(0, end): {("k", (start, end))} for start, end in (first, second)},
        _window_ranges=lambda timestamp: [first, second],
        data={("k", first): [1], ("k", second): [2]},
        last_closed_window=-1.0,
        on_window_close=on_window_close,
    )
    asyncio.run(Collection._del_old_keys(table))
    assert closed == [[1]], "it tells [1, 2] now: what all windows of the time held"
