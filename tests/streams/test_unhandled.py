"""What goes wrong in the engine itself, where no record is to blame: the worker ends with it, instead of standing still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from schemas.records import FeaturesExtracted, Record
from streams.batch import BatchStage
from streams.contract import Context
from streams.failures import Waiting
from streams.metrics import StageMetrics
from streams.runner import StageRunner
from streams.source import Source
from streams.tiers import WaitingRoom
from streams.topics import FEATURES_EXTRACTED
from tests.streams.world import World, features, plan, run, stage

pytestmark = pytest.mark.kafka


class Broken(Exception):
    pass


async def waits(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
    if context.delivery.timestamp and not WAITED:
        WAITED.append(True)
        raise Waiting("later", "once", seconds=0.05)
    await asyncio.sleep(0.01)
    return await plan(record, context)


WAITED: list[bool] = []


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (StageRunner, "_task_ended"),  # a task's done callback
        (StageRunner, "_acknowledged"),  # the producer's timer
        (WaitingRoom, "_look"),  # a timer of its own
    ],
)
def test_an_error_in_a_callback_of_the_loop_ends_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: type[Any], name: str
) -> None:
    WAITED.clear()
    good: Callable[..., Any] = getattr(owner, name)

    def broken(self: Any, *about: Any) -> Any:
        if name == "_acknowledged" and not self._reported:  # called at every turn of the producer's
            return good(self, *about)
        raise Broken

    world = world.with_settings(stop_deadline_s=0.2)
    declared = stage(waits)
    world.create(declared)
    world.send(FEATURES_EXTRACTED, features())
    monkeypatch.setattr(owner, name, broken)

    async def main() -> None:
        async with world.running(declared, crashes=True) as task:
            done, _ = await asyncio.wait({task}, timeout=20)
            assert done, "the worker stands still"
            assert isinstance(task.exception(), Broken)

    run(main())


@pytest.mark.parametrize("kind", ["stage", "sink"])
@pytest.mark.parametrize(("owner", "name"), [(StageMetrics, "flush"), (Source, "_committable")])
def test_a_duty_that_ends_by_itself_ends_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str, owner: type[Any], name: str
) -> None:
    """Once a second metrics, health and lag are told, twice a second offsets are committed: without either all would look well."""

    def broken(*_: Any) -> None:
        raise Broken

    monkeypatch.setattr(owner, name, broken)
    declared: Any = stage() if kind == "stage" else BatchStage("sink-test", (FEATURES_EXTRACTED,), lambda _, records: ())
    world.create(declared)

    async def main() -> None:
        async with world.running(declared, crashes=True) as task:
            done, _ = await asyncio.wait({task}, timeout=20)
            assert done, "the worker goes on without it"
            assert isinstance(task.exception(), Broken)

    run(main())
