"""What happened, in ClickHouse: tables that count each event once, the writer that fills them, views and saved questions."""

from sinks.clickhouse.http import ClickHouse, ClickHouseError, ClickHouseSettings, ClickHouseUnavailable
from sinks.clickhouse.installation import SchemaChanged, install, sql_files
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.writer import ClickHouseWriter

__all__ = [
    "TABLES",
    "ClickHouse",
    "ClickHouseError",
    "ClickHouseSettings",
    "ClickHouseUnavailable",
    "ClickHouseWriter",
    "SchemaChanged",
    "install",
    "sql_files",
]
