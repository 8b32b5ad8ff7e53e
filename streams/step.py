"""One record's way through a stage: from its bytes to the outputs to publish.

The numbered steps of :meth:`Step._take` are those of ``docs/ARCHITECTURE.md``, section "A record's way through a stage"; the last one, that
the broker has every output before the input is done, is the runner's.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

import structlog
from confluent_kafka import Message

from schemas import ids
from schemas.avro_codec import BadRecord
from schemas.names import BadName, check_name, check_priority
from schemas.records import Record, RequestProgressed, Step, Verdict
from streams import fitting, provenance, steps, tracing
from streams.admission import Admission
from streams.codec import Codec
from streams.contract import Context, Delivery, Effect, Stage, Writer
from streams.eager import resume
from streams.failures import Failure, Refused, Rejected, Unavailable, classify
from streams.metrics import StageMetrics
from streams.objects import ObjectStore
from streams.paid import Calls
from streams.producer import AckedProducer, OutputTooLarge
from streams.quota import Account, Quotas
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, TIERS, Topic, retry_topic
from streams.tracing import Tracing

log = structlog.get_logger()
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the stages of one worker share."""

    settings: StreamSettings
    codec: Codec
    producer: AckedProducer
    objects: ObjectStore
    writer: Writer
    worker: str
    tracing: Tracing | None = None

    def publish_progress(self, record: RequestProgressed) -> None:
        output = steps.encode(self.codec, [record])[0]
        # A sign of life is not worth failing for: if it does not arrive, the next one will.
        self.producer.produce(output.topic, output.key, output.value, output.headers, lambda _: None)

    @property
    def quotas(self) -> Quotas:
        return Quotas(self.objects, self.settings.quota)

    async def account(self, source: Any) -> Account | None:
        """What limits a record's work, None where nothing does."""
        quotas = self.quotas
        return await asyncio.to_thread(quotas.account, source) if quotas.may_limit(source) else None

    async def deliver(self, records: Sequence[Record]) -> None:
        """Publish beside a step's outputs; returns when the broker has the records for good. Raises ``DeliveryFailed``."""
        sent = [self.producer.send(o.topic, o.key, o.value, o.headers) for o in steps.encode(self.codec, records)]
        await asyncio.gather(*sent)


@dataclass(slots=True)
class Outcome:
    """What became of a record: the outputs to publish before it is done, and what the metrics call it."""

    outputs: Sequence[steps.Output]
    event: str = "handled"
    """``handled``, ``redelivered`` (recorded outputs published again), ``retried``, ``waiting``, ``dead``, ``shed`` or ``late``."""
    record: Any = None


_ANY_ADMISSION = Admission()
"""Of a stage whose records wait in no queue of classes: what comes after its deadline is not begun there either."""
_of_step = attrgetter("tenant", "project", "priority", "run")


class Names:
    """Names and ids of records, checked; those seen lately are not looked at twice."""

    def __init__(self) -> None:
        self._good: set[tuple[str, str, str, str]] = set()

    def check(self, record: Any) -> None:
        """Raises ``BadName`` or ``BadId`` where the record's tenant, project, priority, request or run is not one."""
        if isinstance(record, Step):
            names, request, round = _of_step(record), record.request_id, record.round
        else:
            names = tuple(getattr(record, name, usual) for name, usual in _USUAL.items())  # type: ignore[assignment]
            request, round = getattr(record, "request_id", _ANY_ID), 0
        if names not in self._good:
            self._look_at(*names)
            if len(self._good) >= 10_000:
                self._good.clear()
            self._good.add(names)
        if not _CANONICAL.match(request):
            raise ids.BadId(f"{request[:80]!r} is not a UUIDv7 in canonical form (lower case, with hyphens)")
        if round < 0:
            raise BadRecord(f"round {round} is negative")

    def tenant(self, record: Any) -> str:
        """In whose line a record waits: its own tenant's; empty, one line for all such, where it has none that may be one."""
        try:
            self.check(record)
        except (BadName, BadRecord, ids.BadId):  # its step will say so
            return ""
        return getattr(record, "tenant", "")

    def _look_at(self, tenant: str, project: str, priority: str, run: str) -> None:
        check_name(tenant, "tenant")
        check_name(project, "project")
        check_priority(priority)
        if run and not _CANONICAL.match(run):
            raise ids.BadId(f"run {run[:80]!r} is not a UUIDv7 in canonical form")


_USUAL = {"tenant": "none", "project": "none", "priority": "normal", "run": ""}
"""What stands for names that a record's kind does not have."""
_ANY_ID = "00000000-0000-7000-8000-000000000000"


class Steps:
    """Takes one stage's records. Has no state but what it was made with, so any number of records are under way at once."""

    def __init__(self, stage: Stage, shared: Shared, metrics: StageMetrics, hold: Callable[[Any], Any]) -> None:
        self.stage, self.shared, self.metrics = stage, shared, metrics
        self._inputs = {t.name: t for t in stage.reads}
        self._writes = frozenset(t.name for t in stage.writes)
        self._recorded = stage.is_recorded
        self._names = Names()
        self._hold = hold
        """For in-place retry: a context manager over a window, during which its partition is not fetched."""
        self.stops_at = math.inf
        """When (of ``time.monotonic``) work in flight is cut off, once a stop was asked for."""

    def tenant_of(self, message: Message) -> str:
        """In whose line a record waits (:meth:`Names.tenant`): whom it says it is for, not what a header says that anybody may have written.

        One whose schema was not met yet waits with those that are no records: the registry is not asked in the loop's time.
        """
        name = provenance.topic_of(message, self.shared.settings)
        topic = self._inputs.get(name) or self._inputs.get(provenance.origin_of(message, self.shared.settings).topic)
        value = message.value()
        if topic is None or topic.record is None or (decode := self.shared.codec.known_decoder(topic.record, value)) is None:
            return ""
        try:
            return self._names.tenant(decode(value))
        except BadRecord:
            return ""

    async def take(self, message: Message, window: Any, delivery: Delivery, refusal: Rejected | None = None) -> Outcome:
        """The outcome for a record; with ``refusal`` (shed, late) its step ends so instead of being handled.

        Raises only what the engine itself needs and lacks (the object store), and when cancelled.
        """
        since = 0  # when the record began to wait without a try in between, ms
        while True:
            record: Any = None
            try:
                # 1. Bytes to a record whose names and ids are what they should be.
                topic = self._inputs.get(delivery.topic)
                if topic is None or topic.record is None:
                    raise Refused("bad_origin", f"a record of {delivery.topic[:200]!r} has no business in stage {self.stage.name}")
                value = message.value()
                decode = self.shared.codec.known_decoder(topic.record, value)
                if decode is None:  # a schema not seen yet: the registry is asked, but not in the loop's time
                    decode = await asyncio.to_thread(self.shared.codec.find_decoder, topic.record, value)
                record = decode(value)
                self._check(record)
                return await self._take(topic, record, message, delivery, refusal)
            except Exception as error:
                failure, now = classify(error), ids.now_ms()
                since = 0 if failure.wait_s is None else since or self._waits_since(message) or now
                if failure.wait_s is not None and now < since + self.shared.settings.longest_wait_s * 1000:
                    log.info("step waits", stage=self.stage.name, reason=failure.reason, message=failure.message, seconds=failure.wait_s)
                    if self.stage.order == "none":
                        return self._wait(message, delivery, failure, failure.wait_s, since)
                    self.metrics.count("waiting")
                    with self._hold(window):
                        await asyncio.sleep(failure.wait_s)
                    continue
                self._tell(failure, delivery, record)
                tier = self.stage.retry.tier(delivery.tries) if failure.retry else None
                if tier is None:
                    try:
                        return await self.give_up(message, delivery, record, failure)
                    except Unavailable as trouble:  # then not even this can be written down
                        if self.stage.order != "none":
                            raise
                        return self._wait(message, delivery, classify(trouble), trouble.wait_s, since)
                if self.stage.order == "none":
                    # The tiers are the steps of the backoff (each about twelve times the one before); the tenth by chance parts those that failed together.
                    delay = self.shared.settings.retry_delays_s[TIERS.index(tier)] * (1 + random.random() / 10)
                    return self._retry_later(message, delivery, failure, tier, delay, since)
                self.metrics.count("retried")
                with self._hold(window):
                    await asyncio.sleep(self._backoff(delivery.tries))
                delivery = delivery._replace(tries=delivery.tries + 1)

    async def _take(self, topic: Topic, record: Any, message: Message, delivery: Delivery, refusal: Rejected | None) -> Outcome:
        shared, stage = self.shared, self.stage
        context = self._context(record, delivery)
        # 2. A submission is registered under its request id before anything is done for it.
        if topic.entry:
            await asyncio.to_thread(steps.register, shared.objects, topic, record, message.value() or b"", delivery.timestamp)
        # 3. What this step published before is published again, not done again. Giving up is an outcome of any step, but a rare one: one whose
        #    outputs are not recorded looks for it only when it is tried again.
        if self._recorded or delivery.tries > 1:
            known = await asyncio.to_thread(steps.recorded, shared.objects, shared.codec, record, stage.name, context.round)
            if known is not None:
                return Outcome(known, "redelivered", record)
        if self._recorded:
            context.stamp()
        # 4. The handler, within its time. Until it waits for the first time, which most pure handlers never do, it is a mere call.
        event = "handled"
        if refusal is None and (stage.admission or self._recorded):
            refusal = (stage.admission or _ANY_ADMISSION).passed(record)
        try:
            if refusal is not None:
                event = "shed" if refusal.reason == "shed" else "late"
                raise refusal
            if self._recorded and record.run:
                steps.check_effects(shared.objects, record.run, stage.name)
            if stage.counts and shared.settings.quota.counts == "all" and (account := await shared.account(record)):
                step = ids.step_name(record.request_id, stage.name, context.round)
                await asyncio.to_thread(account.reserve, step, record.request_id, Decimal(0))
            try:
                handling: Any = stage.handler(record, context)
                try:
                    waited = handling.send(None)
                except StopIteration as end:
                    produced: Sequence[Record] = end.value
                else:
                    produced = await self._within_its_time(handling, waited)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Nobody told this step to end: something that the handler waited for was cancelled. Taken for an order, the record would be in
                # hand for ever, neither tried again nor given up.
                raise RuntimeError("the handler was cancelled from within") from error
            if context.calls:
                await context.calls.bill.settle()
        except Rejected as rejection:
            if context.calls:
                await context.calls.bill.settle(closed=rejection.reason)
            produced = [self._rejected(context, rejection)]
        if self._recorded:
            context.stamp()  # the time the step ended, said once
        # 5. A recorded step's outputs are written, and a verdict is claimed for its request, before anyone can see them.
        records = context.finish(produced)
        outputs = steps.encode(shared.codec, records)
        for output in outputs:
            if output.topic not in self._writes:
                raise Refused("undeclared_output", f"stage {stage.name} wrote to {output.topic}, which it does not declare")
        claimed = self._recorded or any(output.topic in steps.VERDICTS for output in outputs)
        if claimed and (large := next((o for o in outputs if not fitting.fits(o, shared.settings)), None)):
            # Claimed is claimed: it could be neither published nor taken back.
            raise Refused(OutputTooLarge.reason, f"{large.topic}: an output of {len(large.value or b''):,} bytes is more than it takes")
        if self._recorded:
            outputs = await self._record(record, context.round, outputs)
        elif claimed:
            outputs = await asyncio.to_thread(steps.settle, shared.objects, record, outputs)
            await self._refund(record, outputs)
        return Outcome(outputs, event, record)

    async def _record(self, record: Any, round: int, outputs: list[steps.Output]) -> list[steps.Output]:
        version = self.shared.settings.code_version
        outputs = await asyncio.to_thread(steps.record, self.shared.objects, record, self.stage.name, round, outputs, version)
        await self._refund(record, outputs)
        return outputs

    async def _refund(self, record: Any, outputs: Sequence[steps.Output]) -> None:
        """A request that is rejected does not count against its tenant's quota."""
        if any(o.topic == ARTIFACT_REJECTED.name for o in outputs) and self.shared.quotas.may_limit(record):
            await asyncio.to_thread(self.shared.quotas.refund, record)

    def _context(self, record: Any, delivery: Delivery) -> Context:
        context = Context(self.stage.name, record, delivery, self.shared)
        if self.stage.effect is Effect.PAID:
            context.calls = Calls(record, context, self.shared, stops_at=lambda: self.stops_at)
            context.calls.within(self.stage.time_limit_s)
        return context

    async def _within_its_time(self, handling: Any, waited: Any) -> Sequence[Record]:
        limit = asyncio.timeout(self.stage.time_limit_s)
        try:
            async with limit:
                produced: Sequence[Record] = await resume(handling, waited)
                return produced
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"{self.stage.name} took longer than its limit of {self.stage.time_limit_s:g} s") from error
            raise

    def _rejected(self, context: Context, rejection: Rejected) -> Verdict:
        return context.make(
            Verdict,
            state="rejected",
            stage=self.stage.name,
            reason=rejection.reason,
            message=str(rejection)[:2000],
            retry_after_s=rejection.retry_after_s,
        )

    def _check(self, record: Any) -> None:
        try:
            self._names.check(record)
        except (BadName, ids.BadId) as error:
            # A record under such a name has no place where a verdict could be claimed, nor a tenant to tell.
            raise Refused("bad_name" if isinstance(error, BadName) else "bad_id", str(error), ends_request=False) from error

    # ---- failure ---------------------------------------------------------------------------------------------------------

    def _tell(self, failure: Failure, delivery: Delivery, record: Any) -> None:
        self.metrics.error(failure.reason)
        tracing.event("failed", reason=failure.reason, tries=delivery.tries)
        log.warning(
            "step failed",
            stage=self.stage.name,
            reason=failure.reason,
            message=failure.message,
            tries=delivery.tries,
            request=getattr(record, "request_id", None),
            place=f"{delivery.topic}/{delivery.partition}/{delivery.offset}",
        )

    def _waits_since(self, message: Message) -> int:
        """As its header says, which is believed of what comes out of a delay tier alone: elsewhere it is its producer's."""
        return 0 if provenance.topic_of(message, self.shared.settings) in self._inputs else provenance.waits_since(message)

    def _retry_later(self, message: Message, delivery: Delivery, failure: Failure, tier: str, delay: float, since: int) -> Outcome:
        headers = provenance.retry_headers(message, delivery, failure, delay, since)
        return Outcome([steps.Output(retry_topic(self.stage.name, tier).name, message.key(), message.value(), headers)], "retried")

    def _wait(self, message: Message, delivery: Delivery, failure: Failure, seconds: float, since: int) -> Outcome:
        """Into the longest tier that is not longer than the wait, and no try is counted: who waits longer comes round again."""
        delays = self.shared.settings.retry_delays_s
        n = max((n for n, delay in enumerate(delays) if delay <= seconds), default=0)
        delay = min(seconds, delays[n]) * (1 + random.random() / 10)
        outcome = self._retry_later(message, delivery._replace(tries=delivery.tries - 1), failure, TIERS[n], delay, since)
        outcome.event = "waiting"
        return outcome

    def _backoff(self, failed_tries: int) -> float:
        """Seconds before an in-place retry: exponential with full jitter, from the first tier's delay, never beyond the last one's."""
        first, *_, last = self.shared.settings.retry_delays_s
        return random.random() * min(last, first * 2.0 ** min(failed_tries - 1, 30))

    async def give_up(self, message: Message, delivery: Delivery, record: Any, failure: Failure) -> Outcome:
        """To the dead letters with its provenance; the request, where it is known and this stage's to end, ends as rejected.

        A step has one outcome. Where somebody else has done it meanwhile (a duplicate of its input, a zombie), that is published instead; where this
        is first, it is what everybody publishes who comes to the step again.
        """
        shared = self.shared
        ended: list[Record] = []
        context: Context | None = None
        if failure.ends_request and getattr(record, "request_id", None):
            context = self._context(record, delivery)
            context.stamp()
            if context.calls:
                await context.calls.bill.settle(closed=f"given up: {failure.reason}")
                if report := context.calls.bill.report():
                    failure = replace(failure, message=f"{failure.message} ({report})")
            if self.stage.ends_requests:
                ended = [
                    context.make(
                        Verdict,
                        state="rejected",
                        stage=self.stage.name,
                        reason=f"dead_letter.{failure.reason}",
                        message=f"given up after {delivery.tries} tries: {failure.message}",
                    )
                ]
            ended = context.finish(ended)
        letter = provenance.dead_letter(self.stage.name, message, delivery, failure, record, shared.settings.code_version)
        records: list[Record] = [fitting.letter(letter, shared.codec, shared.settings)]
        records += [fitting.cut(r, shared.codec, shared.settings) for r in ended]
        outputs = steps.encode(shared.codec, records)
        if context is None or not (self._recorded or ended):
            return Outcome(outputs, "dead", record)
        first = await self._record(record, context.round, outputs)
        if steps.gave_up(first):
            return Outcome(self._cut(first), "dead", record)
        if failure.reason != OutputTooLarge.reason:
            return Outcome(first, "redelivered", record)
        # What is recorded is what no topic takes, perhaps the verdict, too.
        outputs = await asyncio.to_thread(steps.settle, shared.objects, record, outputs)
        await self._refund(record, outputs)
        return Outcome(self._cut(outputs), "dead", record)

    def _cut(self, outputs: Sequence[steps.Output]) -> list[steps.Output]:
        return [steps.cut(self.shared.codec, o, self.shared.settings) for o in outputs]
