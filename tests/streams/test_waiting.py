"""Records that wait: for a breaker, in the delay tiers, without spending a try; and requests over their tenant's quota."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from schemas.records import FeaturesExtracted, Record
from streams.breaker import Breaker, BreakerSettings
from streams.contract import Context, Effect, Retry
from streams.failures import Waiting
from streams.ledger import Answer, Metered
from streams.quota import QuotaSettings
from streams.step import Steps
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from tests.streams.world import World, features, plan, run, stage, until

OUT = GENERATION_REQUESTED["normal"]


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
