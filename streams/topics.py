"""Every topic, declared once: its schema, key, partitions, retention and owner. Topics are created from here and routed by it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import records
from schemas.avro_codec import SCHEMA_NAMES
from schemas.names import PRIORITIES
from schemas.records import Record

DAY_MS = 86_400_000
TIERS = ("5s", "1m", "10m")
PIPELINE = ("extract", "plan", "generate", "validate")
SINK = "sink"
ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Topic:
    """``record`` is None where a topic carries other topics' values as they are (retry tiers)."""

    name: str
    record: type[Record] | None
    key: str
    owner: str
    partitions: int | None = None
    """None: as the settings say."""
    retention_ms: int = 30 * DAY_MS
    log_append_time: bool = False
    large: bool = False
    """Takes records of ten times the usual size, so that a dead letter always fits."""
    entry: bool = False
    """Producers write here; the request is registered by the first stage that reads it."""
    priority: str | None = None
    """The class whose queue this is."""

    @property
    def schema(self) -> str | None:
        return SCHEMA_NAMES[self.record] if self.record else None


def _entry(name: str, record: type[Record]) -> Topic:
    return Topic(name, record, "request", "doors", log_append_time=True, entry=True)


VIDEO_SUBMITTED = _entry("video.submitted", records.VideoSubmitted)
PROMPT_SUBMITTED = _entry("prompt.submitted", records.PromptSubmitted)
FEATURES_EXTRACTED = Topic("features.extracted", records.FeaturesExtracted, "request", "extract")
GENERATION_REQUESTED = {
    p: Topic(f"generation.requested.{p}", records.GenerationRequested, "request", "plan", priority=p) for p in PRIORITIES
}
ARTIFACT_GENERATED = Topic("artifact.generated", records.ArtifactGenerated, "request", "generate")
ARTIFACT_VALIDATED = Topic("artifact.validated", records.Verdict, "request", "validate")
ARTIFACT_REJECTED = Topic("artifact.rejected", records.Verdict, "request", "validate")
REQUEST_PROGRESSED = Topic("request.progressed", records.RequestProgressed, "request", "stages", retention_ms=DAY_MS)
USAGE_RECORDED = Topic("usage.recorded", records.UsageRecorded, "tenant", "stages")
METRICS_RECORDED = Topic("metrics.recorded", records.MetricsRecorded, "stage", "runner", retention_ms=7 * DAY_MS)
ANOMALY_RAISED = Topic("anomaly.raised", records.AnomalyRaised, "subject", "windows", partitions=1)
AUDIT_RECORDED = Topic("audit.recorded", records.AuditRecorded, "actor", "doors", partitions=1, retention_ms=365 * DAY_MS)
DEAD_LETTERS = Topic("dead.letters", records.DeadLetter, "as the original", "runner", large=True, retention_ms=90 * DAY_MS)


def retry_topic(stage: str, tier: str) -> Topic:
    return Topic(f"retry.{stage}.{tier}", None, "as the original", "runner", partitions=1, large=True, retention_ms=7 * DAY_MS)


RETRY = {stage: {tier: retry_topic(stage, tier) for tier in TIERS} for stage in PIPELINE}

CATALOGUE: dict[str, Topic] = {
    t.name: t
    for t in (
        VIDEO_SUBMITTED,
        PROMPT_SUBMITTED,
        FEATURES_EXTRACTED,
        *GENERATION_REQUESTED.values(),
        ARTIFACT_GENERATED,
        ARTIFACT_VALIDATED,
        ARTIFACT_REJECTED,
        REQUEST_PROGRESSED,
        USAGE_RECORDED,
        METRICS_RECORDED,
        ANOMALY_RAISED,
        AUDIT_RECORDED,
        DEAD_LETTERS,
        *(t for tiers in RETRY.values() for t in tiers.values()),
    )
}
SUNK = tuple(t for t in CATALOGUE.values() if t.record and t.record is not records.GenerationRequested)
"""What the sinks write into ClickHouse."""
ARCHIVED = tuple(t for t in CATALOGUE.values() if t.record)
"""What goes into the archive: every topic but the retry tiers, whose records are elsewhere too."""

READ_BY: dict[str, tuple[Topic, ...]] = {
    "extract": (VIDEO_SUBMITTED,),
    "plan": (PROMPT_SUBMITTED, FEATURES_EXTRACTED),
    "generate": tuple(GENERATION_REQUESTED.values()),
    "validate": (ARTIFACT_GENERATED,),
    SINK: SUNK,
    ARCHIVE: ARCHIVED,
}
"""Each stage's topics, so that its lag can be read where none of its code runs; its retry tiers come on top."""

_BY_RECORD = {t.record: t for t in CATALOGUE.values() if t.record and t.record not in (records.GenerationRequested, records.Verdict)}


def route(record: Record) -> Topic:
    """The topic a record belongs in: by its type, a verdict by its state, a generation request by its priority."""
    topic = _BY_RECORD.get(type(record))
    if topic is not None:
        return topic
    if isinstance(record, records.Verdict):
        return ARTIFACT_VALIDATED if record.state == "validated" else ARTIFACT_REJECTED
    assert isinstance(record, records.GenerationRequested)
    return GENERATION_REQUESTED[record.priority]


_KEY_FIELDS = {
    records.UsageRecorded: "tenant",
    records.MetricsRecorded: "stage",
    records.AnomalyRaised: "subject",
    records.AuditRecorded: "actor",
}


def key_of(record: Record) -> bytes | None:
    """The Kafka key that the catalogue promises for a record."""
    if type(record) is records.DeadLetter:
        return record.key
    key: str = getattr(record, _KEY_FIELDS.get(type(record), "request_id"))
    return key.encode()
