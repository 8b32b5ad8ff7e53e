"""Batches for sinks: raw records collected over topics, written, then acknowledged together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Message

from schemas.avro_codec import BadRecord
from schemas.records import MetricsRecorded
from streams import fitting, provenance, steps
from streams.acknowledgement import Window
from streams.failures import MESSAGE, REASON, Failure, Transient, shortened
from streams.health import Pulse
from streams.lag import Gauges
from streams.metrics import StageMetrics
from streams.report import Reporter
from streams.source import Source
from streams.step import Shared
from streams.taken import Taken
from streams.topics import ARTIFACT_REJECTED, ARTIFACT_VALIDATED, CATALOGUE, Topic

log = structlog.get_logger()
_ATTEMPT_S = 600.0
"""How long one attempt to write may take: a destination's client has time-outs of its own that are shorter."""
_ENDS = frozenset({ARTIFACT_VALIDATED.name, ARTIFACT_REJECTED.name})
"""The topics that end a request, and its trace."""


class RawRecord(NamedTuple):
    """A record as it lies in Kafka."""

    key: bytes | None
    value: bytes | None
    event_id: str | None
    """Of the header ``millrace-event-id``; None where the writer set none."""
    timestamp: int
    """The broker's time of the record, ms since 1970."""
    partition: int = -1
    """This and what follows only for a stage that asks for records ``whole``."""
    offset: int = -1
    headers: tuple[tuple[str, bytes | None], ...] = ()


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
    """How long a batch collects, unless it is full before."""
    whole: bool = False
    """Whether it needs records' places and headers, too."""


class BatchRunner:
    """Runs one sink in one worker. All methods belong to the event loop."""

    def __init__(self, stage: BatchStage, shared: Shared) -> None:
        self.stage, self.shared = stage, shared
        self.metrics = StageMetrics(stage.name, shared.worker)
        self._pending: list[Taken] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._raw = _whole if stage.whole else _raw
        self._busy = asyncio.Lock()
        settings = shared.settings.model_copy(
            update={
                "max_in_flight": 2 * stage.max_records,
                "max_in_flight_bytes": max(2 * stage.max_bytes, shared.settings.max_in_flight_bytes),
            }
        )
        self._source = Source(
            settings,
            f"{settings.group_prefix}.{stage.name}",
            [t.name for t in stage.reads],
            Taken,
            self._arrived,
            self._revoked,
            lambda lost: self._reporter.lost(lost),
        )
        self._gauges = Gauges(settings, self._source, shared.producer, {})
        self.pulse = Pulse(stage.name, self._source, _ATTEMPT_S)
        self._reporter = Reporter(f"sink:{stage.name}", shared, self.metrics, self._gauges, self.pulse, self._not_told)
        self._attempt_at: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop`` is set, then write what is in hand."""
        self._source.start()
        writer, ticker = (
            asyncio.create_task(self._write_forever()),
            asyncio.create_task(self._reporter.every_second(lambda: self._attempt_at, _worth_telling)),
        )
        stopped = asyncio.create_task(stop.wait())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, writer, ticker, self._source.finished}
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
            await self._gauges.close()
        for ended in (self._source.finished, writer, ticker):
            if ended.done() and not ended.cancelled():
                ended.result()

    def _arrived(self, batch: list[Taken]) -> None:
        self.metrics.count("in", len(batch))
        self._pending += batch
        self._bytes += sum(r.size for r in batch)
        self._wake.set()
        if self._is_full():
            self._full.set()

    def _is_full(self) -> bool:
        return len(self._pending) >= self.stage.max_records or self._bytes >= self.stage.max_bytes

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._full.clear()
            if not self._is_full():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.stage.linger_s):
                        await self._full.wait()
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

    async def _write(self, taken: list[Taken]) -> None:
        started = time.monotonic()
        began_ns = time.time_ns()
        by_topic: dict[str, list[Taken]] = {}
        for record in taken:
            by_topic.setdefault(record.window.topic, []).append(record)
        for name, records in by_topic.items():
            topic = name.removeprefix(self.shared.settings.topic_prefix)
            raw = [self._raw(r.message) for r in records]
            refused = await self._write_until_done(topic, raw)
            for item in refused:
                await self._give_up(records[item.index].message, item)
            self._source.done(records)
            if self.shared.tracing and topic in _ENDS:
                for record in records:
                    self.shared.tracing.rested(self.stage.name, record.message, topic, began_ns)
            self.metrics.count("done", len(records))
        self.metrics.handled(time.monotonic() - started, max(0.0, time.time() * 1000 - taken[0].timestamp))

    async def _write_until_done(self, topic: str, raw: list[RawRecord]) -> Sequence[RefusedRecord]:
        """A destination that is not well is waited for: the group membership and the records are kept meanwhile."""
        delay = 0.5
        while True:
            self._attempt_at = time.monotonic()
            try:
                return await asyncio.to_thread(self.stage.write, topic, raw)
            except Exception as error:
                self.metrics.error(type(error).__name__)
                log.warning(
                    "not written, trying again", sink=self.stage.name, topic=topic, records=len(raw), error=f"{error}"[:500], in_s=delay
                )
                self._attempt_at = None  # waiting for a destination that is not well is no fault of ours
                await asyncio.sleep(delay)
                delay = min(30.0, delay * 2)
            finally:
                self._attempt_at = None

    async def _give_up(self, message: Message, refused: RefusedRecord) -> None:
        delivery = provenance.place_of(message, self.shared.settings)
        record: Any = None
        topic = CATALOGUE.get(delivery.topic)
        if topic and (kind := topic.record):
            try:
                record = await asyncio.to_thread(self.shared.codec.decode, kind, message.value())
            except (BadRecord, Transient):
                record = None  # then the letter tells its place alone
        failure = Failure(shortened(refused.reason, REASON), shortened(refused.message, MESSAGE), "", retry=False, ends_request=False)
        letter = provenance.dead_letter(self.stage.name, message, delivery, failure, record, self.shared.settings.code_version)
        for o in steps.encode(self.shared.codec, [fitting.letter(letter, self.shared.codec, self.shared.settings)]):
            await self.shared.producer.send(o.topic, o.key, o.value, o.headers)
        self.metrics.count("dead")

    async def _revoked(self, windows: Sequence[Window], deadline: float) -> None:
        gone = set(windows)
        self._pending = [r for r in self._pending if r.window not in gone]
        self._bytes = sum(r.size for r in self._pending)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                async with self._busy:  # what is being written may finish and be committed
                    pass
        except TimeoutError:
            log.warning("a batch outlasted the rebalance; its records will be written again by the next owner", sink=self.stage.name)

    def _not_told(self, error: Exception) -> None:
        log.error("not published", sink=self.stage.name, error=str(error))


def _worth_telling(found: MetricsRecorded) -> bool:
    """A sink's own metrics would make it write for ever: each batch a record, each record a batch. Prometheus has them."""
    return found.records_done > found.in_flight + 1


def _raw(message: Message) -> RawRecord:
    event = provenance.headers_of(message).get("millrace-event-id")
    return RawRecord(message.key(), message.value(), event.decode(errors="replace") if event else None, message.timestamp()[1])


def _whole(message: Message) -> RawRecord:
    raw = _raw(message)
    return raw._replace(partition=message.partition(), offset=message.offset(), headers=tuple(message.headers() or ()))
