"""What makes a step exact: requests registered, outputs recorded, one verdict. Each is a claim (``streams.objects.claim``).

Keys (under ``claims/``)::

    requests/REQUEST                                    tenant, topic and content hash of the submission
    recorded/TENANT/RUN/REQUEST.STAGE.ROUND             the outputs of a recorded step, or of any that was given up
    verdicts/TENANT/RUN/REQUEST                         how the request ended in that run
    runs/RUN                                            what a replay is (``streams.runs``)

RUN is ``original`` for the original run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson

from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES
from schemas.records import Record, Step, UsageRecorded, Verdict
from streams import fitting, runs
from streams.codec import Codec
from streams.failures import Refused, Rejected
from streams.objects import ObjectStore, claim, claimed
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, ARTIFACT_VALIDATED, CATALOGUE, DEAD_LETTERS, Topic, key_of, route

VERDICTS = frozenset({ARTIFACT_VALIDATED.name, ARTIFACT_REJECTED.name})
OLDEST_MS = 7 * 86_400_000
AHEAD_MS = 5 * 60_000


class Output(NamedTuple):
    """A record ready to publish: exactly these bytes, however often."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    """What readers use without decoding: sinks the id, replays the tenant. Or those of a record that goes on as it came (into a delay tier)."""

    def header(self, name: str) -> str:
        return dict(self.headers)[name].decode()


_new_output = partial(tuple.__new__, Output)
_EVENT_ID, _TENANT = "millrace-event-id", "millrace-tenant"


def encode(codec: Codec, records: Sequence[Record]) -> list[Output]:
    """Records as they go on their topics."""
    out = []
    for record in records:
        topic = route(record)
        if isinstance(record, Step):  # the hot path
            headers = _headers(record.event_id, record.tenant)
            out.append(_new_output((topic.name, record.request_id.encode(), codec.encode(topic, record), headers)))
            continue
        event = getattr(record, "event_id", None) or record.request_id  # type: ignore[union-attr]
        headers = _headers(event, getattr(record, "tenant", ""))
        out.append(_new_output((topic.name, key_of(record), codec.encode(topic, record), headers)))
    return out


def _headers(event_id: str, tenant: str) -> list[tuple[str, bytes]]:
    return [(_EVENT_ID, event_id.encode()), (_TENANT, tenant.encode())]


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
        if runs.about(store, record.run) is None or any(registered.get(k) != v for k, v in about.items()):
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
    run = ids.run_name(source.run if run is None else run)
    return f"recorded/{source.tenant}/{run}/{ids.step_name(source.request_id, stage, round)}"


def verdict_key(tenant: str, run: str, request_id: str) -> str:
    return f"verdicts/{tenant}/{ids.run_name(run)}/{request_id}"


def _pack(outputs: Sequence[Output], **more: str) -> bytes:
    return orjson.dumps(
        {
            "outputs": [
                {
                    "topic": o.topic,
                    "key": base64.b64encode(o.key or b"").decode(),
                    "value": base64.b64encode(o.value or b"").decode(),
                    "event_id": o.header(_EVENT_ID),
                    "tenant": o.header(_TENANT),
                }
                for o in outputs
            ],
            **more,
        }
    )


class _Recorded(NamedTuple):
    outputs: list[Output]
    code_version: str
    """Of whoever did the step; empty for a verdict."""


def _unpack(body: bytes) -> _Recorded:
    packed = orjson.loads(body)
    outputs = [
        Output(o["topic"], base64.b64decode(o["key"]) or None, base64.b64decode(o["value"]), _headers(o["event_id"], o["tenant"]))
        for o in packed["outputs"]
    ]
    return _Recorded(outputs, str(packed.get("code_version", "")))


def recorded(store: ObjectStore, codec: Codec, source: Any, stage: str, round: int) -> list[Output] | None:
    """What this step published before, in this run or, where the run reuses, in its parent run; else None.

    That may be its giving up. A parent run's is not taken over: doing better is what the run is for.
    """
    body = claimed(store, recorded_key(source, stage, round))
    if body is not None:
        return settle(store, source, _unpack(body).outputs)
    if not source.run:
        return None
    run = runs.about(store, source.run)
    if run is None or run.mode != "reuse":
        return None
    theirs = _done(store, source, stage, round, run.parent)
    if theirs is None:
        return None
    adopted = _adopt(codec, theirs.outputs, source, stage, round)
    return record(store, source, stage, round, encode(codec, adopted), theirs.code_version)  # of whoever did the step, not who took it over


def _done(store: ObjectStore, source: Any, stage: str, round: int, run: str) -> _Recorded | None:
    """What a step recorded in a run; None where it recorded nothing, or that it was given up."""
    body = claimed(store, recorded_key(source, stage, round, run))
    if body is None or gave_up((found := _unpack(body)).outputs):
        return None
    return found


def check_effects(store: ObjectStore, run: str, stage: str) -> None:
    """Raises :class:`~streams.failures.Rejected` where a run publishes only what was recorded, and nothing was. After :func:`recorded`, which
    has asked for the run already, it does not block."""
    opened = runs.about(store, run)
    if opened is not None and opened.effects == "recorded":
        raise Rejected(
            "not_recorded", f"{stage} has nothing recorded for this request in the run that this one takes up, and may do nothing anew"
        )


def code_version_of(store: ObjectStore, source: Any, stage: str, run: str) -> str | None:
    """Which version of the code did a recorded step; None where it was not recorded, or given up. ``source`` is any record of its request and round."""
    found = _done(store, source, stage, getattr(source, "round", 0), run)
    return found and found.code_version


def record(store: ObjectStore, source: Any, stage: str, round: int, outputs: Sequence[Output], code_version: str) -> list[Output]:
    """Write a step's outputs once and for all, its giving up too; returns those of whoever came first, with the request's one verdict.

    First the step's outcome, then the verdict: a writer who dies in between leaves an outcome that says the same to whoever does the step again.
    """
    _, body = claim(store, recorded_key(source, stage, round), _pack(outputs, code_version=code_version))
    return settle(store, source, _unpack(body).outputs)


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
        changes: dict[str, Any] = {"run": source.run, "event_id": event, "usage_events": getattr(source, "usage_events", 0)}
        if hasattr(found, "deadline"):
            changes["deadline"] = getattr(source, "deadline", None)
        adopted.append(replace(found, **changes))  # type: ignore[arg-type]
    return adopted


def settle(store: ObjectStore, source: Any, outputs: Sequence[Output]) -> list[Output]:
    """Where the outputs of ``source``'s step hold a verdict, claim it for the request and run; where another one was there first, that one is
    published instead."""
    settled = list(outputs)
    for i, output in enumerate(outputs):
        if output.topic in VERDICTS:
            _, body = claim(store, verdict_key(source.tenant, source.run, source.request_id), _pack([output]))
            settled[i] = _unpack(body).outputs[0]
    return settled


def cut(codec: Codec, output: Output, settings: StreamSettings) -> Output:
    """The output, made smaller where no topic takes it (``streams.fitting``)."""
    if fitting.fits(output, settings):
        return output
    kind = CATALOGUE[output.topic].record
    assert kind is not None
    return encode(codec, [fitting.cut(codec.decode(kind, output.value), codec, settings)])[0]


def gave_up(outputs: Sequence[Output]) -> bool:
    """Whether recorded outputs say that the step was given up."""
    return any(output.topic == DEAD_LETTERS.name for output in outputs)


def verdict_of(store: ObjectStore, codec: Codec, tenant: str, run: str, request_id: str) -> Verdict | None:
    """The request's verdict in a run, if it has one."""
    body = claimed(store, verdict_key(tenant, run, request_id))
    if body is None:
        return None
    found: Verdict = codec.decode(Verdict, _unpack(body).outputs[0].value)
    return found
