"""Which topic comes to rest in which table. Column names are the fields' names of the topic's Avro schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from schemas.avro_codec import schema_text
from streams import topics
from streams.topics import Topic


@dataclass(frozen=True)
class Table:
    """``schema`` is the name of the Avro schema whose fields are the table's columns."""

    name: str
    schema: str
    key_is_id: bool = False
    """The Kafka key is the id (submissions); else the header ``millrace-event-id`` is."""

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(str(field["name"]) for field in self._fields)

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that every writer's schema must have: those without a default."""
        return frozenset(str(field["name"]) for field in self._fields if "default" not in field)

    @property
    def id_column(self) -> str:
        return "request_id" if self.key_is_id else "event_id"

    @property
    def text(self) -> str:
        """Our own schema, as JSON."""
        return schema_text(self.schema)

    @cached_property
    def _fields(self) -> list[dict[str, object]]:
        fields: list[dict[str, object]] = json.loads(self.text)["fields"]
        return fields


def _table(name: str, *of: Topic, key_is_id: bool = False) -> dict[str, Table]:
    schema = of[0].schema
    assert schema is not None and all(topic.schema == schema for topic in of)
    table = Table(name, schema, key_is_id)
    return {topic.name: table for topic in of}


TABLES: dict[str, Table] = {
    **_table("video_submitted", topics.VIDEO_SUBMITTED, key_is_id=True),
    **_table("prompt_submitted", topics.PROMPT_SUBMITTED, key_is_id=True),
    **_table("features_extracted", topics.FEATURES_EXTRACTED),
    **_table("artifact_generated", topics.ARTIFACT_GENERATED),
    **_table("verdict_given", topics.ARTIFACT_VALIDATED, topics.ARTIFACT_REJECTED),
    **_table("request_progressed", topics.REQUEST_PROGRESSED),
    **_table("usage_recorded", topics.USAGE_RECORDED),
    **_table("metrics_recorded", topics.METRICS_RECORDED),
    **_table("anomaly_raised", topics.ANOMALY_RAISED),
    **_table("audit_recorded", topics.AUDIT_RECORDED),
    **_table("dead_lettered", topics.DEAD_LETTERS),
}
"""By topic name."""
