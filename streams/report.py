"""What a stage or sink tells of itself beside its work: metrics once a second, and ranges that were lost, said loudly and on the record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError

from schemas import ids
from schemas.records import AuditRecorded, MetricsRecorded, Record
from streams import steps
from streams.health import Pulse
from streams.lag import Gauges
from streams.metrics import StageMetrics
from streams.producer import delivery_error
from streams.step import Shared
from streams.taken import LostRange

log = structlog.get_logger()


class Reporter:
    """Belongs to the event loop. ``actor`` is how audit events name who speaks; ``failed`` hears of a report that the broker did not take."""

    def __init__(
        self, actor: str, shared: Shared, metrics: StageMetrics, gauges: Gauges, pulse: Pulse, failed: Callable[[Exception], None]
    ) -> None:
        self._actor, self._shared, self._metrics, self._gauges, self._pulse, self._failed = actor, shared, metrics, gauges, pulse, failed

    async def every_second(
        self, working_since: Callable[[], float | None], worth_telling: Callable[[MetricsRecorded], bool] = lambda _: True
    ) -> None:
        """Until cancelled: beat the pulse, flush the metrics, publish those that are worth it."""
        while True:
            await asyncio.sleep(1)
            self._pulse.beat(working_since())
            state = await self._gauges.state()
            found = self._metrics.flush(self._new_id(), state)
            if found and worth_telling(found):
                self.publish_soon([found])

    def lost(self, lost: LostRange) -> None:
        """Records were deleted before they were read; the source goes on at the earliest there is."""
        topic = lost.topic.removeprefix(self._shared.settings.topic_prefix)
        log.error(
            "records lost to retention",
            actor=self._actor,
            topic=topic,
            partition=lost.partition,
            committed=lost.committed,
            earliest=lost.earliest,
            records=lost.records,
        )
        details = {"committed": str(lost.committed), "earliest": str(lost.earliest)}
        if lost.records is not None:
            details["records"] = str(lost.records)
        if lost.made_anew:
            details["topic"] = "made anew"
        event = AuditRecorded(
            event_id=self._new_id(), actor=self._actor, action="range_lost", target=f"{topic}/{lost.partition}", occurred_at=ids.now_ms(),
            details=details,
        )  # fmt: skip
        self.publish_soon([event])

    def publish_soon(self, records: Sequence[Record]) -> None:
        def report(error: KafkaError | None) -> None:
            if error is not None:
                self._failed(delivery_error(self._actor, error))

        for output in steps.encode(self._shared.codec, records):
            self._shared.producer.produce(output.topic, output.key, output.value, output.headers, report)

    def _new_id(self) -> str:
        return self._shared.writer.next_id(ids.now_ms())
