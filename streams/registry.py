"""Schemas by id and by topic: a thin layer over confluent-kafka's registry client that says what went wrong in our terms."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable

with warnings.catch_warnings():
    # Its authentication library announces its own next version to everybody's terminal.
    warnings.simplefilter("ignore")
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from schemas.avro_codec import BadRecord, schema_text
from streams.failures import Transient
from streams.topics import Topic


class UnknownSchema(BadRecord):
    """No schema is registered under that id."""


class Registry:
    """Schema texts, cached for ever: an id never changes its meaning. An unknown id is asked for again after a second."""

    def __init__(self, url: str) -> None:
        self._client = SchemaRegistryClient({"url": url})
        self._texts: dict[int, str] = {}
        self._unknown: dict[int, float] = {}
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def register(self, topics: Iterable[Topic]) -> None:
        """Register every topic's schema under ``TOPIC-value``. Raises ``SchemaRegistryError`` where one is not compatible."""
        for topic in topics:
            if topic.schema:
                self.id_for(topic)

    def id_for(self, topic: Topic) -> int:
        """The registry id of the topic's schema, registering it where it is new."""
        known = self._ids.get(topic.name)
        if known is None:
            if topic.schema is None:
                raise ValueError(f"{topic.name} carries other topics' values and has no schema of its own")
            text = schema_text(topic.schema)
            known = self._client.register_schema(f"{topic.name}-value", Schema(text, "AVRO"))
            with self._lock:
                self._ids[topic.name], self._texts[known] = known, text
        return known

    def text(self, schema_id: int) -> str:
        """The schema registered under an id. Raises :class:`UnknownSchema`, or ``Transient`` where the registry does not answer."""
        text = self._texts.get(schema_id)
        if text is not None:
            return text
        if time.monotonic() < self._unknown.get(schema_id, 0):
            raise UnknownSchema(f"no schema is registered under id {schema_id}")
        try:
            text = str(self._client.get_schema(schema_id).schema_str)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                self._unknown[schema_id] = time.monotonic() + 1
                raise UnknownSchema(f"no schema is registered under id {schema_id}") from error
            raise Transient(f"the schema registry answered {error.http_status_code}: {error.error_message}") from error
        except Exception as error:  # whatever the HTTP client beneath raises when nobody answers
            raise Transient(f"the schema registry does not answer: {error}") from error
        self._texts[schema_id] = text
        return text
