"""A consumer group member that hands records to the event loop and commits what is done.

Two threads share the work. The *poll thread* owns the Kafka consumer: it polls (so that the group never misses us, however long a
handler takes), serves rebalances, pauses and resumes. The *event loop* owns the windows: it notes records as delivered and done. They
meet in three places only: batches go to the loop, revoked partitions go to the loop and come back as offsets to commit, and two
counters (each written by one side) say how much room is left.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.acknowledgement import Window
from streams.settings import StreamSettings

log = structlog.get_logger()
Batch = list[tuple[Message, Window]]
Place = tuple[str, int]
NO_OFFSET = -1001


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets that were committed as the next to read and are no longer there."""

    topic: str
    partition: int
    committed: int
    earliest: int


class Source:
    """One member of one group. ``on_records`` and ``on_revoked`` run in the event loop; ``on_lost`` may be called from any thread."""

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
        self.windows: dict[Place, Window] = {}
        self._on_records, self._on_revoked, self._on_lost = on_records, on_revoked, on_lost
        self._loop = asyncio.get_running_loop()
        self._taken = self._taken_bytes = 0  # written by the poll thread
        self._given_back = self._given_back_bytes = 0  # written by the loop
        self._room = threading.Event()
        # The client lets one thread at a time into a consumer, and a poll holds it: whatever the loop wants done waits here for the poll thread.
        self._commands: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._lag = 0
        self._lag_due = 0.0
        self._held: set[Place] = set()
        self._all_paused = False
        self._stopping = threading.Event()
        self._draining = False
        self._failed: BaseException | None = None
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
            "on_commit": self._committed,
            "log_level": 0,
        }
        if settings.group_protocol == "classic":
            config |= {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
        self._consumer = Consumer(config)
        self._thread = threading.Thread(target=self._run, name=f"poll-{group}", daemon=True)
        self.finished: asyncio.Future[None] = self._loop.create_future()
        """Ends when the poll thread has: normally after :meth:`stop`, with the error where polling failed for good."""
        self._committer: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()
        self._committer = self._loop.create_task(self._commit_forever())

    # ---- the event loop's side -------------------------------------------------------------------------------------------

    def done(self, window: Window, message: Message) -> None:
        """The record is done for good: its outputs are acknowledged, or it lies in a retry tier or in the dead letters."""
        if window.done(message.offset()):
            self.give_back(1, size_of(message))

    def give_back(self, records: int, size: int) -> None:
        """Make room, without the records being done: for those that only wait for a time to come."""
        self._given_back += records
        self._given_back_bytes += size
        if not self._room.is_set():
            self._room.set()

    def take_again(self, records: int, size: int) -> None:
        self._given_back -= records
        self._given_back_bytes -= size

    def hold(self, window: Window) -> None:
        """Stop fetching one partition until :meth:`release`; others go on."""
        self._held.add((window.topic, window.partition))
        self._commands.put(lambda: self._quietly(self._consumer.pause, [TopicPartition(window.topic, window.partition)]))

    def release(self, window: Window) -> None:
        self._held.discard((window.topic, window.partition))
        if not self._all_paused:
            self._commands.put(lambda: self._quietly(self._consumer.resume, [TopicPartition(window.topic, window.partition)]))

    def drain(self) -> None:
        """Take nothing more; membership and commits go on until :meth:`stop`."""
        self._draining = True

    async def stop(self) -> None:
        """Commit what is done, leave the group, close. Records in flight will be delivered to the next owner."""
        if self._committer:
            self._committer.cancel()
        self._stopping.set()
        self._room.set()
        await asyncio.to_thread(self._thread.join)

    def lag(self) -> int:
        """Records between what is committed or in hand and the end of the assigned partitions, as heard from the broker a second ago."""
        return self._lag

    def call_in_loop(self, call: Callable[..., None], *args: Any) -> None:
        """Have the event loop call something; for callbacks that run in the poll thread."""
        self._loop.call_soon_threadsafe(call, *args)

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.commit_interval_s)
            self.commit_now()

    def commit_now(self) -> None:
        offsets = _offsets(self.windows.values())
        if offsets:
            self._commands.put(lambda: self._quietly(self._consumer.commit, offsets=offsets, asynchronous=True))

    def _quietly(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """A call that a rebalance may overtake: the partition is gone, and with it the reason for the call."""
        try:
            call(*args, **kwargs)
        except (KafkaException, RuntimeError) as error:
            log.debug("overtaken by a rebalance", call=call.__name__, error=str(error))

    # ---- the poll thread's side ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._consumer.subscribe(self.topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost_partitions)
            while not self._stopping.is_set():
                self._turn()
            self._final_commit()
        except BaseException as error:
            self._failed = error
        finally:
            self._consumer.close()
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.finished.done():
            if self._failed:
                self.finished.set_exception(self._failed)
            else:
                self.finished.set_result(None)

    def _turn(self) -> None:
        """Wait for room, then take what is there: the first record as soon as it comes, others only if they are here already."""
        while not self._commands.empty():
            self._commands.get()()
        if time.monotonic() >= self._lag_due:
            self._lag_due = time.monotonic() + 1
            self._lag = self._measure_lag()
        room = self._room_left()
        if room <= 0:
            self._room.clear()
            if self._room_left() <= 0 and not self._all_paused and not self._room.wait(0.2):
                # Pausing throws away what was prefetched, so it is not done for a moment's fullness.
                self._pause_all()
            self._handle([self._consumer.poll(0.05)])
            return
        if self._all_paused:
            if room < self.settings.max_in_flight // 2:
                self._handle([self._consumer.poll(0.02)])
                return
            self._resume_all()
        first = self._consumer.poll(0.1)
        if first is not None:
            self._handle([first, *self._consumer.consume(min(room, 500) - 1, timeout=0)] if room > 1 else [first])

    def _measure_lag(self) -> int:
        total = 0
        for (topic, partition), window in list(self.windows.items()):
            try:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            except (KafkaException, RuntimeError):
                continue
            if window.committable is not None and high > 0:
                total += max(0, high - window.committable)
        return total

    def _room_left(self) -> int:
        if self._draining:
            return 0
        if self._taken_bytes - self._given_back_bytes >= self.settings.max_in_flight_bytes:
            return 0
        return self.settings.max_in_flight - (self._taken - self._given_back)

    def _pause_all(self) -> None:
        self._all_paused = True
        self._quietly(self._consumer.pause, [TopicPartition(t, p) for t, p in self.windows])

    def _resume_all(self) -> None:
        self._all_paused = False
        self._quietly(self._consumer.resume, [TopicPartition(t, p) for t, p in self.windows if (t, p) not in self._held])

    def _handle(self, messages: Iterable[Message | None]) -> None:
        batch: Batch = []
        for message in messages:
            if message is None:
                continue
            error = message.error()
            if error is not None:
                self._trouble(message, error)
                continue
            window = self.windows.get((message.topic(), message.partition()))
            if window is not None:
                batch.append((message, window))
        if batch:
            self._taken += len(batch)
            self._taken_bytes += sum(size_of(m) for m, _ in batch)
            self._loop.call_soon_threadsafe(self._deliver, batch)

    def _deliver(self, batch: Batch) -> None:
        fresh: Batch = []
        for message, window in batch:
            if window.deliver(message.offset(), size_of(message)):
                fresh.append((message, window))
            else:
                self.give_back(1, size_of(message))
        if fresh:
            self._on_records(fresh)

    def _trouble(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            # The offset we stand at was deleted while we were reading.
            place = TopicPartition(message.topic(), message.partition())
            window = self.windows.get((place.topic, place.partition))
            low, _ = self._consumer.get_watermark_offsets(place, timeout=10)
            self._on_lost(LostRange(place.topic, place.partition, (window.committable if window else None) or NO_OFFSET, low))
            self._consumer.seek(TopicPartition(place.topic, place.partition, low))
        elif error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
            raise KafkaException(error)
        else:
            log.warning("kafka", group=self.group, error=error.str(), retriable=error.retriable())

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        starts = []
        for found in consumer.committed(partitions, timeout=30):
            if found.error:
                raise KafkaException(found.error)
            low, high = consumer.get_watermark_offsets(TopicPartition(found.topic, found.partition), timeout=30)
            if found.offset < 0:
                offset = OFFSET_BEGINNING
            elif found.offset < low or found.offset > high:
                # Below: retention was quicker than we. Above: the topic was made anew. Either way something is not there any more.
                self._on_lost(LostRange(found.topic, found.partition, found.offset, low))
                offset = low
            else:
                offset = found.offset
            starts.append(TopicPartition(found.topic, found.partition, offset))
            self.windows[found.topic, found.partition] = Window(found.topic, found.partition)
        consumer.incremental_assign(starts)
        if self._all_paused:
            self._pause_all()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """One deadline for all: what must finish has until then, the rest is delivered to the next owner again."""
        windows = [w for p in partitions if (w := self.windows.pop((p.topic, p.partition), None))]
        self._held -= {(p.topic, p.partition) for p in partitions}
        deadline = time.monotonic() + self.settings.revoke_deadline_s
        finishing = asyncio.run_coroutine_threadsafe(self._let_go(windows, deadline), self._loop)
        try:
            offsets = finishing.result(timeout=self.settings.revoke_deadline_s + 1)
        except FutureTimeout:
            finishing.cancel()
            log.warning("revoked partitions were given up at the deadline", group=self.group, partitions=len(partitions))
            offsets = []
        if offsets:
            self._quietly(consumer.commit, offsets=offsets, asynchronous=False)
        consumer.incremental_unassign(partitions)

    async def _let_go(self, windows: list[Window], deadline: float) -> list[TopicPartition]:
        await self._on_revoked(windows, deadline)
        offsets = _offsets(windows)
        for window in windows:
            self.give_back(*window.retire())
        return offsets

    def _lost_partitions(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away without asking (we were too late, or a zombie): others own them already, so nothing may be committed."""
        windows = [w for p in partitions if (w := self.windows.pop((p.topic, p.partition), None))]
        log.warning("partitions lost", group=self.group, partitions=[(p.topic, p.partition) for p in partitions])
        finishing = asyncio.run_coroutine_threadsafe(self._let_go(windows, time.monotonic()), self._loop)
        try:
            finishing.result(timeout=2)
        except FutureTimeout:
            finishing.cancel()
        consumer.incremental_unassign(partitions)

    def _final_commit(self) -> None:
        offsets = _offsets(self.windows.values())
        if offsets:
            self._quietly(self._consumer.commit, offsets=offsets, asynchronous=False)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            if error or p.error:
                # Not committed after all: forget that it was, so that the next turn tries again even without progress.
                window = self.windows.get((p.topic, p.partition))
                if window:
                    window.committed = None


def size_of(message: Message) -> int:
    """Bytes that a record is counted with."""
    return len(message.value() or b"") + 64


def _offsets(windows: Iterable[Window]) -> list[TopicPartition]:
    """What is new to commit, noted as committed."""
    out = []
    for window in list(windows):
        offset = window.committable
        if offset is not None and offset != window.committed:
            window.committed = offset
            out.append(TopicPartition(window.topic, window.partition, offset))
    return out
