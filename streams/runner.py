"""Runs one stage in one worker: takes records, starts their steps, publishes, acknowledges, and lets go at a rebalance.

A record in hand is a :class:`Work`. Its life: it *waits* (in its tier until it is due, in its key's line, in the fair queue), it *runs*
(``Steps.take``, a task only if it suspends), its outputs are *published*, it is *done*. ``_active`` holds what runs or is being published.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError, Message

from schemas.records import AuditRecorded
from streams import provenance, steps
from streams.acknowledgement import Window
from streams.contract import Delivery, Effect, Stage, problems
from streams.eager import EagerStarter
from streams.failures import Failure
from streams.metrics import StageMetrics
from streams.producer import OutputTooLarge, delivery_error
from streams.scheduling import FairQueue
from streams.source import Batch, LostRange, Source, size_of
from streams.step import Outcome, Shared, Steps
from streams.tiers import WaitingRoom
from streams.topics import CATALOGUE, DEAD_LETTERS, TIERS, Topic, retry_topic

log = structlog.get_logger()
_TRACE = frozenset({"traceparent", "tracestate"})
_AFTER_CANCEL_S = 0.4
"""How long a cancelled step may clean up before it is left to itself."""


class UnsafeStage(ValueError):
    """A declaration that start-up refuses; the message lists all that is wrong."""


class Work:
    """One record in hand."""

    __slots__ = ("failed", "message", "outcome", "size", "started", "task", "unacknowledged", "window")

    def __init__(self, message: Message, window: Window) -> None:
        self.message = message
        self.window = window
        self.size = size_of(message)
        self.started = 0.0
        self.task: asyncio.Task[Outcome] | None = None
        self.outcome: Outcome | None = None
        self.unacknowledged = 0
        self.failed: KafkaError | None = None


class StageRunner:
    """One stage in one worker process. All methods belong to the event loop."""

    def __init__(self, stage: Stage, shared: Shared) -> None:
        if found := problems(stage):
            raise UnsafeStage("; ".join(found))
        self.stage, self.shared = stage, shared
        self.metrics = StageMetrics(stage.name, shared.worker)
        prefix = shared.settings.topic_prefix
        tiers = [retry_topic(stage.name, tier).name for tier in TIERS] if stage.order == "none" else []
        self._tiers = frozenset(prefix + name for name in tiers)
        self._names = {prefix + name: name for name in (*(t.name for t in stage.reads), *tiers)}
        self._source = Source(
            shared.settings, f"{shared.settings.group_prefix}.{stage.name}", self._names.values(), self._arrived, self._revoked, self._lost
        )
        self._steps = Steps(stage, shared, self.metrics, self._holding)
        self._eager = EagerStarter()
        self._waiting: WaitingRoom[Work] = WaitingRoom(self._source, self._enqueue_and_pump)
        self._queue: FairQueue[Work] = FairQueue()
        self._lines: dict[tuple[Window, bytes], deque[Work]] = {}
        self._active: set[Work] = set()
        self._tasks = 0
        self._stopping = False
        self._ended = asyncio.Event()
        self._crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # ---- life ------------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is in hand within the deadline. Raises what made going on impossible."""
        async with AsyncExitStack() as lifespan:
            if self.stage.lifespan:
                await lifespan.enter_async_context(self.stage.lifespan())
            self._source.start()
            ticker = asyncio.create_task(self._tick())
            stopped = asyncio.create_task(stop.wait())
            try:
                ends: set[asyncio.Future[Any]] = {stopped, self._crashed, self._source.finished}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                self._source.drain()
                self._stopping = True
                if not self._crashed.done() and not self._source.finished.done():
                    await self._finish(lambda _: True, time.monotonic() + self.shared.settings.stop_deadline_s)
            finally:
                ticker.cancel()
                stopped.cancel()
                await self._finish(lambda _: True, 0)  # what is left now (late, or after a crash) is not waited for
                await self._source.stop()
                self._eager.close()
        for ended in (self._crashed, self._source.finished):
            if ended.done():
                ended.result()

    async def _finish(self, mine: Any, deadline: float) -> None:
        """Wait until the active works that are ``mine`` are done, or the deadline; cancel those that are not."""

        async def all_done(until: float) -> bool:
            while any(mine(w) for w in self._active):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._ended.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._ended.wait()
            return True

        if not await all_done(deadline):
            for work in [w for w in self._active if mine(w) and w.task]:
                assert work.task
                work.task.cancel()
            if not await all_done(time.monotonic() + _AFTER_CANCEL_S):
                left = [w for w in self._active if mine(w)]
                log.warning("left behind at the deadline; their records will be delivered again", stage=self.stage.name, records=len(left))

    def _crash(self, error: BaseException) -> None:
        """Only what the engine itself needs can fail here (the broker took no answer, the store is gone): end, be restarted, be redelivered."""
        if not self._crashed.done():
            self._crashed.set_exception(error)

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
            if found:
                self._publish_soon(steps.encode(self.shared.codec, [found]))

    # ---- records come ----------------------------------------------------------------------------------------------------

    def _arrived(self, batch: Batch) -> None:
        self.metrics.count("in", len(batch))
        plain = self.stage.order == "none"
        for message, window in batch:
            work = Work(message, window)
            if window.topic in self._tiers and ((due := provenance.due_ms(message)) > time.time() * 1000 or self._waiting.waits(window)):
                self._waiting.put(work, due)
            elif plain and self._tasks < self.stage.concurrency and not len(self._queue) and not self._stopping:
                self._start(work)  # nobody to be fair to
            else:
                self._enqueue(work)
        self._pump()

    def _enqueue_and_pump(self, work: Work) -> None:
        self._enqueue(work)
        self._pump()

    def _enqueue(self, work: Work) -> None:
        """Into its key's line, where order is promised and the key is at work; else into the fair queue."""
        if self.stage.order == "key" and (key := work.message.key()) is not None:
            line = self._lines.get((work.window, key))
            if line is not None:
                line.append(work)
                return
            self._lines[work.window, key] = deque()
        name = self._names[work.window.topic]
        priority = name.rsplit(".", 1)[-1] if name.startswith("generation.requested.") else "normal"
        self._queue.push(work, priority, provenance.headers_of(work.message).get("millrace-tenant", b"").decode(errors="replace"))

    def _pump(self) -> None:
        while len(self._queue) and self._tasks < self.stage.concurrency and not self._stopping:
            self._start(self._queue.pop())

    # ---- records run, are published, are done ----------------------------------------------------------------------------

    def _start(self, work: Work) -> None:
        message, window = work.message, work.window
        self._active.add(work)
        work.started = time.monotonic()
        if window.topic in self._tiers:
            delivery = provenance.origin_of(message, self.shared.settings)
        else:
            delivery = Delivery(self._names[window.topic], window.partition, message.offset(), max(0, message.timestamp()[1]), 1)
        try:
            work.task = self._eager.start(self._steps.take(message, window, delivery), partial(self._taken, work))
        except Exception as error:
            self._crash(error)
            return
        if work.task is not None:
            self._tasks += 1
            work.task.add_done_callback(partial(self._task_ended, work))

    def _task_ended(self, work: Work, task: asyncio.Task[Outcome]) -> None:
        self._tasks -= 1
        if task.cancelled():  # the partition is gone or we stop: the record is not done, the next owner gets it
            self._gone(work)
        elif error := task.exception():
            self._gone(work)
            self._crash(error)
        else:
            self._taken(work, task.result())
        self._pump()

    def _taken(self, work: Work, outcome: Outcome) -> None:
        """Publish the outputs; the record is done when the broker has the last of them. Its key's next one may start now."""
        if self.stage.order == "key":
            self._next_in_line(work)
        work.outcome = outcome
        outputs = outcome.outputs
        work.unacknowledged = len(outputs)
        if not outputs:
            self._done(work)
            return
        acknowledged = partial(self._acknowledged, work)
        trace = _trace(work.message)
        for output in outputs:
            self.shared.producer.produce(output.topic, output.key, output.value, output.headers + trace, acknowledged)

    def _next_in_line(self, work: Work) -> None:
        place = work.window, work.message.key()
        line = self._lines.get(place)
        if line:
            self._queue.push(line.popleft(), "normal", "")
            asyncio.get_running_loop().call_soon(self._pump)
        else:
            self._lines.pop(place, None)

    def _acknowledged(self, work: Work, error: KafkaError | None) -> None:
        if error is not None:
            work.failed = error
        work.unacknowledged -= 1
        if work.unacknowledged:
            return
        if work.failed is None:
            self._done(work)
        else:
            self._not_taken(work, delivery_error(self.stage.name, work.failed))

    def _not_taken(self, work: Work, error: Exception) -> None:
        """The broker refused an output. For its size: the record is given up, once. Else the engine cannot go on."""
        assert work.outcome
        if not isinstance(error, OutputTooLarge) or work.outcome.event == "dead":
            self._crash(error)
            return
        work.failed = None
        delivery = provenance.origin_of(work.message, self.shared.settings)
        giving_up = self._steps.give_up(work.message, delivery, work.outcome.record, Failure(error.reason, str(error), "", retry=False))
        work.task = asyncio.create_task(giving_up)
        self._tasks += 1
        work.task.add_done_callback(partial(self._task_ended, work))

    def _done(self, work: Work) -> None:
        self._source.done(work.window, work.message.offset())
        self._gone(work)
        outcome, counts = work.outcome, self.metrics.counts
        assert outcome
        counts["done"] += 1
        if outcome.event == "handled":
            counts["out"] += len(outcome.outputs)
        else:
            counts[outcome.event] += 1
        now = time.monotonic()
        took = now - work.started
        self.metrics.handled(took, max(0.0, (time.time() - took) * 1000 - work.message.timestamp()[1]))

    def _gone(self, work: Work) -> None:
        self._active.discard(work)
        if not self._ended.is_set():
            self._ended.set()

    # ---- partitions go ---------------------------------------------------------------------------------------------------

    async def _revoked(self, windows: Sequence[Window], deadline: float) -> None:
        """What has not started is dropped; pure work is, too; other work may finish until the deadline."""
        gone = set(windows)
        self._waiting.drop(windows)
        self._queue.drop_where(lambda w: w.window in gone)
        for place in [place for place in self._lines if place[0] in gone]:
            del self._lines[place]
        if self.stage.effect is Effect.PURE:
            for work in self._active:
                if work.window in gone and work.task:
                    work.task.cancel()
        await self._finish(lambda work: work.window in gone, deadline)

    def _lost(self, lost: LostRange) -> None:
        """Records were deleted before they were read: said loudly, and on the record, before going on at the earliest there is."""
        topic = self._names[lost.topic]
        log.error(
            "records lost to retention",
            stage=self.stage.name,
            topic=topic,
            partition=lost.partition,
            committed=lost.committed,
            earliest=lost.earliest,
        )
        event_id = self.shared.writer.next_id(time.time_ns() // 1_000_000)
        self._publish_soon(steps.encode(self.shared.codec, [range_lost(event_id, f"stage:{self.stage.name}", topic, lost)]))

    def _publish_soon(self, outputs: Sequence[steps.Output]) -> None:
        def report(error: KafkaError | None) -> None:
            if error is not None:
                self._crash(delivery_error(self.stage.name, error))

        for output in outputs:
            self.shared.producer.produce(output.topic, output.key, output.value, output.headers, report)

    @contextmanager
    def _holding(self, window: Window) -> Iterator[None]:
        self._source.hold(window)
        try:
            yield
        finally:
            self._source.release(window)


def _trace(message: Message) -> list[tuple[str, bytes]]:
    """The W3C trace context of a record, for those that it leads to."""
    return [header for header in message.headers() or () if header[0] in _TRACE]


def range_lost(event_id: str, actor: str, topic: str, lost: LostRange) -> AuditRecorded:
    """The audit event of a range that was deleted before it was read."""
    return AuditRecorded(
        event_id=event_id,
        actor=actor,
        action="range_lost",
        target=f"{topic}/{lost.partition}",
        occurred_at=time.time_ns() // 1_000_000,
        details={"committed": str(lost.committed), "earliest": str(lost.earliest)},
    )


def topics_of(stage: Stage) -> list[Topic]:
    """Every topic a stage needs to exist."""
    retries = [retry_topic(stage.name, tier) for tier in TIERS] if stage.order == "none" else []
    runners = [CATALOGUE[n] for n in ("metrics.recorded", "request.progressed", "audit.recorded", "artifact.rejected")]
    return list(dict.fromkeys([*stage.reads, *stage.writes, *retries, DEAD_LETTERS, *runners]))
