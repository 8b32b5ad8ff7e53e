"""Balances against a model, under redelivery and concurrency: never exceeded, each step counted once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas import ids
from sinks.objects import FolderStore
from streams import runs
from streams.failures import Rejected
from streams.objects import ObjectStore
from streams.quota import TIERS, Balance, Quotas, QuotaSettings, Refusal, Tier, read_tiers
from tests.streams.world import features

TIER = Tier(requests_per_day=3, usd_per_day=Decimal(10), usd_per_request=Decimal(4))


class BalanceMachine(RuleBasedStateMachine):
    """Requests of up to three steps each, delivered and settled again and again; the model adds up what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = Balance()
        self.held: dict[str, tuple[str, Decimal]] = {}
        self.refunded: set[str] = set()

    @rule(request=st.sampled_from("abcde"), step=st.integers(0, 2), usd=st.sampled_from([0, 1, 3, 5]))
    def reserve(self, request: str, step: int, usd: int) -> None:
        name, usd_ = f"{request}.{step}", Decimal(usd)
        before = self.balance
        found = before.reserve(name, request, usd_, TIER)
        known = self.held.get(name, (request, Decimal(0)))[1]
        renewed = name in self.held and request in self.refunded
        if name in self.held and known >= usd and not renewed:
            assert found is before, "a redelivery reserves nothing"
            return
        more = max(Decimal(0), usd_ - known)
        counted = {r for r, _ in self.held.values()} - self.refunded
        fits = len(counted | {request}) <= 3 and self.of(request) + more <= 4 and sum(u for _, u in self.held.values()) + more <= 10
        assert isinstance(found, Refusal) is not fits, (found, self.held)
        if isinstance(found, Balance):
            self.balance = found
            self.held[name] = (request, max(usd_, known))
            self.refunded.discard(request)

    def of(self, request: str) -> Decimal:
        return sum((u for r, u in self.held.values() if r == request), Decimal(0))

    @rule(request=st.sampled_from("abcde"), step=st.integers(0, 2), less=st.sampled_from([0, 1, 2]))
    def settle(self, request: str, step: int, less: int) -> None:
        name = f"{request}.{step}"
        spent = max(Decimal(0), self.held.get(name, (request, Decimal(0)))[1] - less)
        self.balance = self.balance.settle(name, spent)
        assert self.balance.settle(name, spent) is self.balance, "settled once"
        if name in self.held:
            self.held[name] = (request, spent)

    @rule(request=st.sampled_from("abcde"))
    def refund(self, request: str) -> None:
        self.balance = self.balance.refund(request)
        if any(r == request for r, _ in self.held.values()):
            self.refunded.add(request)

    @invariant()
    def is_never_exceeded(self) -> None:
        assert len(self.balance.requests) <= 3 and self.balance.usd() <= 10
        assert all(self.balance.usd(r) <= 4 for r in "abcde")

    @invariant()
    def says_what_it_was_told(self) -> None:
        assert self.balance.usd() == sum(u for _, u in self.held.values())
        assert self.balance.requests == {r for r, _ in self.held.values()} - self.refunded
        assert Balance.unpack(self.balance.pack()) == self.balance


TestBalance = BalanceMachine.TestCase
TestBalance.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# ---- in a store ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


def quotas(store: ObjectStore, tier: str = "FREE", at: datetime | None = None, **more: Any) -> Quotas:
    at = at or datetime(2026, 3, 4, 21, 30, tzinfo=UTC)
    return Quotas(store, QuotaSettings(default=tier, **more), clock=lambda: at)


def use(given: Quotas, source: Any, usd: str = "0") -> None:
    account = given.account(source)
    assert account is not None
    account.reserve(f"{source.request_id}.generate.0", source.request_id, Decimal(usd))


def race(store: ObjectStore, workers: int, each: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def work(n: int) -> None:
        try:
            each(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def race_for_ten_places(store: ObjectStore) -> None:
    """Twenty requests, each delivered twice at the same time by eight threads, for ten places; a third of those that got one give it back."""
    requests = [features() for _ in range(20)]
    accepted: set[str] = set()
    lock = threading.Lock()

    def deliver(n: int) -> None:
        chance = random.Random(n)
        for source in chance.sample(requests, len(requests)):
            try:
                use(quotas(store), source)
            except Rejected as rejected:
                assert rejected.reason == "quota_exceeded"
            else:
                with lock:
                    accepted.add(source.request_id)

    race(store, 8, deliver)
    account = quotas(store).account(requests[0])
    assert account is not None
    assert len(accepted) == 10 and account.read().requests == accepted
    for request in sorted(accepted)[:3]:
        account.refund(request)
    race(store, 8, deliver)
    assert len(account.read().requests) == 10


def test_ten_places_go_to_ten_requests_however_many_compete(folder: FolderStore) -> None:
    race_for_ten_places(folder)


def test_usd_are_never_exceeded_under_competition(folder: FolderStore) -> None:
    tiers = {"PAY": Tier(usd_per_day=Decimal(1))}

    def deliver(n: int) -> None:
        for _ in range(10):
            source = features()
            given = quotas(folder, "PAY", tiers=tiers)
            try:
                use(given, source, "0.08")
            except Rejected:
                continue
            account = given.account(source)
            assert account is not None and account.read().usd() <= 1
            account.settle(f"{source.request_id}.generate.0", Decimal("0.05"))

    race(folder, 6, deliver)
    deliver(0)  # in the race all may have spent their turns while others still held more than they used
    account = quotas(folder, "PAY", tiers=tiers).account(features())
    assert account is not None
    assert Decimal("0.93") <= account.read().usd() <= 1, "and what was settled for less made room"


def test_over_the_quota_says_when_to_come_again_and_tomorrow_there_is_room(folder: FolderStore) -> None:
    sources = [features() for _ in range(11)]
    for source in sources[:10]:
        use(quotas(folder), source)
    with pytest.raises(Rejected) as rejected:
        use(quotas(folder), sources[10])
    assert rejected.value.reason == "quota_exceeded" and "tenant acme (FREE)" in str(rejected.value)
    assert rejected.value.retry_after_s == 2.5 * 3600 + 1
    use(quotas(folder), sources[3])  # a redelivery counts no second time
    tomorrow = datetime(2026, 3, 5, 0, 0, 1, tzinfo=UTC)
    use(quotas(folder, at=tomorrow), features())
    later = quotas(folder, at=tomorrow).account(sources[3])
    assert later is not None and len(later.read().requests) == 10, (
        "a request counts for the day it began, also when redelivered at midnight"
    )


def test_a_refunded_request_makes_room_and_what_it_cost_stays(folder: FolderStore) -> None:
    given, sources = quotas(folder, "PAY", tiers={"PAY": Tier(requests_per_day=1, usd_per_day=Decimal(1))}), [features(), features()]
    use(given, sources[0], "0.5")
    with pytest.raises(Rejected):
        use(given, sources[1], "0.5")
    given.refund(sources[0])
    use(given, sources[1], "0.5")
    account = given.account(sources[0])
    assert account is not None and account.read().requests == {sources[1].request_id} and account.read().usd() == 1


def test_who_has_no_limit_costs_no_look_at_the_store() -> None:
    given = Quotas(None)  # type: ignore[arg-type]
    assert not given.may_limit(features()) and given.account(features()) is None
    given.refund(features())


def test_a_run_counts_against_its_budget_and_not_against_the_tenant(folder: FolderStore) -> None:
    run, free = ids.new_id(), ids.new_id()
    runs.open_run(folder, run, kind="replay", parent="", mode="regenerate", budget_usd=Decimal("0.10"))
    runs.open_run(folder, free, kind="replay", parent="", mode="reuse")
    given = quotas(folder)
    for _ in range(2):
        use(given, features(run=run), "0.05")
    with pytest.raises(Rejected) as rejected:
        use(given, features(run=run), "0.01")
    assert (rejected.value.reason, rejected.value.retry_after_s) == ("budget_exceeded", 0)
    assert given.account(features(run=free)) is None
    for _ in range(10):
        use(given, features())


def test_tiers_are_data(tmp_path: Path) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text("default: FREE\ntiers:\n  TRIAL: {requests_per_day: 2, usd_per_day: 0.5}\ntenants: {acme: TRIAL, big: ENTERPRISE}\n")
    read = read_tiers(file)
    assert read.of("acme") == ("TRIAL", Tier(requests_per_day=2, usd_per_day=Decimal("0.5")))
    assert read.of("big")[1].unlimited and read.of("anyone") == ("FREE", TIERS["FREE"])
    assert (TIERS["FREE"].requests_per_day, TIERS["PRO"].requests_per_day) == (10, 100)
    file.write_text("")
    assert read_tiers(file) == QuotaSettings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default: GOLD", "no such tier: GOLD"),
        ("tenants: {a: GOLD}", "no such tier: GOLD"),
        ("tiers: {X: {requests_per_day: -1}}", "greater than or equal to 0"),
        ("tiers: {X: {per_week: 1}}", "per_week"),
        ("- a", "must be a mapping"),
        ("a: [", "while parsing"),
        ("surprise: 1", "surprise"),
    ],
)
def test_a_wrong_file_is_told_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        read_tiers(file)
    assert "tiers.yaml" in str(refused.value)


def test_a_day_is_utc() -> None:
    at = datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)
    assert Quotas(None, clock=lambda: at)._until_tomorrow() == 2  # type: ignore[arg-type]
    assert Quotas(None, clock=lambda: at + timedelta(seconds=1))._until_tomorrow() == 86_401  # type: ignore[arg-type]
