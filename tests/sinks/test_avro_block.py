"""The Avro files that ClickHouse gets: a reader of Avro finds in them what was put in."""

from __future__ import annotations

import io
import json

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.avro_codec import schema_text
from sinks.clickhouse.avro_block import BadSchema, container, field_names, first_field, varint
from tests.sinks.events import DECEMBER, raw, usage


@given(st.integers(-(2**63), 2**63 - 1))
def test_varint_is_avros(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)
    assert varint(number) == out.getvalue()


def test_a_reader_of_avro_reads_it() -> None:
    records = [usage(ids.new_id(DECEMBER), quantity=float(number)) for number in range(5)]
    file = container(
        schema_text("usage.recorded"), [(DECEMBER + number, raw(record).value or b"") for number, record in enumerate(records)]
    )
    rows = list(fastavro.reader(io.BytesIO(file)))
    assert [str(row["event_id"]) for row in rows] == [record.event_id for record in records]
    assert [row["quantity"] for row in rows] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [int(row["broker_time"].timestamp() * 1000) for row in rows] == [DECEMBER + number for number in range(5)]


def test_no_records() -> None:
    assert list(fastavro.reader(io.BytesIO(container(schema_text("verdict"), [])))) == []


def test_fields() -> None:
    text = schema_text("usage.recorded")
    assert field_names(text)[:2] == ("event_id", "request_id")
    assert first_field(text) == "event_id"
    assert first_field('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}') is None


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "[]",
        '"string"',
        '{"type": "record", "name": "x"}',
        '{"type":"record","fields":[{"type":"int"}]}',
        json.dumps({"type": "record", "fields": []}),
    ],
)
def test_schemas_that_are_none(schema: str) -> None:
    with pytest.raises(BadSchema):
        container(schema, [])
