"""A record's way through a stage, on the real broker: read, handled, published, acknowledged, committed; retried; given up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.records import GenerationRequested, PromptSubmitted, Record
from streams.contract import Context, Retry
from streams.failures import Rejected
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, PROMPT_SUBMITTED
from tests.streams.world import World, features, prompt, run, stage, until

pytestmark = pytest.mark.kafka


def test_read_handled_published_committed(world: World) -> None:
    world.create(stage())
    sent = [features(n) for n in range(20)]

    async def main() -> None:
        async with world.running(stage()) as task:
            for record in sent:
                world.send_soon(FEATURES_EXTRACTED, record)
            world.flush()
            await until(lambda: sum(world.committed("plan", FEATURES_EXTRACTED).values()) == 20, task=task)

    run(main())
    out = world.records(GENERATION_REQUESTED["normal"])
    assert {o.request_id for o in out} == {s.request_id for s in sent} and len(out) == 20
    assert len({o.event_id for o in out}) == 20
    assert not world.dead()


def test_retried_then_dead_with_a_verdict(world: World) -> None:
    async def fails(record: PromptSubmitted, context: Context) -> Sequence[Record]:
        if record.prompt == "bad":
            raise RuntimeError("no luck")
        if record.prompt == "no":
            raise Rejected("needs_model", "too hard")
        return [context.make(GenerationRequested, method="compose", spec="{}")]

    declared = stage(fails, reads=(PROMPT_SUBMITTED,), retry=Retry(tries=3))
    world.create(declared)

    async def main() -> None:
        async with world.running(declared) as task:
            for text in ("bad", "good", "no"):
                world.send(PROMPT_SUBMITTED, prompt(text))
            await until(lambda: len(world.messages(ARTIFACT_REJECTED)) == 2, task=task)
            await until(lambda: sum(world.committed("plan", PROMPT_SUBMITTED).values()) == 3, task=task)

    run(main())
    (letter,) = world.dead()
    assert (letter.reason, letter.tries, letter.topic, letter.stage) == ("handler_error", 3, "prompt.submitted", "plan")
    assert "no luck" in letter.message and "RuntimeError" in letter.exception
    reasons = {v.reason for v in world.records(ARTIFACT_REJECTED)}
    assert reasons == {"dead_letter.handler_error", "needs_model"}
    assert len(world.records(GENERATION_REQUESTED["normal"])) == 1
