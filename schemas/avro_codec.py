"""Records to Avro bodies and back, and the Confluent wire format around them.

Wire format: a zero byte, the schema's registry id as four bytes big-endian, the Avro body.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Collection
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Any, cast

import fastavro

from schemas import records
from schemas.flat_codec import flat_decoder, flat_encoder
from schemas.records import Finding, Header, Record

SCHEMA_NAMES = {
    records.VideoSubmitted: "video.submitted",
    records.PromptSubmitted: "prompt.submitted",
    records.FeaturesExtracted: "features.extracted",
    records.GenerationRequested: "generation.requested",
    records.ArtifactGenerated: "artifact.generated",
    records.Verdict: "verdict",
    records.RequestProgressed: "request.progressed",
    records.UsageRecorded: "usage.recorded",
    records.MetricsRecorded: "metrics.recorded",
    records.AnomalyRaised: "anomaly.raised",
    records.AuditRecorded: "audit.recorded",
    records.DeadLetter: "dead.letters",
}
_NESTED: dict[str, type] = {"findings": Finding, "headers": Header}


class BadRecord(ValueError):
    """Bytes that are not a record: no wire format, an unknown schema, a body that does not decode."""


@cache
def schema_text(name: str) -> str:
    """The schema as released, the text that the registry gets."""
    return json.dumps(json.loads(files("schemas").joinpath("avro", f"{name}.avsc").read_text()), separators=(",", ":"))


def _bare(schema: Any) -> Any:
    """The same schema with uuid and timestamp as plain text and numbers: equal on the wire, and no objects made for them in Python."""
    if isinstance(schema, list):
        return [_bare(s) for s in schema]
    if isinstance(schema, dict):
        if schema.get("logicalType") in ("uuid", "timestamp-millis"):
            return schema["type"]
        return {k: _bare(v) if k in ("type", "fields", "items", "values") else v for k, v in schema.items()}
    return schema


@cache
def _parsed(text: str) -> Any:
    return fastavro.parse_schema(_bare(json.loads(text)))


def frame(schema_id: int) -> bytes:
    """The five bytes before a body."""
    return struct.pack(">bI", 0, schema_id)


def unframe(value: bytes | None) -> int:
    """The schema id of a framed value. Raises :class:`BadRecord` where it is no wire format."""
    if value is None or len(value) < 5 or value[0] != 0:
        raise BadRecord(
            "the value is empty" if not value else "the value is not in the Confluent wire format (first byte 0, then a schema id)"
        )
    return int.from_bytes(value[1:5], "big")


@cache
def thawed(kind: type[Any]) -> type[Any]:
    """A class with the same slots as a frozen one, but not frozen: an object of it is filled, then becomes one of ``kind``.

    A frozen dataclass sets each of its fields by a call and by name, which takes ten times as long.
    """
    own = kind.__dict__["__slots__"]
    return type(
        kind.__name__,
        kind.__bases__,
        {"__slots__": own, "__setattr__": object.__setattr__, "__delattr__": object.__delattr__, "__module__": kind.__module__},
    )


def maker(kind: type[Any], of_step: Collection[str] = ()) -> Callable[..., Any]:
    """A function that makes records of a frozen class from their fields, several times as fast as the class. Plain defaults are the class's.

    With ``of_step`` (the names of :class:`~schemas.records.Step`'s fields) it takes five arguments for those: the record that the new one
    follows from, an event id, round, time and number of usage events; what is left is taken from that record.
    """
    # Names with an underscore, as fields have none: a field may well be called "kind".
    space: dict[str, Any] = {"_new": object.__new__, "_thawed": thawed(cast(Any, kind)), "_kind": kind}
    given = {"event_id": "_id", "round": "_round", "occurred_at": "_at", "usage_events": "_usage"} if of_step else {}
    names = [f.name for f in fields(kind)]
    body = "".join(f"    _made.{n} = {given.get(n, f'_source.{n}') if n in of_step else n}\n" for n in names)
    arguments = []
    for f in fields(kind):
        if f.name not in of_step:
            space[f"_default_{f.name}"] = f.default
            arguments.append(f.name if f.default is MISSING else f"{f.name}=_default_{f.name}")
    first = "_source, _id, _round, _at, _usage, " if of_step else ""
    exec(
        f"def make({first}*, {', '.join(arguments)}):\n    _made = _new(_thawed)\n{body}    _made.__class__ = _kind\n    return _made\n",
        space,
    )
    make: Callable[..., Any] = space["make"]
    return make


def _plain(record: Any) -> dict[str, Any]:
    out = {f.name: getattr(record, f.name) for f in fields(record)}
    for name in _NESTED:
        if name in out:
            out[name] = [_plain(item) for item in out[name]]
    return out


def encoder(kind: type[Record]) -> Callable[[Any], bytes]:
    """A function from records of that kind to Avro bodies."""
    schema = _parsed(schema_text(SCHEMA_NAMES[kind]))
    flat = flat_encoder(schema)
    names = [f.name for f in fields(kind)]
    nested = [n for n in names if n in _NESTED]
    values_of = attrgetter(*names)

    def encode_flat(record: Any) -> bytes:
        try:
            return flat(record)  # type: ignore[misc]
        except (ValueError, TypeError, OverflowError, AttributeError, struct.error) as error:
            raise BadRecord(f"{kind.__name__} does not fit its schema: {error}") from error

    def encode(record: Any) -> bytes:
        buffer = io.BytesIO()
        if nested:
            value = _plain(record)
        else:
            value = dict(zip(names, values_of(record), strict=True))
        try:
            fastavro.schemaless_writer(buffer, schema, value)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRecord(f"{kind.__name__} does not fit its schema: {error}") from error
        return buffer.getvalue()

    return encode_flat if flat else encode


def decoder(kind: type[Record], writer_schema: str) -> Callable[[bytes], Any]:
    """A function from framed values written with ``writer_schema`` to records of ``kind``.

    Schemas are resolved as Avro does: what the writer had beyond ours is dropped, what it lacks gets its default. Bad bytes raise
    :class:`BadRecord`, and so does a writer's schema that does not resolve to ours.
    """
    written, ours = _parsed(writer_schema), _parsed(schema_text(SCHEMA_NAMES[kind]))
    reader = None if written == ours else ours
    make = maker(kind)
    nested = [(name, item) for name, item in _NESTED.items() if name in {f.name for f in fields(kind)}]

    flat = flat_decoder(written, thawed(cast(Any, kind)), kind) if reader is None else None

    def decode_flat(value: bytes) -> Any:
        try:
            return flat(value)  # type: ignore[misc]
        except Exception as error:
            raise BadRecord(f"not a {kind.__name__}: {type(error).__name__}: {error}") from error

    def decode(value: bytes) -> Any:
        buffer = io.BytesIO(value)
        buffer.seek(5)
        try:
            got = fastavro.schemaless_reader(buffer, written, reader)
            for name, item in nested:
                got[name] = tuple(item(**entry) for entry in got[name])
            record = make(**got)
        except Exception as error:  # fastavro raises whatever the bytes lead it into: EOFError, IndexError, UnicodeDecodeError, MemoryError
            raise BadRecord(f"not a {kind.__name__}: {type(error).__name__}: {error}") from error
        if buffer.tell() != len(value):
            raise BadRecord(f"not a {kind.__name__}: {len(value) - buffer.tell()} bytes left over after the record")
        return record

    return decode_flat if flat else decode
