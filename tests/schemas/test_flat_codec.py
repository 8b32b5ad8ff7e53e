"""The compiled codec of flat records against fastavro: the same bytes, the same records, the same refusals."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import avro_codec
from schemas.flat_codec import flat_decoder, flat_encoder

SCHEMA = avro_codec._parsed(
    json.dumps(
        {
            "type": "record",
            "name": "all",
            "fields": [
                {"name": "text", "type": "string"},
                {"name": "body", "type": "bytes"},
                {"name": "count", "type": "int"},
                {"name": "size", "type": "long"},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {"name": "share", "type": "double"},
                {"name": "good", "type": "boolean"},
                {"name": "maybe", "type": ["null", "string"]},
                {"name": "perhaps", "type": ["long", "null"]},
                {"name": "bytes_too", "type": ["null", "bytes"]},
                {"name": "real", "type": ["null", "double"]},
            ],
        }
    )
)
NAMES = [f["name"] for f in SCHEMA["fields"]]


class All:
    __slots__ = tuple(NAMES)


LONGS = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 63, 64, -1, -64, -65, 1_790_000_000_000, (1 << 41) - 1, 1 << 34])
RECORDS = st.fixed_dictionaries(
    {
        "text": st.text() | st.just("x" * 64) | st.just("é" * 9000),
        "body": st.binary(),
        "count": st.integers(-(1 << 31), (1 << 31) - 1),
        "size": LONGS,
        "at": LONGS,
        "share": st.floats(allow_nan=False),
        "good": st.booleans(),
        "maybe": st.none() | st.text(),
        "perhaps": st.none() | LONGS,
        "bytes_too": st.none() | st.binary(),
        "real": st.none() | st.floats(allow_nan=False),
    }
)
encode = flat_encoder(SCHEMA)
decode = flat_decoder(SCHEMA, All, All)
assert encode and decode


def by_fastavro(value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, SCHEMA, value)
    return buffer.getvalue()


def read_by_fastavro(body: bytes) -> dict[str, Any]:
    buffer = io.BytesIO(body)
    found = fastavro.schemaless_reader(buffer, SCHEMA, None)
    if buffer.tell() != len(body):
        raise ValueError("left over")
    assert isinstance(found, dict)
    return found


def plain(record: Any) -> dict[str, Any]:
    return {n: getattr(record, n) for n in NAMES}


@given(RECORDS)
def test_the_same_bytes_and_the_same_record(value: dict[str, Any]) -> None:
    body = encode(SimpleNamespace(**value))
    assert body == by_fastavro(value)
    assert plain(decode(b"\0\0\0\0\1" + body)) == value


@given(RECORDS, st.data())
def test_bytes_that_were_tampered_with_are_refused_or_read_as_fastavro_reads_them(value: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(by_fastavro(value))
    how = data.draw(st.sampled_from(["cut", "flip", "more"]))
    at = data.draw(st.integers(0, len(body) - 1))
    if how == "cut":
        del body[at:]
    elif how == "flip":
        body[at] = data.draw(st.integers(0, 255))
    else:
        body += b"x"
    try:
        found = plain(decode(b"\0\0\0\0\1" + bytes(body)))
    except (ValueError, IndexError):
        return  # stricter than fastavro is allowed (a boolean of 7, an int beyond 32 bits), laxer is not
    assert repr(found) == repr(read_by_fastavro(bytes(body)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": None}, {"text": b"bytes"}, {"text": "\ud800"}, {"body": "text"}, {"body": 7}, {"body": None}, {"count": 1 << 31}, {"count": "1"},
        {"count": 1.0}, {"size": 1 << 63}, {"size": 70.5}, {"size": None}, {"share": "1"}, {"share": None}, {"good": 1}, {"good": None}, {"maybe": 1},
        {"perhaps": "x"}, {"bytes_too": "x"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "text": "", "body": b"", "count": 0, "size": 0, "at": 0, "share": 0.0, "good": True, "maybe": None, "perhaps": None, "bytes_too": None, "real": None,
    }  # fmt: skip
    encode(SimpleNamespace(**good))
    with pytest.raises((TypeError, ValueError, OverflowError, AttributeError, struct.error)):
        encode(SimpleNamespace(**(good | wrong)))


@pytest.mark.parametrize(
    "schema", [{"type": "map", "values": "string"}, ["null", "string", "long"], {"type": "array", "items": "int"}], ids=repr
)
def test_what_is_not_flat_is_left_to_fastavro(schema: Any) -> None:
    made = {"type": "record", "name": "deep", "fields": [{"name": "x", "type": schema}]}
    assert flat_encoder(made) is None and flat_decoder(made, object, object) is None


def test_the_pipelines_records_are_flat() -> None:
    flat = {
        kind.__name__
        for kind, name in avro_codec.SCHEMA_NAMES.items()
        if flat_encoder(avro_codec._parsed(avro_codec.schema_text(name))) and fields(kind)
    }
    assert flat >= {"VideoSubmitted", "PromptSubmitted", "FeaturesExtracted", "GenerationRequested", "ArtifactGenerated"}
