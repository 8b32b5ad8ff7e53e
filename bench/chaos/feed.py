"""Requests, fed continuously, and the feeder's own ledger of what was handed over."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from bench.chaos.stages import NO_MEDIA
from schemas import ids
from schemas.names import PRIORITIES
from schemas.records import PromptSubmitted, VideoSubmitted
from streams.codec import Codec
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import PROMPT_SUBMITTED, VIDEO_SUBMITTED, Topic

TENANTS = ("amber", "birch", "cedar", "dune")


@dataclass(slots=True)
class Submission:
    """One request as its producer knows it. Times are of the wall clock."""

    request_id: str
    kind: str
    tenant: str
    made_at: float
    topic: Topic | None = None
    value: bytes = b""
    accepted_at: float | None = None
    """When the broker acknowledged it; from here on it may not be lost."""


class Feeder(threading.Thread):
    """Hands over ``rate`` requests a second until told to stop."""

    def __init__(self, settings: StreamSettings, rate: float, seed: int) -> None:
        super().__init__(name="feeder", daemon=True)
        self.ledger: dict[str, Submission] = {}
        self.again = 0
        """Submissions that were published once more."""
        self.failed: list[str] = []
        self._settings, self._rate = settings, rate
        self._codec = Codec(Registry(settings.registry_url))
        for topic in (PROMPT_SUBMITTED, VIDEO_SUBMITTED):
            self._codec.registry.id_for(topic)
        # The time limit is a round's: what the broker has not taken by then was never accepted.
        self._producer = Producer(
            {"bootstrap.servers": settings.bootstrap_servers, "acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random",
             "delivery.timeout.ms": 300_000, "linger.ms": 2, "log_level": 0}
        )  # fmt: skip
        self._chance = random.Random(f"feeder {seed}")
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._hold = 0
        self._held: list[Submission] = []

    def run(self) -> None:
        began, made = time.monotonic(), 0
        while not self._over.is_set():
            while made < (time.monotonic() - began) * self._rate:
                self._feed(self._make(made))
                made += 1
            self._producer.poll(0.005)

    def stop(self) -> None:
        """Returns when every submission was acknowledged or has failed."""
        self._over.set()
        self.join()
        with self._lock:
            self._let_go()
        self._producer.flush(300)

    def duplicates(self, count: int) -> None:
        """Publish earlier submissions again, shuffled, to partitions where they did not lie."""
        with self._lock:
            known = [s for s in self.ledger.values() if s.accepted_at is not None]
            for found in self._chance.sample(known, min(count, len(known))):
                self.again += 1
                self._produce(found, self._chance.randrange(self._settings.partitions))

    def disorder(self, count: int) -> None:
        """Hold back the next submissions, then publish them in reverse, on random partitions."""
        with self._lock:
            self._hold += count

    def _make(self, number: int) -> Submission:
        tenant, request = TENANTS[number % len(TENANTS)], ids.new_id()
        priority = self._chance.choice(PRIORITIES)
        if self._chance.random() < 0.5:
            prompt = PromptSubmitted(request_id=request, tenant=tenant, project="chaos", prompt=f"request {number}", priority=priority)
            topic, value = PROMPT_SUBMITTED, self._codec.encode(PROMPT_SUBMITTED, prompt)
        else:
            video = VideoSubmitted(request_id=request, tenant=tenant, project="chaos", media_uri=NO_MEDIA, media_size=1, priority=priority)
            topic, value = VIDEO_SUBMITTED, self._codec.encode(VIDEO_SUBMITTED, video)
        return Submission(request, topic.name.partition(".")[0], tenant, time.time(), topic, value)

    def _feed(self, made: Submission) -> None:
        with self._lock:
            self.ledger[made.request_id] = made
            if self._hold:
                self._hold -= 1
                self._held.append(made)
                if not self._hold:
                    self._let_go()
            else:
                self._produce(made, None)

    def _let_go(self) -> None:
        for found in reversed(self._held):
            self._produce(found, self._chance.randrange(self._settings.partitions))
        self._held.clear()
        self._hold = 0

    def _produce(self, made: Submission, partition: int | None) -> None:
        assert made.topic

        def delivered(error: object, _: object) -> None:
            if error:
                self.failed.append(f"{made.request_id}: {error}")
            elif made.accepted_at is None:
                made.accepted_at = time.time()

        headers = [("millrace-event-id", made.request_id.encode()), ("millrace-tenant", made.tenant.encode())]
        more: dict[str, Any] = {} if partition is None else {"partition": partition}
        name = self._settings.topic_prefix + made.topic.name
        self._producer.produce(name, made.value, made.request_id.encode(), headers=headers, on_delivery=delivered, **more)
