"""What makes a step exact: requests registered, outputs recorded, one verdict. Each is a claim (``streams.objects.claim``).

Keys (under ``claims/``)::

    requests/REQUEST                                    tenant, topic and content hash of the submission
    recorded/TENANT/RUN/REQUEST.STAGE.ROUND             the outputs of a recorded step
    verdicts/TENANT/RUN/REQUEST                         how the request ended in that run
    runs/RUN                                            kind, parent run and mode of a replay

RUN is ``original`` for the original run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES
from schemas.records import Record, Step, UsageRecorded, Verdict
from streams.codec import Codec
from streams.failures import Refused
from streams.objects import ObjectStore, claim, claimed
from streams.topics import CATALOGUE, Topic, key_of, route

ORIGINAL = "original"
OLDEST_MS = 7 * 86_400_000
AHEAD_MS = 5 * 60_000


class Output(NamedTuple):
    """A record ready to publish: exactly these bytes, however often."""

    topic: str
    key: bytes | None
    value: bytes | None
    event_id: str = ""
    tenant: str = ""
    own_headers: tuple[tuple[str, bytes], ...] | None = None
    """Of a record that goes on as it came (into a retry tier)."""

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """What readers use without decoding: sinks the id, schedulers the tenant."""
        if self.own_headers is not None:
            return list(self.own_headers)
        return [("millrace-event-id", self.event_id.encode()), ("millrace-tenant", self.tenant.encode())]


def _run(run: str) -> str:
    return run or ORIGINAL


def encode(codec: Codec, records: Sequence[Record]) -> list[Output]:
    """Records as they go on their topics."""
    out = []
    for record in records:
        topic = route(record)
        event = getattr(record, "event_id", None) or record.request_id  # type: ignore[union-attr]
        out.append(Output(topic.name, key_of(record), codec.encode(topic, record), event, getattr(record, "tenant", "")))
    return out


def register(store: ObjectStore, topic: Topic, record: Any, value: bytes, timestamp_ms: int) -> None:
    """Register a submission under its request id: the first one wins, the same again is a redelivery at any later time.

    Raises :class:`~streams.failures.Refused`: ``id_reused`` where the id stands for something else already; ``id_time`` where a new id's time lies
    more than 7 days before or 5 minutes after the record's broker time; ``unknown_run`` where a record claims to be of a replay that nobody
    opened, or of another tenant's request. Only the second ends a request: in the others it is somebody else's.
    """
    key = f"requests/{record.request_id}"
    about = {"tenant": record.tenant, "topic": topic.name}
    first = claimed(store, key)
    if record.run:
        registered = orjson.loads(first) if first else {}
        if claimed(store, f"runs/{record.run}") is None or any(registered.get(k) != v for k, v in about.items()):
            raise Refused("unknown_run", f"run {record.run} was not opened here for request {record.request_id}", ends_request=False)
        return
    mine = orjson.dumps(about | {"sha256": hashlib.sha256(value[5:]).hexdigest()}, option=orjson.OPT_SORT_KEYS)
    if first is None:
        at = ids.id_time_ms(record.request_id)
        if not timestamp_ms - OLDEST_MS <= at <= timestamp_ms + AHEAD_MS:
            off = (at - timestamp_ms) / 1000
            raise Refused("id_time", f"the id's time is {off:+.0f} s off the record's; it must lie within -7 days and +5 minutes")
        _, first = claim(store, key, mine)
    if first != mine:
        raise Refused("id_reused", f"request id {record.request_id} was used before for another submission", ends_request=False)


def recorded_key(source: Any, stage: str, round: int, run: str | None = None) -> str:
    return f"recorded/{source.tenant}/{_run(source.run if run is None else run)}/{source.request_id}.{stage}.{round}"


def _pack(outputs: Sequence[Output], **more: str) -> bytes:
    return orjson.dumps(
        {
            "outputs": [
                {
                    "topic": o.topic,
                    "key": base64.b64encode(o.key or b"").decode(),
                    "value": base64.b64encode(o.value or b"").decode(),
                    "event_id": o.event_id,
                    "tenant": o.tenant,
                }
                for o in outputs
            ],
            **more,
        }
    )


def _unpack(body: bytes) -> list[Output]:
    return [
        Output(o["topic"], base64.b64decode(o["key"]) or None, base64.b64decode(o["value"]), o["event_id"], o["tenant"])
        for o in orjson.loads(body)["outputs"]
    ]


def recorded(store: ObjectStore, codec: Codec, source: Any, stage: str, round: int) -> list[Output] | None:
    """What this step published before, in this run or, where the run reuses, in its parent run; else None."""
    body = claimed(store, recorded_key(source, stage, round))
    if body is not None:
        return _unpack(body)
    if not source.run:
        return None
    run = claimed(store, f"runs/{source.run}")
    about = orjson.loads(run) if run else {}
    if about.get("mode") != "reuse":
        return None
    body = claimed(store, recorded_key(source, stage, round, about.get("parent", "")))
    if body is None:
        return None
    adopted = _adopt(codec, _unpack(body), source, stage, round)
    return record(store, source, stage, round, settle_verdict(store, codec, adopted, encode(codec, adopted)), "")


def record(store: ObjectStore, source: Any, stage: str, round: int, outputs: Sequence[Output], code_version: str) -> list[Output]:
    """Write a step's outputs once and for all; returns those of whoever came first."""
    _, body = claim(store, recorded_key(source, stage, round), _pack(outputs, code_version=code_version))
    return _unpack(body)


def _adopt(codec: Codec, outputs: Sequence[Output], source: Any, stage: str, round: int) -> list[Record]:
    """A parent run's outputs as this run's own: other ids, and no usage, since a call is billed in the run that made it."""
    adopted: list[Record] = []
    ordinals: dict[str, int] = {}
    for output in outputs:
        kind = CATALOGUE[output.topic].record
        assert kind is not None
        found = codec.decode(kind, output.value)
        if isinstance(found, UsageRecorded) or not isinstance(found, Step):
            continue
        name = SCHEMA_NAMES[kind]
        ordinal = ordinals.get(name, 0)
        ordinals[name] = ordinal + 1
        event = ids.event_id(
            tenant=source.tenant, run=source.run, request=source.request_id, stage=stage, round=round, kind=name, ordinal=ordinal
        )
        adopted.append(replace(found, run=source.run, event_id=event, usage_events=getattr(source, "usage_events", 0)))  # type: ignore[arg-type]
    return adopted


def settle_verdict(store: ObjectStore, codec: Codec, records: Sequence[Record], outputs: list[Output]) -> list[Output]:
    """Where the outputs hold a verdict, claim it for the request and run; where another one was there first, that one is published instead."""
    settled = list(outputs)
    for i, (found, output) in enumerate(zip(records, outputs, strict=True)):
        if isinstance(found, Verdict):
            _, body = claim(store, f"verdicts/{found.tenant}/{_run(found.run)}/{found.request_id}", _pack([output]))
            settled[i] = _unpack(body)[0]
    return settled


def verdict_of(store: ObjectStore, codec: Codec, tenant: str, run: str, request_id: str) -> Verdict | None:
    """The request's verdict in a run, if it has one."""
    body = claimed(store, f"verdicts/{tenant}/{_run(run)}/{request_id}")
    if body is None:
        return None
    found: Verdict = codec.decode(Verdict, _unpack(body)[0].value)
    return found


def open_run(store: ObjectStore, run: str, *, kind: str, parent: str, mode: str) -> None:
    """Say what a replay is before its first record travels."""
    claim(store, f"runs/{run}", orjson.dumps({"kind": kind, "parent": parent, "mode": mode}))
