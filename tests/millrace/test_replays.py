"""Replays end to end over a real broker, registry and ClickHouse engine: whatever is replayed, and however, sums and counts stay exact.

The stages are cheap ones of their own (a cent to generate, two to validate), the runner, sinks, archive and replays are the real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from millrace.doors import Door, Sender
from millrace.letters import Letters, Which
from millrace.replaying import Impossible, Replays, Wish
from millrace.settings import Settings, Variables, assemble
from millrace.workers import STAGES, prepare
from schemas import ids
from schemas.records import ArtifactGenerated, GenerationRequested, PromptSubmitted, Record, Verdict
from sinks.archive import Archive
from sinks.clickhouse import ClickHouse, ClickHouseSettings
from streams import runs
from streams.codec import Codec
from streams.contract import Context, Effect, Retry, Stage
from streams.objects import ObjectStore
from streams.registry import Registry
from streams.replay import isolated
from streams.replay.compare import compare, summary
from streams.replay.control import Control, Progress
from streams.replay.log import RangeGone
from streams.replay.selection import ENTRIES, Offsets, Selection, topics_for
from streams.topics import (
    ARTIFACT_GENERATED,
    ARTIFACT_REJECTED,
    ARTIFACT_VALIDATED,
    GENERATION_REQUESTED,
    PROMPT_SUBMITTED,
    USAGE_RECORDED,
)
from streams.versions import claim_version
from streams.worker import run_worker

CENT = Decimal("0.01")


class Craft:
    """What the stages do, as a test wants it."""

    def __init__(self) -> None:
        self.edition = "first"
        self.broken = False
        self.generated: list[str] = []

    async def plan(self, record: PromptSubmitted, context: Context) -> Sequence[Record]:
        return [context.make(GenerationRequested, method="compose", spec=record.prompt)]

    async def generate(self, record: GenerationRequested, context: Context) -> Sequence[Record]:
        self.generated.append(record.request_id)
        if self.broken and "fragile" in (record.spec or ""):
            raise RuntimeError("it broke")
        context.meter("compose", quantity=1, unit="project", cost_usd=CENT)
        digest = hashlib.sha256(f"{self.edition} {record.spec}".encode()).hexdigest()
        uri = await context.put(digest.encode())
        return [context.make(ArtifactGenerated, method="compose", artifact_uri=uri, artifact_size=64, artifact_digest=digest)]

    async def validate(self, record: ArtifactGenerated, context: Context) -> Sequence[Record]:
        context.meter("validate", quantity=1, unit="artifact", cost_usd=2 * CENT)
        version = 0
        if runs.counts(context.objects, record.run):
            version = claim_version(context.objects, record.tenant, record.project, f"{record.run}.{record.request_id}")
        digest = record.artifact_digest
        return [context.make(Verdict, state="validated", stage="validate", artifact_digest=digest, version=version, scores={"texts": 1.0})]

    def stages(self) -> list[Stage]:
        base: dict[str, Any] = {"effect": Effect.IDEMPOTENT, "time_limit_s": 10, "retry": Retry(tries=1)}
        return [
            Stage("plan", (PROMPT_SUBMITTED,), tuple(GENERATION_REQUESTED.values()), self.plan, **base),
            Stage(
                "generate", tuple(GENERATION_REQUESTED.values()), (ARTIFACT_GENERATED, ARTIFACT_REJECTED, USAGE_RECORDED), self.generate,
                recorded=True, **base,
            ),
            Stage("validate", (ARTIFACT_GENERATED,), (ARTIFACT_VALIDATED, ARTIFACT_REJECTED, USAGE_RECORDED), self.validate, recorded=True, **base),
        ]  # fmt: skip


class Working:
    """A worker in a thread of its own."""

    def __init__(self, stages: Sequence[Any], settings: Settings, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._main = partial(run_worker, stages, settings.streams, settings.objects.open(), name=name, stop=self._stop)
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()), daemon=True)
        self._thread.start()

    def tend(self) -> None:
        assert self._thread.is_alive(), "the worker ended"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._loop.close()


class House:
    """A stack with cheap stages, and what a test asks of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.craft = Craft()
        self.clickhouse = ClickHouse(settings.clickhouse)
        self.objects: ObjectStore = settings.objects.open()
        self.door = Door(settings.streams, self.objects)
        self.replays = Replays(settings, self.clickhouse, self.objects, lambda: self.door)
        self.replays.worker = self.isolated_worker
        self.letters = Letters(self.clickhouse, self.objects, Codec(Registry(settings.streams.registry_url)), lambda: self.door)

    def isolated_worker(self, settings: Settings, progress: Progress) -> Working:
        its = settings.model_copy(update={"streams": isolated.settings_of(settings.streams, progress.run)})
        return Working([*self.craft.stages(), STAGES["sink"](its)], its, "isolated")

    def submit(self, tenant: str, n: int, text: str = "app") -> list[str]:
        found = [self.door.prompt(f"{text} {i} of {tenant}", Sender(tenant, "p")).request_id for i in range(n)]
        self.door.flush()
        return found

    def validated(self, tenant: str, n: int, text: str = "app") -> list[str]:
        """Submit, and wait until every request is validated with all its usage."""
        found = self.submit(tenant, n, text)
        self.until(lambda: self.bill(tenant)[:2] == (n, 2 * n), f"{n} validated with their usage")
        return found

    def bill(self, tenant: str) -> tuple[int, int, Decimal]:
        """Requests validated, usage rows and their sum, over all runs."""
        [row] = self.clickhouse.rows(
            "SELECT (SELECT count() FROM requests WHERE tenant = {t:String} AND state = 'validated') AS validated, count() AS n, sum(cost_usd) AS usd "
            "FROM usage WHERE tenant = {t:String}",
            parameters={"t": tenant},
        )
        return int(row["validated"]), int(row["n"]), Decimal(row["usd"] or 0)

    def of_run(self, run: str) -> tuple[int, int]:
        """Verdicts and usage rows of a run."""
        [row] = self.clickhouse.rows(
            "SELECT (SELECT count() FROM verdicts WHERE run = {r:String}) AS verdicts, (SELECT count() FROM usage WHERE run = {r:String}) AS n",
            parameters={"r": run},
        )
        return int(row["verdicts"]), int(row["n"])

    def replay(self, tenant: str, topics: tuple[str, ...] = ENTRIES, **changes: Any) -> Progress:
        """Start a replay of a tenant's records and feed it to its end."""
        chosen = changes.pop("selection", {})
        wish = Wish(selection=Selection(**({"topics": topics, "tenant": tenant} | chosen)), **({"wait": True} | changes))
        opened = self.replays.open(wish, self.replays.estimate(wish), "test")
        return self.replays.feed(opened.run)

    def compared(self, run: str) -> dict[str, int]:
        control = Control(self.objects, run)
        requests, figures = control.requests(), self.replays.figures
        return summary(compare(requests, figures.outcomes(requests, control.read().parent), figures.outcomes(requests, run)))

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            time.sleep(0.1)
        return found

    def audit(self, action: str, target: str) -> list[dict[str, Any]]:
        return self.clickhouse.rows(
            "SELECT * FROM audit WHERE action = {a:String} AND target = {t:String}", parameters={"a": action, "t": target}
        )


@pytest.fixture(scope="module")
def house(broker: str, registry: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    name = "r" + ids.new_id().replace("-", "")[-12:]
    bare = ClickHouse(ClickHouseSettings(url=clickhouse))
    bare.command(f"CREATE DATABASE {name}")
    addresses = {
        "bootstrap_servers": broker,
        "registry_url": registry,
        "clickhouse_url": f"{clickhouse}/?database={name}",
        "objects_url": Path(tmp_path_factory.mktemp("replays"), "objects").as_uri(),
    }
    variables = Variables(topic_prefix=f"{name}.", group_prefix=name, archive_linger_s=0.3, partitions=2)
    settings = assemble(variables, addresses, embedded=True)
    prepare(settings)
    built = House(settings)
    working = Working([*built.craft.stages(), STAGES["sink"](settings), STAGES["archive"](settings)], settings, "live")
    try:
        yield built
    finally:
        working.stop()
        bare.command(f"DROP DATABASE {name} SYNC")
        bare.close()


def test_a_reuse_bills_nothing_and_says_the_same(house: House) -> None:
    house.validated("reuse", 4)
    before = house.bill("reuse")
    assert before == (4, 8, 12 * CENT)
    wish = Wish(selection=Selection(topics=ENTRIES, tenant="reuse"))
    estimate = house.replays.estimate(wish)
    assert (estimate.count.records, estimate.usd, estimate.not_recorded) == (4, 0, 0)
    assert dict(estimate.count.by_tenant) == {"reuse": 4} and dict(estimate.count.by_topic) == {"prompt.submitted": 4}
    ended = house.replay("reuse")
    assert ended.state == "done" and house.of_run(ended.run) == (4, 0) and house.bill("reuse") == before
    assert house.compared(ended.run) == {"same": 4, "changed": 0, "missing": 0, "new": 0}
    assert house.audit("replay", ended.run)
    # A run of the run: what it took over it hands on.
    again = house.replay("reuse", topics_for((), "generate"), selection={"of_run": ended.run})
    assert again.parent == ended.run and house.of_run(again.run) == (4, 0) and house.bill("reuse") == before


def test_to_regenerate_takes_a_budget_and_counts_once(house: House) -> None:
    house.validated("anew", 3)
    selection = Selection(topics=ENTRIES, tenant="anew")
    estimate = house.replays.estimate(Wish(selection=selection, mode="regenerate"))
    assert estimate.usd == 9 * CENT
    for budget in (None, 8 * CENT):
        with pytest.raises(Impossible, match="--budget"):
            house.replays.open(Wish(selection=selection, mode="regenerate", budget_usd=budget), estimate, "test")
    house.craft.edition = "second"
    try:
        ended = house.replay("anew", mode="regenerate", budget_usd=Decimal(1))
    finally:
        house.craft.edition = "first"
    assert ended.state == "done" and Decimal(ended.spent_usd) == 9 * CENT
    assert house.of_run(ended.run) == (3, 6) and house.bill("anew") == (3, 12, 18 * CENT)
    assert house.compared(ended.run) == {"same": 0, "changed": 3, "missing": 0, "new": 0}


def test_a_stage_started_anew_takes_its_own_input(house: House) -> None:
    house.validated("stage", 2)
    house.craft.generated.clear()
    ended = house.replay("stage", topics_for((), "validate"), mode="regenerate", budget_usd=Decimal(1))
    assert house.of_run(ended.run) == (2, 2) and house.bill("stage") == (2, 6, 10 * CENT)
    assert not house.craft.generated


def test_an_isolated_run_has_everything_of_its_own_and_counts_for_nobody(house: House) -> None:
    requests = house.validated("apart", 3)
    versions = sorted(int(r["version"]) for r in house.clickhouse.rows("SELECT version FROM requests WHERE tenant = 'apart'"))
    house.craft.edition = "look"
    try:
        ended = house.replay("apart", mode="regenerate", isolated=True, effects="off", budget_usd=Decimal(1))
    finally:
        house.craft.edition = "first"
    assert ended.state == "done" and house.of_run(ended.run) == (3, 6)
    rows = house.clickhouse.rows("SELECT id, run, version, artifact_digest FROM requests WHERE tenant = 'apart'")
    assert {r["run"] for r in rows} == {""} and sorted(int(r["version"]) for r in rows) == versions == [1, 2, 3]
    outcomes = house.replays.figures.outcomes(requests, ended.run)
    assert {o.version for o in outcomes.values()} == {0}
    assert house.compared(ended.run)["changed"] == 3
    assert house.bill("apart") == (3, 12, 18 * CENT)  # what it spent was spent
    own = isolated.settings_of(house.settings.streams, ended.run)
    client = AdminClient({"bootstrap.servers": own.bootstrap_servers})
    assert not [t for t in client.list_topics(timeout=10).topics if t.startswith(own.topic_prefix)]
    listed = client.list_consumer_groups(request_timeout=10).result(20)
    assert not [g.group_id for g in listed.valid if g.group_id.startswith(own.group_prefix)]
    assert house.door.prompt("the next", Sender("apart", "p")).request_id  # and production goes on where it was
    house.door.flush()
    house.until(lambda: house.bill("apart")[0] == 4, "the next one")
    assert max(int(r["version"]) for r in house.clickhouse.rows("SELECT version FROM requests WHERE tenant = 'apart'")) == 4


def test_cancelled_halfway(house: House) -> None:
    house.validated("half", 6)
    wish = Wish(selection=Selection(topics=ENTRIES, tenant="half"), mode="regenerate", budget_usd=Decimal(1), window=1, wait=True)
    opened = house.replays.open(wish, house.replays.estimate(wish), "test")

    def cancel_after_two(progress: Progress) -> None:
        if progress.fed >= 2:
            Control(house.objects, opened.run).ask("cancel")

    ended = house.replays.feed(opened.run, report=cancel_after_two)
    assert ended.state == "cancelled" and 2 <= ended.fed < 6
    house.until(lambda: house.of_run(ended.run) == (ended.fed, 2 * ended.fed), "what was fed goes on to its verdict")
    assert house.bill("half") == (6, 12 + 2 * ended.fed, (18 + 3 * ended.fed) * CENT)
    with pytest.raises(Impossible, match="cancelled"):
        house.replays.feed(opened.run)


def test_the_budget_stops_the_run_and_more_of_it_lets_it_go_on(house: House) -> None:
    house.validated("poor", 4)
    wish = Wish(selection=Selection(topics=ENTRIES, tenant="poor"), mode="regenerate", budget_usd=Decimal("0.12"), wait=True)
    opened = house.replays.open(wish, house.replays.estimate(wish), "test")
    control = Control(house.objects, opened.run)
    control.change(lambda p: replace(p, budget_usd="0.07"))
    stopped = house.replays.feed(opened.run)
    assert stopped.state == "over_budget" and stopped.fed == 2 and Decimal(stopped.spent_usd) == 6 * CENT
    control.change(lambda p: replace(p, budget_usd="0.12"))
    ended = house.replays.feed(opened.run)
    assert ended.state == "done" and house.of_run(ended.run) == (4, 8) and house.bill("poor") == (4, 16, 24 * CENT)


def test_only_what_was_recorded(house: House) -> None:
    """A request that ended in the dead letters has no recorded step: a run of recorded effects does not do it, and does not pay."""
    house.validated("strict", 1)
    house.craft.broken = True
    [broken] = house.submit("strict", 1, "fragile")
    house.until(lambda: house.letters.find(Which(tenant="strict"), 9), "the dead letter")
    house.craft.broken = False
    before = house.bill("strict")
    estimate = house.replays.estimate(Wish(selection=Selection(topics=ENTRIES, tenant="strict"), effects="recorded"))
    assert estimate.not_recorded == 1 and estimate.usd == 0
    ended = house.replay("strict", effects="recorded", isolated=True)
    assert house.bill("strict") == before
    outcomes = house.replays.figures.outcomes(Control(house.objects, ended.run).requests(), ended.run)
    assert outcomes[broken].reason == "not_recorded" and sorted(o.state for o in outcomes.values()) == ["rejected", "validated"]


def test_replayed_dead_letters_count_once_and_keep_where_they_came_from(house: House) -> None:
    house.craft.broken = True
    requests = house.submit("letters", 3, "fragile")
    found = house.until(lambda: (rows := house.letters.find(Which(tenant="letters"), 9)) and len(rows) == 3 and rows, "three letters")
    house.craft.broken = False
    assert house.letters.count(Which(tenant="letters", stage="generate", reason="handler_error")) == 3
    assert house.letters.count(Which(tenant="letters", stage="plan")) == 0
    assert house.letters.count(Which(tenant="letters", since=int(time.time() * 1000) + 60_000)) == 0
    assert house.letters.count(Which(request=requests[0], code_version=house.settings.streams.code_version, of_run="")) == 1
    assert [d.done for d in house.letters.replay(found, "test", dry_run=True)] == [False] * 3
    done = list(house.letters.replay(found[:2], "test", dry_run=False))
    assert all(d.done for d in done)
    house.until(lambda: house.bill("letters") == (2, 4, 6 * CENT), "both validated and billed once")
    house.until(lambda: house.letters.count(Which(tenant="letters")) == 1, "only the third is open")
    run = done[0].message.removeprefix("run ")
    assert house.compared(run) == {"same": 0, "changed": 2, "missing": 0, "new": 0}
    [dropped] = house.letters.drop(house.letters.find(Which(tenant="letters"), 9), "test", dry_run=False)
    assert dropped.done
    house.until(lambda: house.letters.count(Which(tenant="letters")) == 0, "none is open")
    assert house.audit("dead_letter.drop", dropped.id)[0]["details"]["reason"] == "handler_error"


def test_what_the_sink_gave_up_is_written_again_as_it_was(house: House) -> None:
    """Its cause is still there, so it comes back: as another letter, which says what it was."""
    house.door.republish(house.door.name("usage.recorded"), b"k", b"\0\0\0\0\1no usage", [("odd", b"\xff")])
    house.door.flush()
    [letter] = house.until(lambda: house.letters.find(Which(stage="sink", topic="usage.recorded"), 9), "the sink's letter")
    [done] = house.letters.replay([letter], "test", dry_run=False)
    assert done.done and done.message == "written again as it was"
    [again] = house.until(
        lambda: [r for r in house.letters.find(Which(stage="sink"), 9) if r["event_id"] != letter["event_id"]], "the second letter"
    )
    whole = house.letters.one(again["event_id"])
    assert whole and {h["name"]: h["value"] for h in whole["headers"]}["millrace-replayed-letter"] == letter["event_id"]
    list(house.letters.drop([again], "test", dry_run=False))


def test_beyond_retention_a_replay_reads_the_archive(house: House) -> None:
    """Archived, deleted from Kafka, replayed: the same requests, and the same sums."""
    house.validated("old", 5)
    before = house.bill("old")
    prefix, topic = house.settings.streams.topic_prefix, PROMPT_SUBMITTED.name
    client = AdminClient({"bootstrap.servers": house.settings.streams.bootstrap_servers})
    archive = Archive(house.objects)

    def wanted() -> list[tuple[int, int]]:
        from streams.replay.log import kafka_log

        with kafka_log(house.settings.streams) as log:
            return [(p, high) for p, (_, high) in log.bounds(topic).items() if high]

    ends = wanted()
    house.until(
        lambda: all(max((s.last for s in archive.segments(topic, partition=p)), default=-1) == end - 1 for p, end in ends), "all archived"
    )
    places = [TopicPartition(prefix + topic, p, end) for p, end in ends]
    for future in client.delete_records(places).values():
        future.result(20)
    # Somebody who asks for the range without the archive is told what is gone.
    lone = Replays(house.settings, house.clickhouse, house.objects, lambda: house.door)
    lone._archive = Archive(house.objects, lambda topic: "another")
    by_offset = Selection(topics=(topic,), offsets=tuple(Offsets(partition=p, first=0, last=end - 1) for p, end in ends), tenant="old")
    with pytest.raises(RangeGone, match="no longer in Kafka, and not in the archive"):
        lone.estimate(Wish(selection=by_offset))
    estimate = house.replays.estimate(Wish(selection=by_offset))
    assert estimate.count.records == 5 and dict(estimate.count.by_source) == {"archive": 5}
    ended = house.replay("old", (topic,), selection={"offsets": by_offset.offsets})
    assert ended.state == "done" and house.of_run(ended.run) == (5, 0) and house.bill("old") == before
    assert house.compared(ended.run) == {"same": 5, "changed": 0, "missing": 0, "new": 0}
    for segment in archive.segments():
        archive.check(segment)
