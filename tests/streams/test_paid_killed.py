"""Paid work under kills, zombies and takeovers: the provider counts for itself, and every call it got is on the bill as what it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.records import UsageRecorded
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from tests.streams import paid_worker
from tests.streams.provider import Provider, Report, compare, fate
from tests.streams.world import World, features

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
OUT = GENERATION_REQUESTED["normal"]


class House:
    """Workers with a paid stage, the provider they call, and all that they did."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world.with_settings(clock_skew_s=0.2, stop_deadline_s=4.0)
        self.folder = folder
        self.provider = Provider(folder)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.sent: set[str] = set()
        self.world.create(paid_worker.paid_stage(0))

    def start(self) -> subprocess.Popen[bytes]:
        name = f"w{len(self.workers)}"
        ready = self.folder / f"{name}.ready"
        command = [sys.executable, paid_worker.__file__, self.world.settings.model_dump_json(), str(self.world.store.root), name]
        with (self.folder / f"{name}.log").open("wb") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.workers.append(subprocess.Popen([*command, str(self.provider.port), str(ready)], env=environment, stdout=log, stderr=log))
        return self.workers[-1]

    def feed(self, count: int) -> None:
        for n in range(count):
            record = features(n)
            self.sent.add(record.request_id)
            self.world.send_soon(FEATURES_EXTRACTED, record)
        self.world.flush()

    def until(self, condition: Callable[[], Any], seconds: float = 100) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, [log.read_text()[-2000:] for log in self.folder.glob("w*.log")]
            time.sleep(0.3)

    def ready(self) -> bool:
        """Whether the newest worker is up: before, a SIGTERM just ends it."""
        return (self.folder / f"w{len(self.workers) - 1}.ready").exists()

    def called(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.provider.calls()) >= count

    def ended(self) -> bool:
        return {r.request_id for t in (OUT, ARTIFACT_REJECTED) for r in self.world.records(t)} >= self.sent

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(30)
            finally:
                worker.kill()

    def account(self) -> Report:
        """The provider's count against the bill; all that must hold of every run."""
        intents = {}
        for key in self.world.store.keys("claims/ledger/"):
            if key.endswith(".intent"):
                request, _, _, number, _ = key.rsplit("/", 1)[1].split(".")
                intents[request, int(number)] = orjson.loads(self.world.store.get(key).body)["expires_ms"]
        rows = self.world.records(USAGE_RECORDED)
        report = compare(self.provider.calls(), rows, intents)
        assert not report.wrong, report
        self.every_request_ended_once(rows)
        return report

    def every_request_ended_once(self, rows: list[UsageRecorded]) -> None:
        rejected = {r.request_id: r for r in self.world.records(ARTIFACT_REJECTED)}
        made = {r.request_id: r for r in self.world.records(OUT)}
        assert set(rejected) | set(made) == self.sent and not set(rejected) & set(made)
        for request, output in (rejected | made).items():
            mine = [r for r in rows if r.request_id == request]
            assert output.usage_events == len({r.event_id for r in mine}), "the total that a reader waits for"
        for output in self.world.messages(OUT):
            record = self.world.codec.decode(type(next(iter(made.values()))), output.value())
            assert record.spec == made[record.request_id].spec, "one output a step, whoever published it"
        for letter in self.world.dead():
            doubts = {r.call for r in rows if r.request_id == letter.request_id and r.revision == 0 and r.outcome == "in_doubt"}
            assert all(f"call {call}" in letter.message for call in doubts), letter.message
        assert {x.request_id for x in self.world.dead()} == set(rejected)


@pytest.fixture
def house(world: World, tmp_path: Path) -> Iterator[House]:
    made = House(world, tmp_path)
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            worker.wait()
    made.provider.stop()


def test_killed_in_the_middle_of_calls_again_and_again(house: House) -> None:
    house.feed(100)
    running = [house.start(), house.start()]
    chance = random.Random(11)
    for n in range(3):
        house.until(house.called(25 * (n + 1)))
        running.pop(chance.randrange(2)).kill()
        running.append(house.start())
    house.until(house.ended)
    house.stop()
    report = house.account()
    assert report.second_calls and report.in_doubt, "nothing was in doubt: the kills came too late to show anything"


def test_a_zombie_that_wakes_up_in_the_middle_of_its_calls_puts_their_answers_on_the_bill(house: House) -> None:
    house.feed(30)
    zombie = house.start()
    house.until(house.called(15))
    zombie.send_signal(signal.SIGSTOP)
    house.start()
    house.until(house.ended)  # the heir found the zombie's calls in doubt and made others
    zombie.send_signal(signal.SIGCONT)
    house.feed(10)
    house.until(house.ended)
    house.until(lambda: any(r.revision for r in house.world.records(USAGE_RECORDED)), 30)
    house.stop()
    report = house.account()
    assert report.in_doubt and report.corrected, report


def test_members_that_come_and_go_leave_no_call_in_doubt(house: House) -> None:
    """Drained and recorded: who leaves finishes its calls, or somebody else takes their answers. Only what the provider never said is in doubt."""
    house.feed(50)
    house.start()
    house.until(house.ready)
    for n in range(2):
        house.until(house.called(15 * (n + 1)))
        house.start()
        house.until(house.ready)
        house.feed(20)
        house.workers[-2].terminate()
    house.until(house.ended)
    house.stop()
    house.account()
    doubts = {(r.request_id, r.call) for r in house.world.records(USAGE_RECORDED) if r.outcome == "in_doubt"}
    assert {fate(*call) for call in doubts} <= {"cut", "never"}
    assert all(worker.returncode == 0 for worker in house.workers)
