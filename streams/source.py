"""A consumer group member that hands records to the event loop and commits what is done.

Two threads share the work. The *poll thread* owns the Kafka consumer and is the only one to call it: it polls (so that the group never
misses us, however long a handler takes), serves rebalances, pauses, resumes, commits. The *event loop* owns the windows: it notes records
as delivered and done, and says what may be committed and which partitions are to be held. What crosses between them:

- to the loop: batches of records, and revoked windows, for which the poll thread waits until the deadline;
- to the poll thread: offsets to commit, the partitions to hold, and how much room there is (counters, each written by one side).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.acknowledgement import Window
from streams.settings import StreamSettings

log = structlog.get_logger()
Batch = list[tuple[Message, Window]]
Place = tuple[str, int]
T = TypeVar("T")
_OF_THE_MOMENT = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._WAIT_COORD,
}
"""What a broker, or a client that just got to know it, answers while something moves or starts."""
_FULL_FOR_S = 1.0
"""How long a stage may be full before its partitions are paused: pausing throws away what was fetched ahead, waiting delays a rebalance."""
_AT_ONCE = 500
"""Records taken from the consumer in one turn at most."""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets that were to be read next and are no longer there. The topic is named as in Kafka."""

    topic: str
    partition: int
    committed: int
    earliest: int


class Source:
    """One member of one group. The three callbacks run in the event loop.

    ``on_records`` gets what arrived; ``on_revoked`` gets windows that are being taken away and a deadline (of ``time.monotonic``) until
    which it may let their work finish; ``on_lost`` gets ranges that were deleted before they were read.
    """

    def __init__(
        self,
        settings: StreamSettings,
        group: str,
        topics: Iterable[str],
        on_records: Callable[[Batch], None],
        on_revoked: Callable[[Sequence[Window], float], Awaitable[None]],
        on_lost: Callable[[LostRange], None],
    ) -> None:
        self.settings = settings
        self.group = group
        self.topics = [settings.topic_prefix + t for t in topics]
        self._on_records, self._on_revoked, self._on_lost = on_records, on_revoked, on_lost
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        """Ends when the poll thread has: normally after :meth:`stop`, with the error where polling failed for good."""

        # Written by the loop.
        self.windows: dict[Place, Window] = {}
        self._given_back = self._given_back_bytes = 0
        self._holds: Counter[Window] = Counter()
        self._held: frozenset[Window] = frozenset()
        self._commits: deque[list[tuple[Window, int]]] = deque()
        self._draining = False
        self._stopping = False
        self._committer: asyncio.Task[None] | None = None

        # Written by the poll thread.
        self._assigned: dict[Place, Window] = {}
        self._paused: set[Place] = set()
        self._full = False
        self._starved = False
        self._taken = self._taken_bytes = 0
        self._lag = 0
        self._lag_at = 0.0
        self._failed: BaseException | None = None

        self._room = threading.Event()
        self._consumer = Consumer(_consumer_config(settings, group) | {"on_commit": self._committed})
        self._thread = threading.Thread(target=self._run, name=f"poll-{group}", daemon=True)

    # ---- the event loop's side -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self._committer = self._loop.create_task(self._commit_forever())

    def done(self, window: Window, offset: int) -> None:
        """The record is done for good: its outputs are acknowledged, or it lies in a retry tier or in the dead letters."""
        size = window.done(offset)
        if size is not None:
            self.give_back(1, size)

    def give_back(self, records: int, size: int) -> None:
        """Make room, without the records being done: for those that only wait for a time to come."""
        self._given_back += records
        self._given_back_bytes += size
        if self._starved and (self._room_left() > self.settings.max_in_flight // 4 or self._given_back == self._taken):
            self._starved = False
            self._room.set()

    def take_again(self, records: int, size: int) -> None:
        self._given_back -= records
        self._given_back_bytes -= size

    def hold(self, window: Window) -> None:
        """Stop fetching one partition until it was released as often as it was held; others go on."""
        self._holds[window] += 1
        self._held = frozenset(self._holds)

    def release(self, window: Window) -> None:
        self._holds[window] -= 1
        if self._holds[window] <= 0:
            del self._holds[window]
        self._held = frozenset(self._holds)

    def drain(self) -> None:
        """Take nothing more; membership and commits go on until :meth:`stop`."""
        self._draining = True

    async def stop(self) -> None:
        """Commit what is done, leave the group, close. Records in flight will be delivered to the next owner."""
        if self._committer:
            self._committer.cancel()
        self._stopping = True
        self._room.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def lag(self) -> int:
        """Records between what is done and the end of the assigned partitions, as the poll thread saw it a second ago."""
        return self._lag

    def oldest_ms(self) -> int | None:
        """Broker time of the oldest record in hand, None where there is none."""
        return min((at for w in self.windows.values() if (at := w.oldest_ms) is not None), default=None)

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.commit_interval_s)
            found = [(w, o) for w in self.windows.values() if (o := w.committable) is not None and o != w.committed]
            for window, offset in found:
                window.committed = offset
            if found:
                self._commits.append(found)

    def _deliver(self, batch: Batch) -> None:
        fresh: Batch = []
        for item in batch:
            message, window = item
            size = size_of(message)
            if window.deliver(message.offset(), size, message.timestamp()[1]):
                fresh.append(item)
            else:  # read again after a seek: it is in hand already
                self.give_back(1, size)
        if fresh:
            self._on_records(fresh)

    def _arrive(self, window: Window) -> None:
        self.windows[window.topic, window.partition] = window

    async def _let_go(self, windows: Sequence[Window], deadline: float) -> list[tuple[Window, int]]:
        """Let the windows' work finish until the deadline, then retire them; returns what may be committed."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic()) + 0.5):  # a grace: on_revoked keeps the deadline by itself
                await self._on_revoked(windows, deadline)
        except TimeoutError:
            log.warning("revoked partitions were given up at the deadline", group=self.group, partitions=len(windows))
        finally:
            offsets = [(w, o) for w in windows if (o := w.committable) is not None]
            for window in windows:
                self.give_back(*window.retire())
                self._holds.pop(window, None)
                if self.windows.get((window.topic, window.partition)) is window:
                    del self.windows[window.topic, window.partition]
            self._held = frozenset(self._holds)
        return offsets

    def _finish(self) -> None:
        if not self.finished.done():
            if self._failed:
                self.finished.set_exception(self._failed)
            else:
                self.finished.set_result(None)

    # ---- the poll thread's side ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._consumer.subscribe(self.topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost_partitions)
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self._failed = error
        finally:
            try:
                self._consumer.close()  # revokes what is still assigned, which commits it
            except Exception as error:
                self._failed = self._failed or error
            self._loop.call_soon_threadsafe(self._finish)

    def _turn(self) -> None:
        """Take what is there while there is room: the first record as soon as it comes, others only if they are here already."""
        self._commit()
        self._measure_lag()
        room = self._room_left()
        if room <= 0 and not self._full:
            # Pausing throws away what was prefetched, so it is not done for a moment's fullness.
            self._room.clear()
            self._starved = True
            self._full = self._room_left() <= 0 and not self._room.wait(_FULL_FOR_S)
            self._starved = False
            room = self._room_left()
        elif self._full and room >= self.settings.max_in_flight // 2:
            self._full = False
        self._pause()
        if self._full or room <= 0:
            self._hand_over([self._consumer.poll(0.02)])
            return
        first = self._consumer.poll(0.05)
        if first is not None:
            rest = self._consumer.consume(min(room, _AT_ONCE) - 1, timeout=0) if room > 1 else []
            self._hand_over([first, *rest])

    def _room_left(self) -> int:
        if self._draining or self._taken_bytes - self._given_back_bytes >= self.settings.max_in_flight_bytes:
            return 0
        return self.settings.max_in_flight - (self._taken - self._given_back)

    def _pause(self) -> None:
        """Let what is paused be what should be: everything while full, else what the loop holds."""
        if self._full:
            wanted = set(self._assigned)
        elif self._held or self._paused:
            held = self._held
            wanted = {place for place, window in self._assigned.items() if window in held}
        else:
            return
        if new := wanted - self._paused:
            self._consumer.pause([TopicPartition(*place) for place in new])
        if old := self._paused - wanted:
            self._consumer.resume([TopicPartition(*place) for place in old])
        self._paused = wanted

    def _commit(self) -> None:
        while self._commits:
            # A window that was revoked meanwhile has committed already; what was meant for it would turn its next owner back.
            mine = [(w, o) for w, o in self._commits.popleft() if self._assigned.get((w.topic, w.partition)) is w]
            if mine:
                self._consumer.commit(offsets=_offsets(mine), asynchronous=True)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            if (error or p.error) and (window := self._assigned.get((p.topic, p.partition))):
                window.committed = None  # it was not: the next turn tries again, even without progress

    def _measure_lag(self) -> None:
        now = time.monotonic()
        if now < self._lag_at + 1:
            return
        self._lag_at = now
        total = 0
        for (topic, partition), window in self._assigned.items():
            try:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            except KafkaException:
                continue  # nothing was heard of it yet
            if high > 0 and (done := window.committed) is not None:
                total += max(0, high - done)
        self._lag = total

    def _hand_over(self, messages: Iterable[Message | None]) -> None:
        batch: Batch = []
        size = 0
        for message in messages:
            if message is None:
                continue
            error = message.error()
            if error is not None:
                self._trouble(message, error)
                continue
            window = self._assigned.get((message.topic(), message.partition()))
            if window is not None:
                batch.append((message, window))
                size += size_of(message)
        if batch:
            self._taken += len(batch)
            self._taken_bytes += size
            self._loop.call_soon_threadsafe(self._deliver, batch)

    def _trouble(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._range_lost(message.topic(), message.partition())
        elif error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
            raise KafkaException(error)
        else:
            log.warning("kafka", group=self.group, error=error.str(), retriable=error.retriable())

    def _range_lost(self, topic: str, partition: int) -> None:
        """Where we stand was deleted while we were reading: go on at the earliest, in a new window, since offsets may start anew."""
        old = self._assigned.get((topic, partition))
        if old is None:
            return
        low, _ = patiently(partial(self._consumer.get_watermark_offsets, TopicPartition(topic, partition), timeout=10))
        new = self._assigned[topic, partition] = Window(topic, partition)
        self._consumer.seek(TopicPartition(topic, partition, low))
        stood = old.committed if old.committed is not None else -1
        self._loop.call_soon_threadsafe(self._restart, old, new, LostRange(topic, partition, stood, low))

    def _restart(self, old: Window, new: Window, lost: LostRange) -> None:
        self.give_back(*old.retire())
        self._arrive(new)
        self._on_lost(lost)

    # ---- rebalances, in the poll thread ----------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        starts = []
        for found in patiently(lambda: _committed(consumer, partitions)):
            low, high = patiently(partial(consumer.get_watermark_offsets, TopicPartition(found.topic, found.partition), timeout=10))
            if found.offset < 0:
                offset = OFFSET_BEGINNING
            elif found.offset < low or found.offset > high:
                # Below: retention was quicker than we. Above: the topic was made anew. Either way something is not there any more.
                self._loop.call_soon_threadsafe(self._on_lost, LostRange(found.topic, found.partition, found.offset, low))
                offset = low
            else:
                offset = found.offset
            starts.append(TopicPartition(found.topic, found.partition, offset))
            window = self._assigned[found.topic, found.partition] = Window(found.topic, found.partition)
            window.committed = found.offset if found.offset >= 0 else None
            self._loop.call_soon_threadsafe(self._arrive, window)
        consumer.incremental_assign(starts)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """One deadline for all: what must finish has until then, the rest is delivered to the next owner again."""
        offsets = self._let_go_within(partitions, self.settings.revoke_deadline_s)
        if offsets:
            try:
                consumer.commit(offsets=_offsets(offsets), asynchronous=False)
            except KafkaException as error:
                log.warning("not committed; the next owner will see some records again", group=self.group, error=error.args[0].str())
        consumer.incremental_unassign(partitions)

    def _on_lost_partitions(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away without asking (we were too late, or a zombie): others own them already, so nothing may be committed."""
        log.warning("partitions lost", group=self.group, partitions=[f"{p.topic}/{p.partition}" for p in partitions])
        self._let_go_within(partitions, 0.0)
        consumer.incremental_unassign(partitions)

    def _let_go_within(self, partitions: list[TopicPartition], seconds: float) -> list[tuple[Window, int]]:
        windows = [w for p in partitions if (w := self._assigned.pop((p.topic, p.partition), None))]
        self._paused -= {(p.topic, p.partition) for p in partitions}
        finishing = asyncio.run_coroutine_threadsafe(self._let_go(windows, time.monotonic() + seconds), self._loop)
        try:
            return finishing.result(timeout=seconds + 1)
        except FutureTimeout:
            # Something blocks the loop itself. It will find the windows retired when it comes back; nothing of theirs is committed.
            log.error("the event loop does not turn; partitions are given up without it", group=self.group, partitions=len(windows))
            return []


def size_of(message: Message) -> int:
    """Bytes that a record is counted with."""
    return len(message) + 64


def _offsets(found: Iterable[tuple[Window, int]]) -> list[TopicPartition]:
    return [TopicPartition(w.topic, w.partition, o) for w, o in found]


def _committed(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    found: list[TopicPartition] = consumer.committed(partitions, timeout=10)
    for place in found:
        if place.error:
            raise KafkaException(place.error)
    return found


def patiently(call: Callable[[], T], seconds: float = 30) -> T:
    """Ask the broker until it answers: a coordinator or leader may be moving or starting. Raises ``KafkaException`` after the given time."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except KafkaException as error:
            if error.args[0].code() not in _OF_THE_MOMENT or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _consumer_config(settings: StreamSettings, group: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": group,
        "group.protocol": settings.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": settings.max_record_bytes * 10,
        "queued.max.messages.kbytes": 16 << 10,
        "fetch.wait.max.ms": 100,
        "max.poll.interval.ms": 300_000,
        "log_level": 0,
    }
    if settings.group_protocol == "classic":
        config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
    return config
