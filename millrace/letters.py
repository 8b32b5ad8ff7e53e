"""Dead letters as an operator works with them: found by what is known of them, tried again, put away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from millrace.doors import Door
from schemas import ids
from schemas.avro_codec import BadRecord
from sinks.clickhouse import ClickHouse
from streams import dead_letters, runs
from streams.codec import Codec
from streams.dead_letters import REPLAYED, NotReplayable
from streams.objects import ObjectStore
from streams.replay.control import Control, Progress
from streams.topics import CATALOGUE

COLUMNS = "event_id, occurred_at, stage, reason, message, tries, topic, partition, offset, tenant, request_id, run, code_version"
_TESTS = {
    "stage": "stage = {stage:String}",
    "reason": "reason = {reason:String}",
    "tenant": "tenant = {tenant:String}",
    "topic": "topic = {topic:String}",
    "request": "request_id = {request:String}",
    "of_run": "run = {of_run:String}",
    "code_version": "code_version = {code_version:String}",
    "since": "occurred_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
    "until": "occurred_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
}
_OPEN = "event_id NOT IN (SELECT toUUIDOrZero(target) FROM audit WHERE action IN ('dead_letter.replay', 'dead_letter.drop'))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """All that is given must hold. Times are of the giving up, ms since 1970."""

    stage: str | None = None
    reason: str | None = None
    tenant: str | None = None
    topic: str | None = None
    request: str | None = None
    of_run: str | None = None
    code_version: str | None = None
    since: int | None = None
    until: int | None = None

    def given(self) -> dict[str, str]:
        """The filters that are set, as text."""
        return {f.name: str(value) for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one letter."""

    id: str
    done: bool
    message: str


class Letters:
    """Dead letters of one stack."""

    def __init__(self, clickhouse: ClickHouse, objects: ObjectStore, codec: Codec, door: Callable[[], Door]) -> None:
        self._clickhouse, self._objects, self._codec, self._door = clickhouse, objects, codec, door

    def count(self, which: Which) -> int:
        """How many letters, neither replayed nor dropped, fit."""
        return int(self._rows("count() AS n", which.given(), [_OPEN], 1)[0]["n"])

    def find(self, which: Which, limit: int) -> list[dict[str, Any]]:
        """Those letters, the oldest first, without their content."""
        return self._rows(COLUMNS, which.given(), [_OPEN], limit)

    def one(self, id: str) -> dict[str, Any] | None:
        """A letter, whole, whatever became of it. Raises ``BadId``."""
        rows = self._rows(
            f"{COLUMNS}, exception, timestamp, headers, hex(key) AS key_hex, hex(value) AS value_hex", {}, [_is(ids.parse_id(id))], 1
        )
        return rows[0] if rows else None

    def record(self, letter: dict[str, Any]) -> Any:
        """The record in a whole letter. Raises ``BadRecord``."""
        topic = CATALOGUE.get(letter["topic"])
        if topic is None or topic.record is None:
            raise BadRecord(f"topic {letter['topic']} carries no record of ours")
        return self._codec.decode(topic.record, bytes.fromhex(letter["value_hex"] or ""))

    def replay(self, letters: list[dict[str, Any]], actor: str, *, dry_run: bool) -> Iterator[Done]:
        """Try letters again: a run for the letters of each parent run, since a run reuses from one parent; a sink's as they were."""
        chosen = [self._content(letter) for letter in letters]
        for parent in sorted({letter["run"] for letter in chosen}):
            yield from self._replay_run([letter for letter in chosen if letter["run"] == parent], parent, actor, dry_run)

    def _replay_run(self, letters: list[dict[str, Any]], parent: str, actor: str, dry_run: bool) -> Iterator[Done]:
        run = ids.new_id()
        requests: list[str] = []
        for letter in letters:
            topic, stage, value = letter["topic"], letter["stage"], bytes.fromhex(letter["value_hex"]) if letter["value_hex"] else None
            try:
                record = self._decoded(letter)
                dead_letters.check(stage, letter["reason"], topic, value, record)
            except NotReplayable as error:
                yield Done(letter["event_id"], False, str(error))
                continue
            if dry_run:
                yield Done(
                    letter["event_id"],
                    False,
                    "would be written again as it was" if dead_letters.goes_as_it_was(stage) else "would be replayed",
                )
                continue
            key = bytes.fromhex(letter["key_hex"]) if letter["key_hex"] else None
            mark = (REPLAYED, letter["event_id"].encode())
            if dead_letters.goes_as_it_was(stage):
                self._door().republish(self._door().name(topic), key, value, [*letter["headers"], mark])
                in_run = ""
            else:
                if not requests:
                    runs.open_run(self._objects, run, kind="dead_letters", parent=parent, mode="reuse")
                self._door().publish(CATALOGUE[topic], dead_letters.again(topic, record, run), record.request_id.encode(), [mark])
                requests.append(record.request_id)
                in_run = run
            # What was published is on the record only when the broker has it: else the letter stays open.
            self._door().flush()
            self._audit(letter, "dead_letter.replay", actor, in_run)
            yield Done(letter["event_id"], True, f"run {run}" if in_run else "written again as it was")
        if requests:
            self._note(run, parent, actor, requests)
        if not dry_run:
            self._door().flush()

    def drop(self, letters: list[dict[str, Any]], actor: str, *, dry_run: bool) -> Iterator[Done]:
        """Put letters away: they are no longer found. The records stay where they are."""
        for letter in letters:
            if not dry_run:
                self._audit(letter, "dead_letter.drop", actor, "")
            yield Done(letter["event_id"], not dry_run, "would be dropped" if dry_run else "")
        if not dry_run:
            self._door().flush()

    def _audit(self, letter: dict[str, Any], action: str, actor: str, run: str) -> None:
        place = f"{letter['topic']}/{letter['partition']}@{letter['offset']}"
        self._door().audit(
            actor,
            action,
            target=letter["event_id"],
            tenant=letter["tenant"],
            run=run,
            stage=letter["stage"],
            reason=letter["reason"],
            place=place,
        )

    def _note(self, run: str, parent: str, actor: str, requests: list[str]) -> None:
        unique = list(dict.fromkeys(requests))
        control = Control(self._objects, run)
        control.create(
            Progress(
                run=run, kind="dead_letters", parent=parent, mode="reuse", isolated=False, effects="live", actor=actor,
                started_ms=ids.now_ms(), selection=None, slices=(), stages=(), total=len(requests), requests=len(unique),
                estimated_usd=None, budget_usd=None, rate=0.0, window=0, wait=False, state="done", fed=len(requests), fed_requests=len(unique),
            )
        )  # fmt: skip
        control.note_requests(unique)

    def _decoded(self, letter: dict[str, Any]) -> Any:
        try:
            return self.record(letter)
        except BadRecord:
            return None

    def _content(self, letter: dict[str, Any]) -> dict[str, Any]:
        """The letter with its bytes; read one at a time, since a letter may hold ten megabytes."""
        [found] = self._rows(
            "hex(key) AS key_hex, hex(value) AS value_hex, arrayMap(h -> (h.1, hex(h.2)), headers) AS hexed",
            {},
            [_is(letter["event_id"])],
            1,
        )
        headers = [(name, bytes.fromhex(value)) for name, value in map(_pair, found["hexed"])]
        return letter | {"key_hex": found["key_hex"], "value_hex": found["value_hex"], "headers": headers}

    def _rows(self, columns: str, given: dict[str, str], more: list[str], limit: int) -> list[dict[str, Any]]:
        where = " AND ".join([*(_TESTS[name] for name in given), *more])
        order = "" if columns.startswith("count()") else "ORDER BY occurred_at, event_id"
        return self._clickhouse.rows(f"SELECT {columns} FROM dead_letters WHERE {where} {order} LIMIT {limit}", parameters=given)


def _is(id: str) -> str:
    return f"event_id = toUUID('{id}')"


def _pair(header: Any) -> tuple[str, str]:
    """A header as JSON has it: a named tuple is an object there, a plain one a list."""
    name, value = header.values() if isinstance(header, dict) else header
    return name, value
