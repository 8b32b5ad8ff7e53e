"""What the engine needs to know about its surroundings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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
        "consumer", pattern="^(consumer|classic)$", description="'consumer' is KIP-848; 'classic' uses cooperative rebalancing"
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
    stop_deadline_s: float = Field(5.0, gt=0, description="How long work in flight may go on after a stop was asked for")
    retry_delays_s: tuple[float, float, float] = Field((5.0, 60.0, 600.0), description="What the tiers 5s, 1m and 10m wait")
    max_record_bytes: int = Field(1 << 20, description="Of a record; dead letters and retries may take ten times as much")
    code_version: str = Field("0.1.0", description="Written into dead letters and recorded outputs")
