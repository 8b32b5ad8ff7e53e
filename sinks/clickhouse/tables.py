"""Which topic comes to rest in which table. Column names are the fields' names of the topic's Avro schema.

A new field takes a migration in ``ddl/`` that adds its column (a test misses it). In the hash ``content`` it counts only where it is not
its default: ``if(mood = '', <the hash as it was>, sipHash64(<the hash as it was>, mood))``. Otherwise an event that came before the
migration and comes again after it would look like another one under the same id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from schemas.avro_codec import schema_text
from schemas.records import Record
from streams import topics
from streams.topics import Topic


@dataclass(frozen=True)
class Table:
    """``schema`` is the name of the Avro schema whose fields are the table's columns, ``record`` its class."""

    name: str
    schema: str
    record: type[Record]
    by_anyone: bool
    """Whether strangers write the topic; its rows' id is ``request_id``, that of all others ``event_id``."""

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(str(field["name"]) for field in self._fields)

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that every writer's schema must have: those without a default."""
        return frozenset(str(field["name"]) for field in self._fields if "default" not in field)

    @property
    def text(self) -> str:
        """Our own schema, as JSON."""
        return schema_text(self.schema)

    @cached_property
    def _fields(self) -> list[dict[str, object]]:
        fields: list[dict[str, object]] = json.loads(self.text)["fields"]
        return fields


def _table(name: str, *of: Topic) -> dict[str, Table]:
    schema, record = of[0].schema, of[0].record
    assert schema is not None and record is not None and all(topic.schema == schema for topic in of)
    table = Table(name, schema, record, of[0].entry)
    return {topic.name: table for topic in of}


TABLES: dict[str, Table] = {
    **_table("video_submitted", topics.VIDEO_SUBMITTED),
    **_table("prompt_submitted", topics.PROMPT_SUBMITTED),
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
