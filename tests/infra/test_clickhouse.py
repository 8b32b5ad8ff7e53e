"""The embedded engine's HTTP interface, held against what ClickHouse's own client (and plain HTTP) may expect of a server."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import clickhouse_connect
import fastavro
import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from infra.embedded.clickhouse import ClickHouse, ClickHouseSettings
from infra.embedded.process import ProcessError

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def client(clickhouse: str, database: str) -> Iterator[Any]:
    with clickhouse_connect.get_client(dsn=f"{clickhouse}/{database}") as client:
        yield client


def post(url: str, sql: str | bytes | Iterator[bytes], **parameters: str) -> httpx.Response:
    headers = {name[2:].replace("_", "-"): parameters.pop(name) for name in list(parameters) if name.startswith("h_")}
    return httpx.post(url, content=sql, params=parameters, headers=headers, timeout=60, trust_env=False)


# -- through ClickHouse's own client -----------------------------------------------------------------------------------------------

TYPES: list[tuple[str, object]] = [
    ("UUID", uuid.UUID("018f9b3c-6c1a-7def-8abc-0123456789ab")),
    ("DateTime64(6, 'UTC')", dt.datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=dt.UTC)),
    ("Date", dt.date(2026, 5, 4)),
    ("Decimal(38, 12)", Decimal("12345678901234567890.123456789012")),
    ("Nullable(Decimal(18, 9))", None),
    ("LowCardinality(String)", "Zürich 漢字 🦀"),
    ("Enum8('low' = 1, 'critical' = 4)", "critical"),
    ("Map(String, UInt64)", {"input": 2**63, "output": 0}),
    ("Array(Nullable(String))", ["a", None, "it's\t\\ \n"]),
    ("Tuple(Int8, String)", (-128, "x")),
    ("UInt64", 2**64 - 1),
    ("Bool", True),
    ("Array(Array(Float64))", [[0.1, -1e300], []]),
]


@pytest.mark.parametrize(("column", "value"), TYPES, ids=[t for t, _ in TYPES])
def test_a_value_comes_back_as_it_went_in(client: Any, column: str, value: object) -> None:
    client.command(f"CREATE TABLE v (x {column}) ENGINE = MergeTree ORDER BY tuple()")
    client.insert("v", [[value]], column_names=["x"])
    assert client.query("SELECT x FROM v", tz_mode="aware").result_rows[0][0] == value


def test_parameters_are_bound_by_the_engine(client: Any) -> None:
    hostile = "'; DROP TABLE x; --\t\\ \n"
    rows = client.query(
        "SELECT {s:String}, {n:UInt32} + 1, {a:Array(String)}, {t:DateTime64(3)}",
        parameters={"s": hostile, "n": 41, "a": [hostile, ""], "t": dt.datetime(2026, 1, 2, 3, 4, 5, 678000)},
    ).result_rows
    assert rows == [(hostile, 42, [hostile, ""], dt.datetime(2026, 1, 2, 3, 4, 5, 678000))]


def test_a_large_insert_and_a_large_result(client: Any) -> None:
    client.command("CREATE TABLE big (id UInt64, text String) ENGINE = MergeTree ORDER BY id")
    rows = [[i, f"row {i}"] for i in range(200_000)]
    summary = client.insert("big", rows, column_names=["id", "text"])
    assert summary.written_rows == 200_000
    assert client.query("SELECT * FROM big ORDER BY id").result_rows == [tuple(row) for row in rows]


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_each_compression_of_the_client(clickhouse: str, database: str, compression: str | bool) -> None:
    with clickhouse_connect.get_client(dsn=f"{clickhouse}/{database}", compress=compression) as client:
        client.command("CREATE TABLE c (id UInt64, text String) ENGINE = MergeTree ORDER BY id")
        client.insert("c", [[i, "same " * 20] for i in range(50_000)], column_names=["id", "text"])
        assert client.command("SELECT count(), uniqExact(text) FROM c") == ["50000", "1"]


def test_the_clients_settings_hold_for_the_query_and_no_longer(client: Any) -> None:
    seen = "SELECT getSetting('max_block_size')"
    before = client.command(seen)
    assert client.query(seen, settings={"max_block_size": 1234}).result_rows == [(1234,)]
    assert client.command(seen) == before


def test_a_session_keeps_what_it_made_and_shares_it_with_nobody(clickhouse: str, database: str) -> None:
    one = clickhouse_connect.get_client(dsn=f"{clickhouse}/{database}", session_id=str(uuid.uuid4()))
    other = clickhouse_connect.get_client(dsn=f"{clickhouse}/{database}", session_id=str(uuid.uuid4()))
    with one, other:
        one.command("CREATE TEMPORARY TABLE mine (a UInt8)")
        one.command("INSERT INTO mine VALUES (7)")
        assert one.command("SELECT a FROM mine") == 7
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            other.command("SELECT a FROM mine")


def test_errors_carry_the_servers_code_and_name(client: Any) -> None:
    with pytest.raises(DatabaseError, match=r"Code: 60\. .*nowhere.*UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM nowhere")
    assert caught.value.code == 60


def test_a_view_with_parameters(client: Any) -> None:
    client.command("CREATE TABLE usage (tenant String, cost Decimal(18, 6)) ENGINE = MergeTree ORDER BY tenant")
    client.insert("usage", [["a", Decimal("1.5")], ["b", Decimal("2")]], column_names=["tenant", "cost"])
    client.command("CREATE VIEW spent AS SELECT sum(cost) AS total FROM usage WHERE tenant = {tenant:String}")
    assert client.query("SELECT total FROM spent(tenant = 'a')").result_rows == [(Decimal("1.5"),)]


def test_a_short_query_does_not_wait_for_a_long_one(clickhouse: str) -> None:
    long_ended = threading.Event()
    answers: list[httpx.Response] = []

    def long() -> None:
        answers.append(
            post(clickhouse, "SELECT count() FROM numbers(1e12) WHERE sipHash64(number) % 3 = 1", max_execution_time="6", max_threads="1")
        )
        long_ended.set()

    thread = threading.Thread(target=long)
    thread.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    while post(clickhouse, running).text == "0\n":
        assert not long_ended.is_set(), answers[0].text
    assert [post(clickhouse, f"SELECT {i}").text for i in range(20)] == [f"{i}\n" for i in range(20)]
    assert not long_ended.is_set(), "the short queries came after the long one"
    thread.join()
    assert "TIMEOUT_EXCEEDED" in answers[0].text


def test_many_at_once(clickhouse: str, database: str) -> None:
    post(
        clickhouse, "CREATE TABLE t (writer UInt32, n UInt32) ENGINE = MergeTree ORDER BY (writer, n)", database=database
    ).raise_for_status()
    problems: list[str] = []

    def write(writer: int) -> None:
        for batch in range(5):
            rows = "".join(f'{{"writer": {writer}, "n": {batch * 100 + i}}}\n' for i in range(100))
            answer = post(clickhouse, rows, query="INSERT INTO t FORMAT JSONEachRow", database=database)
            found = post(clickhouse, f"SELECT count() FROM t WHERE writer = {writer}", database=database)
            if answer.status_code != 200 or found.text != f"{(batch + 1) * 100}\n":
                problems.append(f"{answer.text} {found.text}")

    threads = [threading.Thread(target=write, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert post(clickhouse, "SELECT count(), uniqExact(writer, n) FROM t", database=database).text == "8000\t8000\n"


# -- plain HTTP --------------------------------------------------------------------------------------------------------------------


def test_ping_and_the_readers_headers(clickhouse: str) -> None:
    assert httpx.get(f"{clickhouse}/ping", trust_env=False).text == "Ok.\n"
    answer = post(clickhouse, "SELECT 1 AS a FORMAT JSONEachRow", query_id="mine")
    assert (answer.text, answer.headers["X-ClickHouse-Format"], answer.headers["X-ClickHouse-Query-Id"]) == (
        '{"a":1}\n',
        "JSONEachRow",
        "mine",
    )
    assert int(json.loads(answer.headers["X-ClickHouse-Summary"])["elapsed_ns"]) > 0
    assert post(clickhouse, "SELECT 1, 'x'").text == "1\tx\n"
    assert post(clickhouse, "SELECT 1, 'x'", default_format="CSV").text == '1,"x"\n'


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FROM nowhere", 404, 60),
        ("SELEC 1", 400, 62),
        ("", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT 1 SETTINGS nosuch = 1", 404, 115),
        ("CREATE TABLE k (a Int8) ENGINE = Kafka SETTINGS kafka_broker_list = 'x'", 500, 344),
        ("create table k (a Int8) engine /* = */ `Kafka`('b', 't', 'g', 'CSV')", 500, 344),
        ("SELECT * FROM file('/etc/passwd', 'LineAsString')", 500, 344),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 500, 344),
    ],
)
def test_refusals(clickhouse: str, sql: str, status: int, code: int) -> None:
    answer = post(clickhouse, sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_words_in_strings_and_comments_are_no_refusal(clickhouse: str) -> None:
    assert post(clickhouse, "SELECT 'ENGINE = Kafka; file(1)' -- ENGINE = Kafka\n;").text == "ENGINE = Kafka; file(1)\n"


def test_a_get_reads_only(clickhouse: str) -> None:
    answer = httpx.get(clickhouse, params={"query": "CREATE TABLE got (a Int8) ENGINE = Memory"}, trust_env=False)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert httpx.get(clickhouse, params={"query": "SELECT 1"}, trust_env=False).text == "1\n"


def avro(rows: int, bad_last: bool = False) -> bytes:
    """An Avro object container file of (id, cost, note) records."""
    schema = {
        "type": "record",
        "name": "Usage",
        "fields": [
            {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "cost", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}]},
            {"name": "note", "type": "string"},
        ],
    }
    file = io.BytesIO()
    records = [{"id": str(uuid.UUID(int=i)), "cost": Decimal(i) / 1000 if i % 2 else None, "note": "é" * 5} for i in range(rows)]
    fastavro.writer(file, fastavro.parse_schema(schema), records)
    return file.getvalue()[: -100 if bad_last else None]


@pytest.fixture
def usage(clickhouse: str, database: str) -> str:
    sql = (
        "CREATE TABLE usage (id UUID, cost Nullable(Decimal(18, 6)), note LowCardinality(String), seen DateTime DEFAULT now()) "
        "ENGINE = ReplacingMergeTree ORDER BY id"
    )
    post(clickhouse, sql, database=database).raise_for_status()
    return database


def test_avro_files_are_inserted_as_they_are_and_columns_left_out_get_their_defaults(clickhouse: str, usage: str) -> None:
    body = avro(20_000)
    for _ in range(2):
        answer = post(clickhouse, body, query="INSERT INTO usage (id, cost, note) FORMAT Avro", database=usage)
        assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "20000", answer.text
    answer = post(clickhouse, "SELECT count(), sum(cost), countIf(cost IS NULL), min(seen) > 0 FROM usage FINAL", database=usage)
    assert answer.text == "20000\t100000\t10000\t1\n"


@pytest.mark.parametrize("form", ["chunked", "gzip", "with the statement in the body"])
def test_every_way_to_send_the_data(clickhouse: str, usage: str, form: str) -> None:
    statement, body = "INSERT INTO usage (id, cost, note) FORMAT Avro", avro(1000)
    if form == "chunked":
        answer = post(clickhouse, iter([body[:10], body[10:]]), query=statement, database=usage)
    elif form == "gzip":
        answer = post(clickhouse, gzip.compress(body), query=statement, database=usage, h_Content_Encoding="gzip")
    else:
        answer = post(clickhouse, statement.encode() + b"\n" + body, database=usage)
    assert answer.status_code == 200, answer.text
    assert post(clickhouse, "SELECT count() FROM usage", database=usage).text == "1000\n"


@pytest.mark.parametrize(
    ("statement", "body"),
    [
        ("INSERT INTO usage (id, cost, note) FORMAT Avro", avro(300_000, bad_last=True)),
        ("INSERT INTO usage (note) FORMAT JSONEachRow", b'{"note": "x"}\n' * 300_000 + b'{"note": }\n'),
        ("INSERT INTO usage (note) VALUES", b"('x')," * 1000 + b"(,)"),
    ],
    ids=["Avro", "JSONEachRow", "VALUES"],
)
def test_an_insert_with_a_bad_end_leaves_nothing(clickhouse: str, usage: str, statement: str, body: bytes) -> None:
    answer = post(clickhouse, body, query=statement, database=usage)
    assert answer.status_code in (400, 500)
    assert answer.headers["X-ClickHouse-Exception-Code"]
    assert post(clickhouse, "SELECT count() FROM usage", database=usage).text == "0\n"


def test_what_the_table_refuses_is_an_error(clickhouse: str, database: str) -> None:
    sql = "CREATE TABLE c (a Int32, CONSTRAINT positive CHECK a > 0) ENGINE = MergeTree ORDER BY a"
    post(clickhouse, sql, database=database).raise_for_status()
    answer = post(clickhouse, b"1\n-1\n", query="INSERT INTO c FORMAT TSV", database=database)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "469", answer.text
    assert post(clickhouse, "SELECT count() FROM c", database=database).text == "0\n"


def test_an_insert_whose_client_goes_away_leaves_nothing(clickhouse: str, usage: str) -> None:
    host, port = clickhouse.removeprefix("http://").split(":")
    data = b'{"note": "x"}\n' * 100_000
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /?database={usage}&query=INSERT+INTO+usage+FORMAT+JSONEachRow HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data) + 1}\r\n\r\n"
        connection.sendall(head.encode() + data)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"", "no answer to a request that broke off"
    assert post(clickhouse, "SELECT count() FROM usage", database=usage).text == "0\n"


def test_half_a_million_rows_are_one_part(clickhouse: str, usage: str) -> None:
    """The sinks' atomic batch: whole, or not there."""
    rows = b"".join(b'{"id": "%032x", "note": "a note of some length, as they are"}\n' % i for i in range(500_000))
    answer = post(clickhouse, rows, query="INSERT INTO usage (id, note) FORMAT JSONEachRow", database=usage)
    assert answer.status_code == 200, answer.text
    parts = post(clickhouse, f"SELECT sum(rows), count() FROM system.parts WHERE database = '{usage}'", database=usage)
    assert parts.text == "500000\t1\n"


def test_a_statement_larger_than_the_head_is_read_whole(clickhouse: str) -> None:
    numbers = ",".join(str(i) for i in range(60_000))
    answer = post(clickhouse, f"SELECT 59999 IN ({numbers})", max_query_size="1000000")
    assert answer.text == "1\n"


# -- the process -------------------------------------------------------------------------------------------------------------------


def test_data_survives_a_stop_and_a_crash_and_one_process_owns_the_folder(tmp_path: Path) -> None:
    settings = ClickHouseSettings(data=tmp_path / "data", log=tmp_path / "log")
    first = ClickHouse(settings)
    first.start()
    try:
        first.ready()
        post(first.url, "CREATE DATABASE kept").raise_for_status()
        post(first.url, "CREATE TABLE kept.t (a UInt32) ENGINE = MergeTree ORDER BY a").raise_for_status()
        post(first.url, "INSERT INTO kept.t VALUES (1)").raise_for_status()
        rival = ClickHouse(settings)
        rival.start()
        try:
            with pytest.raises(ProcessError, match="ended with status"):
                rival.ready()
        finally:
            rival.stop()
    finally:
        assert first.stop(), "SIGTERM alone must end it"

    second = ClickHouse(settings)
    child = second.start()
    try:
        second.ready()
        post(second.url, "INSERT INTO kept.t VALUES (2)").raise_for_status()
        child.signal(signal.SIGKILL)
    finally:
        second.stop()

    third = ClickHouse(settings)
    third.start()
    try:
        third.ready()
        assert post(third.url, "SELECT groupArray(a) FROM (SELECT a FROM kept.t ORDER BY a)").text == "[1,2]\n"
    finally:
        third.stop()
