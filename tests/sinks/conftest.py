from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sinks.clickhouse import TABLES, ClickHouse, ClickHouseSettings, install
from sinks.objects import open_store
from streams.objects import ObjectStore
from tests.sinks.events import SHARED_DATABASE


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store."""
    if request.param == "folder":
        return (tmp_path / "objects").as_uri()
    endpoint = request.getfixturevalue("s3_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"b{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/pre/fix?endpoint={endpoint}&region=us-east-1"


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    return open_store(store_url)


@pytest.fixture(scope="session")
def installed(clickhouse: str) -> str:
    """The address of a database with everything in it, shared by the session: making one takes a second."""
    bare = ClickHouse(ClickHouseSettings(url=clickhouse))
    bare.command(f"CREATE DATABASE {SHARED_DATABASE}")
    bare.close()
    client = ClickHouse(ClickHouseSettings(url=f"{clickhouse}/?database={SHARED_DATABASE}"))
    install(client)
    client.close()
    return f"{clickhouse}/?database={SHARED_DATABASE}"


@pytest.fixture
def house(installed: str) -> Iterator[ClickHouse]:
    """A client of the shared database, its tables empty."""
    client = ClickHouse(ClickHouseSettings(url=installed, backoff_s=0.01))
    for table in ("id_contents", *{table.name for table in TABLES.values()}):
        client.command(f"TRUNCATE TABLE {table}")
    yield client
    client.close()


@pytest.fixture
def own_house(clickhouse: str, database: str) -> Iterator[ClickHouse]:
    """A client of an installed database of the test's own, for those that break it."""
    client = ClickHouse(ClickHouseSettings(url=f"{clickhouse}/?database={database}"))
    install(client)
    yield client
    client.close()
