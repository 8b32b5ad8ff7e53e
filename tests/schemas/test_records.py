"""The typed records, the Avro schemas and what was ever released say the same."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import MISSING, fields
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import avro_codec, ids, names
from schemas.records import DeadLetter, Finding, Header, UsageRecorded, Verdict

ROOT = Path(__file__).parents[2]
ID = "01932f10-0000-7000-8000-000000000001"


@pytest.mark.parametrize("kind", list(avro_codec.SCHEMA_NAMES), ids=lambda k: k.__name__)
def test_class_and_schema_have_the_same_fields_and_optional_ones(kind):
    schema = json.loads(avro_codec.schema_text(avro_codec.SCHEMA_NAMES[kind]))
    assert {f["name"] for f in schema["fields"]} == {f.name for f in fields(kind)}
    optional = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
    assert {f["name"] for f in schema["fields"] if "default" in f} == optional


@pytest.mark.parametrize("kind", list(avro_codec.SCHEMA_NAMES), ids=lambda k: k.__name__)
def test_the_fast_way_to_make_a_record_makes_the_same(kind):
    values = {f.name: f"value of {f.name}" for f in fields(kind)}
    made = avro_codec.maker(kind)(**values)
    assert made == kind(**values) and type(made) is kind
    with pytest.raises(TypeError):
        avro_codec.maker(kind)(**values, another=1)


def test_every_schema_is_some_record():
    on_disk = {p.name.removesuffix(".avsc") for p in (ROOT / "schemas/avro").glob("*.avsc")}
    assert on_disk == set(avro_codec.SCHEMA_NAMES.values())


def usage() -> UsageRecorded:
    return UsageRecorded(
        event_id=ID,
        request_id=ID,
        tenant="t",
        project="p",
        stage="extract",
        kind="extract",
        occurred_at=1,
        cost_usd=Decimal("0.0012"),
        dims={"frames": "7"},
    )


@pytest.mark.parametrize(
    "record",
    [
        usage(),
        Verdict(event_id=ID, request_id=ID, tenant="t", project="p", occurred_at=2, state="validated", stage="validate", scores={"texts": 0.5},
                findings=(Finding(gate="static", rule="import", severity="error", message="no"),)),
        DeadLetter(event_id=ID, stage="plan", reason="bad_record", topic="x", partition=0, offset=3, timestamp=4, occurred_at=5, key=None, value=b"\xff",
                   headers=(Header(name="h", value=b"\x80"),)),
    ],
    ids=lambda r: type(r).__name__,
)  # fmt: skip
def test_a_record_survives_the_wire(record):
    kind = type(record)
    framed = avro_codec.frame(7) + avro_codec.encoder(kind)(record)
    assert avro_codec.unframe(framed) == 7
    back = avro_codec.decoder(kind, avro_codec.schema_text(avro_codec.SCHEMA_NAMES[kind]))(framed)
    assert back == record


def test_what_a_newer_writer_adds_is_dropped_and_what_an_older_one_lacks_gets_its_default():
    schema = json.loads(avro_codec.schema_text("usage.recorded"))
    older = {**schema, "fields": [f for f in schema["fields"] if f["name"] != "dims"] + [{"name": "later", "type": "int", "default": 3}]}
    import io

    import fastavro

    body = io.BytesIO()
    value = {f.name: getattr(usage(), f.name) for f in fields(UsageRecorded)}
    fastavro.schemaless_writer(body, fastavro.parse_schema(older), value)
    back = avro_codec.decoder(UsageRecorded, json.dumps(older))(avro_codec.frame(1) + body.getvalue())
    assert back.dims == {} and back.cost_usd == usage().cost_usd


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00", b"{}12345", b"\x01\x00\x00\x00\x01abc"])
def test_what_is_no_wire_format_is_a_bad_record(value):
    with pytest.raises(avro_codec.BadRecord):
        avro_codec.unframe(value)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_a_bad_record(body):
    decode = avro_codec.decoder(UsageRecorded, avro_codec.schema_text("usage.recorded"))
    with contextlib.suppress(avro_codec.BadRecord):
        decode(avro_codec.frame(1) + body)


@given(st.integers(0, 2**48 - 1))
def test_ids_are_version_7_and_keep_their_time(ms):
    for made in (ids.new_id(ms), ids.derived_id(ms, "writer", 3)):
        assert uuid.UUID(made).version == 7 and uuid.UUID(made).variant == uuid.RFC_4122
        assert ids.id_time_ms(made) == ms and ids.parse_id(made.upper()) == made


def test_event_ids_depend_on_every_part_and_on_nothing_else():
    base = {"tenant": "t", "run": "", "request": ID, "stage": "plan", "round": 0, "kind": "usage", "ordinal": 0}
    made = ids.event_id(**base)
    assert made == ids.event_id(**base) and ids.id_time_ms(made) == ids.id_time_ms(ID)
    others = [
        dict(base, **{k: v}) for k, v in {"tenant": "u", "run": ID, "stage": "extract", "round": 1, "kind": "out", "ordinal": 1}.items()
    ]
    assert len({made, *(ids.event_id(**o) for o in others)}) == 7
    assert ids.event_id(**dict(base, tenant="t1", run="")) != ids.event_id(**dict(base, tenant="t", run="1"))


@pytest.mark.parametrize("bad", ["", "..", "a/b", "-a", "é", "a" * 200, "a b", ".hidden", "a\n"])
def test_names_that_are_none(bad):
    with pytest.raises(names.BadName):
        names.check_name(bad, "tenant")


@pytest.mark.parametrize(
    "bad", ["file:/etc/passwd", "http://x/y", "object:a/b", "object:../" + "0" * 64, "object:a/" + "0" * 64 + "\n", "object:a/" + "G" * 64]
)
def test_references_that_are_none(bad):
    with pytest.raises(names.BadName):
        names.ObjectRef.parse(bad)


@pytest.mark.parametrize("bad", ["", "x", "7", "9f0c5b9e-8c5e-4b5e-8a6e-1d0d1a1b1c1d", None])
def test_ids_that_are_none(bad):
    with pytest.raises(ids.BadId):
        ids.parse_id(bad)
