"""The runner without a broker: in what order records start, and that what goes wrong with one leaves the others in theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError

from schemas import ids
from schemas.avro_codec import decoder, frame, schema_text
from schemas.records import FeaturesExtracted, GenerationRequested, Record
from streams.acknowledgement import Window
from streams.codec import Codec
from streams.contract import Context, Effect, Writer
from streams.producer import Output
from streams.runner import StageRunner, Work
from streams.settings import StreamSettings
from streams.step import Shared
from streams.topics import FEATURES_EXTRACTED
from tests.streams.world import features, stage

SETTINGS = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
Handler = Callable[[FeaturesExtracted, Context], Awaitable[Sequence[Record]]]


class KnownSchemas:
    """A registry whose one schema is that of the stage's topic."""

    def id_for(self, _: Any) -> int:
        return 7


class Producer:
    """Keeps what is published until the test says what the broker makes of it."""

    def __init__(self) -> None:
        self.published: list[tuple[Output, Any]] = []

    def publish(self, outputs: Sequence[Output], _: Any, receipt: Any) -> None:
        self.published += [(output, receipt) for output in outputs]

    def after_reports(self, call: Callable[[], None]) -> None:
        self.reported = call

    def answer(self, number: int, error: KafkaError | None = None) -> None:
        _, receipt = self.published[number]
        receipt(error, None)
        self.reported()


class Message:
    def __init__(
        self, offset: int, record: FeaturesExtracted, value: bytes, key: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        self._offset, self._value, self._key, self._headers = offset, value, key, list(headers)

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return 0

    def topic(self) -> str:
        return FEATURES_EXTRACTED.name

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_800_000_000_000

    def __len__(self) -> int:
        return len(self._value)


class Bench:
    """A runner that is handed records by hand."""

    def __init__(self, handler: Handler, **changes: Any) -> None:
        self.codec = Codec(KnownSchemas())  # type: ignore[arg-type]
        example = self.codec.encode(FEATURES_EXTRACTED, features())
        self.codec._decoders[FeaturesExtracted, frame(7)] = decoder(FeaturesExtracted, schema_text("features.extracted"))
        assert self.codec.decode(FeaturesExtracted, example)
        self.producer = Producer()
        shared = Shared(SETTINGS, self.codec, self.producer, None, Writer(), "worker")  # type: ignore[arg-type]
        self.runner = StageRunner(stage(handler, effect=Effect.IDEMPOTENT, ends_requests=False, **changes), shared)
        self.window = Window(FEATURES_EXTRACTED.name, 0)
        self.count = 0

    def arrive(self, *records: tuple[FeaturesExtracted, bytes | None, Sequence[tuple[str, bytes]]]) -> None:
        works = []
        for record, key, headers in records:
            message: Any = Message(self.count, record, self.codec.encode(FEATURES_EXTRACTED, record), key, headers)
            works.append(Work(message, self.window))
            self.window.deliver(self.count, works[-1].size)
            self.count += 1
        asyncio.get_running_loop().call_soon(self.runner._arrived, works)  # a step starts in a callback of the loop, never within a task


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def made(record: FeaturesExtracted, context: Context) -> list[Record]:
    return [context.make(GenerationRequested, method="m", spec="s")]


def test_what_is_not_taken_lets_its_keys_line_advance_no_second_time() -> None:
    """The first one's output is too large for its topic, which is known when the second is at work. The third still waits for that one."""

    async def main() -> None:
        gates = {n: asyncio.Event() for n in range(3)}
        at_work: list[int] = []

        async def handle(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            at_work.append(record.frames)
            await gates[record.frames].wait()
            at_work.remove(record.frames)
            return made(record, context)

        bench = Bench(handle, order="key")
        bench.arrive(*((features(n), b"k", ()) for n in range(3)))
        await turns()
        assert at_work == [0]
        gates[0].set()
        await turns()
        assert at_work == [1] and len(bench.producer.published) == 1
        bench.producer.answer(0, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        await turns()
        assert [o.topic for o, _ in bench.producer.published] == ["generation.requested.normal", "dead.letters"]
        assert at_work == [1]
        gates[1].set()
        await turns()
        assert at_work == [2]
        gates[2].set()
        await turns()
        for number in (1, 2, 3):
            bench.producer.answer(number)
        assert bench.window.committable == 3 and not bench.runner._lines and not bench.runner._active

    asyncio.run(main())


def started(order: str, *records: tuple[FeaturesExtracted, bytes | None, Sequence[tuple[str, bytes]]]) -> list[str]:
    """The tenants of records in the order they are begun in, one at a time."""
    found: list[str] = []

    async def main() -> None:
        async def handle(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            found.append(record.tenant)
            await asyncio.sleep(0)
            return []

        bench = Bench(handle, order=order, concurrency=1)
        bench.arrive(*records)
        await turns(20 * len(records))
        assert bench.window.committable == len(records)

    asyncio.run(main())
    return found


def test_a_record_waits_in_its_own_tenants_line_whatever_a_header_says() -> None:
    """One tenant's records bear many names, and another's."""
    greedy = [(features(tenant="greedy"), None, [("millrace-tenant", f"t{n}".encode())]) for n in range(10)]
    posing = [(features(tenant="greedy"), None, [("millrace-tenant", b"modest")]) for _ in range(10)]
    modest = [(features(tenant="modest"), None, ()) for _ in range(5)]
    first = started("none", *greedy, *posing, *modest)[:11]
    assert Counter(first)["modest"] == 5


def test_what_names_no_tenant_waits_in_one_line() -> None:
    """Their steps will say so; by turns with those of one tenant."""

    async def main() -> None:
        async def never(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            raise AssertionError

        bench = Bench(never)
        bench.runner._slots = 0
        bench.arrive(*((features(tenant=f"no/{n}"), None, ()) for n in range(10)), *((features(), None, ()) for _ in range(5)))
        await turns()
        queue = bench.runner._queue
        first = [bench.codec.decode(FeaturesExtracted, queue.pop().message.value()).tenant for _ in range(10)]
        assert Counter(first)["acme"] == 5

    asyncio.run(main())


def test_a_key_with_many_records_waits_with_its_tenant_and_not_beside_it() -> None:
    hot = [(features(tenant="hot"), b"k", ()) for _ in range(8)]
    cold = [(features(tenant="hot"), f"c{n}".encode(), ()) for n in range(8)]
    other = [(features(tenant="other"), f"o{n}".encode(), ()) for n in range(8)]
    assert Counter(started("key", *hot, *cold, *other)[:12])["other"] >= 5


@pytest.mark.parametrize("waits_first", [False, True])
def test_a_handler_that_is_cancelled_from_within_fails_as_any_other(waits_first: bool) -> None:
    """Nobody told it to end, so nobody else gets its record: neither tried again nor given up it would be in hand for ever."""

    async def main() -> None:
        async def handle(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
            if waits_first:
                await asyncio.sleep(0)
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
            return []

        bench = Bench(handle)
        bench.arrive((features(request_id=ids.new_id()), None, ()))
        await turns()
        ((output, _),) = bench.producer.published
        assert output.topic == "retry.plan.5s" and ("millrace-reason", b"handler_error") in output.headers
        bench.producer.answer(0)
        assert bench.window.committable == 1

    asyncio.run(main())
