"""The sides of ``bench.engine`` that other libraries are: run by an environment of their own, so this file imports nothing of ours."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from typing import Any

import fastavro


def bare_types(schema: Any) -> Any:
    """The schema without logical types, as our own codec reads it."""
    if isinstance(schema, list):
        return [bare_types(s) for s in schema]
    if isinstance(schema, dict):
        if schema.get("logicalType") in ("uuid", "timestamp-millis"):
            return schema["type"]
        return {k: bare_types(v) if k in ("type", "fields", "items", "values") else v for k, v in schema.items()}
    return schema


class Codec:
    def __init__(self, config: dict[str, Any]) -> None:
        self.reader = fastavro.parse_schema(bare_types(json.loads(config["schema_in"])))
        self.writer = fastavro.parse_schema(bare_types(json.loads(config["schema_out"])))

    def read(self, value: bytes) -> dict[str, Any]:
        buffer = io.BytesIO(value)
        buffer.seek(5)
        return fastavro.schemaless_reader(buffer, self.reader, None)

    def write(self, value: dict[str, Any]) -> bytes:
        body = io.BytesIO()
        body.write(b"\0\0\0\0\1")
        fastavro.schemaless_writer(body, self.writer, value)
        return body.getvalue()


def change(found: dict[str, Any]) -> dict[str, Any]:
    kept = ("event_id", "request_id", "tenant", "project", "run", "round", "priority", "occurred_at", "usage_events", "method")
    return {k: found[k] for k in kept} | {
        "artifact_uri": found["spec"], "artifact_size": len(found["spec"]), "artifact_digest": "", "features_uri": None, "frames_uri": None,
    }  # fmt: skip


def quix(config: dict[str, Any]) -> dict[str, Any]:
    from quixstreams import Application
    from quixstreams.models import Deserializer, Serializer

    codec = Codec(config)
    began: list[float] = []

    class Reads(Deserializer):
        def __call__(self, value: bytes, ctx: Any) -> Any:
            if not began:
                began.append(time.perf_counter())
            return codec.read(value)

    class Writes(Serializer):
        def __call__(self, value: Any, ctx: Any) -> bytes:
            return codec.write(value)

    app = Application(
        broker_address=config["settings"]["bootstrap_servers"], consumer_group=config["settings"]["group_prefix"], auto_offset_reset="earliest",
        auto_create_topics=False, loglevel="ERROR", commit_interval=0.5, state_dir=f"{config['folder']}/quix",
        producer_extra_config={"enable.idempotence": True, "linger.ms": 2, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000},
    )  # fmt: skip
    source = app.topic(config["in"], value_deserializer=Reads(), key_deserializer="bytes")
    target = app.topic(config["out"], value_serializer=Writes(), key_serializer="bytes")
    frame = app.dataframe(source).apply(change)
    frame.to_topic(target)
    app.run(count=config["records"], timeout=120)  # returns after the last commit
    return {"seconds": time.perf_counter() - began[0]}


def faust(config: dict[str, Any]) -> dict[str, Any]:
    os.environ["FAUST_DATADIR"] = f"{config['folder']}/faust"
    import faust as library

    codec = Codec(config)
    app = library.App(
        config["settings"]["group_prefix"], broker="kafka://" + config["settings"]["bootstrap_servers"], topic_disable_leader=True, web_enabled=False,
        topic_partitions=4, consumer_auto_offset_reset="earliest", value_serializer="raw", key_serializer="raw", broker_commit_interval=0.5,
        producer_linger=0.002, logging_config=None,  # no compression: aiokafka has lz4 only with another package
    )  # fmt: skip
    source = app.topic(config["in"], value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")
    target = app.topic(config["out"], value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")
    state: dict[str, Any] = {"count": 0, "began": 0.0}

    @app.agent(source)
    async def work(stream: Any) -> None:
        async for event in stream.events():
            if not state["count"]:
                state["began"] = time.perf_counter()
            await target.send(key=event.key, value=codec.write(change(codec.read(event.value))))
            state["count"] += 1
            if state["count"] >= config["records"]:
                await app.producer.flush()
                result = json.dumps({"seconds": time.perf_counter() - state["began"]})
                os.write(1, f"{result}\n".encode())  # a worker takes sys.stdout for its log
                os._exit(0)

    sys.argv = ["faust", "worker", "-l", "error"]
    app.main()
    return {}


if __name__ == "__main__":
    result = {"quix": quix, "faust": faust}[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps(result))
