"""Records to topic values and back, with the registry's ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.avro_codec import decoder, encoder, frame, unframe
from schemas.records import Record
from streams.registry import Registry
from streams.topics import Topic


class Codec:
    """Encoders and decoders are made once for each topic and writer's schema."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._encoders: dict[str, tuple[bytes, Callable[[Any], bytes]]] = {}
        self._decoders: dict[tuple[type, bytes], Callable[[bytes], Any]] = {}

    def encode(self, topic: Topic, record: Record) -> bytes:
        """The framed value. Raises ``BadRecord`` where the record does not fit its schema."""
        known = self._encoders.get(topic.name)
        if known is None:
            known = self._encoders[topic.name] = frame(self.registry.id_for(topic)), encoder(type(record))
        head, encode = known
        return head + encode(record)

    def known_decoder(self, kind: type[Record], value: bytes | None) -> Callable[[bytes], Any] | None:
        """The decoder for a value, None where it is not known yet or no wire format. Never blocks."""
        return self._decoders.get((kind, value[:5])) if value else None

    def find_decoder(self, kind: type[Record], value: bytes | None) -> Callable[[bytes], Any]:
        """As :meth:`known_decoder`, asking the registry where need be. Raises ``BadRecord`` (``UnknownSchema`` among them) or ``Transient``."""
        schema_id = unframe(value)
        head = frame(schema_id)
        decode = self._decoders.get((kind, head))
        if decode is None:
            decode = self._decoders[kind, head] = decoder(kind, self.registry.text(schema_id))
        return decode

    def decode(self, kind: type[Record], value: bytes | None) -> Any:
        """The record in a framed value. Blocks and raises as :meth:`find_decoder`."""
        decode = self.find_decoder(kind, value)
        assert value is not None
        return decode(value)
