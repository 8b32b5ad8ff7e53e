"""Records as they travelled, made into an Avro file that ClickHouse reads itself. Nothing is decoded on the way.

An Avro object container file is a header (the writer's schema, a sync marker) and blocks of records. A record's body in Kafka is already
what a block holds, so framing is all there is to do. An Avro record's encoding is that of its fields in order, so a field of our own
goes before the body by going before the schema's fields: the broker's time of the record.

One block a record: a block says its length, so a body that is cut short or runs on cannot shift the ones after it and have them read
as something else. (Measured on usage records: 152,000 rows/s against 174,000 in one block.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

BROKER_TIME = "broker_time"
_SYNC = bytes.fromhex("6d696c6c726163652d6176726f2d3031")  # any 16 bytes; a block's length, not this, says where it ends
_ONE = b"\x02"


class BadSchema(ValueError):
    """A writer's schema that is no Avro record."""


@lru_cache(maxsize=1 << 14)  # lengths and times repeat within a batch
def varint(number: int) -> bytes:
    """Avro's long: zigzag, seven bits a byte, the lowest first."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=256)
def field_names(schema: str) -> tuple[str, ...]:
    """The names of a record schema's fields. Raises :class:`BadSchema`."""
    return tuple(field["name"] for field in _record(schema)["fields"])


@lru_cache(maxsize=256)
def first_field(schema: str) -> str | None:
    """The name of the field that a body begins with, if that is a text; else None."""
    first: Any = _record(schema)["fields"][0]
    kind = first["type"]
    return str(first["name"]) if kind == "string" or (isinstance(kind, dict) and kind.get("type") == "string") else None


@lru_cache(maxsize=256)
def _header(schema: str) -> bytes:
    record = _record(schema)
    stamped = record | {"fields": [{"name": BROKER_TIME, "type": {"type": "long", "logicalType": "timestamp-millis"}}, *record["fields"]]}
    text = json.dumps(stamped, separators=(",", ":")).encode()
    return b"Obj\x01" + varint(1) + varint(len(b"avro.schema")) + b"avro.schema" + varint(len(text)) + text + b"\x00" + _SYNC


def _record(schema: str) -> dict[str, Any]:
    try:
        parsed = json.loads(schema)
        if parsed["type"] == "record" and parsed["fields"] and all(isinstance(field["name"], str) for field in parsed["fields"]):
            return dict(parsed)
    except (ValueError, TypeError, KeyError):
        pass
    raise BadSchema(f"the writer's schema is no record: {schema[:200]}")


def container(schema: str, records: Iterable[tuple[int, bytes]]) -> bytes:
    """An Avro file of ``records``, each its broker time (ms since 1970) and its framed value (five bytes, then the body).

    ``schema`` is the writer's schema as JSON, that of all of them. The file has one column more, :data:`BROKER_TIME`.
    """
    parts = [_header(schema)]
    for broker_time, value in records:
        stamp = varint(broker_time)
        parts += (_ONE, varint(len(stamp) + len(value) - 5), stamp, value[5:], _SYNC)
    return b"".join(parts)
