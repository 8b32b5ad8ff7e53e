"""Runs one stage in one worker: takes records, calls the handler, publishes, acknowledges.

The numbered steps of :meth:`StageRunner._step` are those of ``docs/ARCHITECTURE.md``, section "A record's way through a stage".
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Message

from schemas import ids
from schemas.names import check_name, check_priority
from schemas.records import AuditRecorded, Record, RequestProgressed, Verdict
from streams import provenance, steps
from streams.acknowledgement import Window
from streams.codec import Codec
from streams.contract import Context, Delivery, Effect, Stage, Writer, problems
from streams.failures import Failure, Refused, Rejected, classify
from streams.metrics import StageMetrics
from streams.objects import ObjectStore
from streams.producer import AckedProducer
from streams.scheduling import FairQueue
from streams.settings import StreamSettings
from streams.source import Batch, LostRange, Source, size_of
from streams.topics import CATALOGUE, DEAD_LETTERS, TIERS, Topic, retry_topic, route

log = structlog.get_logger()


class UnsafeStage(ValueError):
    """A declaration that start-up refuses; the message lists all that is wrong."""


@dataclass(slots=True)
class Work:
    """One record in hand."""

    message: Message
    window: Window
    key: bytes | None
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What the stages of one worker share."""

    settings: StreamSettings
    codec: Codec
    producer: AckedProducer
    objects: ObjectStore
    writer: Writer
    worker: str

    def publish_progress(self, record: RequestProgressed) -> None:
        output = steps.encode(self.codec, [record])[0]
        # A sign of life is not worth failing for: if it does not arrive, the next one will.
        self.producer.send(output.topic, output.key, output.value, output.headers).add_done_callback(
            lambda f: f.cancelled() or f.exception()
        )


class StageRunner:
    """One stage in one worker process. All methods belong to the event loop."""

    def __init__(self, stage: Stage, shared: Shared) -> None:
        if found := problems(stage):
            raise UnsafeStage("; ".join(found))
        self.stage, self.shared = stage, shared
        self.metrics = StageMetrics(stage.name, shared.worker)
        self._inputs = {t.name: t for t in stage.reads}
        self._tiers = {retry_topic(stage.name, tier).name: tier for tier in TIERS} if stage.order == "none" else {}
        self._queue: FairQueue[Work] = FairQueue()
        self._chains: dict[bytes, deque[Work]] = {}
        self._running: dict[asyncio.Task[None], Work] = {}
        self._waiting: dict[tuple[str, int], list[Work]] = {}
        self._stopping = False
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lifespan = AsyncExitStack()
        self._source = Source(
            shared.settings,
            f"{shared.settings.group_prefix}.{stage.name}",
            [*self._inputs, *self._tiers],
            self._arrived,
            self._revoked,
            self._lost,
        )

    # ---- life ------------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is in hand within the deadline. Raises what made going on impossible."""
        async with self._lifespan:
            if self.stage.lifespan:
                await self._lifespan.enter_async_context(self.stage.lifespan())
            self._source.start()
            ticker = asyncio.create_task(self._tick())
            stopped = asyncio.ensure_future(stop.wait())
            try:
                waiting: set[asyncio.Future[Any]] = {stopped, self._crashed, self._source.finished}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._source.drain()
                self._stopping = True
                if not self._crashed.done() and not self._source.finished.done():
                    await self._settle(time.monotonic() + self.shared.settings.stop_deadline_s)
            finally:
                ticker.cancel()
                stopped.cancel()
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
                await self._source.stop()
            if self._crashed.done():
                self._crashed.result()
            if self._source.finished.done():
                self._source.finished.result()

    async def _settle(self, deadline: float, windows: Sequence[Window] | None = None) -> None:
        """Let running work finish until the deadline: all of it, or that of some windows. Pure work is not waited for."""
        mine = {t: w for t, w in self._running.items() if windows is None or w.window in windows}
        if self.stage.effect is Effect.PURE and windows is not None:
            for task in mine:
                task.cancel()
        left = max(0.0, deadline - time.monotonic())
        if mine:
            _, late = await asyncio.wait(set(mine), timeout=left)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.time_ns() // 1_000_000
            oldest = min((w.message.timestamp()[1] for w in self._running.values()), default=now)
            found = self.metrics.flush(
                self.shared.writer.next_id(now),
                in_flight=sum(w.in_flight for w in self._source.windows.values()),
                lag_records=self._source.lag(),
                lag_seconds=max(0, now - oldest) / 1000,
            )
            if found:
                await self._publish(steps.encode(self.shared.codec, [found]))

    # ---- records come and go ---------------------------------------------------------------------------------------------

    def _arrived(self, batch: Batch) -> None:
        self.metrics.count("in", len(batch))
        for message, window in batch:
            work = Work(message, window, message.key())
            delay = (
                (provenance.due_ms(message) - time.time_ns() // 1_000_000) / 1000
                if provenance.topic_of(message, self.shared.settings) in self._tiers
                else 0
            )
            if delay > 0:
                self._wait_in_tier(work, delay)
            else:
                self._enqueue(work)
        self._pump()

    def _wait_in_tier(self, work: Work, delay: float) -> None:
        """A tier is in order of time, so its partition is held until its records are due. Waiting takes no room from other work."""
        place = (work.window.topic, work.window.partition)
        self._waiting.setdefault(place, []).append(work)
        self._source.hold(work.window)
        self._source.give_back(1, size_of(work.message))
        asyncio.get_running_loop().call_later(delay, self._due, place, work)

    def _due(self, place: tuple[str, int], work: Work) -> None:
        waiting = self._waiting.get(place, [])
        if work not in waiting:  # its partition was taken away meanwhile
            return
        waiting.remove(work)
        self._source.take_again(1, size_of(work.message))
        if not waiting:
            del self._waiting[place]
            self._source.release(work.window)
        self._enqueue(work)
        self._pump()

    def _enqueue(self, work: Work) -> None:
        if self.stage.order == "key" and work.key is not None:
            chain = self._chains.get(work.key)
            if chain is not None:
                chain.append(work)
                return
            self._chains[work.key] = deque()
        headers = provenance.headers_of(work.message)
        topic = provenance.topic_of(work.message, self.shared.settings)
        priority = topic.rsplit(".", 1)[-1] if topic.startswith("generation.requested.") else "normal"
        self._queue.push(work, priority, headers.get("millrace-tenant", b"").decode(errors="replace"))

    def _pump(self) -> None:
        while len(self._queue) and len(self._running) < self.stage.concurrency and not self._stopping:
            work = self._queue.pop()
            work.task = asyncio.create_task(self._work(work))
            self._running[work.task] = work
            work.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()):
            # Only what the engine itself needs can fail here (the broker took no answer, the store is gone): crash, be restarted, be redelivered.
            if not self._crashed.done():
                self._crashed.set_exception(error)
            return
        if self.stage.order == "key" and work.key is not None:
            chain = self._chains.get(work.key)
            if chain:
                self._queue.push(chain.popleft(), "normal", "")
            else:
                self._chains.pop(work.key, None)
        self._pump()

    async def _revoked(self, windows: Sequence[Window], deadline: float) -> None:
        gone = set(windows)
        for place, waiting in list(self._waiting.items()):
            if waiting[0].window in gone:
                for work in waiting:  # their room is counted as given back already; retiring the window gives it back once more
                    self._source.take_again(1, size_of(work.message))
                del self._waiting[place]
        self._queue.drop_where(lambda w: w.window in gone)
        for key, chain in list(self._chains.items()):
            self._chains[key] = deque(w for w in chain if w.window not in gone)
        await self._settle(deadline, list(windows))

    def _lost(self, lost: LostRange) -> None:
        """Records were deleted before they were read: said loudly, and on the record, before going on at the earliest there is."""
        log.error(
            "records lost to retention",
            stage=self.stage.name,
            topic=lost.topic,
            partition=lost.partition,
            committed=lost.committed,
            earliest=lost.earliest,
        )
        now = time.time_ns() // 1_000_000
        audit = AuditRecorded(
            event_id=ids.derived_id(now, self.shared.worker, self.stage.name, lost.topic, lost.partition, lost.committed), actor=f"stage:{self.stage.name}",
            action="range_lost", target=f"{lost.topic}/{lost.partition}", occurred_at=now, details={"committed": str(lost.committed), "earliest": str(lost.earliest)},
        )  # fmt: skip
        self._source.call_in_loop(self._publish_soon, steps.encode(self.shared.codec, [audit]))

    def _publish_soon(self, outputs: list[steps.Output]) -> None:
        def published(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) and not self._crashed.done():
                self._crashed.set_exception(error)

        asyncio.create_task(self._publish(outputs)).add_done_callback(published)

    # ---- one record ------------------------------------------------------------------------------------------------------

    async def _work(self, work: Work) -> None:
        delivery = provenance.delivery_of(work.message, self.shared.settings)
        started = time.monotonic()
        queued_ms = max(0.0, time.time() * 1000 - delivery.timestamp)
        record: Any = None
        context: Context | None = None
        while True:
            try:
                record = self._decode(work.message, delivery)
                context = Context(self.stage.name, record, delivery, self.shared)
                await self._step(work, delivery, record, context)
                break
            except asyncio.CancelledError:
                raise  # the partition is gone or we stop: the record is not done, the next owner gets it
            except Exception as error:
                failure = classify(error)
                self.metrics.error(failure.reason)
                log.warning(
                    "step failed",
                    stage=self.stage.name,
                    reason=failure.reason,
                    message=failure.message,
                    tries=delivery.tries,
                    request=getattr(record, "request_id", None),
                )
                again_at_once = await self._failed(work, delivery, record, failure)
                if not again_at_once:
                    break
                delivery = Delivery(delivery.topic, delivery.partition, delivery.offset, delivery.timestamp, delivery.tries + 1)
        self._source.done(work.window, work.message)
        self.metrics.count("done")
        self.metrics.handled(time.monotonic() - started, queued_ms)

    def _decode(self, message: Message, delivery: Delivery) -> Any:
        """Step 1: bytes to a record whose names and ids are what they should be."""
        topic = self._inputs.get(delivery.topic) or CATALOGUE.get(delivery.topic)
        if topic is None or topic.record is None or topic.name not in self._inputs:
            raise Refused("bad_origin", f"a record of {delivery.topic[:200]!r} has no business in stage {self.stage.name}")
        record = self.shared.codec.decode(topic.record, message.value())
        if hasattr(record, "tenant"):
            check_name(record.tenant, "tenant")
        if hasattr(record, "project"):
            check_name(record.project, "project")
        if hasattr(record, "priority"):
            check_priority(record.priority)
        if hasattr(record, "request_id") and ids.parse_id(record.request_id) != record.request_id:
            raise ids.BadId(f"{record.request_id!r} is not in canonical form (lower case, with hyphens)")
        if getattr(record, "run", "") and ids.parse_id(record.run) != record.run:
            raise ids.BadId(f"run {record.run!r} is not in canonical form")
        return record

    async def _step(self, work: Work, delivery: Delivery, record: Any, context: Context) -> None:
        shared, stage = self.shared, self.stage
        topic = self._inputs[delivery.topic]
        # 2. A submission is registered under its request id before anything is done for it.
        if topic.entry:
            await asyncio.to_thread(steps.register, shared.objects, topic, record, work.message.value() or b"", delivery.timestamp)
        # 3. What this step published before is published again, not done again.
        outputs: list[steps.Output] | None = None
        if stage.is_recorded:
            outputs = await asyncio.to_thread(steps.recorded, shared.objects, shared.codec, record, stage.name, context.round)
            if outputs is not None:
                self.metrics.count("redelivered")
        if outputs is None:
            # 4. The handler, within its time.
            records = await self._handle(record, context)
            # 5. A verdict is claimed for its request, and a recorded step's outputs are written, before anyone can see them.
            outputs = await self._settled(records)
            if stage.is_recorded:
                outputs = await asyncio.to_thread(
                    steps.record, shared.objects, record, stage.name, context.round, outputs, shared.settings.code_version
                )
        # 6. The broker has every output before the input is done.
        await self._publish(outputs)
        self.metrics.count("out", len(outputs))

    async def _handle(self, record: Any, context: Context) -> list[Record]:
        if self.stage.is_recorded:
            context.stamp()
        try:
            async with asyncio.timeout(self.stage.time_limit_s):
                produced: Sequence[Record] = await self.stage.handler(record, context)
        except Rejected as rejection:
            produced = [
                context.make(Verdict, state="rejected", stage=self.stage.name, reason=rejection.reason, message=str(rejection)[:2000])
            ]
        except TimeoutError as error:
            raise TimeoutError(f"{self.stage.name} took longer than its limit of {self.stage.time_limit_s:g} s") from error
        if self.stage.is_recorded:
            context.stamp()  # the time the step ended, said once
        records = context.finish(produced)
        for written in map(route, records):
            if written not in self.stage.writes:
                raise Refused("undeclared_output", f"stage {self.stage.name} wrote to {written.name}, which it does not declare")
        return records

    async def _settled(self, records: Sequence[Record]) -> list[steps.Output]:
        outputs = steps.encode(self.shared.codec, records)
        if any(isinstance(r, Verdict) for r in records):
            outputs = await asyncio.to_thread(steps.settle_verdict, self.shared.objects, self.shared.codec, records, outputs)
        return outputs

    async def _failed(self, work: Work, delivery: Delivery, record: Any, failure: Failure) -> bool:
        """Retry, or give up; True where the same task is to try again in place (order by key)."""
        tier = self.stage.retry.tier(delivery.tries) if failure.retry else None
        if tier is None:
            await self._give_up(work, delivery, record, failure)
            return False
        delay = self.shared.settings.retry_delays_s[TIERS.index(tier)]
        self.metrics.count("retried")
        if self.stage.order == "key":
            self._source.hold(work.window)
            try:
                await asyncio.sleep(delay)
            finally:
                self._source.release(work.window)
            return True
        headers = provenance.retry_headers(work.message, delivery, failure, delay)
        await self.shared.producer.send(retry_topic(self.stage.name, tier).name, work.message.key(), work.message.value(), headers)
        return False

    async def _give_up(self, work: Work, delivery: Delivery, record: Any, failure: Failure) -> None:
        """To the dead letters with its provenance; the request, where it is known and this stage's to end, ends as rejected."""
        shared = self.shared
        letter = provenance.dead_letter(self.stage.name, work.message, delivery, failure, record, shared.settings.code_version)
        if len(work.message.value() or b"") > shared.settings.max_record_bytes * 10:
            letter = provenance.without_value(letter, len(work.message.value() or b""))
        records: list[Record] = [letter]
        if self.stage.ends_requests and failure.ends_request and getattr(record, "request_id", None):
            context = Context(self.stage.name, record, delivery, shared)
            context.stamp()
            verdict = context.make(
                Verdict,
                state="rejected",
                stage=self.stage.name,
                reason=f"dead_letter.{failure.reason}",
                message=f"given up after {delivery.tries} tries: {failure.message}",
            )
            records += context.finish([verdict])
        await self._publish(await self._settled(records))
        self.metrics.count("dead")

    async def _publish(self, outputs: Sequence[steps.Output]) -> None:
        if outputs:
            await asyncio.gather(*(self.shared.producer.send(o.topic, o.key, o.value, o.headers) for o in outputs))


def topics_of(stage: Stage) -> list[Topic]:
    """Every topic a stage needs to exist."""
    retries = [retry_topic(stage.name, tier) for tier in TIERS]
    return list(
        dict.fromkeys(
            [
                *stage.reads,
                *stage.writes,
                *retries,
                DEAD_LETTERS,
                *(CATALOGUE[n] for n in ("metrics.recorded", "request.progressed", "audit.recorded", "artifact.rejected")),
            ]
        )
    )
