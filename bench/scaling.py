"""A burst that grows and shrinks a pool of workers: how soon, how far, and is every record done once?

    python -m bench.scaling [--records 3000] [--work-ms 50] [--max 4] [--json]

Starts the embedded stack in a temporary folder with one worker of a slow stage (it waits ``--work-ms`` a record, 4 at once), sends the records
at once, and lets the supervisor's own scaler watch the lag. Ends when all is done and the pool is as small as at the beginning. The JSON has
the pool's size and the lag over time. Exit code 1 where a record is missing or doubled, or the pool did not grow and come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from infra.embedded.scaling import Bounds, Scaler, ScalingSettings
from infra.embedded.supervisor import Endpoints, ProcessSpec, StackSettings, Supervisor
from schemas import ids
from schemas.records import FeaturesExtracted, GenerationRequested, Record
from sinks.objects import FolderStore
from streams.admin import ensure_topics
from streams.codec import Codec
from streams.contract import Context, Effect, Stage
from streams.health import Health, HealthServer
from streams.lag import StageLag
from streams.offsets import patiently
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED
from streams.worker import needed, run_worker

STAGE = "plan"
AT_ONCE = 4
OUT = GENERATION_REQUESTED["normal"]


def slow_stage(work_s: float) -> Stage:
    async def wait(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        await asyncio.sleep(work_s)  # the work itself: what this stands for waits for a browser, a build, a model
        return [context.make(GenerationRequested, method="none", spec=None)]

    return Stage(
        name=STAGE, reads=(FEATURES_EXTRACTED,), writes=(OUT, ARTIFACT_REJECTED), handler=wait, effect=Effect.IDEMPOTENT, time_limit_s=30,
        concurrency=AT_ONCE,
    )  # fmt: skip


def work(settings: StreamSettings, work_s: float, name: str, ready_file: Path) -> None:
    """One worker process."""
    health = Health()
    url = HealthServer(health).url

    def ready() -> None:
        new = ready_file.with_suffix(".new")
        new.write_text(json.dumps({"url": url}))
        new.replace(ready_file)

    with tempfile.TemporaryDirectory() as objects:  # nothing is put there: the stage is neither recorded nor an entry
        store = FolderStore(Path(objects), durable=False)
        asyncio.run(run_worker([slow_stage(work_s)], settings, store, name=name, ready=ready, health=health))


def _settings(endpoints: Endpoints) -> StreamSettings:
    return StreamSettings(
        bootstrap_servers=endpoints.bootstrap_servers, registry_url=endpoints.registry_url, partitions=8, max_in_flight=16
    )


def _specs(endpoints: Endpoints, work_s: float, sizes: Mapping[str, int]) -> list[ProcessSpec]:
    specs = []
    for i in range(1, sizes[STAGE] + 1):
        name = f"worker-slow-{i}"
        ready = endpoints.data / "run" / f"{name}.ready"
        ready.parent.mkdir(exist_ok=True)
        how = json.dumps([_settings(endpoints).model_dump(mode="json"), work_s, name, str(ready)])
        specs.append(ProcessSpec(name, [sys.executable, "-m", "bench.scaling", "--worker", how], ready_file=ready))
    return specs


def _prepare(endpoints: Endpoints) -> None:
    topics = needed(slow_stage(0))
    ensure_topics(_settings(endpoints), topics)
    Registry(endpoints.registry_url).register(topics)


def send(settings: StreamSettings, n: int) -> set[str]:
    codec = Codec(Registry(settings.registry_url))
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "acks": "all", "log_level": 0})
    sent = set()
    for _ in range(n):
        record = FeaturesExtracted(
            event_id=ids.new_id(), request_id=ids.new_id(), tenant="bench", project="scaling", occurred_at=0, features_uri="", frames_uri="",
            features_size=0, duration_s=0, frames=0, width=0, height=0, screens=0, actions=0,
        )  # fmt: skip
        producer.produce(FEATURES_EXTRACTED.name, codec.encode(FEATURES_EXTRACTED, record), key=record.request_id)
        sent.add(record.request_id)
    if left := producer.flush(60):
        raise RuntimeError(f"{left} records were not taken by the broker")
    return sent


def outputs(settings: StreamSettings) -> Counter[str]:
    """How often each request came out."""
    codec = Codec(Registry(settings.registry_url))
    consumer = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": "count", "enable.auto.commit": False, "log_level": 0})
    found: Counter[str] = Counter()
    try:
        for partition in consumer.list_topics(OUT.name, timeout=20).topics[OUT.name].partitions:
            place = TopicPartition(OUT.name, partition, 0)
            _, high = patiently(partial(consumer.get_watermark_offsets, place, timeout=20))
            if not high:
                continue
            consumer.assign([place])
            while True:
                message = consumer.poll(20)
                if message is None or message.error():
                    raise RuntimeError(f"{OUT.name}/{partition} cannot be read: {message and message.error()}")
                found[codec.decode(GenerationRequested, message.value()).request_id] += 1
                if message.offset() >= high - 1:
                    break
    finally:
        consumer.close()
    return found


def measure(records: int, work_s: float, most: int, scaling: ScalingSettings, timeout_s: float) -> dict[str, Any]:
    course: list[dict[str, Any]] = []
    began: list[float] = []
    over = threading.Event()
    largest, drained_s = [1], list[float]()

    def watch(now: float, lags: Mapping[str, StageLag], sizes: Mapping[str, int]) -> None:
        if not began:
            return
        lag, size, t = lags[STAGE], sizes[STAGE], round(now - began[0], 1)
        course.append({"s": t, "pool": size, "lag_records": lag.records, "lag_s": round(lag.seconds, 1)})
        print(f"{t:6.1f} s  pool {size}  lag {lag.records:5} records, {lag.seconds:5.1f} s", file=sys.stderr)
        largest[0] = max(largest[0], size)
        if lag.records == 0:
            drained_s.append(t)
            if size == 1 and largest[0] > 1:
                over.set()

    with tempfile.TemporaryDirectory(prefix="millrace-scaling-") as folder:
        stack = Supervisor(
            StackSettings(data=Path(folder)),
            specs=lambda endpoints: _specs(endpoints, work_s, {STAGE: 1}),
            prepare=_prepare,
            report=lambda line: print(line, file=sys.stderr),
            beside=lambda endpoints: [
                Scaler(
                    {STAGE: Bounds(1, most)},
                    _settings(endpoints),
                    lambda sizes: _specs(endpoints, work_s, sizes),
                    lambda line: print(line, file=sys.stderr),
                    scaling,
                    watch,
                )
            ],
        )
        with stack:
            settings = _settings(stack.endpoints)
            began.append(time.monotonic())
            sent = send(settings, records)
            back = over.wait(timeout_s)
            found = outputs(settings)
            processes = json.loads((Path(folder) / "ready.json").read_text())["processes"]
    one = records * work_s / AT_ONCE
    return {
        "records": records, "work_ms": work_s * 1000, "at_once": AT_ONCE, "max": most, "scaling": scaling.model_dump(),
        "largest_pool": largest[0], "drained_s": drained_s[0] if drained_s else None, "one_worker_ideal_s": round(one, 1),
        "back_to_one": back, "workers_in_ready_json": sorted(n for n in processes if n.startswith("worker")),
        "done": len(found), "missing": len(sent - found.keys()), "published_twice": sum(n - 1 for n in found.values()), "course": course,
        "ok": back and found.keys() == sent,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--work-ms", type=float, default=50)
    parser.add_argument("--max", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout (the default, and all there is)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        settings, work_s, name, ready = json.loads(options.worker)
        work(StreamSettings(**settings), work_s, name, Path(ready))
        return
    scaling = ScalingSettings(target_s=3, grow_every_s=4, quiet_s=5)
    result = measure(options.records, options.work_ms / 1000, options.max, scaling, options.timeout)
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["ok"] and result["largest_pool"] > 1 else 1)


if __name__ == "__main__":
    main()
