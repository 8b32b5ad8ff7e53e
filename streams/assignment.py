"""The partitions that a member of a group has, as its poll thread knows them: how they come, how they go, where reading starts.

All of it happens in the poll thread: librdkafka calls back while it is polled, and waits for the answer.

G1  A partition that comes gets a window of its own, also where it comes back: what is on its way for the old one changes nothing in the new.
G2  ``windows`` is replaced, never changed: a batch on its way to the loop keeps the one that it was taken under.
G3  It is read from where the group committed; from its earliest record where it never did; and where that record is no longer there, or the topic is
    another one of the same name, this is said (``lost``) before the first record is handed over.
G4  What is taken away has one deadline for all its work; then it goes, whatever still runs. Only offsets of windows that are still ours are committed.
G5  A partition that comes is fetched: librdkafka remembers a pause beyond its assignment, so each is resumed as it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from streams.acknowledgement import Window
from streams.admin import topic_ids
from streams.offsets import Place, committed, of_the_moment, patiently
from streams.settings import StreamSettings
from streams.taken import LostRange

log = structlog.get_logger()
Progress = tuple[Window, int]
"""A window and the offset it may be committed at."""
_BOUNDS_WITHIN_S = 5.0
"""How long a rebalance may wait for partitions to say where they begin, all together: those that have a leader are not to wait for those that have none."""


class LoopSide(Protocol):
    """What the poll thread has the event loop do. Each runs in the loop."""

    def deliver(self, messages: list[Message], windows: dict[Place, Window]) -> None:
        """Hand over what was taken while ``windows`` was assigned."""

    def arrive(self, window: Window) -> None:
        """A partition came."""

    def restart(self, old: Window, new: Window, lost: LostRange) -> None:
        """A partition goes on elsewhere, in a new window."""

    def lost(self, lost: LostRange) -> None:
        """Records were deleted before they were read."""

    def let_go(self, windows: Sequence[Window], deadline: float) -> Coroutine[Any, Any, list[Progress]]:
        """Let work finish until the deadline (of ``time.monotonic``), then retire the windows; returns what may be committed."""

    def ended(self, error: BaseException | None) -> None:
        """The poll thread has ended."""


class Assignment:
    """Belongs to the poll thread; the counters are read by the loop."""

    def __init__(self, settings: StreamSettings, group: str, loop: asyncio.AbstractEventLoop, side: LoopSide) -> None:
        self._settings, self._group, self._loop, self._side = settings, group, loop, side
        self.windows: dict[Place, Window] = {}
        self._paused: set[Place] = set()
        self._topic_ids: dict[str, str] = {}
        self.rebalances = 0
        self.rebalance_seconds = 0.0

    # ---- while they are here ---------------------------------------------------------------------------------------------

    def pause(self, consumer: Consumer, wanted: set[Place]) -> None:
        """Let what is not fetched be what should not be."""
        if wanted == self._paused:
            return
        if new := wanted - self._paused:
            consumer.pause([TopicPartition(*place) for place in new])
        if old := self._paused - wanted:
            consumer.resume([TopicPartition(*place) for place in old])
        self._paused = wanted

    def ours(self, found: Iterable[Progress]) -> list[TopicPartition]:
        """What may be committed of it now: a window that was taken away has committed already, and would turn its next owner back (G4)."""
        return self._offsets((w, offset) for w, offset in found if self.windows.get((w.topic, w.partition)) is w)

    def _offsets(self, found: Iterable[Progress]) -> list[TopicPartition]:
        """As they are committed: with the id of the topic that they were read from."""
        return [TopicPartition(w.topic, w.partition, offset, metadata=self._topic_ids.get(w.topic)) for w, offset in found]

    def out_of_range(self, consumer: Consumer, topic: str, partition: int) -> None:
        """Where we stand was deleted while we were reading: go on at the earliest, in a new window, since offsets may start anew."""
        old = self.windows.get((topic, partition))
        if old is None:
            return
        low, _ = patiently(partial(consumer.get_watermark_offsets, TopicPartition(topic, partition), timeout=10))
        new = Window(topic, partition)
        self.windows = self.windows | {(topic, partition): new}
        stood = old.next if old.next is not None else old.committed if old.committed is not None else -1
        self._loop.call_soon_threadsafe(self._side.restart, old, new, LostRange(topic, partition, stood, low))
        # A seek would be refused: the client has stopped fetching this partition.
        consumer.incremental_unassign([TopicPartition(topic, partition)])
        self._fetch(consumer, [TopicPartition(topic, partition, low)])
        self._paused.discard((topic, partition))

    # ---- how they come ---------------------------------------------------------------------------------------------------

    def on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        with self._rebalancing():
            self._topic_ids |= topic_ids(self._settings, {p.topic for p in partitions})
            until = time.monotonic() + _BOUNDS_WITHIN_S
            starts = [self._begin(consumer, found, until) for found in patiently(lambda: committed(consumer, partitions, 10))]
            self._fetch(consumer, starts)

    def _begin(self, consumer: Consumer, found: TopicPartition, until: float) -> TopicPartition:
        """Make the window of a partition that comes; returns where to read from (G3). ``found`` is what the group has committed of it."""
        # Where nobody says what there is, the partition has no leader. When it has one, it is told whether the offset is out of range.
        low, high = _bounds(consumer, found, until) or (found.offset, found.offset)
        offset = found.offset
        lost: LostRange | None = None
        if found.offset < 0:
            offset = OFFSET_BEGINNING
        elif (was := found.metadata) and was != self._topic_ids.get(found.topic, was):
            # Another topic of the same name, in which the offset may well exist and means nothing.
            lost, offset = LostRange(found.topic, found.partition, found.offset, low, made_anew=True), OFFSET_BEGINNING
        elif not low <= found.offset <= high:
            # Below: retention was quicker than we. Above: the topic was made anew. Either way something is not there any more.
            lost, offset = LostRange(found.topic, found.partition, found.offset, low), low
        if lost:
            self._loop.call_soon_threadsafe(self._side.lost, lost)
        window = Window(found.topic, found.partition)
        self.windows = self.windows | {(found.topic, found.partition): window}
        window.committed = found.offset if found.offset >= 0 else None
        self._loop.call_soon_threadsafe(self._side.arrive, window)
        return TopicPartition(found.topic, found.partition, offset)

    def _fetch(self, consumer: Consumer, starts: list[TopicPartition]) -> None:
        consumer.incremental_assign(starts)
        consumer.resume(starts)  # G5

    # ---- how they go -----------------------------------------------------------------------------------------------------

    def on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """What must finish has until the deadline, the rest is delivered to the next owner again."""
        with self._rebalancing():
            if offsets := self._offsets(self._let_go(partitions, self._settings.revoke_deadline_s)):
                try:
                    consumer.commit(offsets=offsets, asynchronous=False)
                except KafkaException as error:
                    log.warning("not committed; the next owner will see some records again", group=self._group, error=error.args[0].str())
            consumer.incremental_unassign(partitions)

    def on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away without asking (we were too late, or a zombie): others own them already, so nothing may be committed."""
        log.warning("partitions lost", group=self._group, partitions=[f"{p.topic}/{p.partition}" for p in partitions])
        with self._rebalancing():
            self._let_go(partitions, 0.0)
            consumer.incremental_unassign(partitions)

    def _let_go(self, partitions: list[TopicPartition], seconds: float) -> list[Progress]:
        """Have the loop let go of partitions within so many seconds; returns what may be committed of them."""
        places = {(p.topic, p.partition) for p in partitions}
        going = [w for place, w in self.windows.items() if place in places]
        self.windows = {place: w for place, w in self.windows.items() if place not in places}
        self._paused -= places
        letting_go = asyncio.run_coroutine_threadsafe(self._side.let_go(going, time.monotonic() + seconds), self._loop)
        try:
            return letting_go.result(timeout=seconds + 1)
        except FutureTimeout:
            # Something blocks the loop itself. It will find the windows retired when it comes back; nothing of theirs is committed.
            log.error("the event loop does not turn; partitions are given up without it", group=self._group, partitions=len(going))
            return []

    @contextmanager
    def _rebalancing(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.rebalances += 1
            self.rebalance_seconds += time.monotonic() - began


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
