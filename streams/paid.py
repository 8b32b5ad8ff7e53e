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
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from schemas import ids
from streams import ledger
from streams.bill import Bill
from streams.earlier import adopt, compare
from streams.failures import ProviderFailed, Waiting
from streams.ledger import Answer, Call
from streams.metrics import PAID_CALLS
from streams.payer import PaidServices, Payer, Question

if TYPE_CHECKING:
    from streams.contract import Context

IN_PLACE_S = 5.0
"""Pauses between calls up to this long are waited out in the step's slot, longer ones in the delay tiers."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class Calls:
    """The paid calls of one step: its questions, one after the other. Used from the event loop."""

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
        self.payer = Payer(source, context, services, clock)
        self.bill = Bill(self.payer)
        self._stops_at = stops_at
        self._first = 0
        self._until = math.inf

    def within(self, seconds: float) -> None:
        """The step ends in so many seconds: no further call is begun that this would cut off."""
        self._until = time.monotonic() + seconds

    async def answer(self, question: Question) -> Answer:
        """The question's answer. Raises what :meth:`streams.contract.Context.paid` says."""
        settings, made = self.payer.services.settings, self.payer.made
        compared = False
        while True:
            calls = await self.payer.ledger.read(self._first)
            self.bill.learn(calls)
            if not compared:
                compared = True
                await compare(self.payer, question, calls)
            move = ledger.next_move(
                calls, first=self._first, limit=question.calls, now_ms=self.payer.clock(), skew_ms=settings.clock_skew_s * 1000, pause_ms=self._pause_ms
            )  # fmt: skip
            match move:
                case ledger.Answered(call):
                    assert call.end is not None and call.end.answer is not None
                    self._first = call.number + 1
                    if made == self.payer.made:
                        PAID_CALLS.labels(self.payer.context.stage, "reused").inc()
                    return call.end.answer
                case ledger.Spent(calls=spent, closed=closed):
                    raise self._failed(spent, closed)
                case ledger.Wait(call, until_ms):
                    left = (until_ms - self.payer.clock()) / 1000
                    raise Waiting("paid_call_under_way", f"call {call.number} is another owner's for {left:.0f} s at most", seconds=left)
                case ledger.Doubt(call):
                    await self.payer.doubt(call.number, f"no result before its intent expired at {ledger.said_at(call.intent.expires_ms)}")
                case ledger.Ask(number, not_before_ms):
                    if number == self._first and self.payer.source.run and await adopt(self.payer, number, question):
                        continue
                    await self._pause((not_before_ms - self.payer.clock()) / 1000)
                    done_by = time.monotonic() + question.time_limit_s
                    if self.payer.made and done_by > self._until:
                        raise Waiting("no_time_left", "the step's time does not suffice for another call", seconds=0)
                    if done_by > self._stops_at():
                        raise Waiting("no_time_left", "this worker stops before the call would end", seconds=0)
                    await self.payer.call(number, question, self.bill.usd())

    async def _pause(self, seconds: float) -> None:
        if seconds > IN_PLACE_S:
            raise Waiting("provider_asked_to_wait", f"the provider takes no call for {seconds:.0f} s", seconds=seconds)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _pause_ms(self, failed: int) -> float:
        """Exponential with full jitter: anything up to 1 s after the first failed call, 2 s after the second, at most 30 s."""
        chance = random.Random(f"{self.payer.owner}.{failed}").random()
        return chance * min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0**failed) * 1000

    def _failed(self, calls: tuple[Call, ...], closed: str) -> ProviderFailed:
        said = "; ".join(
            f"call {c.number}: {c.end.answer.error or 'an error' if c.end.answer is not None else f'in doubt, {c.end.why}'}"
            for c in calls
            if c.end
        )
        last = next((c.end.answer for c in reversed(calls) if c.end and c.end.answer), None)
        message = f"no usable answer in {len(calls)} calls: {said}" if calls else f"no call may be made any more: {closed}"
        return ProviderFailed(message, reason=closed or "provider_failed", answer=last)
