"""Replays as the command line runs them: chosen, estimated, started, and fed from this process; an isolated one with a worker of its own."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from infra.embedded.process import Child, Guard, tail
from millrace.doors import Door
from millrace.figures import Figures, seconds_for
from millrace.settings import ADDRESSES, PREFIX, Settings
from schemas import ids
from sinks.archive import Archive
from sinks.clickhouse import ClickHouse
from streams import runs, steps
from streams.admin import ensure_topics, topic_id
from streams.codec import Codec
from streams.objects import ObjectStore
from streams.registry import Registry
from streams.replay import isolated
from streams.replay.control import Control, Progress
from streams.replay.feed import Feed, Hands
from streams.replay.log import KafkaLog, Lost, Plan, RangeGone, Reader, kafka_log, plan
from streams.replay.scan import Chooser, Count, count
from streams.replay.selection import INPUTS, Selection, checked
from streams.topics import CATALOGUE, PIPELINE, SINK

_SAMPLE = 1000
"""Requests of which is looked up whether the parent recorded them, for an estimate."""
_KNOWN_WITHIN_S = 90.0
_RESTARTS = 5


class Impossible(ValueError):
    """The replay cannot be run as asked for; the message says why and what would do."""


class WorkerDied(RuntimeError):
    """The worker of an isolated run does not stay alive; the message has the end of its log."""


class Worker(Protocol):
    """Whoever runs the stages of an isolated run."""

    def tend(self) -> None:
        """Start it where it does not run. Raises where it does not stay alive."""

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A replay as somebody wants it."""

    selection: Selection
    mode: str = "reuse"
    isolated: bool = False
    effects: str = "live"
    budget_usd: Decimal | None = None
    rate: float = 0.0
    window: int = 0
    wait: bool = False
    skip_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a replay would take up, and take."""

    plan: Plan
    count: Count
    costs: Mapping[str, Decimal]
    """What each request cost in the parent run, by the stages it would pass again, USD."""
    not_recorded: int
    """Requests with a step that the parent did not record: those are done anew, whatever the mode."""
    usd: Decimal | None
    """None where some usage has no price."""
    seconds: float | None
    """None where a stage was never seen at work."""


class Replays:
    """Replays of one stack."""

    def __init__(self, settings: Settings, clickhouse: ClickHouse, objects: ObjectStore, door: Callable[[], Door]) -> None:
        self._settings, self._objects, self._door = settings, objects, door
        self.figures = Figures(clickhouse)
        self._codec = Codec(Registry(settings.streams.registry_url))
        self._archive = Archive(objects, partial(topic_id, settings.streams))
        self.worker: Callable[[Settings, Progress], Worker] = OwnWorker

    # ---- before ----------------------------------------------------------------------------------------------------------

    def estimate(self, wish: Wish) -> Estimate:
        """Read what is chosen, without publishing. Raises ``BadSelection``, ``RangeGone`` where something asked for is nowhere, ``Impossible``."""
        selection = checked(wish.selection)
        if found := runs.problems(self._described(wish)):
            raise Impossible("; ".join(found))
        if selection.of_run and runs.about(self._objects, selection.of_run) is None:
            raise Impossible(f"run {selection.of_run} was never opened")
        with kafka_log(self._settings.streams) as kafka:
            found_plan = plan(selection, kafka, self._archive)
            if found_plan.asked_for_and_lost and not wish.skip_missing:
                raise RangeGone(_told(found_plan.asked_for_and_lost))
            reader = Reader(kafka, self._archive, skip_missing=wish.skip_missing)
            counted = count(found_plan.slices, Chooser(selection, self._codec, self._objects), reader.read)
        stages = selection.stages
        costs, unpriced = self.figures.costs(counted.requests, selection.of_run, stages)
        not_recorded = self._not_recorded(counted, selection.of_run)
        share = 1.0 if wish.mode == "regenerate" else not_recorded / max(1, len(counted.requests))
        usd: Decimal | None
        if wish.effects == "recorded" or not share:
            usd = Decimal(0)
        elif unpriced:
            usd = None
        else:
            usd = sum(costs.values(), Decimal(0)) if share == 1 else round(sum(costs.values(), Decimal(0)) * Decimal(share), 6)
        anew = self._anew(counted, stages, share)
        seconds = seconds_for(anew, self.figures.paces(stages), wish.rate, counted.records) if counted.records else 0.0
        return Estimate(plan=found_plan, count=counted, costs=costs, not_recorded=not_recorded, usd=usd, seconds=seconds)

    @staticmethod
    def _described(wish: Wish) -> runs.Run:
        usd = None if wish.budget_usd is None else str(wish.budget_usd)
        return runs.Run(
            kind="replay", parent=wish.selection.of_run, mode=wish.mode, isolated=wish.isolated, effects=wish.effects, budget_usd=usd
        )

    @staticmethod
    def _anew(counted: Count, stages: tuple[str, ...], share: float) -> dict[str, int]:
        """Records that each stage handles, rather than republishes. Planning is never recorded."""
        anew, passing = {}, 0
        for stage in stages:
            passing += sum(counted.by_topic[topic] for topic in INPUTS[stage])
            anew[stage] = passing if stage == "plan" else round(passing * share)
        return anew

    def _not_recorded(self, counted: Count, run: str) -> int:
        """How many requests have no recorded end in a run; by the first thousand where there are more."""
        sample = list(counted.requests.items())[:_SAMPLE]
        missing = 0
        for request, tenant in sample:
            verdict = steps.verdict_of(self._objects, self._codec, tenant, run, request)
            recorded = verdict is not None and (
                verdict.stage == "plan" or steps.code_version_of(self._objects, verdict, verdict.stage, run) is not None
            )
            missing += not recorded
        return missing if len(sample) == len(counted.requests) else round(missing * len(counted.requests) / len(sample))

    # ---- starting and going on -------------------------------------------------------------------------------------------

    def open(self, wish: Wish, estimate: Estimate, actor: str) -> Progress:
        """Open the run: claimed, on the audit record, its plan written down. Raises :class:`Impossible` where it may not be paid for."""
        if wish.mode == "regenerate":
            self._affordable(wish, estimate)
        run, about = ids.new_id(), self._described(wish)
        runs.open_run(
            self._objects, run, kind="replay", parent=about.parent, mode=about.mode, isolated=about.isolated, effects=about.effects,
            budget_usd=wish.budget_usd,
        )  # fmt: skip
        self._door().audit(
            actor, "replay", target=run, run=run, requests=str(len(estimate.count.requests)), records=str(estimate.count.records), mode=wish.mode,
            effects=wish.effects, isolated=str(wish.isolated).lower(), topics=",".join(wish.selection.topics),
        )  # fmt: skip
        self._door().flush()
        if wish.isolated:
            # Before its first verdict, else `requests` would show it for a moment.
            _until(lambda: self.figures.knows_isolated(run), _KNOWN_WITHIN_S, "the sink does not write: no isolated run can start")
        progress = Progress(
            run=run, kind="replay", parent=about.parent, mode=about.mode, isolated=about.isolated, effects=about.effects, actor=actor,
            started_ms=ids.now_ms(), selection=wish.selection, slices=estimate.plan.slices,
            stages=_stages(estimate.count), total=estimate.count.records,
            requests=len(estimate.count.requests), estimated_usd=None if estimate.usd is None else str(estimate.usd),
            budget_usd=about.budget_usd, rate=wish.rate, window=wish.window, wait=wish.wait or wish.isolated,
        )  # fmt: skip
        Control(self._objects, run).create(progress)
        return progress

    @staticmethod
    def _affordable(wish: Wish, estimate: Estimate) -> None:
        if estimate.usd is None:
            raise Impossible("what it would cost is not known: some usage has no price")
        if wish.budget_usd is None or estimate.usd > wish.budget_usd:
            raise Impossible(
                f"regenerating {len(estimate.count.requests)} requests costs about {estimate.usd} USD by the price of last time; allow it with --budget USD"
            )

    def feed(
        self,
        run: str,
        *,
        report: Callable[[Progress], None] = lambda _: None,
        skip_missing: bool = False,
        on_feed: Callable[[Feed], None] = lambda _: None,
    ) -> Progress:
        """Feed a run from where it stands, as its owner, until it ends or stops. ``on_feed`` gets the feed before it starts, to interrupt it.

        Raises ``UnknownReplay``, ``Busy``, :class:`Impossible`, and what reading, publishing and the workers raise.
        """
        control = Control(self._objects, run)
        found = control.read()
        if found.state in ("done", "cancelled"):
            raise Impossible(f"run {run} is {found.state}")
        if found.selection is None:
            raise Impossible(f"run {run} replayed dead letters: there is nothing to feed")
        owner = f"{socket.gethostname()}:{os.getpid()}:{ids.new_id()[-6:]}"
        streams = isolated.settings_of(self._settings.streams, run) if found.isolated else self._settings.streams
        with kafka_log(self._settings.streams) as kafka, self._surroundings(found) as worker:
            door = Door(streams, self._objects) if found.isolated else self._door()
            costs, _ = (
                self.figures.costs(self._chosen(found, kafka, skip_missing), found.parent, found.selection.stages)
                if found.budget_usd
                else ({}, 0)
            )
            hands = Hands(
                read=Reader(kafka, self._archive, skip_missing=skip_missing).read,
                publish=lambda topic, record, key: door.publish(CATALOGUE[topic], record, key),
                flush=door.flush,
                settled=partial(self.figures.settled, run),
                tend=worker.tend if worker else lambda: None,
                report=report,
            )
            feed = Feed(control, owner, Chooser(found.selection, self._codec, self._objects), hands, costs)
            on_feed(feed)
            ended = feed.run()
        if ended.isolated and ended.state in ("done", "cancelled"):
            self.clear(ended)
        return ended

    def _chosen(self, found: Progress, kafka: KafkaLog, skip_missing: bool) -> list[str]:
        assert found.selection
        chooser, reader = Chooser(found.selection, self._codec, self._objects), Reader(kafka, self._archive, skip_missing=skip_missing)
        return list(count(found.slices, chooser, reader.read).requests)

    @contextmanager
    def _surroundings(self, found: Progress) -> Iterator[Worker | None]:
        if not found.isolated:
            yield None
            return
        ensure_topics(isolated.settings_of(self._settings.streams, found.run), CATALOGUE.values())
        worker = self.worker(self._settings, found)
        try:
            yield worker
        finally:
            worker.stop()

    def clear(self, found: Progress) -> list[str]:
        """Remove the topics and groups of an isolated run; what it came to stays in ClickHouse and in the object store."""
        return isolated.remove(isolated.settings_of(self._settings.streams, found.run), [*PIPELINE, SINK])


class OwnWorker:
    """The stages and the sink of an isolated run, in a process of their own that dies with this one."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="millrace-replay-"))
        streams = isolated.settings_of(settings.streams, progress.run)
        addresses = {
            "bootstrap_servers": streams.bootstrap_servers,
            "registry_url": streams.registry_url,
            "clickhouse_url": settings.clickhouse.url,
            "objects_url": settings.objects.url,
        }
        assert tuple(addresses) == ADDRESSES
        values = addresses | {
            "topic_prefix": streams.topic_prefix,
            "group_prefix": streams.group_prefix,
            "objects_durable": str(settings.objects.durable).lower(),
            "worker_name": f"replay-{progress.run[-12:]}",
            "metrics_port": "",
            "data": "",
        }
        self._environment = {PREFIX + name.upper(): value for name, value in values.items()}
        self._argv = [sys.executable, "-m", "millrace.cli", "worker", *progress.stages, SINK]
        self._child: Child | None = None
        self._starts = 0

    def tend(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        log = self._folder / "worker.log"
        if self._starts > _RESTARTS:
            raise WorkerDied(f"the run's worker died {self._starts} times; the end of {log}:\n{tail(log)}")
        self._starts += 1
        self._child = Child("replay", self._argv, log, env=self._environment)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(within=20)
            Guard.close()
        if self._starts <= 1:  # else its log may tell why
            shutil.rmtree(self._folder, ignore_errors=True)


def _stages(counted: Count) -> tuple[str, ...]:
    """Who must be at work for the records to come to their end. Validation may send a request back to generation."""
    first = min((PIPELINE.index(stage) for stage in PIPELINE if any(counted.by_topic[t] for t in INPUTS[stage])), default=len(PIPELINE) - 1)
    return PIPELINE[min(first, PIPELINE.index("generate")) :]


def _told(lost: list[Lost]) -> str:
    shown = "; ".join(map(str, lost[:5])) + (f"; and {len(lost) - 5} more" if len(lost) > 5 else "")
    return f"{shown}. Some of what was asked for may be among it: narrow the range, or go on without it with --skip-missing"


def _until(condition: Callable[[], Any], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Impossible(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(0.2)
