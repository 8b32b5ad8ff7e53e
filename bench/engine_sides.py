"""One side of ``bench.engine`` in a process of its own: ours, and the bare client loops. Prints its result as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, Message, Producer

from schemas import ids
from schemas.avro_codec import decoder, encoder, frame, schema_text
from schemas.records import ArtifactGenerated, FeaturesExtracted, GenerationRequested, Record
from sinks.objects import FolderStore
from streams.codec import Codec
from streams.contract import Context, Effect, Stage, Writer
from streams.producer import AckedProducer
from streams.registry import Registry
from streams.runner import StageRunner, topics_of
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED
from streams.worker import run_worker, tune_collector

IN = GENERATION_REQUESTED["normal"]
PRODUCER = {"enable.idempotence": True, "acks": "all", "linger.ms": 2, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}
CONSUMER = {"enable.auto.commit": False, "auto.offset.reset": "earliest", "group.protocol": "consumer"}


async def artifact(record: GenerationRequested, context: Context) -> Sequence[Record]:
    """The change: a handful of fields of the input become another record."""
    return [
        context.make(
            ArtifactGenerated,
            method=record.method,
            artifact_uri=record.spec or "",
            artifact_size=len(record.spec or ""),
            artifact_digest="",
        )
    ]


def stage(handler: Any = artifact, **changes: Any) -> Stage:
    base: dict[str, Any] = {
        "name": "bench", "reads": (IN,), "writes": (ARTIFACT_GENERATED, ARTIFACT_REJECTED), "handler": handler, "effect": Effect.PURE,
        "time_limit_s": 60, "order": "key",
    }  # fmt: skip
    return Stage(**(base | changes))


class _Started:
    """When the first record was handled."""

    at: float | None = None

    def wrap(self, handler: Any) -> Any:
        async def first(record: Any, context: Any) -> Any:
            if self.at is None:
                self.at = time.perf_counter()
            return await handler(record, context)

        return first


async def _until_done(declared: Stage, config: dict[str, Any], started: _Started) -> float:
    """Seconds from the first record to the moment when all may be committed."""
    settings = StreamSettings(**config["settings"])
    registry = Registry(settings.registry_url)
    registry.register(topics_of(declared))
    producer = AckedProducer(settings)
    shared = Shared(settings, Codec(registry), producer, FolderStore(Path(config["folder"], "objects"), durable=False), Writer(), "bench")
    runner = StageRunner(declared, shared)
    tune_collector()  # as every worker process does
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    done = runner._source.windows
    while sum(w.committable or 0 for w in done.values()) < config["records"] and not task.done():  # noqa: ASYNC110 - seen from outside, as an operator would
        await asyncio.sleep(0.002)
    end = time.perf_counter()
    stop.set()
    await task
    await producer.close()
    assert started.at is not None
    return end - started.at


def ours(config: dict[str, Any]) -> dict[str, Any]:
    started = _Started()

    async def timed(record: GenerationRequested, context: Context) -> Sequence[Record]:
        if started.at is None:
            started.at = time.perf_counter()
        return [
            context.make(
                ArtifactGenerated, method=record.method, artifact_uri=record.spec or "", artifact_size=len(record.spec or ""), artifact_digest=""
            )
        ]  # fmt: skip

    cpu = time.process_time()
    seconds = asyncio.run(_until_done(stage(timed, order="none", name="generate"), config, started))
    return {"seconds": seconds, "cpu_us": (time.process_time() - cpu) / config["records"] * 1e6}


def memory(config: dict[str, Any]) -> dict[str, Any]:
    """One worker's resident memory, MiB, at the end of each quarter; a second process feeds it, at most 200,000 records ahead."""
    started = _Started()
    count = 0
    quarters: list[float] = []
    fed = subprocess.Popen([sys.executable, "-m", "bench.engine_sides", "feed", json.dumps(config)], stdin=subprocess.PIPE)
    assert fed.stdin

    async def counted(record: GenerationRequested, context: Context) -> Sequence[Record]:
        nonlocal count
        count += 1
        if count % 50_000 == 0:
            assert fed.stdin
            with contextlib.suppress(BrokenPipeError):  # it has fed all
                fed.stdin.write(b"\n")
                fed.stdin.flush()
        if count % (config["records"] // 4) == 0:
            quarters.append(_resident_mib())
        return await artifact(record, context)

    try:
        seconds = asyncio.run(_until_done(stage(started.wrap(counted), order="none", name="generate"), config, started))
    finally:
        fed.kill()
        fed.wait()
    return {"records": config["records"], "per_s": round(config["records"] / seconds), "rss_mib": quarters}


def _resident_mib() -> float:
    return round(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20), 1)


def feed(config: dict[str, Any]) -> dict[str, Any]:
    from bench.engine import fill

    ahead, block = 4, 50_000
    for number in range(0, config["records"], block):
        if number >= ahead * block:
            sys.stdin.buffer.readline()
        fill(StreamSettings(**config["settings"]), min(block, config["records"] - number))
    return {}


def waiting(config: dict[str, Any]) -> dict[str, Any]:
    async def wait(record: GenerationRequested, context: Context) -> Sequence[Record]:
        await asyncio.sleep(config["wait_s"])
        return await artifact(record, context)

    started = _Started()
    declared = stage(started.wrap(wait), order="none", name="generate", concurrency=config["at_once"])
    return {"seconds": asyncio.run(_until_done(declared, config, started))}


def bare(config: dict[str, Any]) -> dict[str, Any]:
    """What one writes by hand: consume, decode, change, encode, produce; twice a second flush, then commit."""
    servers = config["settings"]["bootstrap_servers"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": config["settings"]["group_prefix"], **CONSUMER})
    producer = Producer({"bootstrap.servers": servers, **PRODUCER})
    reader, writer = _bare(config["schema_in"]), _bare(config["schema_out"])
    head = frame(1)
    consumer.subscribe([config["in"]])
    count, began, flushed, cpu = 0, 0.0, 0.0, time.process_time()
    while count < config["records"]:
        messages = consumer.consume(1000, 0.05)
        if not messages:
            continue
        if not count:
            began = flushed = time.perf_counter()
        for message in messages:
            if message.error():
                raise SystemExit(str(message.error()))
            _change(producer, message, config["out"], reader, writer, head)
        producer.poll(0)
        count += len(messages)
        if time.perf_counter() - flushed > 0.5:
            producer.flush()
            consumer.commit(asynchronous=True)
            flushed = time.perf_counter()
    producer.flush()
    consumer.commit(asynchronous=False)
    seconds = time.perf_counter() - began
    consumer.close()
    return {"seconds": seconds, "cpu_us": (time.process_time() - cpu) / config["records"] * 1e6}


def _bare(schema: str) -> Any:
    from schemas.avro_codec import _bare as bare_types

    return fastavro.parse_schema(bare_types(json.loads(schema)))


def _change(producer: Producer, message: Message, out: str, reader: Any, writer: Any, head: bytes) -> None:
    buffer = io.BytesIO(message.value())
    buffer.seek(5)
    found = fastavro.schemaless_reader(buffer, reader, None)
    made = {
        "event_id": found["event_id"], "request_id": found["request_id"], "tenant": found["tenant"], "project": found["project"],
        "run": found["run"], "round": found["round"], "priority": found["priority"], "occurred_at": found["occurred_at"],
        "usage_events": found["usage_events"], "method": found["method"], "artifact_uri": found["spec"], "artifact_size": len(found["spec"]),
        "artifact_digest": "", "features_uri": None, "frames_uri": None,
    }  # fmt: skip
    body = io.BytesIO()
    body.write(head)
    fastavro.schemaless_writer(body, writer, made)
    producer.produce(out, body.getvalue(), message.key())


# ---- two stages, one behind the other ------------------------------------------------------------------------------------


async def features(record: ArtifactGenerated, context: Context) -> Sequence[Record]:
    return [
        context.make(
            FeaturesExtracted, features_uri=record.artifact_uri, frames_uri="", features_size=0, duration_s=0.0, frames=0, width=0, height=0, screens=0, actions=0
        )
    ]  # fmt: skip


class _Probe:
    """Produces records that carry their time, and reads what comes out behind the second stage."""

    def __init__(self, config: dict[str, Any], final: str, time_of: Any) -> None:
        self.config = config
        self.final, self.time_of = final, time_of
        self.milliseconds: list[float] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.reads = threading.Event()

    def read(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self.config["settings"]["bootstrap_servers"],
                "group.id": "probe" + self.final,
                **CONSUMER,
                "fetch.wait.max.ms": 20,
            }
        )
        consumer.subscribe([self.final], on_assign=lambda c, p: self.reads.set())
        while len(self.milliseconds) < self.config["records"]:
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                self.milliseconds.append((time.time_ns() - self.time_of(message.value())) / 1e6)
        self.done.set()
        consumer.close()

    def feed(self) -> None:
        producer = Producer({"bootstrap.servers": self.config["settings"]["bootstrap_servers"], **PRODUCER})
        encode, head = encoder(GenerationRequested), frame(_schema_id(self.config, IN))
        began = time.perf_counter()
        for n in range(self.config["records"]):
            request = ids.new_id()
            record = GenerationRequested(
                event_id=request,
                request_id=request,
                tenant="acme",
                project="demo",
                occurred_at=0,
                method="compose",
                spec=str(time.time_ns()),
            )
            producer.produce(self.config["in"], head + encode(record), request)
            producer.poll(0)
            time.sleep(max(0.0, began + n / self.config["per_s"] - time.perf_counter()))
        producer.flush()

    def result(self) -> dict[str, Any]:
        found = sorted(self.milliseconds[len(self.milliseconds) // 10 :])  # the first tenth starts the sides up
        return {"p50_ms": round(found[len(found) // 2], 2), "p99_ms": round(found[int(0.99 * len(found))], 2)}


def _schema_id(config: dict[str, Any], topic: Any) -> int:
    return Registry(config["settings"]["registry_url"]).id_for(topic)


def latency_ours(config: dict[str, Any]) -> dict[str, Any]:
    settings = StreamSettings(**config["settings"])
    decode = decoder(FeaturesExtracted, schema_text("features.extracted"))
    probe = _Probe(config, settings.topic_prefix + FEATURES_EXTRACTED.name, lambda value: int(decode(value).features_uri))
    first = stage(order="none", name="generate")
    second = stage(features, reads=(ARTIFACT_GENERATED,), writes=(FEATURES_EXTRACTED,), order="none", name="validate")

    async def main() -> None:
        stop = asyncio.Event()
        store = FolderStore(Path(config["folder"], "objects"), durable=False)
        task = asyncio.create_task(run_worker([first, second], settings, store, name="bench", stop=stop))
        probe.thread.start()
        await asyncio.to_thread(probe.reads.wait)
        await asyncio.sleep(3)  # groups settle, for both sides alike
        await asyncio.to_thread(probe.feed)
        await asyncio.to_thread(probe.done.wait, 60)
        stop.set()
        await task

    asyncio.run(main())
    return probe.result()


def latency_bare(config: dict[str, Any]) -> dict[str, Any]:
    servers = config["settings"]["bootstrap_servers"]
    middle, final = config["out"], config["settings"]["topic_prefix"] + FEATURES_EXTRACTED.name
    one, two = _bare(config["schema_in"]), _bare(config["schema_out"])

    def time_of(value: bytes) -> int:
        buffer = io.BytesIO(value)
        buffer.seek(5)
        return int(fastavro.schemaless_reader(buffer, two, None)["artifact_uri"])

    probe = _Probe(config, final, time_of)
    stop = threading.Event()

    def hop(source: str, target: str, forward: Any) -> None:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "hop" + source, **CONSUMER})
        producer = Producer({"bootstrap.servers": servers, **PRODUCER})
        consumer.subscribe([source])
        while not stop.is_set():
            message = consumer.poll(0.05)
            if message is not None and not message.error():
                forward(producer, message, target)
            producer.poll(0)
        producer.flush()
        consumer.close()

    def copy(producer: Producer, message: Message, target: str) -> None:
        buffer = io.BytesIO(message.value())
        buffer.seek(5)
        found = fastavro.schemaless_reader(buffer, two, None)
        body = io.BytesIO()
        body.write(frame(1))
        fastavro.schemaless_writer(body, two, found)
        producer.produce(target, body.getvalue(), message.key())

    hops = [
        threading.Thread(target=hop, args=(config["in"], middle, lambda p, m, t: _change(p, m, t, one, two, frame(1)))),
        threading.Thread(target=hop, args=(middle, final, copy)),
    ]
    for thread in hops:
        thread.start()
    probe.thread.start()
    probe.reads.wait()
    time.sleep(3)
    probe.feed()
    probe.done.wait(60)
    stop.set()
    for thread in hops:
        thread.join()
    return probe.result()


SIDES = {
    "ours": ours,
    "bare": bare,
    "waiting": waiting,
    "latency-ours": latency_ours,
    "latency-bare": latency_bare,
    "memory": memory,
    "feed": feed,
}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](json.loads(sys.argv[2]))))
