"""Records that wait: for a breaker, in the delay tiers, without spending a try; and requests over their tenant's quota."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import ids
from schemas.records import FeaturesExtracted, Record
from sinks.objects import FolderStore
from streams import provenance
from streams.breaker import Breaker, BreakerSettings
from streams.contract import Context, Effect, Retry
from streams.failures import Waiting
from streams.ledger import Answer, Metered
from streams.metrics import StageMetrics
from streams.quota import QuotaSettings
from streams.settings import StreamSettings
from streams.step import Steps
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from tests.streams.world import World, features, plan, run, stage, until

OUT = GENERATION_REQUESTED["normal"]
HOUR_MS = 3_600_000


@pytest.mark.kafka
def test_records_that_meet_an_open_breaker_wait_in_the_tiers_and_spend_no_try(world: World) -> None:
    """The dependency is down at first. Only who calls it in vain spends a try; who meets the open breaker does not, however often."""
    breaker = Breaker("dep", BreakerSettings(window=4, at_least=2, pause_s=0.5, longest_pause_s=1))
    down, waited, wrong = [True], [0], []
    failed: Counter[str] = Counter()
    probes = 0

    async def ask(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        nonlocal probes
        if context.delivery.tries != failed[record.request_id] + 1:
            wrong.append(f"try {context.delivery.tries} after {failed[record.request_id]} calls in vain")
        try:
            leave = breaker.enter()
        except Waiting:
            waited[0] += 1
            raise
        probes += leave.probe
        if probes > 1:
            wrong.append("two probes at a time")
        await asyncio.sleep(0.01)
        probes -= leave.probe
        if down[0]:
            leave.failed()
            failed[record.request_id] += 1
            raise ConnectionError("down")
        leave.ok()
        return await plan(record, context)

    declared = stage(ask, retry=Retry(30), concurrency=8)
    world.create(declared)
    records = [features(n) for n in range(30)]
    for record in records:
        world.send_soon(FEATURES_EXTRACTED, record)
    world.flush()

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: waited[0] >= 60, task=task)
            down[0] = False
            await until(lambda: len(world.records(OUT)) >= 30, 60, task=task)

    run(main())
    assert not wrong and not world.dead() and failed
    assert {r.request_id for r in world.records(OUT)} == {r.request_id for r in records}


@pytest.mark.kafka
def test_what_is_over_the_quota_is_rejected_with_a_retry_after(world: World) -> None:
    world = world.with_settings(quota=QuotaSettings(default="FREE", tenants={"big": "PRO"}))

    async def ask(call: int) -> Answer:
        return Answer(body=b"x", metered=Metered(kind="llm.call"))

    async def work(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        await context.paid(ask, input_hash="h", time_limit_s=5, bill=Metered(kind="llm.call"))
        return await plan(record, context)

    declared = stage(work, effect=Effect.PAID, concurrency=8)
    world.create(declared)
    for n in range(13):
        world.send_soon(FEATURES_EXTRACTED, features(n))
        world.send_soon(FEATURES_EXTRACTED, features(n, tenant="big"))
    world.flush()

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: len(world.records(OUT)) + len(world.records(ARTIFACT_REJECTED)) >= 26, 60, task=task)

    run(main())
    made, rejected = world.records(OUT), world.records(ARTIFACT_REJECTED)
    assert sorted(r.tenant for r in made) == ["acme"] * 10 + ["big"] * 13
    assert [(r.tenant, r.reason) for r in rejected] == [("acme", "quota_exceeded")] * 3
    assert all(0 < r.retry_after_s <= 86_400 for r in rejected)
    assert len(world.records(USAGE_RECORDED)) == 23 and not world.dead()


def test_in_place_retries_back_off_exponentially_with_full_jitter() -> None:
    class Fake:
        class shared:
            class settings:
                retry_delays_s = (5.0, 60.0, 600.0)

    random.seed(4)
    for tries, most in ((1, 5), (2, 10), (3, 20), (8, 600), (50, 600)):
        delays = [Steps._backoff(Fake, tries) for _ in range(200)]  # type: ignore[arg-type]
        assert min(delays) < most * 0.1 and most * 0.9 < max(delays) <= most


class Past:
    """A record as it lies in Kafka."""

    def __init__(self, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._topic, self._value, self._headers = topic, value, headers

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


def test_a_record_waits_from_its_first_wait_on_and_anew_after_each_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lay in Kafka for hours before its stage came to it, which is no waiting; nor does a producer say how long it may wait."""
    clock = [int(10 * HOUR_MS)]
    monkeypatch.setattr(ids, "now_ms", lambda: clock[0])
    settings = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1", longest_wait_s=3600)
    codec = SimpleNamespace(known_decoder=lambda topic, value: lambda value: features(), encode=lambda topic, record: b"encoded")
    shared: Any = SimpleNamespace(settings=settings, codec=codec, objects=FolderStore(tmp_path, durable=False), quotas=None, account=None)
    fails: list[Exception] = []

    async def handler(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        raise fails.pop(0)

    declared = stage(handler, retry=Retry(3), ends_requests=False)
    made = Steps(declared, shared, StageMetrics("plan", "w"), contextlib.nullcontext)
    wait, fault = Waiting("later", "x", seconds=5), RuntimeError("x")

    def lives(*says: tuple[Exception, float], message: Past | None = None) -> list[tuple[str, int]]:
        """What becomes of a record whose handler says these, each so many hours after the one before."""
        message, found = message or Past("features.extracted", b"", [(provenance.WAITS_SINCE, b"1")]), []
        for error, hours in says:
            clock[0] += int(hours * HOUR_MS)
            fails.append(error)
            delivery = provenance.origin_of(message, settings)  # type: ignore[arg-type]
            outcome = asyncio.run(made.take(message, None, delivery))  # type: ignore[arg-type]
            found.append((outcome.event, delivery.tries))
            if outcome.event in ("waiting", "retried"):
                message = Past(outcome.outputs[0].topic, b"", outcome.outputs[0].headers)
        return found

    assert lives((wait, 0), (wait, 0.9), (wait, 0.2), (wait, 0.1), (wait, 0.1)) == [
        ("waiting", 1), ("waiting", 1), ("retried", 1), ("retried", 2), ("dead", 3)
    ]  # fmt: skip
    assert lives((wait, 0), (fault, 0.9), (wait, 0.9), (wait, 0.9), (fault, 5), (wait, 5)) == [
        ("waiting", 1), ("retried", 1), ("waiting", 2), ("waiting", 2), ("retried", 2), ("waiting", 3)
    ]  # fmt: skip
