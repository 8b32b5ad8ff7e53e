"""A member of a consumer group that hands records to the event loop and commits what is done.

Two threads share the work. The *poll thread* (``streams.poll``) owns the Kafka consumer. The *event loop*, whose side this is, owns the windows: it
notes records as delivered and done, and says what may be committed and which partitions are to be held.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import structlog
from confluent_kafka import Message

from streams.acknowledgement import Window
from streams.assignment import Progress
from streams.offsets import Place
from streams.poll import PollThread, Wishes
from streams.room import Room
from streams.settings import StreamSettings
from streams.taken import LostRange, Taken

log = structlog.get_logger()
_SLICE = 500
"""Records the loop is given in one of its turns, so that timers, delivery reports and other stages have theirs."""
R = TypeVar("R", bound=Taken)


class Source(Generic[R]):
    """One member of one group. All methods and callbacks belong to the event loop.

    ``take`` makes what is handed over of a message and its window; ``on_records`` gets what arrived; ``on_revoked`` gets windows that are being taken
    away and a deadline (of ``time.monotonic``) until which it may let their work finish; ``on_lost`` gets ranges that were deleted before they were
    read.
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
        self._take, self._on_records, self._on_revoked, self._on_lost = take, on_records, on_revoked, on_lost
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        """Ends when the poll thread has: normally after :meth:`stop`, with the error where polling failed for good."""
        self.windows: dict[Place, Window] = {}
        self._holds: Counter[Window] = Counter()
        self._to_deliver: deque[tuple[list[Message], dict[Place, Window]]] = deque()
        self._committer: asyncio.Task[None] | None = None
        self._wishes = Wishes()
        self._room = Room(settings.max_in_flight, settings.max_in_flight_bytes, settings.max_record_bytes)
        self.poll = PollThread(settings, group, [settings.topic_prefix + t for t in topics], self._room, self._wishes, self._loop, self)

    # ---- for whoever works on the records ----------------------------------------------------------------------------------

    def start(self) -> None:
        self.poll.start()
        self._committer = self._loop.create_task(self._commit_forever())
        self._committer.add_done_callback(self._committer_ended)

    def done(self, records: Iterable[Taken]) -> None:
        """These are done for good: their outputs are acknowledged, or they lie in a retry tier or in the dead letters."""
        count = size = 0
        for record in records:
            if (was := record.window.done(record.offset)) is not None:
                count += 1
                size += was
        self._room.give_back(count, size)

    def give_back(self, records: int, size: int) -> None:
        """Make room, without the records being done: for those that only wait for a time to come."""
        self._room.give_back(records, size)

    def take_again(self, records: int, size: int) -> None:
        self._room.take_again(records, size)

    def hold(self, window: Window) -> None:
        """Stop fetching one partition until it was released as often as it was held; others go on."""
        self._holds[window] += 1
        self._wishes.held = frozenset(self._holds)

    def release(self, window: Window) -> None:
        self._holds[window] -= 1
        if self._holds[window] <= 0:
            del self._holds[window]
        self._wishes.held = frozenset(self._holds)

    def drain(self) -> None:
        """Take nothing more; membership and commits go on until :meth:`stop`."""
        self._room.close()

    async def stop(self) -> None:
        """Commit what is done, leave the group, close. Records in flight will be delivered to the next owner."""
        if self._committer:
            self._committer.cancel()
        self._wishes.stop = True
        self._room.close()
        await asyncio.to_thread(self.poll.join)

    @property
    def full(self) -> bool:
        """Whether records are left in Kafka for want of room."""
        return self.poll.full or self._room.starved

    # ---- commits -----------------------------------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.commit_interval_s)
            if found := self._committable():
                self._wishes.commits.append(found)

    def _committable(self) -> list[Progress]:
        """What has moved since it was last handed over."""
        found = [(w, o) for w in self.windows.values() if (o := w.committable) is not None and o != w.committed]
        for window, offset in found:
            window.committed = offset
        return found

    def _committer_ended(self, committer: asyncio.Task[None]) -> None:
        if not committer.cancelled() and (error := committer.exception()):
            self._fail(error)

    # ---- what the poll thread has the loop do (``streams.assignment.LoopSide``) ----------------------------------------------

    def deliver(self, messages: list[Message], windows: dict[Place, Window]) -> None:
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
                self._room.give_back(1, record.size)
        if fresh:
            self._on_records(fresh)
        if self._to_deliver:
            self._loop.call_soon(self._deliver_some)

    def arrive(self, window: Window) -> None:
        self.windows[window.topic, window.partition] = window

    def restart(self, old: Window, new: Window, lost: LostRange) -> None:
        self._room.give_back(*old.retire())
        self.arrive(new)
        self._on_lost(lost)

    def lost(self, lost: LostRange) -> None:
        self._on_lost(lost)

    async def let_go(self, windows: Sequence[Window], deadline: float) -> list[Progress]:
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
                self._room.give_back(*window.retire())
                self._holds.pop(window, None)
                if self.windows.get((window.topic, window.partition)) is window:
                    del self.windows[window.topic, window.partition]
            self._wishes.held = frozenset(self._holds)
        return offsets

    def ended(self, error: BaseException | None) -> None:
        if error:
            self._fail(error)
        elif not self.finished.done():
            self.finished.set_result(None)

    def _fail(self, error: BaseException) -> None:
        """End the stage, which is told by :attr:`finished`."""
        if not self.finished.done():
            self.finished.set_exception(error)
