"""Schemas by id and by topic: a thin layer over confluent-kafka's registry client that says what went wrong in our terms."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable

from schemas.avro_codec import BadRecord, schema_text
from streams.failures import Unavailable
from streams.topics import Topic


class UnknownSchema(BadRecord):
    """No schema is registered under that id."""

    reason = "unknown_schema"


class Registry:
    """Schema texts, cached for ever: an id never changes its meaning. An unknown id is asked for again after a second."""

    def __init__(self, url: str) -> None:
        # A second of imports, so only where a registry is really used; and its authentication library announces its own next version
        # to everybody's terminal, past any filter.
        with warnings.catch_warnings(record=True):
            from confluent_kafka import schema_registry
        self._library = schema_registry
        self._client = schema_registry.SchemaRegistryClient({"url": url})
        self._texts: dict[int, str] = {}
        self._unknown: dict[int, float] = {}
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def register(self, topics: Iterable[Topic]) -> None:
        """Register every topic's schema under ``TOPIC-value``. Raises as :meth:`id_for`."""
        for topic in topics:
            if topic.schema:
                self.id_for(topic)

    def id_for(self, topic: Topic) -> int:
        """The registry id of the topic's schema, registering it where it is new.

        Raises ``SchemaRegistryError`` where it is not compatible with what is registered, ``Unavailable`` where the registry does not answer.
        """
        known = self._ids.get(topic.name)
        if known is None:
            if topic.schema is None:
                raise ValueError(f"{topic.name} carries other topics' values and has no schema of its own")
            text = schema_text(topic.schema)
            try:
                known = self._client.register_schema(f"{topic.name}-value", self._library.Schema(text, "AVRO"))
            except self._library.SchemaRegistryError:
                raise
            except Exception as error:  # whatever the HTTP client beneath raises when nobody answers
                raise Unavailable(f"the schema registry does not answer: {error}") from error
            with self._lock:
                self._ids[topic.name], self._texts[known] = known, text
        return known

    def text(self, schema_id: int) -> str:
        """The schema registered under an id. Raises :class:`UnknownSchema`, or ``Unavailable`` where the registry does not answer."""
        text = self._texts.get(schema_id)
        if text is not None:
            return text
        if time.monotonic() < self._unknown.get(schema_id, 0):
            raise UnknownSchema(f"no schema is registered under id {schema_id}")
        try:
            text = str(self._client.get_schema(schema_id).schema_str)
        except self._library.SchemaRegistryError as error:
            if error.http_status_code == 404:
                self._unknown[schema_id] = time.monotonic() + 1
                raise UnknownSchema(f"no schema is registered under id {schema_id}") from error
            raise Unavailable(f"the schema registry answered {error.http_status_code}: {error.error_message}") from error
        except Exception as error:  # whatever the HTTP client beneath raises when nobody answers
            raise Unavailable(f"the schema registry does not answer: {error}") from error
        self._texts[schema_id] = text
        return text
