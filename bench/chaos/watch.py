"""Who has ended, seen live from outside: a reader of the verdicts that belongs to no group, and a question to ClickHouse each second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from streams.offsets import Watermarks, patiently
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, ARTIFACT_VALIDATED


def _reader(settings: StreamSettings) -> Consumer:
    return Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": "chaos-outside", "enable.auto.commit": False, "auto.offset.reset": "error",
         "fetch.message.max.bytes": 12 << 20, "reconnect.backoff.max.ms": 500, "log_level": 0}
    )  # fmt: skip


class Watch(threading.Thread):
    """``ended``: request -> wall-clock time at which its first verdict was seen. ``in_sql``: (time, requests with a verdict in ClickHouse)."""

    def __init__(self, settings: StreamSettings, clickhouse_url: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.ended: dict[str, float] = {}
        self.last_end = time.time()
        self.in_sql: list[tuple[float, int]] = []
        self._settings, self._url = settings, clickhouse_url
        self._over = threading.Event()

    def run(self) -> None:
        asking = threading.Thread(target=self._ask, name="watch-sql", daemon=True)
        asking.start()
        consumer = _reader(self._settings)
        names = [self._settings.topic_prefix + t.name for t in (ARTIFACT_VALIDATED, ARTIFACT_REJECTED)]
        there = consumer.list_topics(timeout=30).topics
        consumer.assign([TopicPartition(name, p, OFFSET_BEGINNING) for name in names for p in there[name].partitions])
        while not self._over.is_set():
            for message in consumer.consume(500, timeout=0.1):
                if message.error() is None:
                    self.last_end = time.time()
                    self.ended.setdefault(message.key().decode(), self.last_end)
        consumer.close()
        asking.join()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not self._over.wait(1.0):
                try:
                    found = client.post(self._url, content="SELECT uniqExact(request_id) FROM verdict_given")
                except httpx.HTTPError:
                    continue  # it is away: that is what is measured
                if found.status_code == 200:
                    self.in_sql.append((time.time(), int(found.text)))


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.25)
    return True


def everything(settings: StreamSettings, topics: Iterable[str]) -> dict[str, list[Message]]:
    """All that lies in the topics now, from beginning to end (within a partition), by a reader that belongs to no group."""
    names = {settings.topic_prefix + topic: topic for topic in topics}
    found: dict[str, list[Message]] = {topic: [] for topic in names.values()}
    consumer = _reader(settings)
    try:
        there = consumer.list_topics(timeout=30).topics
        ends: dict[tuple[str, int], int] = {}
        starts = []
        for name in names:
            for partition in there[name].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=30)
                if low < high:
                    ends[name, partition] = high
                    starts.append(TopicPartition(name, partition, low))
        consumer.assign(starts)
        heard = time.monotonic()
        while ends:
            for message in consumer.consume(2000, timeout=0.2):
                if message.error() is not None:
                    raise KafkaException(message.error())
                heard = time.monotonic()
                place = message.topic(), message.partition()
                if place in ends:
                    found[names[message.topic()]].append(message)
                    if message.offset() + 1 >= ends[place]:
                        del ends[place]
            if time.monotonic() > heard + 60:
                raise TimeoutError(f"the topics cannot be read to their ends: {ends}")
    finally:
        consumer.close()
    return found


def backlog(settings: StreamSettings, reads: dict[str, list[str]]) -> dict[str, int]:
    """``GROUP TOPIC`` -> records that the group has not committed, of those where there are some. ``reads``: stage -> topics."""
    left: dict[str, int] = {}
    for stage, topics in reads.items():
        group = f"{settings.group_prefix}.{stage}"
        watermarks = Watermarks(settings, group)
        try:
            places = watermarks.places(settings.topic_prefix + topic for topic in topics)
            done = patiently(partial(watermarks.committed, places, 10.0))
            for (name, partition), (low, high) in patiently(partial(watermarks.read, places, 10.0)).items():
                topic = name.removeprefix(settings.topic_prefix)
                if (behind := high - max(low, done[name, partition])) > 0:
                    left[f"{group} {topic}"] = left.get(f"{group} {topic}", 0) + behind
        finally:
            watermarks.close()
    return left
