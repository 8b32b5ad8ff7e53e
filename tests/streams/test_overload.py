"""An overload on the real broker: low is shed, the late are told, the door closes for those who could only wait, and everybody gets an answer once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from millrace.doors import Door, RefusedAtDoor, Sender
from schemas import ids
from schemas.records import ArtifactGenerated, GenerationRequested, Record
from streams.admission import Admission, Limits
from streams.contract import Context, Effect, Stage
from streams.queues import Queues
from streams.topics import ARTIFACT_GENERATED, ARTIFACT_REJECTED, CATALOGUE, GENERATION_REQUESTED, USAGE_RECORDED
from tests.streams.world import World, run, until

pytestmark = pytest.mark.kafka


def request(priority: str, **changes: Any) -> GenerationRequested:
    request_id = ids.new_id()
    base: dict[str, Any] = {
        "event_id": ids.new_id(), "request_id": request_id, "tenant": "acme", "project": "demo", "priority": priority,
        "occurred_at": ids.id_time_ms(request_id), "method": "compose", "spec": "{}",
    }  # fmt: skip
    return GenerationRequested(**(base | changes))


def generate(handler: Any, **changes: Any) -> Stage:
    base: dict[str, Any] = {
        "name": "generate", "reads": tuple(GENERATION_REQUESTED.values()), "writes": (ARTIFACT_GENERATED, ARTIFACT_REJECTED, USAGE_RECORDED),
        "handler": handler, "effect": Effect.IDEMPOTENT, "recorded": True, "time_limit_s": 60, "concurrency": 2, "admission": Admission(),
    }  # fmt: skip
    return Stage(**(base | changes))


def artifact(context: Context) -> ArtifactGenerated:
    return context.make(ArtifactGenerated, method="compose", artifact_uri="object:acme/" + "0" * 64, artifact_size=1, artifact_digest="")


def send_all(world: World, records: Sequence[GenerationRequested]) -> None:
    for record in records:
        headers = [("millrace-tenant", record.tenant.encode())]
        world.send_soon(GENERATION_REQUESTED[record.priority], record, headers=headers)
    world.flush()


def test_an_overload_ends_every_request_once(world: World):
    """Slots are taken while a queue of 40 low requests stands over a limit of 10: 30 are shed, oldest first; none of another class is."""
    world = world.with_settings(admission=Limits(queued=10, window=8))
    gates: dict[str, asyncio.Event] = {}
    order: list[str] = []

    async def work(record: GenerationRequested, context: Context) -> Sequence[Record]:
        order.append(record.request_id)
        await gates["open"].wait()
        context.meter("compose", quantity=1, unit="project", cost_usd=None)
        return [artifact(context)]

    low, normal, critical = ([request(p) for _ in range(n)] for p, n in (("low", 40), ("normal", 20), ("critical", 5)))
    declared = generate(work)
    world.create(declared, partitions=2)
    send_all(world, [*low, *normal])

    async def main() -> None:
        gates["open"] = asyncio.Event()
        async with world.running(declared) as task:
            await until(lambda: len(world.messages(ARTIFACT_REJECTED)) >= 28, task=task)
            send_all(world, critical)
            gates["open"].set()
            everything = len(low) + len(normal) + len(critical)
            await until(lambda: len(world.messages(ARTIFACT_REJECTED)) + len(world.messages(ARTIFACT_GENERATED)) == everything, task=task)
            topics = [GENERATION_REQUESTED[p] for p in ("low", "normal", "critical")]
            await until(lambda: sum(sum(world.committed("generate", t).values()) for t in topics) == everything, task=task)

    run(main())
    verdicts, made = world.records(ARTIFACT_REJECTED), world.records(ARTIFACT_GENERATED)
    ended = Counter(r.request_id for r in [*verdicts, *made])
    assert ended == Counter(r.request_id for r in [*low, *normal, *critical])
    assert {(v.reason, v.priority) for v in verdicts} == {("shed", "low")}
    assert all(v.retry_after_s >= 30 and v.state == "rejected" and "over the limit of 10" in v.message for v in verdicts)
    # At most two of low were at work when the sample was taken; what stays are the youngest.
    assert 28 <= len(verdicts) <= 30
    shed = {v.request_id for v in verdicts}
    waited = [r.request_id for r in low if r.request_id not in set(order[:2])]
    by_partition: dict[int, list[str]] = {}
    for message in world.messages(GENERATION_REQUESTED["low"]):
        by_partition.setdefault(message.partition(), []).append(message.key().decode())
    for keys in by_partition.values():
        fates = [key in shed for key in keys if key in waited]
        assert fates == sorted(fates, reverse=True), "a younger one was shed before an older one"
    # Shed work is metered as nothing.
    assert {u.request_id for u in world.records(USAGE_RECORDED)} == {r.request_id for r in made}
    assert not world.dead()


def test_late_and_past_deadlines_end_with_a_retry_after(world: World):
    world = world.with_settings(admission=Limits(wait_s=1.0))
    gates: dict[str, asyncio.Event] = {}

    async def work(record: GenerationRequested, context: Context) -> Sequence[Record]:
        order.append(record.request_id)
        await gates["open"].wait()
        return [artifact(context)]

    order: list[str] = []
    now = int(time.time() * 1000)
    holders = [request("normal"), request("normal")]
    waiting = {p: request(p) for p in ("critical", "high", "normal", "low")}
    passed, far = request("normal", deadline=now - 1), request("normal", deadline=now + 3_600_000)
    expected = {waiting["critical"].request_id: "late", waiting["high"].request_id: "late", passed.request_id: "deadline"}
    declared = generate(work)
    world.create(declared)

    async def main() -> None:
        gates["open"] = asyncio.Event()
        async with world.running(declared) as task:
            send_all(world, holders)
            await until(lambda: len(order) == 2, task=task)
            send_all(world, [*waiting.values(), passed, far])
            await until(lambda: {v.request_id for v in world.records(ARTIFACT_REJECTED)} == expected.keys(), task=task)
            gates["open"].set()
            await until(lambda: len(world.messages(ARTIFACT_GENERATED)) == 5, task=task)

    run(main())
    verdicts = {v.request_id: v for v in world.records(ARTIFACT_REJECTED)}
    assert {i: v.reason for i, v in verdicts.items()} == expected
    assert all(v.retry_after_s > 0 for v in verdicts.values())


def test_no_class_takes_the_room_of_another(world: World):
    """With a backlog of normal requests beyond all that a worker may hold, a critical one that comes last is at work next."""
    world = world.with_settings(admission=Limits(window=10), max_in_flight=60)
    gates: dict[str, asyncio.Semaphore] = {}
    order: list[str] = []

    async def work(record: GenerationRequested, context: Context) -> Sequence[Record]:
        order.append(record.priority)
        await gates["open"].acquire()
        return [artifact(context)]

    declared = generate(work, concurrency=1)
    world.create(declared, partitions=1)
    send_all(world, [request("normal") for _ in range(300)])

    async def main() -> None:
        gates["open"] = asyncio.Semaphore(0)
        async with world.running(declared) as task:
            await until(lambda: order, task=task)
            send_all(world, [request("critical")])
            for _ in range(300):
                gates["open"].release()
                before = len(order)
                await until(lambda before=before: len(order) > before, task=task)
                if "critical" in order:
                    break

    run(main())
    assert order.index("critical") <= 40, "it waited behind the backlog"


def test_the_door_knows_without_any_worker(world: World):
    settings = world.settings.model_copy(update={"admission": Limits(queued=5)})
    world.create(generate(lambda r, c: None))
    from streams.admin import ensure_topics

    ensure_topics(settings, [CATALOGUE["prompt.submitted"], CATALOGUE["video.submitted"]])
    send_all(world, [request("critical") for _ in range(6)] + [request("high") for _ in range(5)])
    found = Queues(settings, "generate", [GENERATION_REQUESTED["critical"]]).read()
    assert sum(q.end - q.next for q in found.values()) == 6
    door = Door(settings, world.store)
    with pytest.raises(RefusedAtDoor) as refused:
        door.prompt("an inventory app", Sender(priority="critical"))
    assert refused.value.reason == "overloaded" and refused.value.retry_after_s == 30
    kept = [door.prompt("an inventory app", Sender(priority=p), f"key-{p}") for p in ("high", "normal", "low")]
    send_all(world, [request("high")])
    door = Door(settings, world.store)
    with pytest.raises(RefusedAtDoor, match="6 requests of class high wait already"):
        door.prompt("an inventory app", Sender(priority="high"))
    assert door.prompt("an inventory app", Sender(priority="high"), "key-high") == type(kept[0])(kept[0].request_id, again=True)
    door.flush()
