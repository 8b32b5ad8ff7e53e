"""A model's application through the real engine: over Kafka, through the ledger, repaired, remembered; and its key nowhere."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import SecretStr

from bench.fake_model import FAULTS, GOOD_HOME, Says, answer, running, spec
from processors.generate.model.settings import ModelSettings
from processors.generate.stage import GenerateSettings
from processors.generate.stage import stage as generate
from processors.plan.stage import PlanSettings
from processors.plan.stage import stage as plan
from processors.toolchain.node import Toolchain
from processors.validate.stage import ValidateSettings
from processors.validate.stage import stage as validate
from streams.steps import verdict_of
from streams.topics import (
    ARTIFACT_GENERATED,
    ARTIFACT_REJECTED,
    ARTIFACT_VALIDATED,
    CATALOGUE,
    GENERATION_REQUESTED,
    PROMPT_SUBMITTED,
    REQUEST_PROGRESSED,
    USAGE_RECORDED,
)
from tests.streams.world import World, prompt, run, until

pytestmark = [pytest.mark.kafka, pytest.mark.browser]
KEY = "sk-proj-canary-0123456789abcdefghijklmnop"
SPEC = spec("Fleet", trucks=["plate", "mileage: integer"])


def test_a_prompt_goes_through_the_model_a_repair_and_the_cache(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    says = [Says(status=500, text=f"upstream said {KEY}"), Says(answer(SPEC, FAULTS["hidden request"])), Says(answer(None, GOOD_HOME))]
    with running(*says) as fake:
        model = ModelSettings(url=fake.url, model="m-1", provider="test", api_key=SecretStr(KEY), files=True)
        stages = [
            plan(PlanSettings(model=True)),
            generate(GenerateSettings(model=model), Toolchain()),
            validate(ValidateSettings(), Toolchain()),
        ]
        world.create(*stages)
        first, second = (prompt("Fuhrpark mit Lastwagen und Fahrern", priority="high") for _ in range(2))

        def ended(request: str):  # type: ignore[no-untyped-def]
            return lambda: verdict_of(world.store, world.codec, "acme", "", request)

        async def main() -> None:
            async with world.running(*stages) as task:
                world.send(PROMPT_SUBMITTED, first)
                one = await until(ended(first.request_id), 240, task=task)
                world.send(PROMPT_SUBMITTED, second)
                two = await until(ended(second.request_id), 60, task=task)
                assert (one.state, one.round, two.state, two.round) == ("validated", 1, "validated", 0), (one, two)
                assert one.artifact_digest == two.artifact_digest and two.usage_events == 2
                await until(lambda: len(world.records(ARTIFACT_VALIDATED)) == 2, task=task)

        run(main())
        assert fake.calls == 3
        rounds = [(r.round, r.method) for r in world.records(GENERATION_REQUESTED["high"]) if r.request_id == first.request_id]
        assert sorted(rounds) == [(0, "model"), (1, "model")], "a repair keeps the request's class"
        usage = [u for u in world.records(USAGE_RECORDED) if u.request_id == first.request_id]
        assert sorted((u.kind, u.round, u.call, u.outcome) for u in usage) == [
            ("llm.call", 0, 0, "error"),
            ("llm.call", 0, 1, "ok"),
            ("llm.call", 1, 0, "ok"),
            ("validate", 0, 0, "ok"),
            ("validate", 1, 0, "ok"),
        ]
        assert all(u.cost_usd is None for u in usage if u.kind == "llm.call" and u.outcome == "ok"), "a price that nobody knows is NULL"
        [verdict] = [v for v in world.records(ARTIFACT_VALIDATED) if v.request_id == first.request_id]
        assert verdict.usage_events == len(usage) == len({u.event_id for u in usage})
        hit = [u for u in world.records(USAGE_RECORDED) if u.request_id == second.request_id]
        assert sorted((u.kind, u.outcome, u.cost_usd) for u in hit) == [
            ("cache.hit", "cache_hit", Decimal(0)),
            ("validate", "cache_hit", Decimal(0)),
        ]
        assert any("answering" in p.message for p in world.records(REQUEST_PROGRESSED))
        assert not world.records(ARTIFACT_REJECTED) and not world.dead()

        written = [m.value() or b"" for t in CATALOGUE.values() if t in _created(stages) for m in world.messages(t)]
        kept = [world.store.get(key).body for key in world.store.keys("")]
        said = "".join(capfd.readouterr()).encode()
        assert len(written) > 10 and len(kept) > 10 and b"step failed" not in said
        assert not any(KEY.encode() in body for body in (*written, *kept, said)), "the key is in no event, no object and no log"
        assert all(key == f"Bearer {KEY}" for key in fake.keys)


def _created(stages):  # type: ignore[no-untyped-def]
    return {ARTIFACT_GENERATED, PROMPT_SUBMITTED} | {t for s in stages for t in (*s.reads, *s.writes)}
