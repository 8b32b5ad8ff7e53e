"""The records that travel, typed. ``schemas/avro`` is the source of truth; a test holds these classes against it.

Times are milliseconds since 1970 (UTC), ids are canonical UUID texts, money is :class:`~decimal.Decimal` with ten places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSubmitted:
    request_id: str
    tenant: str
    project: str
    media_uri: str
    media_size: int
    media_type: str = "video/mp4"
    file_name: str = ""
    run: str = ""
    priority: str = "normal"
    deadline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSubmitted:
    request_id: str
    tenant: str
    project: str
    prompt: str
    run: str = ""
    priority: str = "normal"
    deadline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every record of a request's course carries."""

    event_id: str
    request_id: str
    tenant: str
    project: str
    occurred_at: int
    run: str = ""
    round: int = 0
    priority: str = "normal"
    usage_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesExtracted(Step):
    features_uri: str
    frames_uri: str
    features_size: int
    duration_s: float
    frames: int
    width: int
    height: int
    screens: int
    actions: int
    deadline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequested(Step):
    method: str
    spec: str | None = None
    spec_uri: str | None = None
    features_uri: str | None = None
    frames_uri: str | None = None
    deadline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactGenerated(Step):
    method: str
    artifact_uri: str
    artifact_size: int
    artifact_digest: str
    features_uri: str | None = None
    frames_uri: str | None = None
    task_uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    gate: str
    rule: str
    severity: str
    message: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Step):
    state: str
    stage: str
    reason: str = ""
    message: str = ""
    method: str = ""
    artifact_uri: str = ""
    artifact_size: int = 0
    artifact_digest: str = ""
    version: int = 0
    report_uri: str = ""
    report_json_uri: str = ""
    errors: int = 0
    warnings: int = 0
    findings: tuple[Finding, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProgressed:
    event_id: str
    request_id: str
    tenant: str
    project: str
    stage: str
    occurred_at: int
    run: str = ""
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecorded:
    event_id: str
    request_id: str
    tenant: str
    project: str
    stage: str
    kind: str
    occurred_at: int
    run: str = ""
    round: int = 0
    call: int = 0
    revision: int = 0
    priority: str = "normal"
    outcome: str = "ok"
    provider: str = ""
    model: str = ""
    usage_source: str = "counted"
    quantity: float = 0.0
    unit: str = ""
    in_uncached: int = 0
    in_cache_read: int = 0
    in_cache_write: int = 0
    out_text: int = 0
    out_reasoning: int = 0
    price_version: str = ""
    cost_usd: Decimal | None = None
    saved_usd: Decimal = Decimal(0)
    dims: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRecorded:
    event_id: str
    stage: str
    worker: str
    window_start: int
    window_ms: int = 1000
    records_in: int = 0
    records_done: int = 0
    records_out: int = 0
    retries: int = 0
    dead_letters: int = 0
    redelivered: int = 0
    in_flight: int = 0
    lag_records: int = 0
    lag_seconds: float = 0.0
    handler_ms_p50: float = 0.0
    handler_ms_p95: float = 0.0
    handler_ms_max: float = 0.0
    queue_ms_p50: float = 0.0
    queue_ms_max: float = 0.0
    cpu_seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyRaised:
    event_id: str
    subject_kind: str
    subject: str
    metric: str
    window_start: int
    window_ms: int
    observed: float
    expected: float
    sigma: float
    occurred_at: int
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecorded:
    event_id: str
    actor: str
    action: str
    occurred_at: int
    target: str = ""
    tenant: str = ""
    run: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    name: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    event_id: str
    stage: str
    reason: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    occurred_at: int
    message: str = ""
    exception: str = ""
    tries: int = 1
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[Header, ...] = ()
    code_version: str = ""
    tenant: str = ""
    request_id: str = ""
    run: str = ""


Record: TypeAlias = (
    VideoSubmitted
    | PromptSubmitted
    | FeaturesExtracted
    | GenerationRequested
    | ArtifactGenerated
    | Verdict
    | RequestProgressed
    | UsageRecorded
    | MetricsRecorded
    | AnomalyRaised
    | AuditRecorded
    | DeadLetter
)
