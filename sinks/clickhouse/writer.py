"""The way of records into ClickHouse: raw, in blocks of one schema and one month, whole blocks or none.

What holds it up:

1. A block's rows lie in one partition (the month of their ids' time bits), so its INSERT happens as a whole or not at all.
2. A row written again replaces itself (see ``ddl/``), so a batch may be written again, cut differently, as often as need be.
3. What ClickHouse cannot do just now raises, and nobody's offset is committed. What it will never take is found, record by record, and
   returned. Which of the two a refusal is, it is asked itself: an INSERT of no rows with our own schema tells whether the table is well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog

from schemas.avro_codec import BadRecord, decoder, unframe
from schemas.ids import BadId
from sinks.clickhouse.avro_block import BROKER_TIME, BadSchema, container, field_names, first_field
from sinks.clickhouse.http import ClickHouse, ClickHouseError, ClickHouseUnavailable
from sinks.clickhouse.tables import TABLES, Table
from streams.batch import RawRecord, RefusedRecord

log = structlog.get_logger()

_DAY_MS = 86_400_000
_EARLIEST_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
_LATEST_AHEAD_MS = _DAY_MS
"""An id's month is a partition, and producers mint ids: without limits, anyone could have a partition made for each record."""
_UUID_LENGTH = 0x48  # 36 as Avro's varint


_UUID7 = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a registry id says about records: the writer's schema, the text its bodies begin with, and how to check them."""

    schema_id: int
    schema: str
    first_field: str | None
    decode: Callable[[bytes], Any] | None
    """Only where anybody may write: finding a culprit by asking ClickHouse takes a tenth of a second, and a stranger may send many."""


@dataclass(frozen=True, slots=True)
class _Row:
    index: int
    broker_time: int
    value: bytes


class ClickHouseWriter:
    """Writes topics into their tables. ``schema_of`` gives the writer's schema (JSON) of a registry id, or raises ``BadRecord``."""

    def __init__(self, clickhouse: ClickHouse, schema_of: Callable[[int], str], *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clickhouse = clickhouse
        self._schema_of = schema_of
        self._sleep = sleep
        self._origins: dict[tuple[str, int], _Origin] = {}

    def write(self, topic: str, records: Sequence[RawRecord]) -> list[RefusedRecord]:
        """Write ``records`` of ``topic``; return those that can never be written, in order.

        Raises ``ClickHouseUnavailable`` (a ``Transient``) after the tries that the settings allow, ``ClickHouseError`` where ClickHouse
        refuses what we say rather than what they hold (no table, no rights), and what ``schema_of`` raises for its own reasons.
        """
        table = TABLES[topic]
        refused: list[RefusedRecord] = []
        blocks: dict[tuple[int, int], list[_Row]] = {}
        for index, record in enumerate(records):
            try:
                value, origin = self._origin(table, record)
                event_id = origin.decode(value).request_id if origin.decode else _id_of(table, record, value, origin)
                month = _month(event_id, record.timestamp)
            except BadRecord as error:
                refused.append(RefusedRecord(index, "bad_record", str(error)))
            except BadId as error:
                refused.append(RefusedRecord(index, "bad_id", str(error)))
            else:
                blocks.setdefault((origin.schema_id, month), []).append(_Row(index, record.timestamp, value))
        for (schema_id, _), rows in blocks.items():
            for block in self._cut(rows):
                refused += self._insert(table, self._origins[table.name, schema_id].schema, block)
        refused.sort(key=lambda item: item.index)
        return refused

    def _origin(self, table: Table, record: RawRecord) -> tuple[bytes, _Origin]:
        """The record's value and what is known of its writer. Raises ``BadRecord``."""
        value = record.value
        schema_id = unframe(value)
        assert value is not None
        known = self._origins.get((table.name, schema_id))
        if known is None:
            known = self._origins[table.name, schema_id] = self._look_up(table, schema_id)
        return value, known

    def _look_up(self, table: Table, schema_id: int) -> _Origin:
        """Raises ``BadRecord`` where records of that schema cannot be written into ``table``."""
        try:
            schema = self._schema_of(schema_id)
            names = set(field_names(schema))
        except BadSchema as error:
            raise BadRecord(str(error)) from error
        if lacking := table.required - names:
            raise BadRecord(f"schema {schema_id} lacks {', '.join(sorted(lacking))}, which {table.name} needs")
        if unknown := names - table.columns:
            log.warning("fields without a column are not kept in ClickHouse", table=table.name, schema=schema_id, fields=sorted(unknown))
        try:
            decode = decoder(table.record, schema) if table.by_anyone else None
        except Exception as error:  # fastavro has many names for a schema that is none
            raise BadRecord(f"schema {schema_id} is not one that {table.name} can be read by: {error}") from error
        return _Origin(schema_id, schema, first_field(schema), decode)

    def _cut(self, rows: list[_Row]) -> list[list[_Row]]:
        """Blocks within the limits of rows and bytes; a row larger than a block is a block."""
        settings = self._clickhouse.settings
        blocks: list[list[_Row]] = []
        size = 0
        for row in rows:
            if not blocks or len(blocks[-1]) >= settings.block_rows or size + len(row.value) > settings.block_bytes:
                blocks.append([])
                size = 0
            blocks[-1].append(row)
            size += len(row.value)
        return blocks

    def _insert(self, table: Table, schema: str, rows: list[_Row]) -> list[RefusedRecord]:
        """Insert one block. Where it is refused, find out whose fault it is."""
        try:
            self._send(table, schema, rows)
        except ClickHouseError as error:
            self._send(table, table.text, [])  # raises where the table or our rights are the matter, not the block
            try:
                self._send(table, schema, [])
            except ClickHouseError as of_schema:
                return [_refusal(row, of_schema) for row in rows]
            return self._halve(table, schema, rows, error)
        return []

    def _halve(self, table: Table, schema: str, rows: list[_Row], error: ClickHouseError) -> list[RefusedRecord]:
        """Insert the halves of a refused block, and theirs, until the culprits stand alone."""
        if len(rows) == 1:
            return [_refusal(rows[0], error)]
        refused = []
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            try:
                self._send(table, schema, half)
            except ClickHouseError as again:
                refused += self._halve(table, schema, half, again)
        return refused

    def _send(self, table: Table, schema: str, rows: list[_Row]) -> None:
        settings = self._clickhouse.settings
        columns = [BROKER_TIME, *(name for name in field_names(schema) if name in table.columns)]
        avro = container(schema, ((row.broker_time, row.value) for row in rows))
        for attempt in range(settings.tries):
            try:
                self._clickhouse.insert(table.name, columns, avro)
                return
            except ClickHouseUnavailable as error:
                if attempt + 1 == settings.tries:
                    raise
                pause = min(10.0, settings.backoff_s * 2**attempt)
                log.warning("insert again", table=table.name, rows=len(rows), error=str(error)[:300], in_s=pause)
                self._sleep(pause)


def _refusal(row: _Row, error: ClickHouseError) -> RefusedRecord:
    return RefusedRecord(row.index, "refused_by_clickhouse", str(error))


def _id_of(table: Table, record: RawRecord, value: bytes, origin: _Origin) -> str:
    """The text of the row's id: in our schemas the first field, so it is read where it lies; else as the header says."""
    if origin.first_field == "event_id" and len(value) >= 42 and value[5] == _UUID_LENGTH:
        return value[6:42].decode("ascii", errors="replace")
    if record.event_id:
        return record.event_id
    raise BadId("the record names no id: not first in its body, nor in its headers")


def _month(event_id: str, broker_time: int) -> int:
    """The partition of a UUIDv7, as year * 12 + month. Raises ``BadId`` where it is none or its time cannot be."""
    if not _UUID7.fullmatch(event_id):
        raise BadId(f"{event_id[:80]!r} is no UUIDv7")
    unix_ms = int(event_id[:8] + event_id[9:13], 16)
    if not _EARLIEST_MS <= unix_ms <= broker_time + _LATEST_AHEAD_MS:
        raise BadId(f"the time in {event_id} lies before 2020 or a day or more after the record's")
    return _month_of_day(unix_ms // _DAY_MS)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> int:
    date = datetime.fromtimestamp(day * 86_400, UTC)
    return date.year * 12 + date.month
