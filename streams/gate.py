"""Stands between a stage's fair queue and its slots where the stage declares an admission: keeps limits, ends what is shed or late.

Every second the classes' queues are sampled over all partitions, by each worker for itself. What a worker holds of them, in hand and still in
its partitions, it counts exactly; of the others' it knows what the broker knows. So each sheds its own part, and none sheds twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog
from confluent_kafka import KafkaException, Message

from schemas import ids
from schemas.avro_codec import BadRecord
from streams import provenance
from streams.acknowledgement import Window
from streams.admin import BrokerUnreachable
from streams.admission import SHED, Policy
from streams.codec import Codec
from streams.contract import Stage
from streams.failures import Rejected
from streams.offsets import Place
from streams.queues import Queue, Queues
from streams.scheduling import PATIENCE_S, WEIGHTS, FairQueue
from streams.settings import StreamSettings
from streams.source import Source
from streams.step import Names

log = structlog.get_logger()
_SAMPLE_S = 1.0
_ENDING_AT_ONCE = 4
"""Records that are shed or late, ended side by side: each claims a verdict, and must not keep admitted work from the store."""


class Waits(Protocol):
    @property
    def window(self) -> Window: ...
    @property
    def message(self) -> Message: ...


W = TypeVar("W", bound=Waits)


class _About(NamedTuple):
    """What a waiting record's turn depends on; times are ms since 1970."""

    priority: str
    tenant: str
    since: int
    """When it came, or came out of its delay tier."""
    born: int
    """When its request was accepted: a repair round takes its place by that."""
    deadline: int | None
    cost: float


class Gate(Generic[W]):
    """One stage's, in one worker. Belongs to the event loop. ``end`` is called to begin a record's end; who calls :meth:`ended` when it is over."""

    def __init__(
        self,
        stage: Stage,
        settings: StreamSettings,
        codec: Codec,
        source: Source[Any],
        queue: FairQueue[W],
        end: Callable[[W, Rejected], None],
    ) -> None:
        assert stage.admission
        self._stage, self._settings, self._codec, self._source, self._queue, self._end = stage, settings, codec, source, queue, end
        self._admission = stage.admission
        self._topics = {t.name: t for t in stage.reads}
        self._classes = {settings.topic_prefix + t.name: t.priority or "normal" for t in stage.reads}
        self._names = Names()
        self.policy = Policy(settings.admission)
        self._about: dict[W, _About] = {}
        """Of every record that waits in the queue."""
        self._in_hand: Counter[str] = Counter()
        """Of each class, what waits in the queue or for its end."""
        self._holding: dict[str, set[Window]] = {}
        self._to_end: deque[tuple[W, str, Rejected]] = deque()
        self._ending = 0
        self._shed_left = 0

    # ---- records come and go ---------------------------------------------------------------------------------------------

    def put(self, work: W) -> None:
        """Let a record wait for its turn."""
        about = self._look_at(work)
        self._in_hand[about.priority] += 1
        self._hold_back(about.priority, work.window)
        if about.priority == SHED and self._shed_left:
            self._shed_left -= 1
            self._end_soon(work, about.priority, self.policy.shed(SHED))
            return
        self._about[work] = about
        due = about.deadline if about.deadline is not None else about.born + PATIENCE_S * 1000
        self._queue.push(work, about.priority, about.tenant, due=due / 1000, cost=about.cost)

    def next(self) -> W | None:
        """The record whose turn it is, taken out of the queue; None where none waits. Those found to be late on the way are ended."""
        now = ids.now_ms()
        while len(self._queue):
            work = self._queue.pop()
            about = self._about.pop(work)
            late = self.policy.late(about.priority, about.since, about.deadline, now)
            if late is None:
                self._let_go(about.priority)
                return work
            self._end_soon(work, about.priority, late)
        return None

    def ended(self) -> None:
        """A record's end is over, well or not."""
        self._ending -= 1
        self._end_some()

    def revoked(self, windows: Sequence[Window]) -> None:
        """These partitions are somebody else's, and so is what waits of them."""
        gone = set(windows)
        for work in self._queue.take_where(lambda w: w.window in gone):
            self._in_hand[self._about.pop(work).priority] -= 1
        for _, priority, _ in [entry for entry in self._to_end if entry[0].window in gone]:
            self._in_hand[priority] -= 1
        self._to_end = deque(entry for entry in self._to_end if entry[0].window not in gone)
        for held in self._holding.values():
            held -= gone  # the source lets go of its holds by itself
        for priority in list(self._holding):  # what is left may be none of the class, and then nothing else would release it
            self._release_if_room(priority)

    def _look_at(self, work: W) -> _About:
        message, window = work.message, work.window
        name, since = window.topic.removeprefix(self._settings.topic_prefix), max(0, message.timestamp()[1])
        if name not in self._topics:  # out of a delay tier: it waits since it was due, in the class it came from
            name, since = provenance.origin_of(message, self._settings).topic, max(since, provenance.due_ms(message))
        topic, value = self._topics.get(name), message.value()
        try:
            born = min(since, ids.id_time_ms((message.key() or b"").decode()))
        except ValueError:  # whose key is no request's waits by its own time
            born = since
        deadline, cost, tenant = None, 1.0, ""
        if topic and topic.record and value and (decode := self._codec.known_decoder(topic.record, value)):
            try:
                record = decode(value)
                deadline, cost, tenant = self._admission.deadline(record), self._admission.cost(record), self._names.tenant(record)
            except BadRecord:
                pass  # its step will say so
        return _About((topic and topic.priority) or "normal", tenant, since, born, deadline, cost)

    # ---- no class takes another's room -------------------------------------------------------------------------------------

    def _hold_back(self, priority: str, window: Window) -> None:
        """A class that fills its part of the window is not fetched further, so that there is always room for the others."""
        if priority in self._holding or self._in_hand[priority] >= self._settings.admission.window:
            self._hold_all(priority)

    def _hold_all(self, priority: str) -> None:
        held = self._holding.setdefault(priority, set())
        for window in self._source.windows.values():
            if self._classes.get(window.topic) == priority and window not in held:
                held.add(window)
                self._source.hold(window)

    def _let_go(self, priority: str) -> None:
        self._in_hand[priority] -= 1
        self._release_if_room(priority)

    def _release_if_room(self, priority: str) -> None:
        if priority in self._holding and self._in_hand[priority] <= self._settings.admission.window // 2:
            for window in self._holding.pop(priority):
                self._source.release(window)

    # ---- ends --------------------------------------------------------------------------------------------------------------

    def _end_soon(self, work: W, priority: str, why: Rejected) -> None:
        self._to_end.append((work, priority, why))
        self._end_some()

    def _end_some(self) -> None:
        while self._to_end and self._ending < _ENDING_AT_ONCE:
            work, priority, why = self._to_end.popleft()
            self._let_go(priority)
            self._ending += 1
            asyncio.get_running_loop().call_soon(self._end, work, why)  # a step starts in a callback of the loop, never within a task

    # ---- every second ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sample, shed, end what is late, until cancelled."""
        queues: Queues | None = None
        known = True
        while True:
            began = time.monotonic()
            try:
                if queues is None:
                    queues = await asyncio.to_thread(Queues, self._settings, self._stage.name, self._stage.reads)
                self._observe(await asyncio.to_thread(queues.read))
                known = True
            except (KafkaException, BrokerUnreachable, TimeoutError) as error:
                self.policy.unknown()
                if known:
                    log.warning(
                        "the queues' lengths are not known; nothing is shed until they are", stage=self._stage.name, error=str(error)
                    )
                known = False
            self._sweep()
            await asyncio.sleep(max(0.05, _SAMPLE_S - (time.monotonic() - began)))

    def _observe(self, queues: Mapping[Place, Queue]) -> None:
        queued: Counter[str] = Counter()
        done: Counter[str] = Counter()
        own = self._queue.size(SHED)
        for place, queue in queues.items():
            priority = self._classes[place[0]]
            done[priority] += queue.next
            window = self._source.windows.get(place)
            if window is None:
                queued[priority] += queue.end - queue.next
                continue
            beyond = max(0, queue.end - (window.next if window.next is not None else queue.next))
            queued[priority] += beyond
            if priority == SHED:
                own += beyond
        for priority in WEIGHTS:
            queued[priority] += self._queue.size(priority)
        self.policy.observe(time.monotonic(), queued, done)
        self._shed_left = self.policy.to_shed(own)

    def _sweep(self) -> None:
        """Age the classes, end what is late, shed what is to be shed of what is in hand; what is still to come is shed as it comes."""
        now = ids.now_ms()
        for priority in WEIGHTS:
            oldest = min((a.born for a in self._about.values() if a.priority == priority), default=now)
            self._queue.favour(priority, self.policy.factor(priority, (now - oldest) / 1000))
            if priority in self._holding:
                self._hold_all(priority)  # partitions that came since
        ends: dict[W, Rejected] = {}
        for work, about in self._about.items():
            if late := self.policy.late(about.priority, about.since, about.deadline, now):
                ends[work] = late
        if self._shed_left:
            waiting = sorted((w for w, a in self._about.items() if a.priority == SHED and w not in ends), key=lambda w: self._about[w].born)
            shed = self.policy.shed(SHED)
            for work in waiting[: self._shed_left]:
                ends[work] = shed
            self._shed_left -= min(self._shed_left, len(waiting))
        if ends:
            for work in self._queue.take_where(ends.__contains__):
                self._end_soon(work, self._about.pop(work).priority, ends[work])
