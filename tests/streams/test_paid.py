"""One question's way through the ledger, by one owner after another. The clock and the provider are the test's; nothing here takes time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas import ids
from schemas.records import AuditRecorded, Record, UsageRecorded
from sinks.objects import FolderStore
from streams import runs
from streams.breaker import Breaker
from streams.contract import Context, Delivery, Writer
from streams.failures import ProviderFailed, Rejected, Waiting
from streams.ledger import Answer, Metered
from streams.objects import ObjectStore
from streams.paid import Calls
from streams.quota import Quotas
from streams.settings import StreamSettings
from tests.streams.world import features

BILL = Metered(kind="llm.call", provider="p", model="m")
GOOD = Answer(body=b"good", metered=Metered(kind="llm.call", quantity=7, unit="token", cost_usd=Decimal("0.25")))
BAD = Answer(ok=False, error="HTTP 500")


class Owner:
    """A worker of its own at the same store, with a clock of the test's."""

    def __init__(self, store: ObjectStore, *, code_version: str = "1", **settings: Any) -> None:
        self.objects, self.writer = store, Writer()
        self.settings = StreamSettings(bootstrap_servers="-", registry_url="-", code_version=code_version, clock_skew_s=2, **settings)
        self.delivered: list[Record] = []
        self.now = 1_000_000
        self.stops_at = math.inf

    async def deliver(self, records: Any) -> None:
        self.delivered += records

    async def account(self, source: Any) -> Any:
        return Quotas(self.objects, self.settings.quota).account(source)

    def publish_progress(self, record: Any) -> None: ...

    def step(self, source: Any) -> Context:
        context = Context("generate", source, Delivery("t", 0, 0, 0, 1), self)
        context.calls = Calls(source, context, self, clock=lambda: self.now, stops_at=lambda: self.stops_at)
        return context

    def bill(self, context: Context) -> list[tuple[int, int, str, Decimal | None]]:
        rows = [r for r in context.finish([]) if isinstance(r, UsageRecorded)]
        return [(r.call, r.revision, r.outcome, r.cost_usd) for r in rows]


class Provider:
    """Answers in turn; counts. ``None`` is an answer that never comes, an exception one that breaks."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls, self.asked = list(answers), [], asyncio.Event()

    async def __call__(self, call: int) -> Answer:
        self.calls.append(call)
        self.asked.set()
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.sleep(3600)
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(context: Context, provider: Provider, **options: Any) -> Coroutine[Any, Any, Answer]:
    return context.paid(provider, **({"input_hash": "h", "time_limit_s": 30, "bill": BILL} | options))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "_pause_ms", lambda self, failed: 0.0)


def test_a_recorded_answer_is_returned_not_asked_again(store: FolderStore) -> None:
    source, provider = features(), Provider(GOOD)

    async def main() -> None:
        first, second = Owner(store), Owner(store)
        a, b = first.step(source), second.step(source)
        assert (await ask(a, provider)).body == (await ask(b, provider)).body == b"good"
        assert provider.calls == [0]
        assert first.bill(a) == second.bill(b) == [(0, 0, "ok", Decimal("0.25"))]
        assert a.finish([]) == b.finish([]), "the same row, whoever writes it"

    run(main)


def test_after_a_recorded_error_comes_the_next_call_and_both_are_on_the_bill(store: FolderStore) -> None:
    async def main() -> None:
        owner, provider = Owner(store), Provider(BAD, GOOD)
        context = owner.step(features())
        assert (await ask(context, provider)).body == b"good"
        assert provider.calls == [0, 1]
        assert owner.bill(context) == [(0, 0, "error", None), (1, 0, "ok", Decimal("0.25"))]

    run(main)


def test_when_the_calls_are_spent_they_stay_spent(store: FolderStore) -> None:
    source, provider = features(), Provider(BAD, BAD)

    async def main() -> None:
        for owner in (Owner(store), Owner(store)):
            with pytest.raises(ProviderFailed, match="no usable answer in 2 calls: call 0: HTTP 500") as failed:
                await ask(owner.step(source), provider, calls=2)
            assert failed.value.answer is not None and failed.value.answer.error == "HTTP 500"
        assert provider.calls == [0, 1]

    run(main)


def test_a_question_that_is_wrong_is_not_asked_again(store: FolderStore) -> None:
    async def main() -> None:
        provider = Provider(Answer(ok=False, error="HTTP 400", retry=False), GOOD)
        with pytest.raises(ProviderFailed):
            await ask(Owner(store).step(features()), provider)
        assert provider.calls == [0]

    run(main)


def test_a_long_retry_after_is_waited_out_in_the_tiers_also_by_the_next_owner(store: FolderStore) -> None:
    source, provider = features(), Provider(Answer(ok=False, error="HTTP 429", retry_after_s=40), GOOD)

    async def main() -> None:
        owner, other = Owner(store), Owner(store)
        with pytest.raises(Waiting) as waiting:
            await ask(owner.step(source), provider)
        assert waiting.value.seconds == 40
        other.now += 34_000
        with pytest.raises(Waiting):
            await ask(other.step(source), provider)
        other.now += 6_000
        assert (await ask(other.step(source), provider)).ok
        assert provider.calls == [0, 1]

    run(main)


def test_a_live_intent_is_waited_for_and_an_expired_one_is_in_doubt(store: FolderStore) -> None:
    source, provider = features(), Provider(None, GOOD)

    async def main() -> None:
        dead, heir = Owner(store), Owner(store)
        call = asyncio.create_task(ask(dead.step(source), provider))
        await provider.asked.wait()
        heir.now += 31_900  # over by the intent's word, but clocks differ
        with pytest.raises(Waiting, match="another owner"):
            await ask(heir.step(source), provider)
        assert provider.calls == [0]
        heir.now += 101
        context = heir.step(source)
        assert (await ask(context, provider)).ok
        assert provider.calls == [0, 1]
        assert heir.bill(context) == [(0, 0, "in_doubt", None), (1, 0, "ok", Decimal("0.25"))]
        call.cancel()

    run(main)


def test_an_answer_that_comes_late_corrects_the_bill_and_not_the_answer(store: FolderStore) -> None:
    source = features()

    async def main() -> None:
        zombie, heir = Owner(store), Owner(store)
        awaited: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        provider = Provider(awaited, Answer(body=b"second", metered=GOOD.metered))
        context = zombie.step(source)
        sleeping = asyncio.create_task(ask(context, provider))
        await provider.asked.wait()
        heir.now += 40_000
        assert (await ask(heir.step(source), provider)).body == b"second"
        awaited.set_result(GOOD)
        assert (await sleeping).body == b"second", "the zombie takes what the ledger says, not what it got"
        (correction,) = zombie.delivered
        assert isinstance(correction, UsageRecorded)
        assert (correction.call, correction.revision, correction.outcome, correction.cost_usd) == (0, 1, "ok", Decimal("0.25"))
        third = Owner(store).step(source)
        await ask(third, provider)
        assert correction in third.finish([])
        bill = heir.bill(third)
        assert bill == [(0, 0, "in_doubt", None), (0, 1, "ok", Decimal("0.25")), (1, 0, "ok", Decimal("0.25"))]
        assert len({r.event_id for r in third.finish([])}) == third.calls.bill.events == 2  # type: ignore[union-attr]

    run(main)


def test_a_cancelled_step_leaves_its_call_running_and_its_answer_is_recorded(store: FolderStore) -> None:
    source = features()

    async def main() -> None:
        owner = Owner(store)
        awaited: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        provider = Provider(awaited)
        step = asyncio.create_task(ask(owner.step(source), provider))
        await provider.asked.wait()
        step.cancel()
        await asyncio.wait({step})
        awaited.set_result(GOOD)
        context = Owner(store).step(source)
        while True:
            try:
                assert (await ask(context, provider)).ok
                break
            except Waiting:
                await asyncio.sleep(0.001)
        assert provider.calls == [0]

    run(main)


def test_no_answer_within_the_time_limit_is_in_doubt_at_once_and_an_exception_when_the_intent_expires(store: FolderStore) -> None:
    async def main() -> None:
        owner, provider = Owner(store), Provider(None, GOOD)
        context = owner.step(features())
        assert (await ask(context, provider, time_limit_s=0.01)).ok
        assert [r[2] for r in owner.bill(context)] == ["in_doubt", "ok"]

        source, provider = features(), Provider(ConnectionResetError("cut"), GOOD)
        with pytest.raises(Waiting, match="cut") as waiting:
            await ask(owner.step(source), provider)
        assert waiting.value.seconds == 32
        owner.now += 32_001
        context = owner.step(source)
        assert (await ask(context, provider)).ok
        assert [r[2] for r in owner.bill(context)] == ["in_doubt", "ok"]

    run(main)


def test_several_questions_are_numbered_on(store: FolderStore) -> None:
    source, provider = features(), Provider(BAD, GOOD, Answer(body=b"other"))

    async def main() -> None:
        for owner in (Owner(store), Owner(store)):
            context = owner.step(source)
            assert (await ask(context, provider)).body == b"good"
            assert (await ask(context, provider, input_hash="i")).body == b"other"
            assert [r[0] for r in owner.bill(context)] == [0, 1, 2]
            assert not owner.delivered, "another question is no mismatch"
        assert provider.calls == [0, 1, 2]

    run(main)


@pytest.mark.parametrize(("changes", "version"), [({"input_hash": "other"}, "1"), ({}, "2")])
def test_another_input_or_code_version_within_a_run_is_an_alarm_and_no_new_call(
    store: FolderStore, changes: dict[str, Any], version: str
) -> None:
    source, provider = features(), Provider(GOOD)

    async def main() -> None:
        await ask(Owner(store).step(source), provider)
        owner = Owner(store, code_version=version)
        assert (await ask(owner.step(source), provider, **changes)).body == b"good"
        (alarm,) = owner.delivered
        assert isinstance(alarm, AuditRecorded) and alarm.action == "ledger_mismatch" and alarm.details["code_version"] == version
        assert provider.calls == [0]

    run(main)


def test_a_run_that_reuses_takes_the_parents_answer_for_nothing(store: FolderStore) -> None:
    source, provider = features(), Provider(GOOD, Answer(body=b"anew", metered=GOOD.metered))
    reusing, anew, again = ids.new_id(), ids.new_id(), ids.new_id()
    runs.open_run(store, reusing, kind="replay", parent="", mode="reuse")
    runs.open_run(store, anew, kind="replay", parent="", mode="regenerate")
    runs.open_run(store, again, kind="replay", parent=reusing, mode="reuse")

    async def main() -> None:
        owner = Owner(store)
        await ask(owner.step(source), provider)
        for run, body, bill in ((reusing, b"good", []), (again, b"good", []), (anew, b"anew", ["ok"])):
            for _ in range(2):
                context = owner.step(replace(source, run=run))
                assert (await ask(context, provider)).body == body
                assert [r[2] for r in owner.bill(context)] == bill
        assert provider.calls == [0, 0]
        other = owner.step(replace(source, run=again))
        other.calls._first = 1  # type: ignore[union-attr]
        provider.answers.append(BAD)
        with pytest.raises(ProviderFailed):  # another question was never answered there: it is asked, and billed here
            await ask(other, provider, input_hash="new", calls=1)

    run(main)


def test_a_run_without_effects_calls_nobody(store: FolderStore) -> None:
    source, provider, off = features(), Provider(GOOD), ids.new_id()
    runs.open_run(store, off, kind="replay", parent="", mode="regenerate", isolated=True, effects="off")

    async def main() -> None:
        owner, silent = Owner(store), replace(source, run=off)
        with pytest.raises(Rejected) as rejected:
            await ask(owner.step(silent), provider)
        assert rejected.value.reason == "side_effects_off" and not provider.calls
        await ask(owner.step(source), provider)
        assert (await ask(owner.step(silent), provider)).body == b"good"
        assert provider.calls == [0]

    run(main)


def test_what_was_given_up_makes_no_call_any_more_and_reports_what_is_in_doubt(store: FolderStore) -> None:
    source, provider = features(), Provider(None)

    async def main() -> None:
        owner = Owner(store)
        zombie = asyncio.create_task(ask(owner.step(source), provider))
        await provider.asked.wait()
        giving_up = Owner(store).step(source)
        assert giving_up.calls is not None
        await giving_up.calls.bill.settle(closed="timeout")
        assert owner.bill(giving_up) == [(0, 0, "in_doubt", None)]
        assert "provider calls made: 1; in doubt: call 0" in giving_up.calls.bill.report()
        with pytest.raises(ProviderFailed) as failed:
            await ask(Owner(store).step(source), provider)
        assert failed.value.reason == "timeout"
        assert provider.calls == [0]
        zombie.cancel()

    run(main)


def test_a_step_that_made_no_call_has_no_bill(store: FolderStore) -> None:
    async def main() -> None:
        owner = Owner(store)
        context = owner.step(features())
        assert context.calls is not None
        await context.calls.bill.settle(closed="rejected")
        assert owner.bill(context) == [] and context.calls.bill.report() == ""

    run(main)


def test_an_open_breaker_is_met_before_the_intent_and_errors_open_it(store: FolderStore) -> None:
    async def main() -> None:
        owner, breaker, provider = Owner(store), Breaker("p/m"), Provider(*[BAD] * 5, GOOD)
        for _ in range(5):
            with pytest.raises(ProviderFailed):
                await ask(owner.step(features()), provider, calls=1, breaker=breaker)
        source = features()
        with pytest.raises(Waiting, match="p/m is not well"):
            await ask(owner.step(source), provider, breaker=breaker)
        context = owner.step(source)
        assert context.calls is not None
        assert await context.calls.payer.ledger.read() == [] and len(provider.calls) == 5

    run(main)


def test_the_answer_in_hand_is_written_down_when_the_store_is_well_again(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        owner, provider, create, failures = Owner(store), Provider(GOOD), store.create, [0]

        def failing(key: str, body: bytes) -> bool:
            if key.endswith(".end") and failures[0] < 3:
                failures[0] += 1
                raise OSError(28, "No space left on device")
            return create(key, body)

        monkeypatch.setattr(store, "create", failing)
        context = owner.step(features())
        assert (await ask(context, provider)).ok
        assert owner.bill(context) == [(0, 0, "ok", Decimal("0.25"))] and failures == [3] and provider.calls == [0]

    run(main)


def test_a_claim_whose_answer_got_lost_is_still_ones_own(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        owner, provider, create, lost = Owner(store), Provider(GOOD), store.create, [True]

        def losing(key: str, body: bytes) -> bool:
            created = create(key, body)
            if key.endswith(".end") and lost:
                lost.clear()
                raise OSError("connection reset")
            return created

        monkeypatch.setattr(store, "create", losing)
        context = owner.step(features())
        assert (await ask(context, provider)).ok and not lost
        assert owner.bill(context) == [(0, 0, "ok", Decimal("0.25"))] and not owner.delivered

    run(main)


def test_a_step_without_time_for_another_call_comes_again_instead(store: FolderStore) -> None:
    source, provider = features(), Provider(BAD, GOOD)

    async def main() -> None:
        context = Owner(store).step(source)
        assert context.calls is not None
        context.calls.within(20)
        with pytest.raises(Waiting, match="time does not suffice"):
            await ask(context, provider)
        context = Owner(store).step(source)
        assert context.calls is not None
        context.calls.within(20)
        assert (await ask(context, provider)).ok and provider.calls == [0, 1]

    run(main)


def test_a_worker_that_stops_begins_no_call_that_it_would_cut_off(store: FolderStore) -> None:
    source, provider = features(), Provider(GOOD)

    async def main() -> None:
        leaving = Owner(store)
        leaving.stops_at = time.monotonic() + 1
        with pytest.raises(Waiting, match="this worker stops"):
            await ask(leaving.step(source), provider)
        assert not provider.calls
        assert (await ask(Owner(store).step(source), provider)).ok and provider.calls == [0]

    run(main)


def test_only_a_paid_stage_may_ask() -> None:
    async def main() -> None:
        context = Context("plan", features(), Delivery("t", 0, 0, 0, 1), None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="effect 'paid'"):
            await ask(context, Provider(GOOD))

    run(main)
