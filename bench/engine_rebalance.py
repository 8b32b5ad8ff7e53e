"""A side of ``bench.engine``: eight workers of one group, one leaves while its handler hangs and heeds no cancelling.

The workers are eight members of the group in one process (each with its consumer, poll thread, producer and runner; one event loop), so that
they share one clock. The group reads 16 partitions that are fed evenly. Reported, in seconds from the moment that the leaver was told to stop:

- ``deadline_s``: what the settings give its work;
- ``others_go_on_s``: when the last of the partitions that it held was worked on by another;
- ``longest_pause_s``: the longest that any partition of the others stood still meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas import ids
from schemas.avro_codec import encoder, frame
from schemas.records import FeaturesExtracted, Record
from sinks.objects import FolderStore
from streams.codec import Codec
from streams.contract import Context, Effect, Stage, Writer
from streams.producer import AckedProducer
from streams.registry import Registry
from streams.runner import StageRunner, topics_of
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED

WORKERS = 8


async def _feed(settings: StreamSettings, head: bytes, stop: asyncio.Event) -> None:
    encode = encoder(FeaturesExtracted)
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 2})
    while not stop.is_set():
        for partition in range(settings.partitions):
            request = ids.new_id()
            record = FeaturesExtracted(
                event_id=request, request_id=request, tenant="acme", project="demo", occurred_at=0, features_uri="", frames_uri="", features_size=0,
                duration_s=0.0, frames=0, width=0, height=0, screens=0, actions=0,
            )  # fmt: skip
            producer.produce(settings.topic_prefix + FEATURES_EXTRACTED.name, head + encode(record), request, partition=partition)
        producer.poll(0)
        await asyncio.sleep(0.05)
    await asyncio.to_thread(producer.flush, 10)


async def measure(config: dict[str, Any]) -> dict[str, Any]:
    settings = StreamSettings(**config["settings"])
    registry = Registry(settings.registry_url)
    worked: dict[int, list[tuple[float, int]]] = {n: [] for n in range(settings.partitions)}
    hung = asyncio.Event()
    let_go = asyncio.Event()
    hanging: set[int] = set()

    def handler(worker: int) -> Any:
        async def handle(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            worked[context.delivery.partition].append((time.monotonic(), worker))
            if worker in hanging:
                hung.set()
                while not let_go.is_set():
                    try:
                        await let_go.wait()
                    except asyncio.CancelledError:
                        continue  # what a handler must not do
            return []

        return handle

    def declared(worker: int) -> Stage:
        return Stage(
            name="plan", reads=(FEATURES_EXTRACTED,), writes=(ARTIFACT_REJECTED,), handler=handler(worker), effect=Effect.IDEMPOTENT, time_limit_s=600
        )  # fmt: skip

    registry.register(topics_of(declared(0)))
    store = FolderStore(Path(config["folder"], "objects"), durable=False)
    stops, runners, tasks = [], [], []
    for worker in range(WORKERS):
        shared = Shared(settings, Codec(registry), AckedProducer(settings), store, Writer(), f"bench-{worker}")
        runners.append(StageRunner(declared(worker), shared))
        stops.append(asyncio.Event())
        tasks.append(asyncio.create_task(runners[-1].run(stops[-1])))
    fed = asyncio.Event()
    feeding = asyncio.create_task(_feed(settings, frame(registry.id_for(FEATURES_EXTRACTED)), fed))

    async def until(condition: Any, what: str) -> None:
        end = time.monotonic() + 120
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"{what} did not come to pass in two minutes")
            await asyncio.sleep(0.05)

    source = settings.topic_prefix + FEATURES_EXTRACTED.name

    def held(runner: StageRunner) -> set[int]:
        return {partition for topic, partition in runner._source.windows if topic == source}

    def spread() -> bool:
        # The group's topics are spread together: a member may have nothing but partitions of delay tiers.
        return all(r._source.windows for r in runners) and sum(len(held(r)) for r in runners) == settings.partitions

    await until(spread, "an even spread of the partitions")
    await until(lambda: all(worked.values()), "work on all partitions")
    leaver = next(n for n, runner in enumerate(runners) if held(runner))
    mine = held(runners[leaver])
    hanging.add(leaver)
    await hung.wait()
    began = time.monotonic()
    stops[leaver].set()

    def first_by_others(partition: int) -> float | None:
        return next((at for at, worker in worked[partition] if at > began and worker != leaver), None)

    await until(lambda: all(first_by_others(p) for p in mine), "another's work on what the leaver held")
    over = time.monotonic()
    pauses = []
    for partition in worked.keys() - mine:
        times = [began, *(at for at, _ in worked[partition] if at > began), over]
        pauses.append(max(b - a for a, b in itertools.pairwise(times)))
    result = {
        "workers": WORKERS,
        "partitions_left_behind": len(mine),
        "deadline_s": settings.stop_deadline_s,
        "others_go_on_s": round(max(at - began for p in mine if (at := first_by_others(p))), 2),
        "longest_pause_s": round(max(pauses), 2),
    }
    fed.set()
    let_go.set()
    for stop in stops:
        stop.set()
    await asyncio.gather(*tasks, feeding)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[2])))))
