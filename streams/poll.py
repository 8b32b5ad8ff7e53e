"""The thread that polls: it owns the Kafka consumer of a member of a group, and is the only one to call it.

It polls whatever handlers do, so that the group never misses this member; serves rebalances (``streams.assignment``), pauses, resumes, commits, and
says which topics and partitions are gone. With the event loop's side (``streams.source``) it shares little, each part written by one of them:

- to the loop, by ``call_soon_threadsafe``: records, windows that come and go, the end;
- from the loop: :class:`Wishes`, and room (``streams.room``).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.acknowledgement import Window
from streams.assignment import Assignment, LoopSide, Progress
from streams.room import Room
from streams.settings import CLASSIC_SESSION_S, StreamSettings
from streams.taken import OVERHEAD

log = structlog.get_logger()
_FULL_FOR_S = 1.0
"""How long a stage may be full before its partitions are paused: pausing throws away what was fetched ahead, waiting delays a rebalance."""
_TOPICS_EVERY_S = 5.0
"""How often it is looked whether the topics are still there: the client says nothing when one is deleted."""
_AT_ONCE = 5000
"""Records taken from the consumer in one turn at most: each turn costs the loop thread the interpreter's lock."""


class Wishes:
    """What the loop wants of the poll thread. Written by the loop: ``held`` is replaced, never changed; ``commits`` is appended to."""

    def __init__(self) -> None:
        self.held: frozenset[Window] = frozenset()
        """Windows whose partitions are not to be fetched."""
        self.commits: deque[list[Progress]] = deque()
        self.stop = False


class PollThread:
    """Public attributes are written by the thread and read by anybody."""

    def __init__(
        self,
        settings: StreamSettings,
        group: str,
        topics: list[str],
        room: Room,
        wishes: Wishes,
        loop: asyncio.AbstractEventLoop,
        side: LoopSide,
    ) -> None:
        self._settings, self._group, self._topics, self._room, self._wishes = settings, group, topics, room, wishes
        self._loop, self._side = loop, side
        self.assignment = Assignment(settings, group, loop, side)
        self.full = False
        """Whether everything is paused for want of room."""
        self.lag = 0
        """Records between what is committed and the end of the assigned partitions, of a second ago at most."""
        self.missing: frozenset[str] = frozenset()
        """Topics that are not there, and partitions (TOPIC/N) that have no leader."""
        self.turned_at = time.monotonic()
        """When the thread last turned: it must, whatever handlers do."""
        self.commits = self.commits_failed = 0
        self.client_id = f"millrace-{secrets.token_hex(6)}"
        """By which the broker's list of members shows this one. (``Consumer.memberid`` may block for ever.)"""
        self._lag_at = self._looked_at = 0.0
        self._consumer = self._joined(settings.group_protocol)
        self._thread = threading.Thread(target=self._run, name=f"poll-{group}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    # ---- the thread ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failed: BaseException | None = None
        try:
            self._subscribe()
            while not self._wishes.stop:
                self._turn()
        except BaseException as error:
            failed = error
        finally:
            try:
                self._consumer.close()  # revokes what is still assigned, which commits it
            except Exception as error:
                failed = failed or error
            self._loop.call_soon_threadsafe(self._side.ended, failed)

    def _turn(self) -> None:
        """Take what is there while there is room: the first record as soon as it comes, others only if they are here already."""
        self._commit()
        self._measure_lag()
        self._look_at_topics()
        room = self._room.left()
        if room <= 0 and not self.full:
            # Pausing throws away what was prefetched, so it is not done for a moment's fullness.
            self.full = not self._room.wait(_FULL_FOR_S)
            room = self._room.left()
        elif self.full and self._room.in_use() <= 0.5:
            self.full = False
        self._pause()
        if self.full or room <= 0:
            if (only := self._consumer.poll(0.02)) is not None:
                self._hand_over([only])
            return
        first = self._consumer.poll(0.05)
        if first is not None:
            place = first.topic(), first.partition()
            window = self.assignment.windows.get(place)
            rest = self._consumer.consume(min(room, _AT_ONCE) - 1, timeout=0) if room > 1 else []
            # Taking the rest may have served a rebalance: where the partition is in a new window, that one begins at the committed offset.
            self._hand_over([first, *rest] if self.assignment.windows.get(place) is window else rest)

    def _hand_over(self, messages: list[Message]) -> None:
        windows = self.assignment.windows
        good = [m for m in messages if m.error() is None and (m.topic(), m.partition()) in windows]
        if good:
            self._room.take(len(good), sum(map(len, good)) + OVERHEAD * len(good))
            self._loop.call_soon_threadsafe(self._side.deliver, good, windows)
        if len(good) < len(messages):
            for message in messages:
                if (error := message.error()) is not None:
                    self._trouble(message, error)

    def _trouble(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self.assignment.out_of_range(self._consumer, message.topic(), message.partition())
        elif error.code() == KafkaError._FATAL and _without_kip_848(error) and not self.assignment.windows:
            self._fall_back()
        elif (
            error.fatal()
            or error.code() == KafkaError._FATAL
            or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
        ):
            raise KafkaException(error)
        else:
            log.warning("kafka", group=self._group, error=error.str(), retriable=error.retriable())

    def _pause(self) -> None:
        """Everything while full, else what the loop holds."""
        held = self._wishes.held
        if self.full:
            wanted = set(self.assignment.windows)
        else:
            wanted = {place for place, window in self.assignment.windows.items() if window in held} if held else set()
        self.assignment.pause(self._consumer, wanted)

    def _commit(self) -> None:
        while self._wishes.commits:
            if offsets := self.assignment.ours(self._wishes.commits.popleft()):
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error or any(p.error for p in partitions):
            self.commits_failed += 1
        else:
            self.commits += 1
        for p in partitions:
            if (error or p.error) and (window := self.assignment.windows.get((p.topic, p.partition))):
                window.committed = None  # it was not: the next turn tries again, even without progress

    def _measure_lag(self) -> None:
        now = self.turned_at = time.monotonic()
        if now < self._lag_at + 1:
            return
        self._lag_at = now
        total = 0
        for (topic, partition), window in self.assignment.windows.items():
            try:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            except KafkaException:
                continue  # nothing was heard of it yet
            if high > 0 and (done := window.committed) is not None:
                total += max(0, high - done)
        self.lag = total

    def _look_at_topics(self) -> None:
        """Say which topics and partitions are gone; where a topic is back it is another one, for which the group has to be joined anew."""
        if self.turned_at < self._looked_at + _TOPICS_EVERY_S:
            return
        self._looked_at = self.turned_at
        try:
            there = self._consumer.list_topics(timeout=1).topics
        except KafkaException:
            return  # the broker is away: then nobody knows
        gone = {name for name in self._topics if name not in there or there[name].error}
        gone |= {f"{name}/{n}" for name in set(self._topics) - gone for n, p in there[name].partitions.items() if p.leader < 0}
        if new := sorted(gone - self.missing):
            log.error("topics or partitions are gone; what they held is not read, others are", group=self._group, missing=new)
        back, self.missing = self.missing - gone, frozenset(gone)
        if back:
            log.warning("topics or partitions are back", group=self._group, back=sorted(back))
        if back.intersection(self._topics):
            self._consumer.unsubscribe()
            self._subscribe()

    # ---- the group -------------------------------------------------------------------------------------------------------

    def _joined(self, protocol: str) -> Consumer:
        return Consumer(
            _consumer_config(self._settings, self._group, protocol) | {"client.id": self.client_id, "on_commit": self._committed}
        )

    def _subscribe(self) -> None:
        its = self.assignment
        self._consumer.subscribe(self._topics, on_assign=its.on_assign, on_revoke=its.on_revoke, on_lost=its.on_lost)

    def _fall_back(self) -> None:
        """The broker offers no groups of KIP-848: join as a member of a classic one, which is what every member of it then is."""
        log.warning("the broker offers no KIP-848 groups: going on with the classic protocol, cooperatively", group=self._group)
        self._consumer.close()  # it never had a partition
        self._consumer = self._joined("classic")
        self._subscribe()


def _without_kip_848(error: KafkaError) -> bool:
    """Whether this is the end of a client whose broker does not know KIP-848. librdkafka tells what was fatal in words only."""
    return "not supported: ConsumerGroupHeartbeat" in error.str()


def _consumer_config(settings: StreamSettings, group: str, protocol: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": settings.max_record_bytes * 10,
        "queued.max.messages.kbytes": 16 << 10,
        "fetch.wait.max.ms": 100,
        "max.poll.interval.ms": int(settings.max_poll_interval_s * 1000),
        "log_level": 0,
    }
    if protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": int(CLASSIC_SESSION_S * 1000)}
    return config
