from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sinks.clickhouse import (
    TABLES,
    ClickHouse,
    ClickHouseError,
    ClickHouseSettings,
    ClickHouseUnavailable,
    SchemaChanged,
    install,
    sql_files,
)
from sinks.clickhouse.installation import SqlFile
from streams.topics import SUNK

pytestmark = pytest.mark.clickhouse


def test_every_sunk_topic_has_a_table() -> None:
    assert set(TABLES) == {topic.name for topic in SUNK}


def test_every_field_is_a_column_and_every_column_a_field(house: ClickHouse) -> None:
    for table in TABLES.values():
        found = house.rows("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {t:String} AND default_kind != 'MATERIALIZED'", parameters={"t": table.name})  # fmt: skip
        assert {row["name"] for row in found} == table.columns | {"broker_time"}, table.name


def test_nullable_where_and_only_where_avro_is(house: ClickHouse) -> None:
    for table in TABLES.values():
        types = {row["name"]: row["type"] for row in house.rows("SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {t:String}", parameters={"t": table.name})}  # fmt: skip
        for field in json.loads(table.text)["fields"]:
            assert types[field["name"]].startswith("Nullable(") == (isinstance(field["type"], list)), field["name"]


def test_content_hash_covers_every_field(house: ClickHouse) -> None:
    """A field that is forgotten in the hash would let two contents pass for one."""
    free = {"video_submitted": {"request_id", "run"}, "prompt_submitted": {"request_id", "run"}, "usage_recorded": {"event_id", "revision"}}
    hashes = house.rows("SELECT table, default_expression AS hash FROM system.columns WHERE database = currentDatabase() AND name = 'content' AND default_kind = 'MATERIALIZED'")  # fmt: skip
    assert {row["table"] for row in hashes} == {"video_submitted", "prompt_submitted", "features_extracted", "artifact_generated", "verdict_given", "usage_recorded", "audit_recorded"}  # fmt: skip
    by_name = {table.name: table for table in TABLES.values()}
    for row in hashes:
        for column in by_name[row["table"]].columns - free.get(row["table"], {"event_id"}):
            assert f"{column}" in row["hash"].replace("(", " ").replace(")", " ").replace(",", " ").split(), (row["table"], column)


def test_sorted_and_partitioned_by_nothing_but_ids(house: ClickHouse) -> None:
    """What an execution may change must not be in a key: such a row would not replace itself."""
    fixed = {"toDate", "toYYYYMM", "event_time", "event_id", "request_id", "run", "content", "tenant"}
    for table in {table.name for table in TABLES.values()}:
        row = house.rows("SELECT engine, sorting_key, partition_key FROM system.tables WHERE database = currentDatabase() AND name = {t:String}", parameters={"t": table})[0]  # fmt: skip
        assert row["engine"] == "ReplacingMergeTree"
        words = set((row["sorting_key"] + " " + row["partition_key"]).replace("(", " ").replace(")", " ").replace(",", " ").split())
        assert words <= fixed, table


def test_again_changes_nothing(house: ClickHouse) -> None:
    assert install(house) == []


def test_at_once(clickhouse: str, database: str) -> None:
    clients = [ClickHouse(ClickHouseSettings(url=f"{clickhouse}/?database={database}")) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(install, clients))
    assert install(clients[0]) == []
    assert clients[0].rows("SELECT * FROM requests") == []


def test_a_migration_that_was_changed_is_refused(own_house: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(of: Callable[[str], list[SqlFile]]) -> Callable[[str], list[SqlFile]]:
        return lambda folder: [
            SqlFile(file.name, file.text + "-- more") if file.name.startswith("ddl/0002") else file for file in of(folder)
        ]

    monkeypatch.setattr("sinks.clickhouse.installation.sql_files", changed(sql_files))
    with pytest.raises(SchemaChanged, match="0002_usage"):
        install(own_house)


def test_a_view_that_was_changed_is_made_anew(own_house: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(folder: str) -> list[SqlFile]:
        return [SqlFile(file.name, "-- None.\nSELECT 42 AS answer") if file.stem == "why_rejected" else file for file in sql_files(folder)]

    monkeypatch.setattr("sinks.clickhouse.installation.sql_files", changed)
    assert "questions/why_rejected.sql" in install(own_house)
    assert own_house.command("SELECT answer FROM why_rejected").strip() == "42"


def test_questions_have_titles_and_answers(house: ClickHouse) -> None:
    for question in sql_files("questions"):
        assert question.text.startswith("-- ") and "?" in question.title, question.name
        assert house.rows(f"SELECT * FROM {question.stem}") == []
    for view in (
        "requests",
        "usage",
        "timeline",
        "validation_results",
        "dead_letters",
        "id_conflicts",
        "unpriced_usage",
        "anomalies",
        "audit",
        "progress",
    ):
        assert house.rows(f"SELECT * FROM {view}") == []


def test_columns_are_documented(house: ClickHouse) -> None:
    silent = house.rows("SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table = 'usage_recorded' AND name NOT IN ('tenant', 'project', 'priority', 'stage', 'provider', 'model', 'dims')")  # fmt: skip
    assert silent == []


def test_nobody_there() -> None:
    client = ClickHouse(ClickHouseSettings(url="http://127.0.0.1:9/"))
    with pytest.raises(ClickHouseUnavailable):
        client.command("SELECT 1")


def test_refused_statement_says_why(house: ClickHouse) -> None:
    with pytest.raises(ClickHouseError, match="nonsense") as error:
        house.command("SELECT nonsense")
    assert error.value.code == 47
    with pytest.raises(ClickHouseError):
        house.rows("SELECT throwIf(number = 3) FROM numbers(10)")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8123", "tcp://host:9000", "http://"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError):
        ClickHouse(ClickHouseSettings(url=url))


def test_a_password_stays_out_of_the_error() -> None:
    with pytest.raises(ValueError) as error:
        ClickHouse(ClickHouseSettings(url="tcp://user:secret@host"))
    assert "secret" not in str(error.value)
