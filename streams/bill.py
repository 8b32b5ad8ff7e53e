"""What a step's paid calls come to: a usage event each, whatever became of them, and what is said of them where the step is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal

from schemas.records import UsageRecorded
from streams.ledger import IN_DOUBT, Call, Intent, said_at
from streams.payer import Payer


class Bill:
    """One step's, as far as its owner has read the ledger. Used from the event loop."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._known: dict[int, Call] = {}

    def learn(self, calls: Iterable[Call]) -> None:
        self._known.update((c.number, c) for c in calls)

    def usd(self) -> Decimal:
        """What the calls known of have cost, or may have."""
        return sum((c.usd() for c in self._known.values()), Decimal(0))

    async def settle(self, closed: str = "") -> None:
        """The step is over: learn of all its calls, so that :meth:`rows` is the whole bill.

        With ``closed`` (the step was given up or rejected) no further call may be begun under its name, by whatever zombie (L8). Calls without an
        end are in doubt from now on, since nobody will come and look again.
        """
        while True:
            calls = await self._payer.ledger.read()
            for call in calls:
                if call.end is None and not call.intent.closed:
                    await self._payer.doubt(call.number, closed or "its step ended without it")
            if any(c.end is None and not c.intent.closed for c in calls):
                continue
            if not closed or (calls and calls[-1].intent.closed):
                break
            now = self._payer.clock()
            await self._payer.ledger.begin(len(calls), Intent(self._payer.owner, now, now, closed=closed))
        self._known = {c.number: c for c in calls}
        if calls and (account := await self._payer.services.account(self._payer.source)):
            await asyncio.to_thread(account.settle, self._payer.step, sum((c.usd() for c in calls), Decimal(0)))

    def rows(self) -> list[UsageRecorded]:
        """A usage event for each call that was made, in order; two where a late answer corrects the first."""
        made = []
        for call in self._billed:
            assert call.end is not None
            made.append(self._payer.row(call, call.end))
            if call.late is not None:
                made.append(self._payer.row(call, call.late, revision=1))
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
        doubts = [
            f"call {c.number} of {said_at(c.intent.at_ms)}" + (", answered late" if c.late is not None else "") for c in self.in_doubt
        ]
        return f"provider calls made: {self.events}" + (f"; in doubt: {'; '.join(doubts)}" if doubts else "")

    @property
    def _billed(self) -> list[Call]:
        return [c for _, c in sorted(self._known.items()) if c.end is not None and not c.intent.closed and c.intent.adopts is None]
