"""One owner making one paid call: its intent, the call itself, its end.

A call that was begun is listened to whatever becomes of its step (revoked, over its time): the answer was paid for. So the end is written down by
a task that belongs to no step; one that finds its call in doubt is written down as late, and its row on the bill corrected.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from schemas import ids
from schemas.records import Record, UsageRecorded
from streams.breaker import Breaker, Pass
from streams.failures import Waiting
from streams.ledger import IN_DOUBT, RESULT, Answer, Call, End, Intent, Ledger, Metered
from streams.metrics import PAID_CALLS
from streams.objects import ObjectStore
from streams.quota import Account

if TYPE_CHECKING:
    from streams.contract import Context, Writer
    from streams.settings import StreamSettings

T = TypeVar("T")
log = structlog.get_logger()
_INSIST_S = 600.0
_LISTENING: set[asyncio.Task[None]] = set()
"""Calls under way. They outlive their steps; the loop itself keeps tasks by weak references only."""

Ask = Callable[[int], Awaitable[Answer]]


class PaidServices(Protocol):
    """What paid calls need of a worker."""

    @property
    def objects(self) -> ObjectStore: ...
    @property
    def settings(self) -> StreamSettings: ...
    @property
    def writer(self) -> Writer: ...
    async def account(self, source: Any) -> Account | None: ...
    async def deliver(self, records: Sequence[Record]) -> None:
        """Publish at once; returns when the broker has them for good."""


@dataclass(frozen=True, slots=True)
class Question:
    """What :meth:`Context.paid` was asked for."""

    ask: Ask
    input_hash: str
    time_limit_s: float
    bill: Metered
    calls: int
    estimate_usd: Decimal | None
    breaker: Breaker | None


class Payer:
    """One owner of a step: who asks, for what, in which ledger. Used from the event loop."""

    def __init__(self, source: Any, context: Context, services: PaidServices, clock: Callable[[], int]) -> None:
        self.source, self.context, self.services, self.clock = source, context, services, clock
        self.ledger = Ledger(services.objects, source, context.stage, context.round)
        self.step = ids.step_name(source.request_id, context.stage, context.round)
        self.owner = ids.new_id()
        self.made = 0
        """Calls begun by this owner."""

    def _intent(self, question: Question) -> Intent:
        """What is written down before a call."""
        now = self.clock()
        return Intent(
            self.owner, now, now + int(question.time_limit_s * 1000), question.input_hash, self.services.settings.code_version,
            question.bill, "" if question.estimate_usd is None else str(question.estimate_usd),
        )  # fmt: skip

    def row(self, call: Call, end: End, *, revision: int = 0) -> UsageRecorded:
        """The call's row on the bill, with this end."""
        bill = call.intent.bill
        assert bill is not None
        metered = bill if end.answer is None or end.answer.metered is None else end.answer.metered
        outcome = "in_doubt" if end.answer is None else "ok" if end.answer.ok else "error"
        # The kind is part of the row's id, so a correction must find it again.
        return self.context.usage_row(metered, kind=bill.kind, call=call.number, outcome=outcome, revision=revision, occurred_at=end.at_ms)

    async def call(self, number: int, question: Question, spent: Decimal) -> None:
        """Make a call and write down its end; nothing where another owner was first. Returns when the call has its end.

        ``spent``: what the step's calls have cost before. Raises :class:`~streams.failures.Waiting` where the breaker is open or no answer came, and
        :class:`~streams.failures.Rejected` where a quota is used up.
        """
        leave = question.breaker.enter() if question.breaker else None
        try:
            if account := await self.services.account(self.source):
                held = spent + (question.estimate_usd or 0)
                await asyncio.to_thread(account.reserve, self.step, self.source.request_id, held)
            intent = self._intent(question)
            if not await self.ledger.begin(number, intent):
                return
            self.made += 1
            ended = asyncio.get_running_loop().create_future()
            listening = asyncio.create_task(self._listen(number, intent, question, leave, ended))
            _LISTENING.add(listening)
            listening.add_done_callback(_LISTENING.discard)
            leave = None  # from here on the listener's
            await asyncio.shield(ended)
        finally:
            if leave is not None and question.breaker:
                question.breaker.leave(leave)

    async def _listen(self, number: int, intent: Intent, question: Question, leave: Pass | None, ended: asyncio.Future[None]) -> None:
        """Ask, and write down what comes. Belongs to no step: neither a revoked partition nor the step's time limit ends it."""
        asking: asyncio.Future[Answer] | None = None
        try:
            if self.clock() >= intent.expires_ms:  # this process was stopped in between; by now somebody else may be calling
                free = replace(question.bill, quantity=0, cost_usd=Decimal(0))
                answer = Answer(ok=False, error="not asked: the time for it was over", metered=free)
                await self._record(number, intent, End(RESULT, self.clock(), answer))
                return
            asking = asyncio.ensure_future(question.ask(number))
            await asyncio.wait({asking}, timeout=question.time_limit_s)
            if not asking.done():
                # This owner's own clock wrote the expiry, so it need not wait for the skew. The answer may still come.
                if leave is not None:
                    leave.failed()
                await self.doubt(number, f"no answer within {question.time_limit_s:g} s")
                _end(ended)
                await asyncio.wait({asking}, timeout=question.time_limit_s)
                if not asking.done():
                    return
            answer = asking.result()
            if leave is not None:
                if answer.ok or not answer.retry:
                    leave.ok()
                else:
                    leave.failed(answer.retry_after_s)
            await self._record(number, intent, End(RESULT, self.clock(), answer))
            _end(ended)
        except Exception as error:
            # What is not an answer is not known: the intent runs out, and who comes then says so. An error of the store ends like this too.
            log.warning(
                "paid call without an answer", stage=self.context.stage, call=number, error=f"{type(error).__name__}: {error}"[:500]
            )
            if leave is not None:
                leave.failed()
            left = (intent.expires_ms - self.clock()) / 1000 + self.services.settings.clock_skew_s
            _end(ended, Waiting("paid_call_unanswered", f"call {number} gave no answer: {type(error).__name__}: {error}", seconds=left))
        finally:
            if asking is not None:
                asking.cancel()
            if leave is not None and question.breaker:
                question.breaker.leave(leave)
            _end(ended)

    async def _record(self, number: int, intent: Intent, end: End) -> None:
        assert end.answer is not None
        if await _insist(lambda: self.ledger.finish(number, end)):
            PAID_CALLS.labels(self.context.stage, "ok" if end.answer.ok else "error").inc()
            return
        late = await _insist(lambda: self.ledger.add_late(number, end))
        log.warning("answer of a call in doubt came late", stage=self.context.stage, request=self.source.request_id, call=number)
        correction = self.row(Call(number, intent, late=late), late, revision=1)
        await _insist(lambda: self.services.deliver([correction]))

    async def doubt(self, number: int, why: str) -> None:
        """Say that nobody knows how a call ended, unless its end is there by now."""
        if await self.ledger.finish(number, End(IN_DOUBT, self.clock(), why=why)):
            PAID_CALLS.labels(self.context.stage, "in_doubt").inc()
            log.warning("paid call in doubt", stage=self.context.stage, request=self.source.request_id, call=number, why=why)


async def _insist(do: Callable[[], Awaitable[T]]) -> T:
    """What was paid for is not given up because a disk is full for a while: try for ten minutes. Raises the last error."""
    end = time.monotonic() + _INSIST_S
    pause = 0.1
    while True:
        try:
            return await do()
        except Exception as error:
            if time.monotonic() > end:
                raise
            log.warning("ledger: not written yet", error=f"{type(error).__name__}: {error}"[:500])
            pause = min(10.0, pause * 2)
            await asyncio.sleep(pause * random.random())


def _end(ended: asyncio.Future[None], error: Exception | None = None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
        ended.exception()  # its step may be gone: nobody has to look
