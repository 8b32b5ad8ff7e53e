"""Making paid calls through the ledger: the way of one question from its first call to its answer.

1. Read what the ledger says, and ask :func:`streams.ledger.next_move` what to do.
2. *Wait* while another owner's intent lives: in the delay tiers, not here.
3. Say *in doubt* of a call whose intent has expired.
4. *Ask*: pass the breaker, the budget and the quota, write the intent, call.
5. Write the end down, whatever becomes of the step: a call that was begun is listened to even when its step is cancelled (revoked, over its time).
   An answer that finds its call in doubt is written down as late, and its row on the bill corrected.
6. Go on at 1 until there is an answer or no further call.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from schemas import ids
from schemas.records import AuditRecorded, Record, UsageRecorded
from streams import ledger, runs
from streams.breaker import Breaker, Pass
from streams.failures import ProviderFailed, Rejected, Waiting
from streams.ledger import IN_DOUBT, RESULT, Answer, Call, End, Intent, Ledger, Metered
from streams.metrics import PAID_CALLS
from streams.objects import ObjectStore
from streams.quota import Account

if TYPE_CHECKING:
    from streams.contract import Context, Writer
    from streams.settings import StreamSettings

T = TypeVar("T")
log = structlog.get_logger()
IN_PLACE_S = 5.0
"""Pauses between calls up to this long are waited out in the step's slot, longer ones in the delay tiers."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
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


class Calls:
    """The paid calls of one step. Used from the event loop."""

    def __init__(
        self,
        source: Any,
        context: Context,
        services: PaidServices,
        *,
        clock: Callable[[], int] = ids.now_ms,
        stops_at: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """``stops_at`` says when (of ``time.monotonic``) this worker ends, as far as it knows: a call that could be cut off then is not begun."""
        self._source, self._context, self._services, self._clock, self._stops_at = source, context, services, clock, stops_at
        self.ledger = Ledger(services.objects, source, context.stage, context.round)
        self._step = ids.step_name(source.request_id, context.stage, context.round)
        self._owner = ids.new_id()
        self._first = 0
        self._made = 0
        self._known: dict[int, Call] = {}
        self._until = math.inf

    def within(self, seconds: float) -> None:
        """The step ends in so many seconds: no further call is begun that this would cut off."""
        self._until = time.monotonic() + seconds

    # ---- one question --------------------------------------------------------------------------------------------------------

    async def answer(self, question: Question) -> Answer:
        """The question's answer. Raises what :meth:`streams.contract.Context.paid` says."""
        settings, made = self._services.settings, self._made
        compared = False
        while True:
            calls = await self.ledger.read(self._first)
            self._known.update((c.number, c) for c in calls)
            if not compared:
                compared = True
                await self._compare(question, calls)
            move = ledger.next_move(
                calls, first=self._first, limit=question.calls, now_ms=self._clock(), skew_ms=settings.clock_skew_s * 1000, pause_ms=self._pause_ms
            )  # fmt: skip
            match move:
                case ledger.Answered(call):
                    assert call.end is not None and call.end.answer is not None
                    self._first = call.number + 1
                    if made == self._made:
                        PAID_CALLS.labels(self._context.stage, "reused").inc()
                    return call.end.answer
                case ledger.Spent(calls=spent, closed=closed):
                    raise self._failed(spent, closed)
                case ledger.Wait(call, until_ms):
                    left = (until_ms - self._clock()) / 1000
                    raise Waiting("paid_call_under_way", f"call {call.number} is another owner's for {left:.0f} s at most", seconds=left)
                case ledger.Doubt(call):
                    await self._doubt(call.number, f"no result before its intent expired at {_time(call.intent.expires_ms)}")
                case ledger.Ask(number, not_before_ms):
                    if number == self._first and self._source.run and await self._adopt(number, question):
                        continue
                    await self._pause((not_before_ms - self._clock()) / 1000)
                    done_by = time.monotonic() + question.time_limit_s
                    if self._made and done_by > self._until:
                        raise Waiting("no_time_left", "the step's time does not suffice for another call", seconds=0)
                    if done_by > self._stops_at():
                        raise Waiting("no_time_left", "this worker stops before the call would end", seconds=0)
                    await self._call(number, question)

    async def _pause(self, seconds: float) -> None:
        if seconds > IN_PLACE_S:
            raise Waiting("provider_asked_to_wait", f"the provider takes no call for {seconds:.0f} s", seconds=seconds)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _pause_ms(self, failed: int) -> float:
        """Exponential with full jitter: anything up to 1 s after the first failed call, 2 s after the second, at most 30 s."""
        chance = random.Random(f"{self._owner}.{failed}").random()
        return chance * min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0**failed) * 1000

    async def _call(self, number: int, question: Question) -> None:
        """Make a call and write down its end; nothing where another owner was first. Returns when the call has its end."""
        leave = question.breaker.enter() if question.breaker else None
        try:
            if account := await self._services.account(self._source):
                held = sum((c.usd() for c in self._known.values()), question.estimate_usd or Decimal(0))
                await asyncio.to_thread(account.reserve, self._step, self._source.request_id, held)
            now = self._clock()
            intent = Intent(
                self._owner, now, now + int(question.time_limit_s * 1000), question.input_hash, self._services.settings.code_version,
                question.bill, "" if question.estimate_usd is None else str(question.estimate_usd),
            )  # fmt: skip
            if not await self.ledger.begin(number, intent):
                return
            self._made += 1
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
            if self._clock() >= intent.expires_ms:  # this process was stopped in between; by now somebody else may be calling
                free = replace(question.bill, quantity=0, cost_usd=Decimal(0))
                answer = Answer(ok=False, error="not asked: the time for it was over", metered=free)
                await self._record(number, intent, End(RESULT, self._clock(), answer))
                return
            asking = asyncio.ensure_future(question.ask(number))
            await asyncio.wait({asking}, timeout=question.time_limit_s)
            if not asking.done():
                # This owner's own clock wrote the expiry, so it need not wait for the skew. The answer may still come.
                if leave is not None:
                    leave.failed()
                await self._doubt(number, f"no answer within {question.time_limit_s:g} s")
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
            await self._record(number, intent, End(RESULT, self._clock(), answer))
            _end(ended)
        except Exception as error:
            # What is not an answer is not known: the intent runs out, and who comes then says so. An error of the store ends like this too.
            log.warning(
                "paid call without an answer", stage=self._context.stage, call=number, error=f"{type(error).__name__}: {error}"[:500]
            )
            if leave is not None:
                leave.failed()
            left = (intent.expires_ms - self._clock()) / 1000 + self._services.settings.clock_skew_s
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
            PAID_CALLS.labels(self._context.stage, "ok" if end.answer.ok else "error").inc()
            return
        late = await _insist(lambda: self.ledger.add_late(number, end))
        log.warning("answer of a call in doubt came late", stage=self._context.stage, request=self._source.request_id, call=number)
        correction = self._row(Call(number, intent, late=late), late, revision=1)
        await _insist(lambda: self._services.deliver([correction]))

    async def _doubt(self, number: int, why: str) -> None:
        if await self.ledger.finish(number, End(IN_DOUBT, self._clock(), why=why)):
            PAID_CALLS.labels(self._context.stage, "in_doubt").inc()
            log.warning("paid call in doubt", stage=self._context.stage, request=self._source.request_id, call=number, why=why)

    def _failed(self, calls: tuple[Call, ...], closed: str) -> ProviderFailed:
        said = "; ".join(
            f"call {c.number}: {c.end.answer.error or 'an error' if c.end.answer is not None else f'in doubt, {c.end.why}'}"
            for c in calls
            if c.end
        )
        last = next((c.end.answer for c in reversed(calls) if c.end and c.end.answer), None)
        message = f"no usable answer in {len(calls)} calls: {said}" if calls else f"no call may be made any more: {closed}"
        return ProviderFailed(message, reason=closed or "provider_failed", answer=last)

    async def _compare(self, question: Question, calls: list[Call]) -> None:
        """Within a run the same question is asked the same way by the same code. If not, what is recorded stands, and that is an alarm."""
        mine = (question.input_hash, self._services.settings.code_version)
        for call in calls[: question.calls]:
            if call.intent.closed or call.intent.adopts is not None:
                return
            theirs = (call.intent.input_hash, call.intent.code_version)
            if theirs == mine:
                if call.end and call.end.ok:
                    return  # what follows are other questions
                continue
            what = "input" if theirs[0] != mine[0] else "code version"
            log.error(
                "ledger: not what was asked before",
                stage=self._context.stage,
                request=self._source.request_id,
                call=call.number,
                differs=what,
            )
            now = self._clock()
            await self._services.deliver(
                [
                    AuditRecorded(
                        event_id=self._services.writer.next_id(now),
                        actor=f"stage:{self._context.stage}",
                        action="ledger_mismatch",
                        target=f"{self._source.request_id}/{call.number}",
                        tenant=self._source.tenant,
                        run=self._source.run,
                        occurred_at=now,
                        details={
                            "recorded_input": theirs[0],
                            "input": mine[0],
                            "recorded_code_version": theirs[1],
                            "code_version": mine[1],
                        },
                    )
                ]
            )
            return

    # ---- runs ----------------------------------------------------------------------------------------------------------------

    async def _adopt(self, number: int, question: Question) -> bool:
        """Take over the answer to the same question from the run that this one takes up, where it reuses. True where the number is taken now.

        Raises :class:`~streams.failures.Rejected` where this run may call no provider and there is no such answer.
        """
        run = await asyncio.to_thread(runs.about, self._services.objects, self._source.run)
        if run is None:
            return False
        silent = run.effects != "live"
        if run.mode == "reuse" or silent:
            taken = {call.intent.adopts for call in await self.ledger.read()}
            above: runs.Run | None = run
            while above is not None:
                name = above.parent
                for call in await self.ledger.of_run(name).read():
                    if call.intent.input_hash == question.input_hash and call.good and (name, call.number) not in taken:
                        now = self._clock()
                        await self.ledger.begin(number, Intent(self._owner, now, now, question.input_hash, adopts=(name, call.number)))
                        return True
                above = await asyncio.to_thread(runs.about, self._services.objects, name) if name else None
        if silent:
            raise Rejected(
                "side_effects_off", f"this run calls no provider, and no answer to {self._context.stage}'s question was recorded"
            )
        return False

    # ---- the bill ------------------------------------------------------------------------------------------------------------

    async def settle(self, closed: str = "") -> None:
        """The step is over: learn of all its calls, so that :meth:`rows` is the whole bill.

        With ``closed`` (the step was given up or rejected) no further call may be begun under its name, by whatever zombie (L8). Calls without an
        end are in doubt from now on, since nobody will come and look again.
        """
        while True:
            calls = await self.ledger.read()
            for call in calls:
                if call.end is None and not call.intent.closed:
                    await self._doubt(call.number, closed or "its step ended without it")
            if any(c.end is None and not c.intent.closed for c in calls):
                continue
            if not closed or (calls and calls[-1].intent.closed):
                break
            now = self._clock()
            await self.ledger.begin(len(calls), Intent(self._owner, now, now, closed=closed))
        self._known = {c.number: c for c in calls}
        if calls and (account := await self._services.account(self._source)):
            await asyncio.to_thread(account.settle, self._step, sum((c.usd() for c in calls), Decimal(0)))

    def rows(self) -> list[UsageRecorded]:
        """A usage event for each call that was made, in order; two where a late answer corrects the first."""
        made = []
        for call in self._billed:
            assert call.end is not None
            made.append(self._row(call, call.end))
            if call.late is not None:
                made.append(self._row(call, call.late, revision=1))
        return made

    @property
    def events(self) -> int:
        """How many usage events the calls are; a correction is none of its own."""
        return len(self._billed)

    @property
    def in_doubt(self) -> list[Call]:
        return [c for c in self._billed if c.end is not None and c.end.how == IN_DOUBT]

    def report(self) -> str:
        """What the one who gives a record up says about its calls; empty where there were none."""
        if not self._billed:
            return ""
        doubts = [f"call {c.number} of {_time(c.intent.at_ms)}" + (", answered late" if c.late is not None else "") for c in self.in_doubt]
        return f"provider calls made: {self.events}" + (f"; in doubt: {'; '.join(doubts)}" if doubts else "")

    @property
    def _billed(self) -> list[Call]:
        return [c for _, c in sorted(self._known.items()) if c.end is not None and not c.intent.closed and c.intent.adopts is None]

    def _row(self, call: Call, end: End, *, revision: int = 0) -> UsageRecorded:
        bill = call.intent.bill
        assert bill is not None
        metered = bill if end.answer is None or end.answer.metered is None else end.answer.metered
        outcome = "in_doubt" if end.answer is None else "ok" if end.answer.ok else "error"
        # The kind is part of the row's id, so a correction must find it again.
        return self._context.usage_row(metered, kind=bill.kind, call=call.number, outcome=outcome, revision=revision, occurred_at=end.at_ms)


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


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
