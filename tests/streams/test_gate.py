"""The gate without a broker: what it holds back it lets go again, whatever is taken away; what it ends makes room for the next end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import ids
from schemas.records import GenerationRequested, Record
from streams.acknowledgement import Window
from streams.admission import Admission, Limits
from streams.codec import Codec
from streams.contract import Context, Effect, Stage, Writer
from streams.failures import Rejected
from streams.gate import Gate
from streams.producer import AckedProducer
from streams.runner import StageRunner, Work
from streams.scheduling import FairQueue
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import ARTIFACT_REJECTED, GENERATION_REQUESTED

LOW = GENERATION_REQUESTED["low"]


class Message:
    """As much of a Kafka message as is looked at before a step."""

    def __init__(self, offset: int, value: bytes = b"") -> None:
        self._offset, self._value = offset, value

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return 0

    def topic(self) -> str:
        return LOW.name

    def key(self) -> bytes:
        return ids.new_id().encode()

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return []

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_800_000_000_000

    def __len__(self) -> int:
        return len(self._value)


class Holds:
    """A source's windows and which of them are held."""

    def __init__(self, *windows: Window) -> None:
        self.windows = {(w.topic, w.partition): w for w in windows}
        self.held: list[Window] = []

    def hold(self, window: Window) -> None:
        self.held.append(window)

    def release(self, window: Window) -> None:
        self.held.remove(window)


async def never(record: Any, context: Context) -> Sequence[Record]:
    raise AssertionError("not to be handled")


def settings(**changes: Any) -> StreamSettings:
    return StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1", **changes)


def stage() -> Stage:
    return Stage(
        "generate", tuple(GENERATION_REQUESTED.values()), (ARTIFACT_REJECTED,), never, Effect.IDEMPOTENT, 60, recorded=True, admission=Admission()
    )  # fmt: skip


@pytest.mark.parametrize("left", [0, 3])
def test_a_class_that_was_full_is_fetched_again_when_its_records_are_taken_away(left: int) -> None:
    """All that a worker has in hand of a class is of a partition that goes: the class's other partitions must not be held for ever."""
    goes, stays = Window(LOW.name, 0), Window(LOW.name, 1)
    source = Holds(goes, stays)
    codec: Any = SimpleNamespace(known_decoder=lambda *_: None)
    gate: Gate[Work] = Gate(stage(), settings(admission=Limits(window=8)), codec, source, FairQueue(), lambda *_: None)  # type: ignore[arg-type]
    for n in range(left):
        gate.put(Work(Message(n), stays))
    for n in range(8):
        gate.put(Work(Message(n), goes))
    assert set(source.held) == {goes, stays}
    del source.windows[goes.topic, 0]
    gate.revoked([goes])
    gate._sweep()
    assert stays not in source.held
    assert sum(1 for _ in range(left) if gate.next()) == left


def test_the_end_of_what_is_no_record_makes_room_for_the_next_end() -> None:
    """Such a record is given up in one step, without a task; the ends under way are counted all the same."""

    async def main() -> None:
        codec = Codec(SimpleNamespace(id_for=lambda _: 7))  # type: ignore[arg-type]
        good = GenerationRequested(
            event_id=ids.new_id(), request_id=ids.new_id(), tenant="acme", project="demo", priority="low", occurred_at=1, method="compose", spec="{}"
        )  # fmt: skip
        value = codec.encode(LOW, good)
        codec._decoders[GenerationRequested, value[:5]] = _bad
        shared = Shared(settings(), codec, AckedProducer(settings()), None, Writer(), "worker")  # type: ignore[arg-type]
        runner = StageRunner(stage(), shared)
        assert runner._gate
        window = Window(LOW.name, 0)
        for n in range(10):
            runner._gate._in_hand["low"] += 1
            runner._gate._end_soon(Work(Message(n, value), window), "low", Rejected("shed", "too many"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (len(runner._gate._to_end), runner._gate._ending, len(runner._active)) == (0, 0, 10)

    asyncio.run(main())


def _bad(_: bytes) -> Any:
    from schemas.avro_codec import BadRecord

    raise BadRecord("truncated")
