"""Priority under load: ``python -m bench.priority [--json] [--seconds N]``.

A stage with 16 slots whose steps wait 100 ms each (a capacity of 160 records/s, measured first), real Kafka, the real runner, four classes mixed, many
tenants, deadlines. The same records, at half the capacity and at twice of it, go through

- *ours*: weighted fairness with limits, as ``generate`` has them (smaller, so that a run of seconds meets them),
- *fifo*: one topic, first come first served,
- *strict*: priority without weights: a class is served only while those above it have nothing.

A wait is from the record's arrival at the broker to its start. Work is *admitted* when its step starts; it meets its deadline when the step is over
by then. What is refused at the start (shed, late, deadline) has its verdict. Each side runs until every record has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench.broker import broker
from millrace.logs import log_json
from schemas import ids
from schemas.records import ArtifactGenerated, GenerationRequested, Record
from sinks.objects import FolderStore
from streams.admin import ensure_topics
from streams.admission import Admission, Limits
from streams.codec import Codec
from streams.contract import Context, Effect, Stage
from streams.registry import Registry as Schemas
from streams.runner import topics_of
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, GENERATION_REQUESTED, USAGE_RECORDED
from streams.worker import run_worker

STEP_S, SLOTS = 0.1, 16
MIX = {"critical": 0.1, "high": 0.15, "normal": 0.25, "low": 0.5}
"""Of the records offered: at twice the capacity, low alone is as much as all that can be done."""
DEADLINE_S = {"critical": 2.0, "high": 5.0}
LIMITS = Limits(queued=300, wait_s=5.0, window=200)
NONE = Limits(queued=0, wait_s=0)
STRICT = {"critical": 1e12, "high": 1e8, "normal": 1e4, "low": 1.0}


@dataclass
class Seen:
    """What became of one side's records."""

    waits_ms: dict[str, list[float]] = field(default_factory=lambda: {p: [] for p in MIX})
    started: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=lambda: {p: Counter() for p in MIX})
    ended: Counter[str] = field(default_factory=Counter)
    warmed: set[str] = field(default_factory=set)
    """Classes of which a record went through before the run; those records (made at no time: 0) are in no other figure."""

    def figures(self, sent: Mapping[str, int], seconds: float) -> dict[str, Any]:
        def of(priority: str) -> dict[str, Any]:
            waits = sorted(self.waits_ms[priority])
            at = [round(waits[min(len(waits) - 1, int(q * len(waits)))], 1) if waits else None for q in (0.5, 0.99)]
            return {
                "sent": sent[priority],
                "done": self.started[priority],
                "refused": dict(self.refused[priority]),
                "wait_ms_p50": at[0],
                "wait_ms_p99": at[1],
                "met_deadline": round(self.met[priority] / max(1, self.started[priority]), 4),
            }

        return {"seconds": round(seconds, 1), "classes": {p: of(p) for p in MIX}}


class World:
    """A broker and a registry, and topics of its own for each side."""

    def __init__(self, bootstrap: str, registry: str, folder: Path) -> None:
        self.base = StreamSettings(bootstrap_servers=bootstrap, registry_url=registry)
        self.folder = folder
        self._sides = 0

    def side(self, limits: Limits, stage: Stage) -> StreamSettings:
        self._sides += 1
        name = f"p{self._sides}-{ids.new_id()[-8:]}"
        made = self.base.model_copy(update={"topic_prefix": f"{name}.", "group_prefix": name, "admission": limits})
        ensure_topics(made, topics_of(stage))
        return made


@contextmanager
def world() -> Iterator[World]:
    with broker() as real:
        yield World(real.bootstrap_servers, real.registry_url, real.folder)


def schedule(seed: int, per_s: float, seconds: float) -> list[tuple[float, GenerationRequested]]:
    """When each record is sent, in seconds from the start: arrivals at random (Poisson), the same for the same seed but for ids."""
    chance = random.Random(seed)
    found: list[tuple[float, GenerationRequested]] = []
    at = 0.0
    while (at := at + chance.expovariate(per_s)) < seconds:
        priority = chance.choices(list(MIX), list(MIX.values()))[0]
        request = ids.new_id()
        tenant = f"tenant-{min(19, int(chance.expovariate(0.3)))}"  # a few hand over most
        record = GenerationRequested(
            event_id=request, request_id=request, tenant=tenant, project="bench", priority=priority, occurred_at=0, method="wait"
        )
        found.append((at, record))
    return found


def stage(seen: Seen, admission: Admission | None, topics: Sequence[str] = tuple(MIX)) -> Stage:
    async def work(record: GenerationRequested, context: Context) -> Sequence[Record]:
        began = time.time() * 1000
        if record.occurred_at:
            seen.started[record.priority] += 1
            seen.waits_ms[record.priority].append(began - record.occurred_at)
        await asyncio.sleep(STEP_S)
        if not record.occurred_at:
            seen.warmed.add(record.priority)
        elif record.deadline is None or time.time() * 1000 <= record.deadline:
            seen.met[record.priority] += 1
        made = ArtifactGenerated(
            event_id=record.event_id, request_id=record.request_id, tenant=record.tenant, project=record.project, occurred_at=record.occurred_at,
            priority=record.priority, method="wait", artifact_uri="object:bench/" + "0" * 64, artifact_size=0, artifact_digest="",
        )  # fmt: skip
        return [made]

    return Stage(
        name="generate", reads=tuple(GENERATION_REQUESTED[p] for p in topics), writes=(ARTIFACT_GENERATED, ARTIFACT_REJECTED, USAGE_RECORDED),
        handler=work, effect=Effect.IDEMPOTENT, time_limit_s=60, concurrency=SLOTS, admission=admission,
    )  # fmt: skip


SIDES: dict[str, tuple[Admission | None, Limits, tuple[str, ...]]] = {
    "ours": (Admission(), LIMITS, tuple(MIX)),
    "fifo": (None, NONE, ("normal",)),
    "strict": (Admission(weights=STRICT, deadline=lambda _: None), NONE, tuple(MIX)),
}


async def one(world: World, side: str, load: float, capacity: float, seconds: float, seed: int) -> dict[str, Any]:
    """Run one side at a load (in capacities) and return its figures."""
    admission, limits, topics = SIDES[side]
    seen = Seen()
    declared = stage(seen, admission, topics)
    settings = world.side(limits, declared)
    codec = Codec(Schemas(settings.registry_url))
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 2})
    planned = schedule(seed, load * capacity, seconds)
    sent = Counter(record.priority for _, record in planned)
    stop = asyncio.Event()
    store = FolderStore(world.folder / settings.group_prefix, durable=False)
    ready = asyncio.Event()
    worker = asyncio.create_task(run_worker([declared], settings, store, name="bench", ready=ready.set, stop=stop))
    await asyncio.wait({worker, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)

    def send(record: GenerationRequested) -> None:
        topic = GENERATION_REQUESTED[record.priority if len(topics) > 1 else topics[0]]
        headers = [("millrace-tenant", record.tenant.encode())]
        producer.produce(settings.topic_prefix + topic.name, codec.encode(topic, record), record.request_id, headers=headers)
        producer.poll(0)

    # The group has come together, and all is warm, when a record of each class went through. One that waited too long for its class meanwhile
    # was refused, so another follows each second.
    next_at = time.monotonic()
    while missing := set(MIX) - seen.warmed:
        if time.monotonic() >= next_at:
            next_at += 1.0
            for priority in sorted(missing):
                send(replace(planned[0][1], request_id=ids.new_id(), priority=priority))
        await asyncio.sleep(0.01)
        if worker.done():
            worker.result()
    wanted = {record.request_id for _, record in planned}
    ending = asyncio.create_task(asyncio.to_thread(follow, settings, seen, wanted, 60 + 3 * load * seconds))
    began = time.monotonic()
    for at, record in planned:
        if (ahead := at - (time.monotonic() - began)) > 0:
            await asyncio.sleep(ahead)
        now = ids.now_ms()
        due = DEADLINE_S.get(record.priority)
        record = replace(record, occurred_at=now, deadline=now + int(due * 1000) if due else None)
        send(record)
    producer.flush(30)
    try:
        await ending
    finally:
        stop.set()
        await worker
    figures = seen.figures(sent, time.monotonic() - began)
    return figures | {"lost": len(planned) - len(seen.ended), "ended_twice": sum(n > 1 for n in seen.ended.values())}


def follow(settings: StreamSettings, seen: Seen, wanted: set[str], limit_s: float) -> None:
    """Read from outside how every request ends, until all have or the time is over."""
    from confluent_kafka import Consumer

    codec = Codec(Schemas(settings.registry_url))
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": f"{settings.group_prefix}.follow", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )  # fmt: skip
    names = {settings.topic_prefix + t.name: t for t in (ARTIFACT_GENERATED, ARTIFACT_REJECTED)}
    consumer.subscribe(list(names))
    end = time.monotonic() + limit_s
    try:
        while len(seen.ended) < len(wanted) and time.monotonic() < end:
            for message in consumer.consume(1000, timeout=0.2):
                if message.error():
                    raise RuntimeError(message.error().str())
                topic = names[message.topic()]
                assert topic.record
                record = codec.decode(topic.record, message.value())
                if record.request_id not in wanted:
                    continue
                seen.ended[record.request_id] += 1
                if topic is ARTIFACT_REJECTED:
                    seen.refused[record.priority][record.reason] += 1
    finally:
        consumer.close()


async def capacity(world: World, seconds: float) -> float:
    """Records a second that the stage's slots get done where records never run out: what the loads are multiples of."""
    seen = Seen()
    declared = stage(seen, None)
    settings = world.side(NONE, declared)
    codec = Codec(Schemas(settings.registry_url))
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for _, record in schedule(0, SLOTS / STEP_S, seconds * 1.5):
        topic = GENERATION_REQUESTED[record.priority]
        producer.produce(settings.topic_prefix + topic.name, codec.encode(topic, replace(record, occurred_at=1)), record.request_id)
    producer.flush(30)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker([declared], settings, FolderStore(world.folder / "c", durable=False), name="bench", stop=stop))
    while not sum(seen.started.values()):
        await asyncio.sleep(0.01)
        if worker.done():
            worker.result()
    before, began = sum(seen.started.values()), time.monotonic()
    await asyncio.sleep(seconds)
    rate = (sum(seen.started.values()) - before) / (time.monotonic() - began)
    stop.set()
    await worker
    return rate


def measure(world: World, seconds: float, seed: int = 1) -> dict[str, Any]:
    """All sides at both loads, and the ratios between them."""
    per_s = asyncio.run(capacity(world, min(5.0, seconds / 2)))
    loads = {"half": 0.5, "twice": 2.0}
    sides = {side: {name: asyncio.run(one(world, side, load, per_s, seconds, seed)) for name, load in loads.items()} for side in SIDES}

    def wait(side: str, load: str, priority: str) -> float:
        found: float | None = sides[side][load]["classes"][priority]["wait_ms_p99"]
        return found or 0.0

    def done(side: str, priority: str) -> int:
        found: int = sides[side]["twice"]["classes"][priority]["done"]
        return found

    ours = sides["ours"]["twice"]["classes"]
    timed = [ours[p] for p in DEADLINE_S]
    return {
        "capacity_per_s": round(per_s),
        "ideal_capacity_per_s": round(SLOTS / STEP_S),
        "sides": sides,
        "critical_wait_p99_ms": {side: {load: wait(side, load, "critical") for load in loads} for side in SIDES},
        "ratio_critical_p99_twice_to_half": round(wait("ours", "twice", "critical") / max(0.1, wait("ours", "half", "critical")), 2),
        "ratio_critical_p99_fifo_to_ours": round(wait("fifo", "twice", "critical") / max(0.1, wait("ours", "twice", "critical")), 1),
        "ratio_low_p99_strict_to_ours": round(wait("strict", "twice", "low") / max(0.1, wait("ours", "twice", "low")), 2),
        "done_of_low": {side: done(side, "low") for side in SIDES},
        "admitted_met_deadline": round(sum(c["met_deadline"] * c["done"] for c in timed) / max(1, sum(c["done"] for c in timed)), 4),
        "lost": sum(found["lost"] for loads_of in sides.values() for found in loads_of.values()),
        "ended_twice": sum(found["ended_twice"] for loads_of in sides.values() for found in loads_of.values()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long records are sent, a side and load")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    log_json("error")
    with world() as made:
        result = measure(made, options.seconds, options.seed)
    print(json.dumps(result, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
