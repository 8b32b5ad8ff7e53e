"""A consumer group member that hands records to the event loop and commits what is done.

Two threads share the work. The *poll thread* owns the Kafka consumer and is the only one to call it: it polls (so that the group never
misses us, however long a handler takes), serves rebalances, pauses, resumes, commits. The *event loop* owns the windows: it notes records
as delivered and done, and says what may be committed and which partitions are to be held. What crosses between them:

- to the loop: batches of records, and revoked windows, for which the poll thread waits until the deadline;
- to the poll thread: offsets to commit, the partitions to hold, and how much room there is (counters, each written by one side).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any, Generic, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.acknowledgement import Window
from streams.admin import topic_ids
from streams.offsets import Place, committed, of_the_moment, patiently
from streams.settings import CLASSIC_SESSION_S, StreamSettings

log = structlog.get_logger()
_FULL_FOR_S = 1.0
"""How long a stage may be full before its partitions are paused: pausing throws away what was fetched ahead, waiting delays a rebalance."""
_TOPICS_EVERY_S = 5.0
"""How often it is looked whether the topics are still there: the client says nothing when one is deleted."""
_AT_ONCE = 5000
"""Records taken from the consumer in one turn at most: each turn costs the loop thread the interpreter's lock."""
_SLICE = 500
"""Records the loop is given in one of its turns, so that timers, delivery reports and other stages have theirs."""
_BOUNDS_WITHIN_S = 5.0
"""How long a rebalance may wait for partitions to say where they begin, all together: those that have a leader are not to wait for those that have none."""
OVERHEAD = 64
"""Bytes that a record counts with beside its value."""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets that were to be read next and are no longer there. The topic is named as in Kafka."""

    topic: str
    partition: int
    committed: int
    """Where we stood; -1 where that is not known."""
    earliest: int
    made_anew: bool = False
    """Whether the topic is another one of the same name: what the old one held after ``committed`` is gone with it."""

    @property
    def records(self) -> int | None:
        """How many may be lost at most (compaction and aborted writes leave gaps); None where nobody can know."""
        return self.earliest - self.committed if 0 <= self.committed <= self.earliest and not self.made_anew else None


_look_at_headers = methodcaller("headers")
UNREADABLE = [("millrace-headers", b"left out: a header's name is not UTF-8")]


def readable(message: Message) -> bool:
    """Whether a record's headers can be read. Ask before anything else looks at them.

    confluent-kafka turns all of them into Python at the first look and keeps the list. Where a name is not UTF-8 that first look raises, and the
    list that it keeps has a null pointer for the name: whoever touches it later crashes the process, again after each restart. Such headers
    are replaced by a note.

    The look goes through a ``methodcaller``: the client gives its list back *and* leaves the error set, which only a call that checks its result
    notices. CPython 3.11 leaves that check out of a method call that has run often enough to be specialised.
    """
    try:
        _look_at_headers(message)
    except SystemError:
        message.set_headers(list(UNREADABLE))
        return False
    return True


class Taken:
    """A record as taken from Kafka, in the window of its partition's assignment."""

    __slots__ = ("message", "offset", "readable", "size", "timestamp", "window")

    def __init__(self, message: Message, window: Window) -> None:
        self.message = message
        self.window = window
        self.offset: int = message.offset()
        self.size: int = len(message) + OVERHEAD
        self.timestamp: int = message.timestamp()[1]
        """The broker's time, ms; -1 where it has none."""
        self.readable = readable(message)


R = TypeVar("R", bound=Taken)


class Source(Generic[R]):
    """One member of one group. The three callbacks run in the event loop.

    ``take`` makes what is handed over of a message and its window; ``on_records`` gets what arrived; ``on_revoked`` gets windows that are being taken away and a deadline (of ``time.monotonic``) until
    which it may let their work finish; ``on_lost`` gets ranges that were deleted before they were read.
    """

    def __init__(
        self,
        settings: StreamSettings,
        group: str,
        topics: Iterable[str],
        take: Callable[[Message, Window], R],
        on_records: Callable[[list[R]], None],
        on_revoked: Callable[[Sequence[Window], float], Awaitable[None]],
        on_lost: Callable[[LostRange], None],
    ) -> None:
        self.settings = settings
        self.group = group
        self.topics = [settings.topic_prefix + t for t in topics]
        self._take, self._on_records, self._on_revoked, self._on_lost = take, on_records, on_revoked, on_lost
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        """Ends when the poll thread has: normally after :meth:`stop`, with the error where polling failed for good."""

        # Written by the loop.
        self.windows: dict[Place, Window] = {}
        self._given_back = self._given_back_bytes = 0
        self._holds: Counter[Window] = Counter()
        self._held: frozenset[Window] = frozenset()
        self._commits: deque[list[tuple[Window, int]]] = deque()
        self._to_deliver: deque[tuple[list[Message], dict[Place, Window]]] = deque()
        self._draining = False
        self._stopping = False
        self._committer: asyncio.Task[None] | None = None

        # Written by the poll thread.
        self._assigned: dict[Place, Window] = {}  # replaced, never changed: batches on their way keep the one they were taken under
        self._paused: set[Place] = set()
        self._full = False
        self._starved = False
        self._taken = self._taken_bytes = 0
        self._lag = 0
        self._lag_at = self._looked_at = 0.0
        self._topic_ids: dict[str, str] = {}
        self.missing: frozenset[str] = frozenset()
        """Topics that are not there, and partitions (TOPIC/N) that have no leader."""
        self._failed: BaseException | None = None
        self.turned_at = time.monotonic()
        """When the poll thread last turned: it must, whatever handlers do."""
        self.commits = self.commits_failed = self.rebalances = 0
        self.rebalance_seconds = 0.0

        self._room = threading.Event()
        self.client_id = f"millrace-{secrets.token_hex(6)}"
        """By which the broker's list of members shows this one. (``Consumer.memberid`` may block for ever.)"""
        self._consumer = self._joined(settings.group_protocol)
        self._thread = threading.Thread(target=self._run, name=f"poll-{group}", daemon=True)

    # ---- the event loop's side -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self._committer = self._loop.create_task(self._commit_forever())
        self._committer.add_done_callback(self._committer_ended)

    def done(self, records: Iterable[Taken]) -> None:
        """These are done for good: their outputs are acknowledged, or they lie in a retry tier or in the dead letters."""
        count = size = 0
        for record in records:
            if (was := record.window.done(record.offset)) is not None:
                count += 1
                size += was
        self.give_back(count, size)

    def give_back(self, records: int, size: int) -> None:
        """Make room, without the records being done: for those that only wait for a time to come."""
        self._given_back += records
        self._given_back_bytes += size
        if self._starved and self._in_use() < 0.75:
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

    @property
    def full(self) -> bool:
        """Whether records are left in Kafka for want of room."""
        return self._full or self._starved

    def lag(self) -> int:
        """Records between what is done and the end of the assigned partitions, as the poll thread saw it a second ago."""
        return self._lag

    def oldest_ms(self) -> int | None:
        """Broker time of the oldest record in hand, None where there is none."""
        return min((at for w in self.windows.values() if (at := w.oldest_ms) is not None), default=None)

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.commit_interval_s)
            if found := self._committable():
                self._commits.append(found)

    def _committable(self) -> list[tuple[Window, int]]:
        """What has moved since it was last handed over."""
        found = [(w, o) for w in self.windows.values() if (o := w.committable) is not None and o != w.committed]
        for window, offset in found:
            window.committed = offset
        return found

    def _deliver(self, messages: list[Message], windows: dict[Place, Window]) -> None:
        """Hand over a slice now and the rest in later turns. ``windows`` is what was assigned when the messages were taken."""
        idle = not self._to_deliver
        self._to_deliver.append((messages, windows))
        if idle:
            self._deliver_some()

    def _deliver_some(self) -> None:
        try:
            self._deliver_slice()
        except Exception as error:  # nothing would ever arrive again
            self._fail(error)

    def _deliver_slice(self) -> None:
        messages, windows = self._to_deliver[0]
        if len(messages) > _SLICE:
            self._to_deliver[0] = messages[_SLICE:], windows
            messages = messages[:_SLICE]
        else:
            self._to_deliver.popleft()
        fresh: list[R] = []
        take = self._take
        for message in messages:
            record = take(message, windows[message.topic(), message.partition()])
            if record.window.deliver(record.offset, record.size, record.timestamp):
                fresh.append(record)
            else:  # read again after a seek, so in hand already; or of a partition that was taken away meanwhile
                self.give_back(1, record.size)
        if fresh:
            self._on_records(fresh)
        if self._to_deliver:
            self._loop.call_soon(self._deliver_some)

    def _committer_ended(self, committer: asyncio.Task[None]) -> None:
        if not committer.cancelled() and (error := committer.exception()):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End the stage, which is told by :attr:`finished`."""
        if not self.finished.done():
            self.finished.set_exception(error)

    def _arrive(self, window: Window) -> None:
        self.windows[window.topic, window.partition] = window

    async def _let_go(self, windows: Sequence[Window], deadline: float) -> list[tuple[Window, int]]:
        """Let the windows' work finish until the deadline, then retire them; returns what may be committed."""
        for window in windows:
            window.close()
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
        if self._failed:
            self._fail(self._failed)
        elif not self.finished.done():
            self.finished.set_result(None)

    # ---- the poll thread's side ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._subscribe()
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

    def _joined(self, protocol: str) -> Consumer:
        return Consumer(_consumer_config(self.settings, self.group, protocol) | {"client.id": self.client_id, "on_commit": self._committed})

    def _fall_back(self) -> None:
        """The broker offers no groups of KIP-848: join as a member of a classic one, which is what every member of it then is."""
        log.warning("the broker offers no KIP-848 groups: going on with the classic protocol, cooperatively", group=self.group)
        self._consumer.close()  # it never had a partition
        self._consumer = self._joined("classic")
        self._subscribe()

    def _subscribe(self) -> None:
        self._consumer.subscribe(self.topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost_partitions)

    def _turn(self) -> None:
        """Take what is there while there is room: the first record as soon as it comes, others only if they are here already."""
        self._commit()
        self._measure_lag()
        self._look_at_topics()
        room = self._room_left()
        if room <= 0 and not self._full:
            # Pausing throws away what was prefetched, so it is not done for a moment's fullness.
            self._room.clear()
            self._starved = True
            self._full = self._room_left() <= 0 and not self._room.wait(_FULL_FOR_S)
            self._starved = False
            room = self._room_left()
        elif self._full and self._in_use() <= 0.5:
            self._full = False
        self._pause()
        if self._full or room <= 0:
            if (only := self._consumer.poll(0.02)) is not None:
                self._hand_over([only])
            return
        first = self._consumer.poll(0.05)
        if first is not None:
            place = first.topic(), first.partition()
            window = self._assigned.get(place)
            rest = self._consumer.consume(min(room, _AT_ONCE) - 1, timeout=0) if room > 1 else []
            # Taking the rest may have served a rebalance: where the partition is in a new window, that one begins at the committed offset.
            self._hand_over([first, *rest] if self._assigned.get(place) is window else rest)

    def _in_use(self) -> float:
        """The share of what may be in hand that is: of records or of bytes, whichever is more."""
        records = (self._taken - self._given_back) / self.settings.max_in_flight
        return max(records, (self._taken_bytes - self._given_back_bytes) / self.settings.max_in_flight_bytes)

    def _room_left(self) -> int:
        """How many records may be taken, 0 where there is no room; in bytes it is judged by their mean size so far."""
        if self._draining or self._in_use() >= 1:
            return 0
        mean = self._taken_bytes // self._taken if self._taken else self.settings.max_record_bytes
        left = self.settings.max_in_flight_bytes - (self._taken_bytes - self._given_back_bytes)
        return max(1, min(self.settings.max_in_flight - (self._taken - self._given_back), left // mean))

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
                self._consumer.commit(offsets=self._offsets(mine), asynchronous=True)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error or any(p.error for p in partitions):
            self.commits_failed += 1
        else:
            self.commits += 1
        for p in partitions:
            if (error or p.error) and (window := self._assigned.get((p.topic, p.partition))):
                window.committed = None  # it was not: the next turn tries again, even without progress

    def _measure_lag(self) -> None:
        now = self.turned_at = time.monotonic()
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

    def _look_at_topics(self) -> None:
        """Say which topics and partitions are gone; where a topic is back it is another one, for which the group has to be joined anew."""
        if self.turned_at < self._looked_at + _TOPICS_EVERY_S:
            return
        self._looked_at = self.turned_at
        try:
            there = self._consumer.list_topics(timeout=1).topics
        except KafkaException:
            return  # the broker is away: then nobody knows
        gone = {name for name in self.topics if name not in there or there[name].error}
        gone |= {f"{name}/{n}" for name in set(self.topics) - gone for n, p in there[name].partitions.items() if p.leader < 0}
        if new := sorted(gone - self.missing):
            log.error("topics or partitions are gone; what they held is not read, others are", group=self.group, missing=new)
        back, self.missing = self.missing - gone, frozenset(gone)
        if back:
            log.warning("topics or partitions are back", group=self.group, back=sorted(back))
        if back.intersection(self.topics):
            self._consumer.unsubscribe()
            self._subscribe()

    def _hand_over(self, messages: list[Message]) -> None:
        good = [m for m in messages if m.error() is None and (m.topic(), m.partition()) in self._assigned]
        if good:
            self._taken += len(good)
            self._taken_bytes += sum(map(len, good)) + OVERHEAD * len(good)
            self._loop.call_soon_threadsafe(self._deliver, good, self._assigned)
        if len(good) < len(messages):
            for message in messages:
                if (error := message.error()) is not None:
                    self._trouble(message, error)

    def _trouble(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._range_lost(message.topic(), message.partition())
        elif error.code() == KafkaError._FATAL and _without_kip_848(error) and not self._assigned:
            self._fall_back()
        elif (
            error.fatal()
            or error.code() == KafkaError._FATAL
            or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
        ):
            raise KafkaException(error)
        else:
            log.warning("kafka", group=self.group, error=error.str(), retriable=error.retriable())

    def _range_lost(self, topic: str, partition: int) -> None:
        """Where we stand was deleted while we were reading: go on at the earliest, in a new window, since offsets may start anew."""
        old = self._assigned.get((topic, partition))
        if old is None:
            return
        low, _ = patiently(partial(self._consumer.get_watermark_offsets, TopicPartition(topic, partition), timeout=10))
        new = Window(topic, partition)
        self._assigned = self._assigned | {(topic, partition): new}
        stood = old.next if old.next is not None else old.committed if old.committed is not None else -1
        self._loop.call_soon_threadsafe(self._restart, old, new, LostRange(topic, partition, stood, low))
        # A seek would be refused: the client has stopped fetching this partition.
        self._consumer.incremental_unassign([TopicPartition(topic, partition)])
        self._consumer.incremental_assign([TopicPartition(topic, partition, low)])
        self._consumer.resume([TopicPartition(topic, partition)])
        self._paused.discard((topic, partition))

    def _restart(self, old: Window, new: Window, lost: LostRange) -> None:
        self.give_back(*old.retire())
        self._arrive(new)
        self._on_lost(lost)

    # ---- rebalances, in the poll thread ----------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        with self._rebalancing():
            self._begin(consumer, partitions)

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts = []
        self._topic_ids |= topic_ids(self.settings, {p.topic for p in partitions})
        until = time.monotonic() + _BOUNDS_WITHIN_S
        for found in patiently(lambda: committed(consumer, partitions, 10)):
            # Where nobody says what there is, the partition has no leader. It is told when it has one whether the offset is out of range.
            low, high = _bounds(consumer, found, until) or (found.offset, found.offset)
            if found.offset < 0:
                offset = OFFSET_BEGINNING
            elif (was := found.metadata) and was != self._topic_ids.get(found.topic, was):
                # Another topic of the same name, in which the offset may well exist and means nothing.
                self._loop.call_soon_threadsafe(self._on_lost, LostRange(found.topic, found.partition, found.offset, low, made_anew=True))
                offset = OFFSET_BEGINNING
            elif found.offset < low or found.offset > high:
                # Below: retention was quicker than we. Above: the topic was made anew. Either way something is not there any more.
                self._loop.call_soon_threadsafe(self._on_lost, LostRange(found.topic, found.partition, found.offset, low))
                offset = low
            else:
                offset = found.offset
            starts.append(TopicPartition(found.topic, found.partition, offset))
            window = Window(found.topic, found.partition)
            self._assigned = self._assigned | {(found.topic, found.partition): window}
            window.committed = found.offset if found.offset >= 0 else None
            self._loop.call_soon_threadsafe(self._arrive, window)
        consumer.incremental_assign(starts)
        # librdkafka remembers a pause beyond its assignment: a partition that was held when it went would come back and never be fetched.
        consumer.resume(starts)

    def _offsets(self, found: Iterable[tuple[Window, int]]) -> list[TopicPartition]:
        """As they are committed: with the id of the topic that they were read from."""
        return [TopicPartition(w.topic, w.partition, o, metadata=self._topic_ids.get(w.topic)) for w, o in found]

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """One deadline for all: what must finish has until then, the rest is delivered to the next owner again."""
        with self._rebalancing():
            offsets = self._let_go_within(partitions, self.settings.revoke_deadline_s)
            if offsets:
                try:
                    consumer.commit(offsets=self._offsets(offsets), asynchronous=False)
                except KafkaException as error:
                    log.warning("not committed; the next owner will see some records again", group=self.group, error=error.args[0].str())
            consumer.incremental_unassign(partitions)

    def _on_lost_partitions(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away without asking (we were too late, or a zombie): others own them already, so nothing may be committed."""
        log.warning("partitions lost", group=self.group, partitions=[f"{p.topic}/{p.partition}" for p in partitions])
        with self._rebalancing():
            self._let_go_within(partitions, 0.0)
            consumer.incremental_unassign(partitions)

    @contextmanager
    def _rebalancing(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.rebalances += 1
            self.rebalance_seconds += time.monotonic() - began

    def _let_go_within(self, partitions: list[TopicPartition], seconds: float) -> list[tuple[Window, int]]:
        places = {(p.topic, p.partition) for p in partitions}
        windows = [w for place, w in self._assigned.items() if place in places]
        self._assigned = {place: w for place, w in self._assigned.items() if place not in places}
        self._paused -= places
        finishing = asyncio.run_coroutine_threadsafe(self._let_go(windows, time.monotonic() + seconds), self._loop)
        try:
            return finishing.result(timeout=seconds + 1)
        except FutureTimeout:
            # Something blocks the loop itself. It will find the windows retired when it comes back; nothing of theirs is committed.
            log.error("the event loop does not turn; partitions are given up without it", group=self.group, partitions=len(windows))
            return []


def _bounds(consumer: Consumer, place: TopicPartition, until: float) -> tuple[int, int] | None:
    """A partition's first offset and one past its last; None where the broker did not say before the given time (of ``time.monotonic``)."""

    def ask() -> tuple[int, int]:
        left = max(0.1, until - time.monotonic())
        found: tuple[int, int] = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=left)
        return found

    try:
        return patiently(ask, until - time.monotonic())
    except KafkaException as error:
        if not of_the_moment(error):
            raise
        log.warning("a partition does not say where it begins", place=f"{place.topic}/{place.partition}", error=error.args[0].str())
        return None


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
