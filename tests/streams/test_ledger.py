"""The ledger and its driver (``Context.paid``) against a model, under owners that die, sleep and wake up anywhere.

Every access to the store stops at a gate before and after it happens, every provider call until the provider answers; the machine decides who
goes on. Time is the loop's own. So an owner can be left for dead between any two things it does, or go on long after it lost its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from schemas.records import FeaturesExtracted, UsageRecorded
from streams.contract import Context, Delivery, Writer
from streams.failures import ProviderFailed, Waiting
from streams.ledger import IN_DOUBT, Answer, Call, Ledger, Metered
from streams.objects import ObjectMissing, Stored
from streams.paid import Calls
from streams.settings import StreamSettings
from tests.streams.world import features

T = TypeVar("T")
LIMIT_S, SKEW_S, CALLS = 10.0, 2.0, 3


class VirtualLoop(asyncio.SelectorEventLoop):
    now = 0.0

    def time(self) -> float:
        return self.now

    def spin(self) -> None:
        for _ in range(12):
            self.call_soon(self.stop)
            self.run_forever()


class Memory:
    """What the ledger needs of a store."""

    def __init__(self) -> None:
        self.all: dict[str, bytes] = {}

    def get(self, key: str) -> Stored:
        if key not in self.all:
            raise ObjectMissing(key)
        return Stored(self.all[key], "")

    def create(self, key: str, body: bytes) -> bool:
        return self.all.setdefault(key, body) is body


@dataclass(eq=False)
class Owner:
    """A delivery of the record somewhere: its clock is its host's."""

    machine: LedgerMachine
    ahead_s: float
    gates: list[asyncio.Future[None]] = field(default_factory=list)
    asked: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)
    outcome: str = ""
    body: bytes = b""

    def clock(self) -> int:
        return int((1_000_000 + self.machine.loop.now + self.ahead_s) * 1000)

    async def gate(self) -> None:
        self.gates.append(future := self.machine.loop.create_future())
        await future

    def pass_gate(self) -> None:
        while self.gates:
            future = self.gates.pop(0)
            if not future.done():
                future.set_result(None)
                self.machine.loop.spin()
                return

    async def ask(self, number: int) -> Answer:
        machine = self.machine
        machine.called(number)
        machine.asked[number] = self
        self.asked[number] = future = machine.loop.create_future()
        return await future

    # what Calls needs of its worker

    @property
    def objects(self) -> Any:
        return self.machine.store

    settings = StreamSettings(bootstrap_servers="-", registry_url="-", clock_skew_s=SKEW_S)
    writer = Writer("w")

    async def account(self, source: Any) -> None:
        return None

    def publish_progress(self, record: Any) -> None: ...

    async def deliver(self, records: list[Any]) -> None:
        await self.gate()
        self.machine.publish(records)
        await self.gate()


class GatedLedger(Ledger):
    owner: Owner

    async def _io(self, do: Callable[..., T], *arguments: Any) -> T:
        await self.owner.gate()
        found = do(*arguments)
        await self.owner.gate()
        return found


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.store = Memory()
        self.source: FeaturesExtracted = features()
        self.owners: list[Owner] = []
        self.asked: dict[int, Owner] = {}
        self.clocks: dict[str, Callable[[], float]] = {}
        """Of the hosts, by who wrote an intent there."""
        self.answers: dict[int, Answer] = {}
        self.rows: dict[tuple[str, int], UsageRecorded] = {}
        self.recorded: list[UsageRecorded] | None = None
        self.wrong: list[str] = []

    def teardown(self) -> None:
        self.settle_all()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.spin()
        self.loop.close()

    def read(self) -> list[Call]:
        ledger, calls = Ledger(self.store, self.source, "generate", 0), []
        while (found := ledger._read(len(calls))) is not None:
            calls.append(found)
        return calls

    def called(self, number: int) -> None:
        """Held against the rules where it happens; told later, since whoever calls takes an exception for a broken connection."""
        if number in self.asked:
            self.wrong.append(f"two calls under number {number}")
        calls = self.read()
        if calls[number].intent.expires_ms / 1000 <= self.clocks[calls[number].intent.owner]():
            self.wrong.append(f"call {number} is made after its own time is over")
        for before in calls[:number]:
            left = before.intent.expires_ms / 1000 - self.clocks[before.intent.owner]()
            if before.end is None:
                self.wrong.append(f"call {number} although {before.number} has no end")
            elif before.end.ok:
                self.wrong.append(f"call {number} although {before.number} was answered")
            elif before.end.answer is None and left > 0:
                self.wrong.append(f"call {number} {left} s before the intent of {before.number} expires, which has no result")

    def publish(self, rows: list[Any]) -> None:
        for row in rows:
            if self.rows.setdefault((row.event_id, row.revision), row) != row:
                self.wrong.append(f"the same id and revision, another content: {row}")

    async def _deliver(self, owner: Owner, give_up: bool) -> None:
        context = Context("generate", self.source, Delivery("t", 0, 0, 0, 1), owner)
        calls = context.calls = Calls(self.source, context, owner, clock=owner.clock)
        ledger = GatedLedger(self.store, self.source, "generate", 0)
        ledger.owner = owner
        calls.payer.ledger = ledger
        calls.payer.owner = f"owner {self.owners.index(owner)}"  # what it does must not hang on a random id: examples are repeated
        self.clocks[calls.payer.owner] = lambda: owner.clock() / 1000
        bill = Metered(kind="llm.call")
        try:
            if give_up:
                raise ProviderFailed("tries are over")
            owner.body = (await context.paid(owner.ask, input_hash="h", time_limit_s=LIMIT_S, bill=bill, calls=CALLS)).body
            await calls.bill.settle()
            owner.outcome = "done"
        except Waiting:
            owner.outcome = "waiting"
            return
        except ProviderFailed:
            await calls.bill.settle(closed="given up")
            owner.outcome = "given up"
        rows = [r for r in context.finish([]) if isinstance(r, UsageRecorded)]
        await owner.gate()
        if self.recorded is None:  # the step's outputs: whoever is first
            self.recorded = rows
        self.publish(self.recorded)

    # ---- what may happen -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.owners) < 7)
    @rule(ahead=st.sampled_from([0.0, -0.9, 0.9]), give_up=st.sampled_from([False] * 7 + [True]))
    def delivered(self, ahead: float, give_up: bool) -> None:
        owner = Owner(self, ahead)
        self.owners.append(owner)
        self.loop.create_task(self._deliver(owner, give_up))
        self.loop.spin()

    @precondition(lambda self: any(o.gates for o in self.owners))
    @rule(data=st.data(), steps=st.sampled_from([1, 2, 3, 5, 30]))
    def goes_on(self, data: Any, steps: int) -> None:
        """Whoever is not chosen for the rest of the run is dead; who is chosen late is a zombie."""
        owner = data.draw(st.sampled_from([o for o in self.owners if o.gates]))
        for _ in range(steps):
            owner.pass_gate()

    @precondition(lambda self: self.waiting_for_answers())
    @rule(data=st.data(), ok=st.booleans(), breaks=st.sampled_from([False] * 5 + [True]))
    def answered(self, data: Any, ok: bool, breaks: bool) -> None:
        number = data.draw(st.sampled_from(self.waiting_for_answers()))
        future = self.asked[number].asked[number]
        if breaks:
            future.set_exception(ConnectionResetError("cut"))
        else:
            metered = Metered(kind="llm.call", cost_usd=Decimal(number + 1))
            self.answers[number] = Answer(body=b"%d" % number, ok=ok, error="" if ok else "HTTP 500", metered=metered)
            future.set_result(self.answers[number])
        self.loop.spin()

    def waiting_for_answers(self) -> list[int]:
        return [n for n, o in self.asked.items() if not o.asked[n].done()]

    @rule(seconds=st.sampled_from([0.5, 5.0, 9.5, 11.0, 13.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.now += seconds
        self.loop.spin()

    # ---- what must hold ------------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_went_wrong_on_the_way(self) -> None:
        assert not self.wrong

    @invariant()
    def all_get_the_same_answer(self) -> None:
        bodies = {o.body for o in self.owners if o.outcome == "done"}
        assert len(bodies) <= 1
        if bodies:
            ok = [c for c in self.read() if c.end is not None and c.end.ok]
            assert len(ok) == 1 and ok[0].end is not None and ok[0].end.answer is not None and bodies == {ok[0].end.answer.body}

    @invariant()
    def every_call_is_accounted_for_by_exactly_one_end(self) -> None:
        for call in self.read():
            if call.end is None or call.intent.closed:
                continue
            if call.end.how == IN_DOUBT:
                assert call.late is None or (call.late.answer == self.answers.get(call.number) or call.number not in self.asked)
            elif call.number in self.asked:
                assert call.end.answer == self.answers[call.number] and call.late is None

    @invariant()
    def the_bill_names_every_call(self) -> None:
        if self.recorded is None:
            return
        billed = {r.call for r in self.recorded if r.revision == 0}
        assert set(self.asked) <= billed, "a call that nobody pays for"
        assert billed == {c.number for c in self.read() if not c.intent.closed}
        final: dict[int, UsageRecorded] = {}
        for (_, revision), row in sorted(self.rows.items(), key=lambda item: item[0][1]):
            assert revision in (0, 1)
            final[row.call] = row
        for number, row in final.items():
            if row.outcome != "in_doubt" and number in self.asked:
                assert row.cost_usd == self.answers[number].metered.cost_usd  # type: ignore[union-attr]
                assert row.outcome == ("ok" if self.answers[number].ok else "error")

    def settle_all(self) -> None:
        """Everybody alive again and time enough: whoever got an answer has put it on the bill, and the record comes to an end."""
        for number in self.waiting_for_answers():
            self.asked[number].asked[number].set_exception(ConnectionResetError("end"))
        for _ in range(40):
            for owner in self.owners:
                for _ in range(40):
                    owner.pass_gate()
            self.time_passes(3.0)
            for number in self.waiting_for_answers():
                self.asked[number].asked[number].set_exception(ConnectionResetError("end"))
            if all(o.outcome for o in self.owners) and not any(o.gates for o in self.owners):
                if any(o.outcome != "waiting" for o in self.owners) or not self.owners:
                    break
                self.owners.append(owner := Owner(self, 0.0))
                self.loop.create_task(self._deliver(owner, False))
                self.loop.spin()
        else:
            raise AssertionError(f"it never ends: {[o.outcome for o in self.owners]} {self.read()}")
        self.nothing_went_wrong_on_the_way()
        self.all_get_the_same_answer()
        self.the_bill_names_every_call()
        final = {r.call: r for r in sorted(self.rows.values(), key=lambda r: r.revision)}
        for number, answer in self.answers.items():
            assert final[number].outcome == ("ok" if answer.ok else "error"), "what was answered is on the bill, however late"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of alarms are what these examples are about; printing them takes longer than all else."""
    with capture_logs():
        yield


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
