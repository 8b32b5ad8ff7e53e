"""Quotas and budgets: reserved before work that costs, settled after it, refunded where nothing came of it.

One balance object for each tenant and day, and one for each run with a budget, changed only by conditional replace::

    balances/TENANT/2026-11-21        what the tenant's requests reserved and spent that day (UTC)
    run-balances/RUN                  what a replay did, against the budget it was opened with
    claims/quota/TENANT/REQUEST       the day a request counts for: that of its first reservation

A replay is the operator's: it counts against its budget, never against a tenant's quota.

Invariants (``tests/streams/test_quota.py`` holds them against a model, under concurrency, on every store):

Q1  The requests that count never are more than the tier's ``requests_per_day``. A request counts once, however many steps and rounds it has.
Q2  What is held and spent never is more than ``usd_per_day``, nor for a request more than ``usd_per_request``, as long as no step spends more
    than it reserved. One that does is written down as it is, and is an alarm.
Q3  A reservation stands under its step's id. Reserving or settling it again changes nothing: a redelivery counts once.
Q4  A refunded request does not count; what it cost stays spent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import orjson
import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams import runs
from streams.failures import Rejected, Transient
from streams.objects import ObjectMissing, ObjectStore, claim, claimed

log = structlog.get_logger()
_CONTENDED_S = 30.0


class Tier(BaseModel):
    """What a tenant may use. None: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_day: int | None = Field(None, ge=0)
    usd_per_day: Decimal | None = Field(None, ge=0)
    usd_per_request: Decimal | None = Field(None, ge=0)

    @property
    def unlimited(self) -> bool:
        return self == Tier()


TIERS = {"FREE": Tier(requests_per_day=10), "PRO": Tier(requests_per_day=100), "ENTERPRISE": Tier()}


class QuotaSettings(BaseModel):
    """Which tiers there are and who has which: data, not code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: dict[str, Tier] = Field(
        TIERS, description="By name; those named in a file stand beside FREE, PRO and ENTERPRISE or replace them"
    )
    tenants: dict[str, str] = Field({}, description="Tenant to tier")
    default: str = Field("ENTERPRISE", description="The tier of every other tenant")
    counts: Literal["paid", "all"] = Field(
        "paid", description="Which requests count: those that call a provider, or all that are generated"
    )

    @model_validator(mode="after")
    def _tiers_exist(self) -> QuotaSettings:
        if unknown := sorted({t for t in (self.default, *self.tenants.values()) if t not in self.tiers}):
            raise ValueError(f"no such tier: {', '.join(unknown)}; there are {', '.join(sorted(self.tiers))}")
        return self

    def of(self, tenant: str) -> tuple[str, Tier]:
        """The tier of a tenant, with its name."""
        name = self.tenants.get(tenant, self.default)
        return name, self.tiers[name]


def read_tiers(path: Path) -> QuotaSettings:
    """Quotas from a YAML file with ``default``, ``tiers``, ``tenants`` and ``counts``, each optional. Raises ``ValueError`` that says what is wrong."""
    try:
        said = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    if said is None:
        said = {}
    if not isinstance(said, dict):
        raise ValueError(f"{path}: must be a mapping with default, tiers, tenants, counts")
    tiers = said.get("tiers") or {}
    if not isinstance(tiers, dict):
        raise ValueError(f"{path}: tiers must map names to limits")
    try:
        return QuotaSettings.model_validate({**said, "tiers": TIERS | {name: limits or {} for name, limits in tiers.items()}})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


# ---- the balance: what is held and spent, and no I/O ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A step's reservation. ``usd`` is held until it is ``settled``, then spent."""

    request: str
    usd: Decimal
    settled: bool = False
    refunded: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    message: str
    until_tomorrow: bool


@dataclass(frozen=True)
class Balance:
    """Entries by step. Every change makes a new one."""

    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def requests(self) -> set[str]:
        """Those that count."""
        return {e.request for e in self.entries.values() if not e.refunded}

    def usd(self, request: str | None = None) -> Decimal:
        """What is held and spent, by one request or by all."""
        return sum((e.usd for e in self.entries.values() if request in (None, e.request)), Decimal(0))

    def reserve(self, step: str, request: str, usd: Decimal, tier: Tier) -> Balance | Refusal:
        """Hold ``usd`` in all for a step. More than it holds already is checked again; less changes nothing."""
        known = self.entries.get(step)
        if known is not None and known.usd >= usd and not known.refunded:
            return self
        more = usd - known.usd if known else usd
        counted = self.requests
        if tier.requests_per_day is not None and request not in counted and len(counted) >= tier.requests_per_day:
            return Refusal("quota_exceeded", f"all {tier.requests_per_day} requests of the day are used", True)
        if tier.usd_per_request is not None and self.usd(request) + more > tier.usd_per_request:
            return Refusal(
                "budget_exceeded", f"a request may cost {tier.usd_per_request} USD, this one would be at {self.usd(request) + more}", False
            )
        if tier.usd_per_day is not None and self.usd() + more > tier.usd_per_day:
            return Refusal(
                "quota_exceeded", f"{self.usd()} of {tier.usd_per_day} USD are used or held, {more} more would be too much", True
            )
        back = {
            s: replace(e, refunded=False) if e.request == request else e for s, e in self.entries.items()
        }  # at work again: it counts again
        return Balance({**back, step: Entry(request, max(usd, known.usd if known else usd))})

    def settle(self, step: str, usd: Decimal) -> Balance:
        """What the step really cost takes the place of what it held. A step that reserved nothing has nothing to settle."""
        known = self.entries.get(step)
        return self if known is None else self._with(step, replace(known, usd=usd, settled=True))

    def refund(self, request: str) -> Balance:
        """The request came to nothing and counts no more. What its steps have spent stays; what they held and did not settle, too."""
        entries = {s: replace(e, refunded=True) if e.request == request else e for s, e in self.entries.items()}
        return self if entries == self.entries else Balance(entries)

    def _with(self, step: str, entry: Entry) -> Balance:
        return self if self.entries.get(step) == entry else Balance({**self.entries, step: entry})

    def pack(self) -> bytes:
        return orjson.dumps({s: [e.request, str(e.usd), e.settled, e.refunded] for s, e in self.entries.items()})

    @classmethod
    def unpack(cls, body: bytes) -> Balance:
        return cls({s: Entry(request, Decimal(usd), *flags) for s, (request, usd, *flags) in orjson.loads(body).items()})


# ---- accounts: balances in the store --------------------------------------------------------------------------------------


class Account:
    """One balance object with its limits. Methods block, and are safe from any number of threads and processes."""

    def __init__(self, store: ObjectStore, key: str, name: str, tier: Tier, retry_after: Callable[[], int] = lambda: 0) -> None:
        self._store, self._key, self._name, self._tier, self._retry_after = store, key, name, tier, retry_after

    def read(self) -> Balance:
        try:
            return Balance.unpack(self._store.get(self._key).body)
        except ObjectMissing:
            return Balance()

    def reserve(self, step: str, request: str, usd: Decimal) -> None:
        """Hold so much in all for a step. Raises :class:`~streams.failures.Rejected` where it would be too much, and changes nothing."""
        refusals: list[Refusal] = []

        def change(balance: Balance) -> Balance:
            found = balance.reserve(step, request, usd, self._tier)
            if isinstance(found, Refusal):
                refusals.append(found)
                return balance
            return found

        self._change(change)
        if refusals:
            why = refusals[-1]
            retry_after_s = self._retry_after() if why.until_tomorrow else 0
            reason = why.reason if retry_after_s else "budget_exceeded"  # a run's is not there again tomorrow
            raise Rejected(reason, f"{self._name}: {why.message}", retry_after_s=retry_after_s)

    def settle(self, step: str, usd: Decimal) -> None:
        before: list[Entry | None] = []

        def change(balance: Balance) -> Balance:
            before[:] = [balance.entries.get(step)]
            return balance.settle(step, usd)

        self._change(change)
        if before[0] is not None and not before[0].settled and usd > before[0].usd:
            log.error("a step spent more than it had reserved", account=self._name, step=step, reserved=str(before[0].usd), spent=str(usd))

    def refund(self, request: str) -> None:
        self._change(lambda balance: balance.refund(request))

    def _change(self, change: Callable[[Balance], Balance]) -> None:
        """Read, change, replace while nobody else did; again where somebody did. Raises ``Transient`` where that never succeeds."""
        end = time.monotonic() + _CONTENDED_S
        while True:
            try:
                stored = self._store.get(self._key)
            except ObjectMissing:
                changed = change(Balance())
                if not changed.entries or self._store.create(self._key, changed.pack()):
                    return
            else:
                balance = Balance.unpack(stored.body)
                changed = change(balance)
                if changed is balance or self._store.replace(self._key, changed.pack(), stored.etag):
                    return
            if time.monotonic() > end:
                raise Transient(f"{self._name}: the balance changed all the time for {_CONTENDED_S:g} s")
            time.sleep(random.random() * 0.02)  # let one of those who compete get through


class Quotas:
    """Who pays for a record's work. Methods block where a limit is set, and do nothing where none is."""

    def __init__(
        self, store: ObjectStore, settings: QuotaSettings | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store, self.settings, self._clock = store, settings or QuotaSettings(), clock

    def may_limit(self, source: Any) -> bool:
        """Whether it is worth asking for an account. Does not block."""
        return bool(source.run) or not self.settings.of(source.tenant)[1].unlimited

    def account(self, source: Any, *, open: bool = True) -> Account | None:
        """The account that a record's work counts against; None where nothing limits it, or, with ``open`` False, where it never reserved."""
        if source.run:
            budget = runs.budget_of(self._store, source.run)
            if budget is None:
                return None
            return Account(self._store, f"run-balances/{source.run}", f"run {source.run}", Tier(usd_per_day=budget))
        name, tier = self.settings.of(source.tenant)
        if tier.unlimited:
            return None
        key = f"quota/{source.tenant}/{source.request_id}"
        day = claim(self._store, key, self._clock().date().isoformat().encode())[1] if open else claimed(self._store, key)
        if day is None:
            return None
        return Account(
            self._store, f"balances/{source.tenant}/{day.decode()}", f"tenant {source.tenant} ({name})", tier, self._until_tomorrow
        )

    def refund(self, source: Any) -> None:
        """A request ended without an artifact: it does not count."""
        account = self.account(source, open=False) if self.may_limit(source) else None
        if account is not None:
            account.refund(source.request_id)

    def _until_tomorrow(self) -> int:
        now = self._clock()
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        return int((tomorrow - now).total_seconds()) + 1
