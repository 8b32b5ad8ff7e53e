"""What a batch stage collects: until it is full or its time is over, with places and headers where it asks for them."""

from __future__ import annotations

from streams.admin import ensure_topics
from streams.batch import BatchStage, RawRecord
from streams.topics import AUDIT_RECORDED, FEATURES_EXTRACTED
from tests.streams.world import World, features, run, until


def test_a_full_batch_does_not_wait_and_a_whole_record_tells_its_place(world: World) -> None:
    written: list[list[RawRecord]] = []

    def write(topic: str, records: list[RawRecord]) -> list[object]:
        written.append(list(records))
        return []

    # With ten minutes to collect, only fullness (and, for the last one, the stop) can have made it write.
    stage = BatchStage("keep", (FEATURES_EXTRACTED,), write, max_records=10, linger_s=600, whole=True)  # type: ignore[arg-type]
    world.create(stage, partitions=1)
    ensure_topics(world.settings, [AUDIT_RECORDED])

    async def main() -> None:
        for i in range(10):
            world.send_soon(FEATURES_EXTRACTED, features(i), headers=[("n", str(i).encode()), ("none", None)])
        world.flush()
        async with world.running(stage) as task:
            await until(lambda: sum(map(len, written)) == 10, task=task)
            world.send(FEATURES_EXTRACTED, features(10))
            await until(lambda: world.committed("keep", FEATURES_EXTRACTED) == {0: 10}, task=task)
            assert sum(map(len, written)) == 10

    run(main())
    records = [r for batch in written for r in batch]
    assert [(r.partition, r.offset) for r in records[:10]] == [(0, i) for i in range(10)]
    assert [r.headers for r in records[:10]] == [(("n", str(i).encode()), ("none", None)) for i in range(10)]
    assert all(r.timestamp > 0 and r.value for r in records)
