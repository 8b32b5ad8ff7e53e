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

from streams import provenance
from streams.acknowledgement import Window
from streams.contract import Delivery, Effect, Stage, problems
from streams.eager import EagerStarter
from streams.failures import Failure, Rejected
from streams.gate import Gate
from streams.health import Pulse
from streams.lag import Gauges
from streams.metrics import StageMetrics
from streams.producer import OutputTooLarge, delivery_error
from streams.report import Reporter
from streams.scheduling import FairQueue
from streams.settings import StreamSettings
from streams.source import Source
from streams.step import Outcome, Shared, Steps
from streams.taken import Taken
from streams.tiers import WaitingRoom
from streams.topics import CATALOGUE, DEAD_LETTERS, TIERS, Topic, retry_topic
from streams.tracing import StepSpan, passed_on

log = structlog.get_logger()
_new_delivery = partial(tuple.__new__, Delivery)
_BAD_HEADERS = Failure("bad_headers", "a header's name is not UTF-8; all headers were left out", "", retry=False)
_AFTER_CANCEL_S = 0.4
"""How long a cancelled step may clean up before it is left to itself."""


class UnsafeStage(ValueError):
    """A declaration that start-up refuses; the message lists all that is wrong."""


class Work(Taken):
    """One record in hand."""

    __slots__ = ("failed", "outcome", "outputs", "refusal", "reported", "span", "started", "task", "unacknowledged")

    def __init__(self, message: Message, window: Window) -> None:
        super().__init__(message, window)
        self.started = 0.0
        self.task: asyncio.Task[Outcome] | None = None
        self.outcome: Outcome | None = None
        self.refusal: Rejected | None = None
        """How the step ends without being handled (shed, late): outside the stage's slots."""
        self.outputs = self.unacknowledged = 0
        self.failed: KafkaError | None = None
        self.reported: list[Work]
        self.span: StepSpan | None = None

    def __call__(self, error: KafkaError | None, _: Message | None) -> None:
        """The broker's report on one of its outputs (``AckedProducer.publish``)."""
        if error is not None:
            self.failed = error
        self.unacknowledged -= 1
        if not self.unacknowledged:
            self.reported.append(self)


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
            shared.settings,
            f"{shared.settings.group_prefix}.{stage.name}",
            self._names.values(),
            Work,
            self._arrived,
            self._revoked,
            lambda lost: self._reporter.lost(lost),
        )
        delays = dict(zip(tiers, shared.settings.retry_delays_s, strict=False))
        self._waits_ms = {prefix + name: int(1100 * s) for name, s in delays.items()}
        """Of each tier, what a record waits there at most, whatever its headers say."""
        self._gauges = Gauges(shared.settings, self._source, shared.producer, {prefix + name: 1.1 * s for name, s in delays.items()})
        self.pulse = Pulse(stage.name, self._source, _longest(stage, shared.settings))
        self._reporter = Reporter(f"stage:{stage.name}", shared, self.metrics, self._gauges, self.pulse, self._crash)
        self._steps = Steps(stage, shared, self.metrics, self._holding)
        self._eager = EagerStarter()
        self._waiting: WaitingRoom[Work] = WaitingRoom(self._source, self._enqueue_and_pump)
        self._queue: FairQueue[Work] = FairQueue(stage.admission.weights if stage.admission else None)
        self._slots = stage.concurrency
        self._gate: Gate[Work] | None = None
        if stage.admission:
            self._slots = min(stage.concurrency, shared.settings.admission.in_flight)
            self._gate = Gate(stage, shared.settings, shared.codec, self._source, self._queue, self._refuse)
        self._by_key = stage.order == "key"
        self._lines: dict[tuple[Window, bytes], deque[Work]] = {}
        """Of each key that is at work or waits for its turn, the records behind that one. Records without a key have no order."""
        self._active: set[Work] = set()
        self._reported: list[Work] = []
        """Works with nothing left unacknowledged, since the last turn in which reports were served."""
        shared.producer.after_reports(self._acknowledged)
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
            ticker = asyncio.create_task(self._reporter.every_second(self._working_since))
            gating = asyncio.create_task(self._gate.run()) if self._gate else None
            stopped = asyncio.create_task(stop.wait())
            try:
                ends: set[asyncio.Future[Any]] = {stopped, ticker, self._crashed, self._source.finished}
                if gating:
                    ends.add(gating)
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                self._source.drain()
                self._stopping = True
                self._steps.stops_at = time.monotonic() + self.shared.settings.stop_deadline_s
                if not self._crashed.done() and not self._source.finished.done():
                    await self._finish(lambda _: True, self._steps.stops_at)
            finally:
                ticker.cancel()
                stopped.cancel()
                if gating:
                    gating.cancel()
                await self._finish(lambda _: True, 0)  # what is left now (late, or after a crash) is not waited for
                await self._source.stop()
                await self._gauges.close()
                self._eager.close()
        for ended in (self._crashed, self._source.finished, ticker, gating):
            if ended is not None and ended.done() and not ended.cancelled():
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

    def _working_since(self) -> float | None:
        return min((w.started for w in self._active if w.outcome is None), default=None)

    def _crash(self, error: BaseException) -> None:
        """Only what the engine itself needs can fail here (the broker took no answer, the store is gone): end, be restarted, be redelivered."""
        if not self._crashed.done():
            self._crashed.set_exception(error)

    # ---- records come ----------------------------------------------------------------------------------------------------

    def _arrived(self, batch: list[Work]) -> None:
        self.metrics.count("in", len(batch))
        for work in batch:
            window = work.window
            if window.topic in self._tiers and (
                (due := min(provenance.due_ms(work.message), work.timestamp + self._waits_ms[window.topic])) > time.time() * 1000
                or self._waiting.waits(window)
            ):
                self._waiting.put(work, due)
            else:
                self._enqueue(work)
        self._pump()

    def _enqueue_and_pump(self, work: Work) -> None:
        self._enqueue(work)
        self._pump()

    def _enqueue(self, work: Work) -> None:
        """Into its key's line, where order is promised and the key is at work; to its turn at once, where nobody else waits; else into the fair queue."""
        if self._by_key and (key := work.message.key()) is not None:
            line = self._lines.get((work.window, key))
            if line is not None:
                line.append(work)
                return
            self._lines[work.window, key] = deque()
        if self._gate:
            self._gate.put(work)
        elif self._tasks < self._slots and not len(self._queue) and not self._stopping:
            self._start(work)  # nobody to be fair to
        else:
            self._queue.push(work, "normal", self._steps.tenant_of(work.message))

    def _pump(self) -> None:
        while len(self._queue) and self._tasks < self._slots and not self._stopping:
            work = self._gate.next() if self._gate else self._queue.pop()
            if work:
                self._start(work)

    def _refuse(self, work: Work, why: Rejected) -> None:
        """Begin the end of a record that is shed or late."""
        if not self._stopping:
            work.refusal = why
            self._start(work)

    # ---- records run, are published, are done ----------------------------------------------------------------------------

    def _start(self, work: Work) -> None:
        message, window = work.message, work.window
        self._active.add(work)
        work.started = time.monotonic()
        if window.topic in self._tiers:
            delivery = provenance.origin_of(message, self.shared.settings)
        else:
            delivery = _new_delivery((self._names[window.topic], window.partition, work.offset, max(0, work.timestamp), 1))
        tracing = self.shared.tracing
        if tracing is not None:
            work.span = tracing.step(self.stage.name, message, delivery.topic, delivery.tries)
        try:
            if work.readable:
                taking = self._steps.take(message, window, delivery, work.refusal)
            else:
                taking = self._steps.give_up(message, delivery, None, _BAD_HEADERS)
            if tracing is None or work.span is None:
                begun = self._eager.start(taking)
            else:
                with tracing.within(work.span):
                    begun = self._eager.start(taking)
        except Exception as error:
            self._crash(error)
            return
        if isinstance(begun, Outcome):
            if work.refusal is not None and self._gate:  # a record that is none is given up at once
                self._gate.ended()
            self._taken(work, begun)
            return
        work.task = begun
        begun.add_done_callback(partial(self._task_ended, work))
        if work.refusal is None:  # what is shed or late ends outside the stage's slots
            self._tasks += 1

    def _task_ended(self, work: Work, task: asyncio.Task[Outcome]) -> None:
        if work.refusal is None:
            self._tasks -= 1
        elif self._gate:
            self._gate.ended()
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
        if self._by_key and work.outcome is None:  # not again where what it published was not taken, and it was given up since
            self._next_in_line(work)
        work.outcome = outcome
        # Only their number is kept: a fast stage has thousands of records in hand, and what does not fit the cache makes it slow.
        outputs, outcome.outputs = outcome.outputs, ()
        work.unacknowledged = work.outputs = len(outputs)
        if not outputs:
            self._done([work])
            return
        trace = work.span.headers if work.span else passed_on(work.message)
        work.reported = self._reported
        self.shared.producer.publish(outputs, trace, work)

    def _next_in_line(self, work: Work) -> None:
        """Let the record behind this one of its key wait for its turn, as any other of its tenant."""
        place = work.window, work.message.key()
        line = self._lines.get(place)
        if line:
            following = line.popleft()
            self._queue.push(following, "normal", self._steps.tenant_of(following.message))
            asyncio.get_running_loop().call_soon(self._pump)
        else:
            self._lines.pop(place, None)

    def _acknowledged(self) -> None:
        """The broker reported on outputs: those works are done of which it has all."""
        if not self._reported:
            return
        works = self._reported[:]
        self._reported.clear()
        self._done([w for w in works if w.failed is None])
        for work in works:
            if work.failed is not None:
                self._not_taken(work, delivery_error(self.stage.name, work.failed))

    def _not_taken(self, work: Work, error: Exception) -> None:
        """The broker refused an output. For its size: the record is given up, once. Else the engine cannot go on."""
        assert work.outcome
        if not isinstance(error, OutputTooLarge) or work.outcome.event == "dead":
            self._crash(error)
            return
        work.failed = work.refusal = None
        place = provenance.origin_of if work.window.topic in self._tiers else provenance.place_of
        delivery = place(work.message, self.shared.settings)
        giving_up = self._steps.give_up(work.message, delivery, work.outcome.record, Failure(error.reason, str(error), "", retry=False))
        work.task = asyncio.create_task(giving_up)
        self._tasks += 1
        work.task.add_done_callback(partial(self._task_ended, work))

    def _done(self, works: list[Work]) -> None:
        if not works:
            return
        self._source.done(works)
        self._active.difference_update(works)
        now, clock = time.monotonic(), time.time()
        counts, samples, handled, out = self.metrics.counts, self.metrics.samples_wanted, 0, 0
        for work in works:
            outcome = work.outcome
            assert outcome
            if outcome.event == "handled":
                handled += 1
                out += work.outputs
                if self._gate:
                    self._gate.policy.took(now - work.started)
            else:
                counts[outcome.event] += 1
            if work.span:
                work.span.end(outcome.event, outcome.record)
            if samples > 0:
                samples -= 1
                took = now - work.started
                self.metrics.handled(took, max(0.0, (clock - took) * 1000 - work.timestamp))
        counts["done"] += len(works)
        counts["handled"] += handled
        counts["out"] += out
        self._ended.set()

    def _gone(self, work: Work) -> None:
        self._active.discard(work)
        if work.span and work.outcome is None:
            work.span.abandon()
        if not self._ended.is_set():
            self._ended.set()

    # ---- partitions go ---------------------------------------------------------------------------------------------------

    async def _revoked(self, windows: Sequence[Window], deadline: float) -> None:
        """What has not started is dropped; pure work is, too; other work may finish until the deadline."""
        gone = set(windows)
        self._waiting.drop(windows)
        if self._gate:
            self._gate.revoked(windows)
        else:
            self._queue.take_where(lambda w: w.window in gone)
        for place in [place for place in self._lines if place[0] in gone]:
            del self._lines[place]
        if self.stage.effect is Effect.PURE:
            for work in self._active:
                if work.window in gone and work.task:
                    work.task.cancel()
        # Where a stop has a deadline of its own, leaving the group waits no second time for the same work.
        await self._finish(lambda work: work.window in gone, min(deadline, self._steps.stops_at))

    @contextmanager
    def _holding(self, window: Window) -> Iterator[None]:
        self._source.hold(window)
        try:
            yield
        finally:
            self._source.release(window)


def _longest(stage: Stage, settings: StreamSettings) -> float:
    """What one record may take in a slot: its time limit; where it is retried in place, all of its tries and the waits between."""
    if stage.order == "none":
        return stage.time_limit_s
    return stage.retry.tries * (stage.time_limit_s + max(settings.retry_delays_s) * 1.1)


def topics_of(stage: Stage) -> list[Topic]:
    """Every topic a stage needs to exist."""
    retries = [retry_topic(stage.name, tier) for tier in TIERS] if stage.order == "none" else []
    runners = [CATALOGUE[n] for n in ("metrics.recorded", "request.progressed", "audit.recorded", "artifact.rejected")]
    return list(dict.fromkeys([*stage.reads, *stage.writes, *retries, DEAD_LETTERS, *runners]))
