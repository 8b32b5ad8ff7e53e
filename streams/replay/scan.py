"""Reading a plan: which of its records a selection means, and what they are in a new run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES, BadRecord
from schemas.names import BadName, check_name
from schemas.records import Record, Step
from streams import steps
from streams.codec import Codec
from streams.objects import ObjectStore, claimed
from streams.replay.log import LogRecord, Slice
from streams.replay.selection import READER, Selection
from streams.topics import CATALOGUE

Read = Callable[[Slice], Iterator[LogRecord]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A record that a selection means: where it lies, and what it says."""

    source: LogRecord
    record: Any


def of_run(topic: str, record: Any, run: str) -> Any:
    """The record as one of a run: with its own id, since two runs never share one, and no usage yet. The wire name of ``topic`` is in the catalogue.

    A deadline was the original's: nobody waits for a replay until then.
    """
    if getattr(record, "deadline", None) is not None:
        record = replace(record, deadline=None)
    if not isinstance(record, Step):
        return replace(record, run=run)
    kind = SCHEMA_NAMES[type(record)]
    writer = CATALOGUE[topic].owner
    event = ids.event_id(tenant=record.tenant, run=run, request=record.request_id, stage=writer, round=record.round, kind=kind)
    return replace(record, run=run, event_id=event, usage_events=0)


class Chooser:
    """Tells the records that a selection means from those it does not; ``skipped`` counts the latter by reason.

    ``not_selected`` is another tenant's, key's, time's or request's; ``other_run`` belongs to a replay. Of what was selected, ``bad_record`` does
    not decode, ``not_registered`` never became a request (its id's time, its tenant), ``id_reused`` came second under its id, ``twice`` was met
    before: each of these lies in the dead letters, or is a redelivery.
    """

    def __init__(self, selection: Selection, codec: Codec, objects: ObjectStore) -> None:
        self.selection, self._codec, self._objects = selection, codec, objects
        self._requests = None if selection.requests is None else frozenset(selection.requests)
        self._key = None if selection.key is None else selection.key.encode()
        self._tenant = None if selection.tenant is None else selection.tenant.encode()
        self._seen: set[tuple[str, str, int]] = set()
        self.skipped: Counter[str] = Counter()

    def choose(self, source: LogRecord) -> Chosen | None:
        """The record, if it is meant. Blocks; raises ``Transient`` where the registry does not answer."""
        reason, record = self._look(source)
        if reason:
            self.skipped[reason] += 1
            return None
        return Chosen(source, record)

    def _look(self, source: LogRecord) -> tuple[str, Any]:
        s = self.selection
        if (s.since is not None and source.timestamp < s.since) or (s.until is not None and source.timestamp >= s.until):
            return "not_selected", None
        if self._key is not None and source.key != self._key:
            return "not_selected", None
        named = next((value for name, value in source.headers if name == "millrace-tenant"), None)
        if self._tenant is not None and named is not None and named != self._tenant:
            return "not_selected", None
        kind = CATALOGUE[source.topic].record
        assert kind is not None
        try:
            record = self._codec.decode(kind, source.value)
            check_name(record.tenant, "tenant")
            ids.parse_id(record.request_id)
        except (BadRecord, BadName, ids.BadId):
            return "bad_record", None
        if s.tenant is not None and record.tenant != s.tenant:
            return "not_selected", None
        if self._requests is not None and record.request_id not in self._requests:
            return "not_selected", None
        if record.run != s.of_run:
            return "other_run", None
        name = (source.topic, record.request_id, getattr(record, "round", 0))
        if name in self._seen:
            return "twice", None
        if reason := self._unregistered(source, record):
            return reason, None
        if s.code_version is not None and steps.code_version_of(self._objects, record, READER[source.topic], s.of_run) != s.code_version:
            return "not_selected", None
        self._seen.add(name)
        return "", record

    def _unregistered(self, source: LogRecord, record: Any) -> str:
        if not CATALOGUE[source.topic].entry or record.run:
            return ""
        first = claimed(self._objects, f"requests/{record.request_id}")
        if first is None:
            return "not_registered"
        assert source.value is not None
        sha256 = hashlib.sha256(source.value[5:]).hexdigest()
        same = orjson.loads(first) == {"tenant": record.tenant, "topic": source.topic, "sha256": sha256}
        return "" if same else "id_reused"


@dataclass
class Count:
    """What a plan holds."""

    records: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    by_tenant: Counter[str] = field(default_factory=Counter)
    by_source: Counter[str] = field(default_factory=Counter)
    requests: dict[str, str] = field(default_factory=dict)
    """Request id to tenant, in the order in which they come."""
    skipped: Counter[str] = field(default_factory=Counter)
    more: bool = False
    """Whether there are more than the selection's maximum."""

    def add(self, chosen: Chosen, source: str) -> None:
        self.records += 1
        self.by_topic[chosen.source.topic] += 1
        self.by_tenant[chosen.record.tenant] += 1
        self.by_source[source] += 1
        self.requests.setdefault(chosen.record.request_id, chosen.record.tenant)


def count(slices: Sequence[Slice], chooser: Chooser, read: Read) -> Count:
    """Read a plan without publishing: what a replay of it would take up."""
    found = Count()
    for piece in slices:
        for source in read(piece):
            chosen = chooser.choose(source)
            if chosen is None:
                continue
            if found.records == chooser.selection.max:
                found.more = True
                found.skipped = chooser.skipped
                return found
            found.add(chosen, piece.source)
    found.skipped = chooser.skipped
    return found


Publish = Callable[[str, Record, bytes | None], None]
