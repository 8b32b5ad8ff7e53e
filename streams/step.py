"""One record's way through a stage: from its bytes to the outputs to publish.

The numbered steps of :meth:`Step._take` are those of ``docs/ARCHITECTURE.md``, section "A record's way through a stage"; the last one, that
the broker has every output before the input is done, is the runner's.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Message

from schemas import ids
from schemas.avro_codec import BadRecord
from schemas.names import BadName, check_name, check_priority
from schemas.records import DeadLetter, Record, RequestProgressed, Verdict
from streams import provenance, steps
from streams.admin import largest_record
from streams.codec import Codec
from streams.contract import Context, Delivery, Stage, Writer
from streams.eager import resume
from streams.failures import Failure, Refused, Rejected, classify
from streams.metrics import StageMetrics
from streams.objects import ObjectStore
from streams.producer import AckedProducer
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, ARTIFACT_VALIDATED, DEAD_LETTERS, TIERS, Topic, retry_topic

log = structlog.get_logger()
_VERDICTS = frozenset({ARTIFACT_VALIDATED.name, ARTIFACT_REJECTED.name})
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

    def publish_progress(self, record: RequestProgressed) -> None:
        output = steps.encode(self.codec, [record])[0]
        # A sign of life is not worth failing for: if it does not arrive, the next one will.
        self.producer.produce(output.topic, output.key, output.value, output.headers, lambda _: None)


@dataclass(slots=True)
class Outcome:
    """What became of a record: the outputs to publish before it is done, and what the metrics call it."""

    outputs: Sequence[steps.Output]
    event: str = "handled"
    """``handled``, ``redelivered`` (recorded outputs published again), ``retried`` or ``dead``."""
    record: Any = None


class Names:
    """Names and ids of records, checked; those seen lately are not looked at twice."""

    def __init__(self) -> None:
        self._good: set[tuple[str, str, str]] = set()

    def check(self, record: Any) -> None:
        """Raises ``BadName`` or ``BadId`` where the record's tenant, project, priority, request or run is not one."""
        names = (getattr(record, "tenant", "-"), getattr(record, "project", "-"), getattr(record, "priority", "normal"))
        if names not in self._good:
            if hasattr(record, "tenant"):
                check_name(names[0], "tenant")
            if hasattr(record, "project"):
                check_name(names[1], "project")
            check_priority(names[2])
            if len(self._good) >= 10_000:
                self._good.clear()
            self._good.add(names)
        if not _CANONICAL.match(getattr(record, "request_id", _ANY_ID)):
            raise ids.BadId(f"{record.request_id[:80]!r} is not a UUIDv7 in canonical form (lower case, with hyphens)")
        run = getattr(record, "run", "")
        if run and not _CANONICAL.match(run):
            raise ids.BadId(f"run {run[:80]!r} is not a UUIDv7 in canonical form")
        if getattr(record, "round", 0) < 0:
            raise BadRecord(f"round {record.round} is negative")


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

    async def take(self, message: Message, window: Any, delivery: Delivery) -> Outcome:
        """The outcome for a record. Raises only what the engine itself needs and lacks (the object store), and when cancelled."""
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
                return await self._take(topic, record, message, delivery)
            except Exception as error:
                failure = classify(error)
                self._tell(failure, delivery, record)
                tier = self.stage.retry.tier(delivery.tries) if failure.retry else None
                if tier is None:
                    return await self.give_up(message, delivery, record, failure)
                delay = self.shared.settings.retry_delays_s[TIERS.index(tier)] * (1 + random.random() / 10)
                if self.stage.order == "none":
                    return self._retry_later(message, delivery, failure, tier, delay)
                self.metrics.count("retried")
                with self._hold(window):
                    await asyncio.sleep(delay)
                delivery = delivery._replace(tries=delivery.tries + 1)

    async def _take(self, topic: Topic, record: Any, message: Message, delivery: Delivery) -> Outcome:
        shared, stage = self.shared, self.stage
        context = Context(stage.name, record, delivery, shared)
        # 2. A submission is registered under its request id before anything is done for it.
        if topic.entry:
            await asyncio.to_thread(steps.register, shared.objects, topic, record, message.value() or b"", delivery.timestamp)
        # 3. What this step published before is published again, not done again.
        if self._recorded:
            known = await asyncio.to_thread(steps.recorded, shared.objects, shared.codec, record, stage.name, context.round)
            if known is not None:
                return Outcome(known, "redelivered", record)
            context.stamp()
        # 4. The handler, within its time. Until it waits for the first time, which most pure handlers never do, it is a mere call.
        handling: Any = stage.handler(record, context)
        try:
            try:
                waited = handling.send(None)
            except StopIteration as end:
                produced: Sequence[Record] = end.value
            else:
                produced = await self._within_its_time(handling, waited)
        except Rejected as rejection:
            produced = [self._rejected(context, rejection)]
        if self._recorded:
            context.stamp()  # the time the step ended, said once
        # 5. A verdict is claimed for its request, and a recorded step's outputs are written, before anyone can see them.
        records = context.finish(produced)
        outputs = steps.encode(shared.codec, records)
        for output in outputs:
            if output.topic not in self._writes:
                raise Refused("undeclared_output", f"stage {stage.name} wrote to {output.topic}, which it does not declare")
            if output.topic in _VERDICTS:
                outputs = await asyncio.to_thread(steps.settle_verdict, shared.objects, shared.codec, records, outputs)
                break
        if self._recorded:
            outputs = await asyncio.to_thread(
                steps.record, shared.objects, record, stage.name, context.round, outputs, shared.settings.code_version
            )
        return Outcome(outputs, "handled", record)

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
        log.warning(
            "step failed",
            stage=self.stage.name,
            reason=failure.reason,
            message=failure.message,
            tries=delivery.tries,
            request=getattr(record, "request_id", None),
            place=f"{delivery.topic}/{delivery.partition}/{delivery.offset}",
        )

    def _retry_later(self, message: Message, delivery: Delivery, failure: Failure, tier: str, delay: float) -> Outcome:
        headers = tuple(provenance.retry_headers(message, delivery, failure, delay))
        return Outcome(
            [steps.Output(retry_topic(self.stage.name, tier).name, message.key(), message.value(), own_headers=headers)], "retried"
        )

    async def give_up(self, message: Message, delivery: Delivery, record: Any, failure: Failure) -> Outcome:
        """To the dead letters with its provenance; the request, where it is known and this stage's to end, ends as rejected."""
        shared = self.shared
        letter = provenance.dead_letter(self.stage.name, message, delivery, failure, record, shared.settings.code_version)
        records: list[Record] = [self._fitting(letter)]
        if self.stage.ends_requests and failure.ends_request and getattr(record, "request_id", None):
            context = Context(self.stage.name, record, delivery, shared)
            context.stamp()
            records += context.finish(
                [
                    context.make(
                        Verdict,
                        state="rejected",
                        stage=self.stage.name,
                        reason=f"dead_letter.{failure.reason}",
                        message=f"given up after {delivery.tries} tries: {failure.message}",
                    )
                ]
            )
        outputs = steps.encode(shared.codec, records)
        if len(records) > 1:
            outputs = await asyncio.to_thread(steps.settle_verdict, shared.objects, shared.codec, records, outputs)
        return Outcome(outputs, "dead", record)

    def _fitting(self, letter: DeadLetter) -> DeadLetter:
        """The letter, without its value or even its headers where not even ``dead.letters`` would take it."""
        limit = largest_record(DEAD_LETTERS, self.shared.settings) - 4096
        for smaller in (provenance.without_value, provenance.without_headers):
            if len(self.shared.codec.encode(DEAD_LETTERS, letter)) <= limit:
                break
            letter = smaller(letter)
        return letter
