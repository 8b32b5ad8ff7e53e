"""Sides of ``bench.engine`` that end in ClickHouse: usage events through Kafka, and the same records inserted without it.

Run as a process of their own, as ``bench/engine_sides.py``. The table is Millrace's own in a database of the side's own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import fastavro
import httpx
from confluent_kafka import Producer

from schemas import ids
from schemas.avro_codec import schema_text
from schemas.records import UsageRecorded
from sinks.clickhouse.avro_block import BROKER_TIME, container, field_names
from sinks.clickhouse.http import ClickHouse, ClickHouseSettings
from sinks.clickhouse.installation import install
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.objects import FolderStore
from streams.batch import BatchRunner, BatchStage
from streams.codec import Codec
from streams.contract import Writer
from streams.producer import AckedProducer
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import USAGE_RECORDED
from streams.worker import tune_collector

BLOCK = 100_000


def usage(number: int) -> UsageRecorded:
    request = ids.new_id()
    event = ids.event_id(tenant="acme", run="", request=request, stage="generate", kind="usage:compose")
    return UsageRecorded(
        event_id=event, request_id=request, tenant="acme", project="demo", stage="generate", kind="compose", occurred_at=ids.id_time_ms(request),
        quantity=float(number), unit="files", dims={"method": "compose"},
    )  # fmt: skip


def fill(settings: StreamSettings, count: int) -> None:
    codec = Codec(Registry(settings.registry_url))
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20, "queue.buffering.max.messages": 2_000_000})
    name = settings.topic_prefix + USAGE_RECORDED.name
    for number in range(count):
        record = usage(number)
        headers = [("millrace-event-id", record.event_id.encode()), ("millrace-tenant", b"acme")]
        producer.produce(name, codec.encode(USAGE_RECORDED, record), b"acme", partition=number % settings.partitions, headers=headers)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise SystemExit("the broker did not take the records")


def _database(config: dict[str, Any], name: str) -> ClickHouse:
    httpx.post(config["clickhouse"], content=f"CREATE DATABASE {name}", timeout=60, trust_env=False).raise_for_status()
    clickhouse = ClickHouse(ClickHouseSettings(url=f"{config['clickhouse']}/?database={name}"))
    install(clickhouse)
    return clickhouse


def sink(config: dict[str, Any]) -> dict[str, Any]:
    """The sink as it runs in production; seconds from its first batch's records to the moment when all are committable."""
    name = "sink_" + ids.new_id().replace("-", "")
    clickhouse = _database(config, name)

    async def main() -> dict[str, Any]:
        settings = StreamSettings(**config["settings"])
        registry = Registry(settings.registry_url)
        registry.register([USAGE_RECORDED])
        producer = AckedProducer(settings)
        shared = Shared(
            settings, Codec(registry), producer, FolderStore(Path(config["folder"], "objects"), durable=False), Writer(), "bench"
        )
        runner = BatchRunner(
            BatchStage(name="sink", reads=(USAGE_RECORDED,), write=ClickHouseWriter(clickhouse, registry.text).write), shared
        )
        tune_collector()
        stop = asyncio.Event()
        task = asyncio.create_task(runner.run(stop))
        windows = runner._source.windows
        while not any(w.in_flight for w in windows.values()) and not task.done():  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.002)
        began, cpu = time.perf_counter(), time.process_time()
        while sum(w.committable or 0 for w in windows.values()) < config["records"] and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        found = {"seconds": time.perf_counter() - began, "cpu_us": (time.process_time() - cpu) / config["records"] * 1e6}
        stop.set()
        await task
        await producer.close()
        return found

    return asyncio.run(main()) | {"rows": _rows(config, name)}


def _rows(config: dict[str, Any], name: str) -> int:
    answer = httpx.post(config["clickhouse"], content=f"SELECT count() FROM {name}.usage_recorded", timeout=120, trust_env=False)
    answer.raise_for_status()
    return int(answer.text)


def files(config: dict[str, Any]) -> dict[str, Any]:
    """The same records, ready made as Avro files and inserted one after the other: the limit."""
    name = "files_" + ids.new_id().replace("-", "")
    clickhouse = _database(config, name)
    codec = Codec(Registry(config["settings"]["registry_url"]))
    schema, table = schema_text("usage.recorded"), USAGE_RECORDED
    bodies = [
        container(schema, ((1_790_000_000_000, codec.encode(table, usage(n))) for n in range(start, min(start + BLOCK, config["records"]))))
        for start in range(0, config["records"], BLOCK)
    ]
    columns = [BROKER_TIME, *field_names(schema)]
    began = time.perf_counter()
    for body in bodies:
        clickhouse.insert("usage_recorded", columns, body)
    return {"seconds": time.perf_counter() - began, "rows": _rows(config, name)}


def decoded(config: dict[str, Any]) -> dict[str, Any]:
    """What one writes first: decode in Python, insert rows as JSON."""
    import io

    name = "rows_" + ids.new_id().replace("-", "")
    _database(config, name)
    codec = Codec(Registry(config["settings"]["registry_url"]))
    schema = fastavro.parse_schema(json.loads(schema_text("usage.recorded")))
    values = [codec.encode(USAGE_RECORDED, usage(n)) for n in range(config["records"])]
    with httpx.Client(timeout=120, trust_env=False) as client:
        began = time.perf_counter()
        for start in range(0, len(values), BLOCK):
            rows = [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for value in values[start : start + BLOCK]]
            body = "\n".join(json.dumps(row, default=str) for row in rows)
            statement = f"INSERT INTO {name}.usage_recorded SETTINGS date_time_input_format='best_effort' FORMAT JSONEachRow\n"
            client.post(config["clickhouse"], content=statement + body).raise_for_status()
    return {"seconds": time.perf_counter() - began, "rows": _rows(config, name)}


SIDES = {"sink": sink, "files": files, "decoded": decoded}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](json.loads(sys.argv[2]))))
