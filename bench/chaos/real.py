"""Requests for the real stages, through the product's own door: prompts, and a recording now and then."""

from __future__ import annotations

import itertools
import random
import threading
import time
from pathlib import Path

import av

from bench.burst import prompts
from bench.chaos.feed import Submission
from bench.chaos.stack import ROOT, Stack
from millrace.doors import Door, RefusedAtDoor, Sender
from sinks.objects import FolderStore
from streams.admin import BrokerUnreachable
from streams.failures import Transient

SENDER = Sender(tenant="chaos", project="chaos")
SAMPLE = ROOT / "samples" / "sqlite_web.mp4"
EVERY_S = 8.0
RECORDING_EVERY, RECORDING_S = 20, 6.0
"""One request in so many is the beginning of the sample recording, so long; even that takes as long as several prompts."""


def beginning(recording: Path, into: Path, seconds: float) -> None:
    """The first seconds of a recording, its packets as they are."""
    with av.open(str(recording)) as source, av.open(str(into), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or float(packet.dts * packet.time_base) > seconds:
                break
            packet.stream = copy
            target.mux(packet)


class DoorFeeder(threading.Thread):
    """A producer that does what a producer should: hands over under an idempotency key, and again until it is accepted."""

    def __init__(self, stack: Stack, seed: int) -> None:
        super().__init__(name="feeder", daemon=True)
        self.ledger: dict[str, Submission] = {}
        self.again = 0
        self.failed: list[str] = []
        """Attempts that the door did not accept; each was repeated until it was."""
        self._stack = stack
        self._prompts = prompts(2000, seed)
        self._recording = stack.folder / "recording.mp4"
        beginning(SAMPLE, self._recording, RECORDING_S)
        self._over = threading.Event()
        self._chance = random.Random(f"doors {seed}")
        self._lock = threading.Lock()

    def run(self) -> None:
        for number in itertools.count():
            if self._over.is_set():
                return
            made_at = time.time()
            kind = "video" if number % RECORDING_EVERY == 1 else "prompt"
            request = self._until_accepted(number)
            with self._lock:
                self.ledger[request] = Submission(request, kind, SENDER.tenant, made_at, accepted_at=time.time())
            self._over.wait(max(0.0, made_at + EVERY_S - time.time()))

    def stop(self) -> None:
        """Returns when the last one handed over was accepted."""
        self._over.set()
        self.join()

    def duplicates(self, count: int) -> None:
        """Hand over some again, in another order, under the keys they had."""
        with self._lock:
            known = list(range(len(self.ledger)))
        self._chance.shuffle(known)
        for number in known[: max(1, count // 10)]:
            request = self._until_accepted(number)
            assert request in self.ledger, f"key {number} came back as {request}"
            self.again += 1

    disorder = duplicates

    def _until_accepted(self, number: int) -> str:
        while True:
            try:
                door = Door(self._stack.settings, FolderStore(self._stack.objects, durable=False))
                accepted = self._submit(door, number)
                door.flush()
                return accepted
            except (OSError, RefusedAtDoor, BrokerUnreachable, Transient) as error:
                self.failed.append(f"{number}: {type(error).__name__}: {error}"[:300])
                time.sleep(1)  # a producer's pause before its next attempt

    def _submit(self, door: Door, number: int) -> str:
        key = f"chaos-{number}"
        if number % RECORDING_EVERY == 1:
            return door.video(self._recording, SENDER, key).request_id
        return door.prompt(self._prompts[number], SENDER, key).request_id
