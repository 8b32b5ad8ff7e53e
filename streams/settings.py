"""What the engine needs to know about its surroundings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.admission import Limits
from streams.quota import QuotaSettings

CLASSIC_SESSION_S = 10.0
"""When a classic group gives up on a member that sends no sign of life; KIP-848 has the broker say."""


class StreamSettings(BaseModel):
    """Frozen; everything has a default that is right for the embedded stack but the three addresses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(description="Kafka brokers, host:port[,host:port...]")
    registry_url: str = Field(description="A schema registry that speaks Confluent's HTTP API")
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="Put before every topic name, so that several Millraces share a cluster"
    )
    group_prefix: str = Field("millrace", description="Consumer groups are called PREFIX.STAGE")
    group_protocol: str = Field(
        "consumer",
        pattern="^(consumer|classic)$",
        description="'consumer' is KIP-848 where the broker offers it; 'classic', and where it does not, is cooperative rebalancing",
    )
    replication_factor: int = Field(1, ge=1, description="Of the topics that are created on start")
    partitions: int = Field(4, ge=1, description="Of each request topic that is created on start")
    max_in_flight: int = Field(
        5000, ge=1, description="Records taken from Kafka and not yet done, a stage and worker; beyond it partitions are paused"
    )
    max_in_flight_bytes: int = Field(64 << 20, ge=1, description="The same in bytes of values")
    linger_ms: int = Field(2, ge=0, description="How long the producer collects records for a batch")
    commit_interval_s: float = Field(0.5, gt=0)
    revoke_deadline_s: float = Field(10.0, gt=0, description="Shared by all work that must finish when partitions are taken away")
    max_poll_interval_s: float = Field(
        300.0,
        gt=0,
        description="When the group gives up on a member that does not poll; a handler may take longer, since another thread polls",
    )
    stop_deadline_s: float = Field(5.0, gt=0, description="How long work in flight may go on after a stop was asked for")
    retry_delays_s: tuple[float, float, float] = Field((5.0, 60.0, 600.0), description="What the tiers 5s, 1m and 10m wait")
    longest_wait_s: float = Field(
        6 * 3600.0,
        ge=0,
        description="How long a record may wait (for a breaker, another owner's call) without spending a try, from the first wait since its last one",
    )
    clock_skew_s: float = Field(
        2.0, ge=0, description="How far the hosts' clocks may be apart: another owner's paid call counts as over so much after it said"
    )
    max_record_bytes: int = Field(1 << 20, description="Of a record; dead letters and retries may take ten times as much")
    admission: Limits = Field(default_factory=Limits, description="Of stages that read priority classes")
    quota: QuotaSettings = Field(QuotaSettings(), description="Which tenant may use how much a day")
    otlp_url: str | None = Field(
        None, pattern="^https?://", description="An OpenTelemetry collector (OTLP over HTTP); spans of every step go there"
    )
    trace_sample: float = Field(1.0, ge=0, le=1, description="The share of requests that are traced, whole or not at all")
    code_version: str = Field("0.1.0", description="Written into dead letters and recorded outputs")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> StreamSettings:
        """Raises ``ValueError`` with all contradictions at once."""
        found = []
        if list(self.retry_delays_s) != sorted(self.retry_delays_s) or min(self.retry_delays_s) <= 0:
            found.append("retry_delays_s must be positive and ascend: a later tier must not be quicker than an earlier one")
        if self.max_in_flight_bytes < self.max_record_bytes:
            found.append("max_in_flight_bytes must be at least max_record_bytes, or one record fills the stage")
        if self.revoke_deadline_s >= self.max_poll_interval_s:
            found.append(
                "revoke_deadline_s must be shorter than max_poll_interval_s, or the group gives up on a worker that lets its work finish"
            )
        if self.group_protocol == "classic" and self.max_poll_interval_s < CLASSIC_SESSION_S:
            found.append(
                f"max_poll_interval_s must be at least {CLASSIC_SESSION_S:g} (the session time-out) where group_protocol is 'classic'"
            )
        if self.commit_interval_s >= self.max_poll_interval_s:
            found.append("commit_interval_s must be shorter than max_poll_interval_s")
        if found:
            raise ValueError("; ".join(found))
        return self
