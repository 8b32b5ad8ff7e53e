"""Records for the tests of the sinks, and how they look in Kafka."""

from __future__ import annotations

from typing import Any

from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES, encoder, frame, schema_text
from schemas.records import PromptSubmitted, Record, UsageRecorded, Verdict, VideoSubmitted
from streams.batch import RawRecord
from streams.topics import key_of, route

_KINDS = list(SCHEMA_NAMES)
_ENCODERS = {kind: encoder(kind) for kind in _KINDS}
SCHEMAS = {number: schema_text(SCHEMA_NAMES[kind]) for number, kind in enumerate(_KINDS, start=1)}
SHARED_DATABASE = "sinks_shared"
NOVEMBER, DECEMBER = 1_795_000_000_000, 1_797_000_000_000


def raw(record: Record, at: int = DECEMBER) -> RawRecord:
    value = frame(_KINDS.index(type(record)) + 1) + _ENCODERS[type(record)](record)
    event_id = getattr(record, "event_id", None)
    return RawRecord(key_of(record), value, event_id, at)


def topic(record: Record) -> str:
    return route(record).name


def prompt(request: str, **values: Any) -> PromptSubmitted:
    return PromptSubmitted(request_id=request, **({"tenant": "acme", "project": "shop", "prompt": "an inventory app"} | values))


def video(request: str, **values: Any) -> VideoSubmitted:
    return VideoSubmitted(
        request_id=request, **({"tenant": "acme", "project": "shop", "media_uri": "object:acme/" + "0" * 64, "media_size": 5} | values)
    )


def usage(request: str, **values: Any) -> UsageRecorded:
    given = {"tenant": "acme", "project": "shop", "stage": "generate", "kind": "compose", "occurred_at": ids.id_time_ms(request)} | values
    identity = {name: given.get(name, default) for name, default in (("tenant", ""), ("run", ""), ("round", 0))}
    event = ids.event_id(request=request, stage=given["stage"], kind=f"usage:{given['kind']}", ordinal=given.get("call", 0), **identity)
    return UsageRecorded(**({"event_id": event, "request_id": request} | given))


def verdict(request: str, **values: Any) -> Verdict:
    given = {
        "tenant": "acme",
        "project": "shop",
        "stage": "validate",
        "state": "validated",
        "occurred_at": ids.id_time_ms(request) + 9_000,
    } | values
    event = ids.event_id(tenant=given["tenant"], run=given.get("run", ""), request=request, stage="verdict", kind="verdict")
    return Verdict(**({"event_id": event, "request_id": request} | given))
