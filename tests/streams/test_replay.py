"""Replays over a real broker: what is chosen, where it lies, how it is fed, and that it goes on where it was left."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas import ids
from schemas.records import GenerationRequested
from streams import runs, steps
from streams.admin import TopicsMissing, ensure_topics, topic_id
from streams.replay.control import Busy, Control, Progress, UnknownReplay, all_replays
from streams.replay.feed import Feed, Hands, Settled
from streams.replay.log import KafkaLog, Kept, LogRecord, Lost, RangeGone, Reader, Slice, kafka_log, plan
from streams.replay.scan import Chooser, count, of_run
from streams.replay.selection import BadSelection, Offsets, Selection, checked, topics_for
from streams.topics import CATALOGUE, GENERATION_REQUESTED, PROMPT_SUBMITTED
from tests.streams.world import World, prompt

TOPIC = PROMPT_SUBMITTED.name


# ---- selections ---------------------------------------------------------------------------------------------------------------


class NoArchive:
    """Nothing was ever archived."""

    def kept(self, topic: str) -> Sequence[Kept]:
        return ()

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        raise RangeGone(f"{topic}/{partition} is not in the archive")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2:5-9", Offsets(partition=2, first=5, last=9)),
        ("0:7-", Offsets(partition=0, first=7)),
        ("1:3", Offsets(partition=1, first=3, last=3)),
    ],
)
def test_ranges_of_offsets(text: str, expected: Offsets) -> None:
    assert Offsets.parse(text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:1", "1:", "1:-5", "1:9-5", "1:1-x", "-1:5"])
def test_what_is_no_range_of_offsets(text: str) -> None:
    with pytest.raises(BadSelection):
        Offsets.parse(text)


def test_a_contradictory_selection_says_all_that_is_wrong() -> None:
    with pytest.raises(BadSelection) as bad:
        checked(
            Selection(
                topics=("prompt.submitted", "video.submitted"),
                since=5,
                until=5,
                offsets=(Offsets(partition=0, first=1),) * 2,
                code_version="1",
            )
        )
    for part in (
        "ends before it begins",
        "within one topic",
        "offsets or a time range",
        "one range of offsets a partition",
        "not recorded",
    ):
        assert part in str(bad.value)


def test_topics_and_stages() -> None:
    assert topics_for((), None) == ("video.submitted", "prompt.submitted")
    assert topics_for((), "generate") == tuple(f"generation.requested.{p}" for p in ("critical", "high", "normal", "low"))
    for topics, stage in ((("usage.recorded",), None), (("nonsense",), None), ((), "sink"), (("prompt.submitted",), "plan")):
        with pytest.raises(BadSelection):
            topics_for(topics, stage)
    assert Selection(topics=("features.extracted",)).stages == ("plan", "generate", "validate")


@pytest.mark.parametrize(
    "changes",
    [{"mode": "again"}, {"effects": "none"}, {"effects": "recorded", "mode": "regenerate"}, {"effects": "off", "isolated": False}],
)
def test_a_contradictory_run_is_not_opened(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"mode|effects|isolated"):
        runs.open_run(world.store, ids.new_id(), **({"kind": "replay", "parent": "", "mode": "reuse"} | changes))


def test_a_runs_budget_can_be_raised(world: World) -> None:
    run = ids.new_id()
    runs.open_run(world.store, run, kind="replay", parent="", mode="regenerate", budget_usd=Decimal("1.5"))
    assert runs.budget_of(world.store, run) == Decimal("1.5")
    runs.set_budget(world.store, run, Decimal(3))
    assert runs.budget_of(world.store, run) == 3
    assert runs.counts(world.store, run) and runs.counts(world.store, "") and not runs.counts(world.store, ids.new_id())


# ---- where records lie ----------------------------------------------------------------------------------------------------------


class Shelf:
    """An archive in memory."""

    def __init__(self, records: list[LogRecord], *stretches: tuple[int, int]) -> None:
        self.records, self.stretches = records, stretches

    def kept(self, topic: str) -> list[Kept]:
        found = []
        for first, end in self.stretches:
            times = [r.timestamp for r in self.records if first <= r.offset < end]
            found.append(Kept(0, first, end, min(times), max(times)))
        return found

    def read(self, topic: str, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        yield from (r for r in self.records if first <= r.offset < end)


@pytest.fixture
def ten(world: World) -> World:
    """Ten registered prompts of two tenants in one partition, offsets 0 to 9."""
    ensure_topics(world.settings, [replace(t, partitions=1) for t in CATALOGUE.values() if t.name.startswith(("prompt.", "generation."))])
    for i in range(10):
        send(world, f"app {i}", tenant="even" if i % 2 == 0 else "odd")
    return world


def send(world: World, text: str, **changes: Any) -> Any:
    record = prompt(text, **changes)
    value = world.codec.encode(PROMPT_SUBMITTED, record)
    steps.register(world.store, PROMPT_SUBMITTED, record, value, ids.id_time_ms(record.request_id))
    headers = [("millrace-tenant", record.tenant.encode())]
    world.send(PROMPT_SUBMITTED, value, key=record.request_id, headers=headers)
    return record


def delete_before(world: World, offset: int) -> None:
    name = world.settings.topic_prefix + TOPIC
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers})
    admin.delete_records([TopicPartition(name, 0, offset)])[TopicPartition(name, 0, offset)].result(20)


def everything(log: KafkaLog) -> list[LogRecord]:
    return list(log.read(TOPIC, 0, 0, 10))


def select(**changes: Any) -> Selection:
    return Selection(**({"topics": (TOPIC,)} | changes))


def chosen(world: World, selection: Selection, archive: Any = NoArchive()) -> tuple[list[int], dict[str, int]]:  # noqa: B008
    """Offsets that a selection means, and what it skips."""
    chooser = Chooser(selection, world.codec, world.store)
    with kafka_log(world.settings) as log:
        found = plan(selection, log, archive)
        reader = Reader(log, archive)
        offsets = [c.source.offset for piece in found.slices for r in reader.read(piece) if (c := chooser.choose(r))]
    return offsets, {k: v for k, v in chooser.skipped.items() if k != "not_selected"}


def test_records_are_chosen_by_offset_time_key_tenant_and_request(ten: World) -> None:
    with kafka_log(ten.settings) as log:
        records = everything(log)
    ids_of = [r.key.decode() for r in records if r.key]
    assert chosen(ten, select()) == (list(range(10)), {})
    assert chosen(ten, select(offsets=(Offsets(partition=0, first=3, last=5),)))[0] == [3, 4, 5]
    assert chosen(ten, select(offsets=(Offsets(partition=0, first=8),)))[0] == [8, 9]
    assert chosen(ten, select(key=ids_of[4]))[0] == [4]
    assert chosen(ten, select(tenant="odd"))[0] == [1, 3, 5, 7, 9]
    assert chosen(ten, select(requests=(ids_of[2], ids_of[7])))[0] == [2, 7]
    since, until = records[3].timestamp, records[6].timestamp
    expected = [r.offset for r in records if since <= r.timestamp < until]
    assert chosen(ten, select(since=since, until=until))[0] == expected
    assert chosen(ten, select(since=records[9].timestamp + 1)) == ([], {})


def test_what_was_selected_and_is_no_request_is_counted_by_its_reason(ten: World) -> None:
    ten.send(PROMPT_SUBMITTED, b"nonsense", key="k")
    ten.send(PROMPT_SUBMITTED, prompt("nobody registered this"))
    first = send(ten, "an app", tenant="even")
    ten.send(PROMPT_SUBMITTED, first)  # its redelivery
    ten.send(PROMPT_SUBMITTED, replace(first, prompt="another under the same id"))
    ten.send(PROMPT_SUBMITTED, replace(first, run=ids.new_id()))
    offsets, skipped = chosen(ten, select())
    assert offsets == [*range(10), 12]
    assert skipped == {"bad_record": 1, "not_registered": 1, "twice": 2, "other_run": 1}


def test_a_second_content_under_an_id_is_never_the_one_replayed(ten: World) -> None:
    record = prompt("the first")
    value = ten.codec.encode(PROMPT_SUBMITTED, record)
    steps.register(ten.store, PROMPT_SUBMITTED, record, value, ids.id_time_ms(record.request_id))
    ten.send(PROMPT_SUBMITTED, replace(record, prompt="the impostor, first in the log"))
    ten.send(PROMPT_SUBMITTED, value, key=record.request_id)
    offsets, skipped = chosen(ten, select(requests=(record.request_id,)))
    assert offsets == [11] and skipped == {"id_reused": 1}


def test_only_what_a_version_of_the_code_did(ten: World) -> None:
    done = GenerationRequested(
        event_id=ids.new_id(), request_id=ids.new_id(), tenant="acme", project="p", occurred_at=1, method="compose", spec="{}"
    )
    for record in (done, replace(done, request_id=ids.new_id(), event_id=ids.new_id())):
        ten.send(GENERATION_REQUESTED["normal"], record)
    steps.record(ten.store, done, "generate", 0, [], "1.2.3")
    assert chosen(ten, select(topics=topics_for((), "generate"), code_version="1.2.3"))[0] == [0]
    assert chosen(ten, select(topics=topics_for((), "generate"), code_version="9"))[0] == []


def test_a_range_that_no_longer_exists_is_said_and_taken_from_the_archive_where_that_has_it(ten: World) -> None:
    with kafka_log(ten.settings) as log:
        records = everything(log)
        delete_before(ten, 6)
        asked = select(offsets=(Offsets(partition=0, first=2, last=8),))
        found = plan(asked, log, NoArchive())
        assert found.slices == (Slice(TOPIC, 0, 6, 9, "kafka"),)
        assert found.asked_for_and_lost == [Lost(TOPIC, 0, 2, 6, True)]
        whole = plan(asked, log, Shelf(records, (0, 3), (2, 7)))
        assert whole.slices == (Slice(TOPIC, 0, 2, 6, "archive"), Slice(TOPIC, 0, 6, 9, "kafka")) and not whole.lost
        gap = plan(asked, log, Shelf(records, (0, 3), (5, 7)))
        assert [(x.first, x.end) for x in gap.lost] == [(3, 5)]
    assert chosen(ten, asked, Shelf(records, (0, 3), (2, 7)))[0] == [2, 3, 4, 5, 6, 7, 8]
    for wrong in ("0:5-20", "0:20-", "3:0-1"):
        with kafka_log(ten.settings) as log:
            try:
                assert plan(select(offsets=(Offsets.parse(wrong),)), log, NoArchive()).asked_for_and_lost
            except BadSelection as error:
                assert wrong == "3:0-1" and "not 3" in str(error)


def test_a_time_range_before_retention(ten: World) -> None:
    with kafka_log(ten.settings) as log:
        records = everything(log)
        delete_before(ten, 6)
        before = select(since=records[0].timestamp - 1000)
        assert [(x.first, x.end, x.certain) for x in plan(before, log, NoArchive()).lost] == [(0, 6, True)]
        assert not plan(before, log, Shelf(records, (0, 6))).lost
        # With no lower bound, what is gone is said, and does not stop anybody.
        open_ended = plan(select(), log, NoArchive())
        assert [x.certain for x in open_ended.lost] == [False] and not open_ended.asked_for_and_lost
        # What is younger than the gap makes it no matter.
        old = Shelf([replace(r, timestamp=1000 + r.offset) for r in records], (4, 6))
        assert not plan(before, log, old).lost


def test_retention_may_pass_while_a_replay_reads(ten: World) -> None:
    with kafka_log(ten.settings) as log:
        records = everything(log)
        delete_before(ten, 4)
        piece = Slice(TOPIC, 0, 0, 10, "kafka")
        with pytest.raises(RangeGone):
            list(Reader(log, NoArchive()).read(piece))
        assert [r.offset for r in Reader(log, Shelf(records, (0, 5))).read(piece)] == list(range(10))
        skipping = Reader(log, NoArchive(), skip_missing=True)
        assert [r.offset for r in skipping.read(piece)] == [4, 5, 6, 7, 8, 9] and len(skipping.lost) == 1


def test_a_topic_made_anew_has_another_id(world: World) -> None:
    ensure_topics(world.settings, [PROMPT_SUBMITTED])
    first = _when_known(world)
    assert first == topic_id(world.settings, TOPIC) and re.fullmatch(r"[A-Za-z0-9_-]+", first)
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers})
    name = world.settings.topic_prefix + TOPIC
    admin.delete_topics([name])[name].result(20)
    with pytest.raises(TopicsMissing):
        topic_id(world.settings, TOPIC)
    ensure_topics(world.settings, [PROMPT_SUBMITTED])
    assert _when_known(world) != first


def _when_known(world: World) -> str:
    """The topic's id once the broker tells it: a topic just made is not in its metadata at once."""
    end = time.monotonic() + 30
    while True:
        try:
            return topic_id(world.settings, TOPIC)
        except TopicsMissing:
            if time.monotonic() > end:
                raise


# ---- feeding ------------------------------------------------------------------------------------------------------------------


class Bench:
    """A feed with everything but the log in memory; time passes by a second with every look at the clock where asked for."""

    def __init__(self, world: World, selection: Selection, **changes: Any) -> None:
        self.world, self.selection = world, selection
        self.run = ids.new_id()
        self.control = Control(world.store, self.run)
        self.published: list[tuple[str, Any]] = []
        self.flushed = 0
        self.now = 0.0
        self.step = 0.0
        self.settled: Any = lambda: Settled(0, Decimal(0))
        self.on_publish: Any = lambda: None
        with kafka_log(world.settings) as log:
            found = plan(selection, log, NoArchive())
        base: dict[str, Any] = {
            "run": self.run, "kind": "replay", "parent": "", "mode": "reuse", "isolated": False, "effects": "live", "actor": "test", "started_ms": 0,
            "selection": selection, "slices": found.slices, "stages": ("plan",), "total": 10, "requests": 10, "estimated_usd": None, "budget_usd": None,
            "rate": 0.0, "window": 0, "wait": False,
        }  # fmt: skip
        self.control.create(Progress(**(base | changes)))

    def clock(self) -> float:
        self.now += self.step
        return self.now

    def pause(self, interrupt: Any, seconds: float) -> None:
        self.now += seconds

    def publish(self, topic: str, record: Any, key: bytes | None) -> None:
        assert record.run == self.run and key == record.request_id.encode()
        self.published.append((topic, record))
        self.on_publish()

    def flush(self) -> None:
        self.flushed = len(self.published)

    def feed(self, owner: str = "me", costs: dict[str, Decimal] | None = None) -> tuple[Feed, Progress]:
        with kafka_log(self.world.settings) as log:
            hands = Hands(
                read=Reader(log, NoArchive()).read,
                publish=self.publish,
                flush=self.flush,
                settled=lambda: self.settled(),
                clock=self.clock,
                pause=self.pause,
            )
            self.last = Feed(self.control, owner, Chooser(self.selection, self.world.codec, self.world.store), hands, costs or {})
            return self.last, self.last.run()

    @property
    def prompts(self) -> list[str]:
        return [r.prompt for _, r in self.published]


def test_all_is_fed_in_a_run_of_its_own(ten: World) -> None:
    bench = Bench(ten, select(tenant="odd"))
    _, ended = bench.feed()
    assert bench.prompts == [f"app {i}" for i in (1, 3, 5, 7, 9)]
    assert (ended.state, ended.fed, ended.fed_requests, ended.owner) == ("done", 5, 5, "")
    assert len(bench.control.requests()) == 5
    assert [p.run for p in all_replays(ten.store)] == [bench.run]
    with pytest.raises(UnknownReplay):
        Control(ten.store, ids.new_id()).read()


def test_the_maximum_holds_over_a_pause(ten: World) -> None:
    bench = Bench(ten, select(max=4))
    bench.on_publish = lambda: bench.last_interrupt()
    bench.last_interrupt = lambda: bench.last.interrupt.set() if len(bench.published) == 2 else None  # type: ignore[attr-defined]
    _, paused = bench.feed()
    assert paused.state == "paused" and bench.prompts == ["app 0", "app 1"]
    _, ended = bench.feed()
    assert ended.state == "done" and bench.prompts == [f"app {i}" for i in range(4)] and ended.fed == 4


@pytest.mark.parametrize(("wanted", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_another_terminal_pauses_and_cancels(ten: World, wanted: str, state: str) -> None:
    bench = Bench(ten, select())
    bench.step = 0.5  # a turn every other record

    def ask() -> None:
        if len(bench.published) == 3:
            assert Control(ten.store, bench.run).ask(wanted).wanted == wanted

    bench.on_publish = ask
    _, ended = bench.feed()
    assert ended.state == state and 3 <= len(bench.published) < 10
    if state == "paused":
        _, resumed = bench.feed("another")
        assert resumed.state == "done" and bench.prompts == [f"app {i}" for i in range(10)]
    else:
        assert bench.control.ask("pause").state == "cancelled"


def test_a_crashed_feed_goes_on_where_it_was_saved_and_repeats_ids_only(ten: World) -> None:
    bench = Bench(ten, select())
    bench.step = 0.5

    class Killed(BaseException):
        pass

    def die() -> None:
        if len(bench.published) == 7:
            raise Killed

    bench.on_publish = die
    with pytest.raises(Killed):
        bench.feed()
    left = bench.control.read()
    assert left.state == "feeding" and left.alive() and 0 < left.fed <= bench.flushed < 7
    with pytest.raises(Busy):
        bench.feed("another")
    bench.control.change(lambda found: replace(found, beat_ms=0))  # as if it had been silent for long
    bench.on_publish = lambda: None
    _, ended = bench.feed("another")
    assert ended.state == "done" and ended.fed == ended.fed_requests == 10
    assert bench.prompts[:7] == [f"app {i}" for i in range(7)] and bench.prompts[-1] == "app 9"
    assert len(set(bench.prompts)) == 10 and len(bench.prompts) < 17


def test_one_who_was_taken_over_feeds_no_more(ten: World) -> None:
    bench = Bench(ten, select())
    bench.step = 0.5
    bench.on_publish = lambda: bench.control.change(lambda found: replace(found, owner="another")) and None
    with pytest.raises(Busy):
        bench.feed()


def test_a_failure_is_said_and_can_be_resumed(ten: World) -> None:
    bench = Bench(ten, select())

    def fail() -> None:
        if len(bench.published) == 3:
            raise RuntimeError("no broker")

    bench.on_publish = fail
    with pytest.raises(RuntimeError):
        bench.feed()
    assert bench.control.read().state == "failed" and "no broker" in bench.control.read().reason
    bench.on_publish = lambda: None
    _, ended = bench.feed()
    assert ended.state == "done" and set(bench.prompts) == {f"app {i}" for i in range(10)}


def test_no_more_than_the_window_are_under_way(ten: World) -> None:
    bench = Bench(ten, select(), window=3)
    under_way: list[int] = []
    ended = 0

    def settle() -> Settled:
        nonlocal ended
        ended = len(bench.published)
        return Settled(ended, Decimal(0))

    bench.settled = settle
    bench.on_publish = lambda: under_way.append(len(bench.published) - ended)
    bench.feed()
    assert len(bench.published) == 10 and max(under_way) == 3


def test_a_budget_is_never_passed_and_can_be_raised(ten: World) -> None:
    """Each request costs 1 USD; as many are fed as fit, those that are under way reckoned with."""
    with kafka_log(ten.settings) as log:
        costs = {r.key.decode(): Decimal(1) for r in everything(log) if r.key}
    bench = Bench(ten, select(), mode="regenerate", budget_usd="4.5")
    worst: list[int] = []

    def settle() -> Settled:
        worst.append(len(bench.published))
        return Settled(len(bench.published), Decimal(len(bench.published)))

    bench.settled = settle
    _, stopped = bench.feed(costs=costs)
    assert stopped.state == "over_budget" and len(bench.published) == 4 and "--budget" in stopped.reason and stopped.spent_usd == "4"
    bench.control.change(lambda found: replace(found, budget_usd="100"))
    _, ended = bench.feed(costs=costs)
    assert ended.state == "done" and len(bench.published) == 10


def test_the_pace_is_kept(ten: World) -> None:
    """With a clock of our own: ten records at two a second take five seconds of it."""
    bench = Bench(ten, select(), rate=2.0)
    times: list[float] = []
    bench.step = 0.01
    bench.on_publish = lambda: times.append(bench.now)
    bench.feed()
    assert len(times) == 10 and times[-1] - times[0] >= 3.4  # one second may be made up for


def test_a_record_of_a_run_has_an_id_of_its_own_and_the_same_each_time() -> None:
    original = GenerationRequested(
        event_id=ids.new_id(), request_id=ids.new_id(), tenant="a", project="p", occurred_at=1, method="compose", usage_events=3
    )
    run = ids.new_id()
    one, two = (of_run("generation.requested.normal", original, run) for _ in range(2))
    assert one == two and one.event_id != original.event_id and one.run == run and one.usage_events == 0


def test_counting_does_not_publish_and_stops_at_the_maximum(ten: World) -> None:
    with kafka_log(ten.settings) as log:
        found = plan(select(max=6), log, NoArchive())
        counted = count(found.slices, Chooser(select(max=6), ten.codec, ten.store), Reader(log, NoArchive()).read)
    assert counted.records == 6 and counted.more
    assert dict(counted.by_tenant) == {"even": 3, "odd": 3} and dict(counted.by_source) == {"kafka": 6} and len(counted.requests) == 6
