"""Batches for sinks: raw records collected over topics, written, then acknowledged together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Message

from schemas.avro_codec import BadRecord
from schemas.records import Record
from streams import provenance, steps
from streams.acknowledgement import Window
from streams.failures import Failure, Transient
from streams.metrics import StageMetrics
from streams.runner import range_lost
from streams.source import Batch, LostRange, Source
from streams.step import Shared
from streams.topics import CATALOGUE, Topic

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it lies in Kafka."""

    key: bytes | None
    value: bytes | None
    event_id: str | None
    """Of the header ``millrace-event-id``; None where the writer set none."""
    timestamp: int
    """The broker's time of the record, ms since 1970."""


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record of a batch that cannot be written, ever: its place in the batch, and why."""

    index: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchStage:
    """A sink. ``write`` gets a topic's name and records, blocks, and returns those that can never be written.

    It must be idempotent: a batch is written again, cut differently, whenever the process dies between writing and committing. It raises
    where the destination is not well; the batch then waits, its partitions paused, and nothing is lost.
    """

    name: str
    reads: tuple[Topic, ...]
    write: Callable[[str, Sequence[RawRecord]], Sequence[RefusedRecord]]
    max_records: int = 100_000
    max_bytes: int = 32 << 20
    linger_s: float = 0.5


class BatchRunner:
    """Runs one sink in one worker. All methods belong to the event loop."""

    def __init__(self, stage: BatchStage, shared: Shared) -> None:
        self.stage, self.shared = stage, shared
        self.metrics = StageMetrics(stage.name, shared.worker)
        self._pending: list[tuple[Message, Window]] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        settings = shared.settings.model_copy(
            update={
                "max_in_flight": 2 * stage.max_records,
                "max_in_flight_bytes": max(2 * stage.max_bytes, shared.settings.max_in_flight_bytes),
            }
        )
        self._source = Source(
            settings, f"{settings.group_prefix}.{stage.name}", [t.name for t in stage.reads], self._arrived, self._revoked, self._lost
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop`` is set, then write what is in hand."""
        self._source.start()
        writer, ticker = asyncio.create_task(self._write_forever()), asyncio.create_task(self._tick())
        stopped = asyncio.create_task(stop.wait())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, writer, self._source.finished}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._source.drain()
            if not writer.done() and not self._source.finished.done():
                try:
                    async with asyncio.timeout(self.shared.settings.stop_deadline_s):
                        while self._pending:
                            await self._flush()
                except TimeoutError:
                    log.warning(
                        "stopped with unwritten records; they will be delivered again", sink=self.stage.name, records=len(self._pending)
                    )
        finally:
            stopped.cancel()
            ticker.cancel()
            writer.cancel()
            await asyncio.gather(writer, ticker, return_exceptions=True)
            await self._source.stop()
        if self._source.finished.done():
            self._source.finished.result()
        if not writer.cancelled() and (error := writer.exception()):
            raise error

    def _arrived(self, batch: Batch) -> None:
        self.metrics.count("in", len(batch))
        self._pending += batch
        self._bytes += sum(len(m) for m, _ in batch)
        self._wake.set()

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if len(self._pending) < self.stage.max_records and self._bytes < self.stage.max_bytes:
                await asyncio.sleep(self.stage.linger_s)  # not a wait for a condition: this is how long a batch collects
            while self._pending:
                await self._flush()

    async def _flush(self) -> None:
        async with self._busy:
            taken, self._pending, self._bytes = self._pending, [], 0
            if not taken:
                return
            try:
                await self._write(taken)
            except asyncio.CancelledError:
                self._pending = taken + self._pending
                raise

    async def _write(self, taken: list[tuple[Message, Window]]) -> None:
        started = time.monotonic()
        by_topic: dict[str, list[tuple[Message, Window]]] = {}
        for message, window in taken:
            by_topic.setdefault(provenance.topic_of(message, self.shared.settings), []).append((message, window))
        for topic, records in by_topic.items():
            raw = [_raw(m) for m, _ in records]
            refused = await self._write_until_done(topic, raw)
            for item in refused:
                await self._give_up(records[item.index][0], item)
            for message, window in records:
                self._source.done(window, message.offset())
            self.metrics.count("done", len(records))
        self.metrics.handled(time.monotonic() - started, max(0.0, time.time() * 1000 - taken[0][0].timestamp()[1]))

    async def _write_until_done(self, topic: str, raw: list[RawRecord]) -> Sequence[RefusedRecord]:
        """A destination that is not well is waited for: the group membership and the records are kept meanwhile."""
        delay = 0.5
        while True:
            try:
                return await asyncio.to_thread(self.stage.write, topic, raw)
            except Exception as error:
                self.metrics.error(type(error).__name__)
                log.warning(
                    "not written, trying again", sink=self.stage.name, topic=topic, records=len(raw), error=f"{error}"[:500], in_s=delay
                )
                await asyncio.sleep(delay)
                delay = min(30.0, delay * 2)

    async def _give_up(self, message: Message, refused: RefusedRecord) -> None:
        delivery = provenance.place_of(message, self.shared.settings)
        record: Any = None
        topic = CATALOGUE.get(delivery.topic)
        if topic and (kind := topic.record):
            try:
                record = await asyncio.to_thread(self.shared.codec.decode, kind, message.value())
            except (BadRecord, Transient):
                record = None  # then the letter tells its place alone
        failure = Failure(refused.reason, refused.message, "", retry=False, ends_request=False)
        letter = provenance.dead_letter(self.stage.name, message, delivery, failure, record, self.shared.settings.code_version)
        for o in steps.encode(self.shared.codec, [letter]):
            await self.shared.producer.send(o.topic, o.key, o.value, o.headers)
        self.metrics.count("dead")

    async def _revoked(self, windows: Sequence[Window], deadline: float) -> None:
        gone = set(windows)
        self._pending = [(m, w) for m, w in self._pending if w not in gone]
        self._bytes = sum(map(len, (m for m, _ in self._pending)))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                async with self._busy:  # what is being written may finish and be committed
                    pass
        except TimeoutError:
            log.warning("a batch outlasted the rebalance; its records will be written again by the next owner", sink=self.stage.name)

    def _lost(self, lost: LostRange) -> None:
        log.error(
            "records lost to retention",
            sink=self.stage.name,
            topic=lost.topic,
            partition=lost.partition,
            committed=lost.committed,
            earliest=lost.earliest,
        )
        now = time.time_ns() // 1_000_000
        topic = lost.topic.removeprefix(self.shared.settings.topic_prefix)
        self._publish_soon([range_lost(self.shared.writer.next_id(now), f"sink:{self.stage.name}", topic, lost)])

    def _publish_soon(self, records: Sequence[Record]) -> None:
        for o in steps.encode(self.shared.codec, records):
            self.shared.producer.produce(
                o.topic, o.key, o.value, o.headers, lambda error: error and log.error("not published", error=error.str())
            )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.time_ns() // 1_000_000
            oldest = self._source.oldest_ms()
            found = self.metrics.flush(
                self.shared.writer.next_id(now),
                in_flight=sum(w.in_flight for w in self._source.windows.values()),
                lag_records=self._source.lag(),
                lag_seconds=max(0, now - oldest) / 1000 if oldest is not None else 0.0,
            )
            # A sink's own metrics would make it write for ever: each batch a record, each record a batch. Prometheus has them.
            if found and found.records_done > found.in_flight + 1:
                self._publish_soon([found])


def _raw(message: Message) -> RawRecord:
    event = provenance.headers_of(message).get("millrace-event-id")
    return RawRecord(message.key(), message.value(), event.decode(errors="replace") if event else None, message.timestamp()[1])
