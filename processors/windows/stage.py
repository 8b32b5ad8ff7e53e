"""Live windows on Faust: usage per tenant, minute, hour and day; what is out of the ordinary in a stage's latency, error rate and cost.

Live estimates: ClickHouse is the truth. Inputs come at least once, so ids seen in an open window are dropped; isolated runs are ignored.

Faust is used inside its safe limits (``tests/windows/test_faust_traps.py`` knows them): aiokafka driver, concurrency 1, agents that let no exception out, no
exactly-once, tables changed only from their own source's events. All state lies in tables whose changelogs are made together. Where one is lost,
all are made anew and the consumer group has a new name, so that everything is read again: state is whole or rebuilt from the topics.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import structlog

from processors.windows.subjects import Anomaly, StageHealth, TenantUsage
from processors.windows.tumbling import LATE_MS, MINUTE, Seen
from schemas import ids
from schemas.records import AnomalyRaised, MetricsRecorded, Record, UsageRecorded
from streams import fitting, provenance
from streams.codec import Codec
from streams.contract import Delivery
from streams.failures import classify
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.state_topics import make_together, partitions_of
from streams.topics import ANOMALY_RAISED, DEAD_LETTERS, METRICS_RECORDED, USAGE_RECORDED, Topic, key_of

log = structlog.get_logger()
NAME = "windows"
TENANTS, TENANTS_SEEN, STAGES, STAGES_SEEN, COSTS = (f"windows.{n}" for n in ("tenants", "tenants-seen", "stages", "stages-seen", "costs"))
"""Topics of its own: the tables' changelogs, and usage by stage, since a stage's cost comes from many tenants' partitions."""
_SILENT_S = 120.0
_COMPACT = {"cleanup.policy": "compact"}
_DAY = {"retention.ms": str(24 * 3_600_000)}


class WindowsApp:
    """The Faust app. ``counts`` says whether a run's usage counts (isolated ones do not); it may block."""

    def __init__(self, settings: StreamSettings, counts: Callable[[str], bool]) -> None:
        self.settings, self._counts = settings, counts
        self._codec = Codec(Registry(settings.registry_url))
        self._seen: dict[tuple[str, bytes], Seen] = {}
        self._beaten_at = time.monotonic()
        self.group = ""
        """The consumer group, once it is known."""
        self.app: Any = None

    def _make_topics(self) -> tuple[int, int]:
        """The topics that hold its state; returns the partitions of usage and of metrics. Blocks."""
        settings = self.settings
        self._codec.registry.register([USAGE_RECORDED, METRICS_RECORDED, ANOMALY_RAISED, DEAD_LETTERS])
        tenants, stages = (partitions_of(settings, t.name) for t in (USAGE_RECORDED, METRICS_RECORDED))
        own = {TENANTS: tenants, TENANTS_SEEN: tenants, STAGES: stages, STAGES_SEEN: stages, COSTS: stages}
        state = make_together(settings, own, {**dict.fromkeys((TENANTS, TENANTS_SEEN, STAGES, STAGES_SEEN), _COMPACT), COSTS: _DAY})
        self.group = f"{settings.group_prefix}.{NAME}.{state}"
        return tenants, stages

    def _make_app(self, tenants: int, stages: int) -> None:
        settings = self.settings
        self.app = faust.App(
            self.group,
            broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
            store="memory://",
            datadir=tempfile.gettempdir() + f"/{self.group}",  # nothing is kept there: the tables are in memory
            key_serializer="raw",
            value_serializer="raw",
            autodiscover=False,
            web_enabled=False,
            logging_config=None,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            consumer_auto_offset_reset="earliest",
            broker_commit_interval=1.0,
            producer_acks=-1,
            stream_wait_empty=False,
        )
        self._usage, self._metrics = self._topic(USAGE_RECORDED.name, tenants), self._topic(METRICS_RECORDED.name, stages)
        self._costs = self._topic(COSTS, stages)
        self._anomalies, self._letters = self._topic(ANOMALY_RAISED.name), self._topic(DEAD_LETTERS.name)
        self._tenants, self._tenants_seen = self._table(TENANTS, tenants), self._table(TENANTS_SEEN, tenants)
        self._stages, self._stages_seen = self._table(STAGES, stages), self._table(STAGES_SEEN, stages)
        self.app.on_partitions_revoked.connect(self._forget, weak=False)
        for topic, handle in ((self._usage, self._on_usage), (self._metrics, self._on_metrics), (self._costs, self._on_cost)):
            self._read(topic, handle)

    def _topic(self, name: str, partitions: int | None = None) -> Any:
        return self.app.topic(
            self.settings.topic_prefix + name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=partitions,
        )

    def _table(self, name: str, partitions: int) -> Any:
        changelog = self.app.topic(
            self.settings.topic_prefix + name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            partitions=partitions, compacting=True, internal=True, allow_empty=True,
        )  # fmt: skip
        return self.app.Table(
            name, partitions=partitions, changelog_topic=changelog, key_type=bytes, value_type=bytes
        )  # serialized "raw", as the app

    def _read(self, topic: Any, handle: Callable[[Any], Awaitable[None]]) -> None:
        async def agent(stream: Any) -> None:
            async for event in stream.events():
                try:
                    await handle(event)
                except Exception as error:  # one that escapes would acknowledge the record and lose it without a word
                    await self._give_up(event, error)

        self.app.agent(topic, name=f"{NAME}.{topic.get_topic_name()}", concurrency=1)(agent)

    async def _forget(self, *_: Any, **__: Any) -> None:
        self._seen.clear()

    # ---- events ----------------------------------------------------------------------------------------------------------

    async def _on_usage(self, event: Any) -> None:
        usage: UsageRecorded = await self._decode(USAGE_RECORDED, event.value)
        if usage.run and not await asyncio.to_thread(self._counts, usage.run):
            return
        key = usage.tenant.encode()
        tenant = TenantUsage(self._tenants.get(key))
        seen = self._seen_by(self._tenants_seen, key, tenant.windows.watermark)
        at = _time(event, usage.occurred_at)
        counted = tenant.take(usage, at, event.message.offset, seen)
        self._tenants[key] = tenant.document()
        if counted:
            self._remember(self._tenants_seen, key, seen, at, tenant.windows.watermark)
            await self._costs.send(key=usage.stage.encode(), value=event.value)

    async def _on_metrics(self, event: Any) -> None:
        metrics: MetricsRecorded = await self._decode(METRICS_RECORDED, event.value)
        await self._stage(
            metrics.stage, event, _time(event, metrics.window_start), lambda stage, *about: stage.take_metrics(metrics, *about)
        )

    async def _on_cost(self, event: Any) -> None:
        usage: UsageRecorded = await self._decode(USAGE_RECORDED, event.value)
        await self._stage(usage.stage, event, _time(event, usage.occurred_at), lambda stage, *about: stage.take_cost(usage, *about))

    async def _stage(self, name: str, event: Any, at: int, take: Callable[..., list[Anomaly]]) -> None:
        key = name.encode()
        stage = StageHealth(self._stages.get(key))
        watermark = max(w.watermark for w in stage.windows.values())
        seen = self._seen_by(self._stages_seen, key, watermark)
        place = f"{event.message.topic}/{event.message.partition}"
        found = take(stage, at, event.message.offset, place, seen)
        self._stages[key] = stage.document()
        self._remember(self._stages_seen, key, seen, at, watermark)
        for anomaly in found:
            await self._raise(name, anomaly)

    async def _raise(self, stage: str, anomaly: Anomaly) -> None:
        judged = anomaly.judged
        record = AnomalyRaised(
            event_id=ids.derived_id(anomaly.window_start, "anomaly", "stage", stage, anomaly.metric, anomaly.window_start),
            subject_kind="stage", subject=stage, metric=anomaly.metric, window_start=anomaly.window_start, window_ms=MINUTE,
            observed=judged.observed, expected=judged.expected, sigma=judged.sigma, occurred_at=anomaly.window_start + MINUTE, revision=anomaly.revision,
        )  # fmt: skip
        log.warning("anomaly", stage=stage, metric=anomaly.metric, observed=judged.observed, expected=judged.expected, sigma=judged.sigma)
        await self._publish(self._anomalies, ANOMALY_RAISED, record, record.event_id)

    async def _publish(self, to: Any, topic: Topic, record: Record, event_id: str) -> None:
        await to.send(key=key_of(record), value=self._codec.encode(topic, record), headers={"millrace-event-id": event_id.encode()})

    async def _decode(self, topic: Topic, value: bytes | None) -> Any:
        assert topic.record
        decode = self._codec.known_decoder(topic.record, value)
        if decode is None:
            decode = await asyncio.to_thread(self._codec.find_decoder, topic.record, value)
        assert value is not None
        return decode(value)

    async def _give_up(self, event: Any, error: Exception) -> None:
        """To the dead letters, as the runner does. Where not even that works, the app ends and is started again."""
        message = event.message
        topic = message.topic.removeprefix(self.settings.topic_prefix)
        failure = classify(error)
        place = Delivery(topic, message.partition, message.offset, max(0, int((message.timestamp or 0) * 1000)), 1)
        log.warning(
            "record given up", stage=NAME, reason=failure.reason, message=failure.message, place=f"{topic}/{place.partition}/{place.offset}"
        )
        headers = [(name, value) for name, value in message.headers or ()]
        letter = provenance.letter_of(NAME, place, failure, None, self.settings.code_version, message.key, message.value, headers)
        letter = fitting.letter(letter, self._codec, self.settings)
        try:
            await self._publish(self._letters, DEAD_LETTERS, letter, letter.event_id)
        except Exception as unsaid:
            await self.app.crash(unsaid)

    # ---- ids seen --------------------------------------------------------------------------------------------------------

    def _seen_by(self, table: Any, key: bytes, watermark: int) -> Seen:
        """The ids of a subject, out of its table where this process has not got them in hand."""
        known = self._seen.get((table.name, key))
        if known is None:
            known = self._seen[table.name, key] = Seen()
            newest = watermark - watermark % MINUTE
            for minute in range(newest - LATE_MS - MINUTE, newest + MINUTE, MINUTE) if watermark else ():
                number = 0
                while (body := table.get(_chunk(key, minute, number))) is not None:
                    known.load_chunk(minute, body)
                    number += 1
        return known

    def _remember(self, table: Any, key: bytes, seen: Seen, at: int, watermark: int) -> None:
        minute = at - at % MINUTE
        if minute in seen.minutes:
            number, body = seen.last_chunk(minute)
            table[_chunk(key, minute, number)] = body
        for gone, chunks in seen.forget(watermark - LATE_MS - MINUTE):
            for number in range(chunks):
                table.pop(_chunk(key, gone, number), None)

    # ---- life ------------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Make the topics of its own where they are not whole, then work until ``stop`` is set. Raises what made going on impossible."""
        beating = asyncio.create_task(self._beat())
        try:
            self._make_app(*await asyncio.to_thread(self._make_topics))
            app = self.app
            await app.start()
            try:
                await app.wait(stop.wait())
            finally:
                await app.stop()
        finally:
            beating.cancel()
        if app.crashed:
            raise app.crash_reason or RuntimeError("the windows' app ended without saying why")

    async def _beat(self) -> None:
        while True:
            self._beaten_at = time.monotonic()
            await asyncio.sleep(1)

    def wrong(self) -> list[str]:
        """What does not go on, for whoever supervises (``streams.health.Answers``)."""
        silent = time.monotonic() - self._beaten_at
        return [f"{NAME}: the event loop has not turned for {silent:.0f} s"] if silent > _SILENT_S else []

    def not_ready(self) -> list[str]:
        """What is missing until records are taken."""
        if self.app and self.app.started and not self.app.rebalancing and self.app.tables.recovery.completed.is_set():
            return []
        return [f"{NAME}: its tables are not there yet"]


def _time(event: Any, occurred_at: int) -> int:
    """When an event was, but not after its record came: one that claims the far future would make all that follow late."""
    return min(occurred_at, int(event.message.timestamp * 1000)) if event.message.timestamp else occurred_at


def _chunk(key: bytes, minute: int, number: int) -> bytes:
    return b"%s/%d/%d" % (key, minute, number)
