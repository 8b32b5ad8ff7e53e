"""The stage contract: what a stage declares, what its handler gets, what it may rely on.

A stage is one value of :class:`Stage`. Its handler is a plain async function from a typed record to the records to publish. A handler
may be called again with the same record (redelivery, retry), at the same time in two processes (a zombie that lost its partition), and
may be cancelled at any await. It must not publish, commit or keep state of its own. What the runner promises in return:

S1  A record's outputs are acknowledged by the broker before the record is done, and only done records are committed.
S2  Outputs get ids from what they are (tenant, run, request, stage, round, type, ordinal), never from when: the same step yields the same ids.
S3  With ``recorded``, the outputs of a step (or that it was given up) are written once, before they are published; whoever does the step again
    republishes those.
S4  A request has one verdict in a run, whoever publishes it.
S5  A record that fails is retried away from the hot path or ends in ``dead.letters`` with its provenance. None is skipped.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import MISSING, dataclass, field, fields, replace
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from schemas import ids
from schemas.avro_codec import SCHEMA_NAMES, maker
from schemas.names import NAME, ObjectRef
from schemas.records import Record, RequestProgressed, Step, UsageRecorded
from streams.admission import Admission
from streams.breaker import Breaker
from streams.failures import Refused
from streams.ledger import Answer, Metered
from streams.objects import ObjectStore, get_content, put_content
from streams.paid import Calls
from streams.payer import Question
from streams.topics import TIERS, Topic

S = TypeVar("S", bound=Step)
T = TypeVar("T")


class Effect(enum.Enum):
    """What a handler does to the world. It alone decides what happens on revoke, retry and replay."""

    PURE = "pure"
    """Nothing: dropped on revoke."""
    IDEMPOTENT = "idempotent"
    """Something that may be done again (content-addressed writes): finished or dropped on revoke."""
    PAID = "paid"
    """Something that costs: drained and recorded on revoke. Implies ``recorded``. Calls go through :meth:`Context.paid`."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a record is tried before it is given up: once, then once for each delay tier in turn (the last one repeats)."""

    tries: int = 4

    def tier(self, failed_tries: int) -> str | None:
        """The delay tier after so many failed tries, None to give up."""
        if failed_tries >= self.tries:
            return None
        return TIERS[min(failed_tries, len(TIERS)) - 1]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline, declared. :func:`problems` says what is unsafe about a declaration."""

    name: str
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    handler: Callable[[Any, Context], Awaitable[Sequence[Record]]]
    effect: Effect
    time_limit_s: float
    concurrency: int = 16
    order: str = "none"
    """``none``: records run side by side over all partitions. ``key``: one at a time for each key, retried in place;
    records without a key side by side."""
    recorded: bool = False
    retry: Retry = field(default_factory=Retry)
    counts: bool = False
    """Whether a request that comes here counts against its tenant's quota where all requests do (``QuotaSettings.counts``), not only paid ones."""
    ends_requests: bool = True
    """Whether a record this stage gives up ends its request (extract, plan, generate, validate)."""
    admission: Admission | None = None
    """Where the topics are queues of priority classes: limits on them (``streams.admission``), in place of taking whatever comes."""
    lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None = None
    """Entered before the first record, left after the last: browsers, process pools."""

    @property
    def is_recorded(self) -> bool:
        return self.recorded or self.effect is Effect.PAID


def problems(stage: Stage) -> list[str]:
    """All that is unsafe or contradictory in a declaration."""
    found = []
    if not stage.reads:
        found.append("reads no topic")
    if stage.order not in ("none", "key"):
        found.append(f"order is {stage.order!r}, not 'none' or 'key'")
    if stage.concurrency < 1:
        found.append("concurrency must be at least 1")
    if stage.time_limit_s <= 0:
        found.append("needs a time limit")
    if stage.effect is Effect.PAID:
        if stage.order == "key":
            found.append(
                "order by key waits in place, which a paid effect must not: its records wait for other owners' calls in the delay tiers"
            )
        if "usage.recorded" not in {t.name for t in stage.writes}:
            found.append("a paid effect must write usage.recorded: every call is on the bill")
    if stage.admission and stage.order != "none":
        found.append("admission takes records out of turn, which an order by key forbids")
    if stage.admission and not any(t.name == "artifact.rejected" for t in stage.writes):
        found.append("admission ends requests as artifact.rejected, which it does not declare")
    if stage.retry.tries < 1:
        found.append("must try at least once")
    for verb, topics in (("reads", stage.reads), ("writes", stage.writes)):
        if tiers := [t.name for t in topics if t.record is None]:
            found.append(f"{verb} {', '.join(tiers)}, which only the runner may")
    if len(set(stage.reads)) != len(stage.reads):
        found.append("reads a topic twice")
    if not NAME.match(stage.name):
        found.append("its name must be 1 to 64 letters, digits, '.', '_' or '-'")
    return [f"stage {stage.name}: {p}" for p in found]


class Delivery(NamedTuple):
    """Where a record came from: its own place, or the original one where it comes out of a retry tier."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Broker time of the original, ms."""
    tries: int
    """This one included."""


class Services(Protocol):
    """What the runner lends to handlers."""

    @property
    def objects(self) -> ObjectStore: ...
    def publish_progress(self, record: RequestProgressed) -> None: ...
    @property
    def writer(self) -> Writer: ...


class Writer:
    """A writer instance and its sequence: the identity of events that belong to no step (metrics, progress, audit)."""

    def __init__(self, instance: str | None = None) -> None:
        self.instance = instance or ids.new_id()
        self._sequence = 0

    def next_id(self, unix_ms: int) -> str:
        self._sequence += 1
        return ids.derived_id(unix_ms, self.instance, self._sequence)


_OF_STEP = frozenset(f.name for f in fields(Step))


@cache
def _known(kind: type[Any]) -> tuple[str, Callable[..., Any] | None, Callable[..., Any]]:
    """A record class's schema name, what makes one as this step's own, and what makes any. Factories' defaults are made new by the class itself."""
    if any(f.default_factory is not MISSING for f in fields(kind)):
        return SCHEMA_NAMES[kind], None, kind
    return SCHEMA_NAMES[kind], maker(kind, of_step=_OF_STEP), maker(kind)


class Context:
    """A handler's hands: makes outputs with the right identity, meters, reports progress, reaches the object store."""

    def __init__(self, stage: str, source: Any, delivery: Delivery, services: Services) -> None:
        self.stage = stage
        self.delivery = delivery
        self._source = source
        self._services = services
        self._ordinals: dict[str, int] = {}
        self._usage: list[UsageRecorded] = []
        self.calls: Calls | None = None
        """Of a step with effect ``paid``; the runner's."""
        self.round: int = getattr(source, "round", 0)
        # A pure step says the time of what it came from, so that doing it again says the same; a recorded one says it once and for all.
        self.occurred_at: int = getattr(source, "occurred_at", None) or ids.id_time_ms(source.request_id)

    def _event_id(self, kind: str, ordinal: int) -> str:
        s = self._source
        return ids.event_id(
            tenant=s.tenant, run=s.run, request=s.request_id, stage=self.stage, round=self.round, kind=kind, ordinal=ordinal
        )

    def make(self, kind: type[S], **values: Any) -> S:
        """An output record of this step: identity, tenant, project, run, round and priority come from the input unless given."""
        name, make_own, make = _known(cast(Any, kind))
        ordinal = self._ordinals.get(name, 0)
        self._ordinals[name] = ordinal + 1
        s = self._source
        if make_own and _OF_STEP.isdisjoint(values):
            own: S = make_own(s, self._event_id(name, ordinal), self.round, self.occurred_at, self._usage_so_far(), **values)
            return own
        made: S = make(
            **{
                "event_id": self._event_id(name, ordinal), "request_id": s.request_id, "tenant": s.tenant, "project": s.project,
                "run": s.run, "round": self.round, "priority": s.priority, "occurred_at": self.occurred_at, "usage_events": self._usage_so_far(),
                **values,
            }
        )  # fmt: skip
        return made

    def meter(self, kind: str, *, quantity: float, unit: str, cost_usd: Decimal | None, call: int = 0, **values: Any) -> None:
        """Add a usage event to this step's outputs. ``cost_usd`` is None where the price is not known, never 0 for that."""
        self._usage.append(self._used(kind, call, quantity=quantity, unit=unit, cost_usd=cost_usd, occurred_at=self.occurred_at, **values))

    def usage_row(self, metered: Metered, *, kind: str, call: int, outcome: str, revision: int, occurred_at: int) -> UsageRecorded:
        """The usage event of a provider call, as the ledger has it."""
        about = {f.name: getattr(metered, f.name) for f in fields(metered) if f.name != "kind"}
        return self._used(kind, call, **about | {"dims": dict(metered.dims)}, outcome=outcome, revision=revision, occurred_at=occurred_at)

    def _used(self, kind: str, call: int, **values: Any) -> UsageRecorded:
        s = self._source
        return UsageRecorded(
            event_id=self._event_id(f"usage:{kind}", call),
            request_id=s.request_id,
            tenant=s.tenant,
            project=s.project,
            run=s.run,
            round=self.round,
            call=call,
            stage=self.stage,
            kind=kind,
            priority=s.priority,
            **values,
        )

    async def paid(
        self,
        ask: Callable[[int], Awaitable[Answer]],
        *,
        input_hash: str,
        time_limit_s: float,
        bill: Metered,
        calls: int = 3,
        estimate_usd: Decimal | None = None,
        breaker: Breaker | None = None,
    ) -> Answer:
        """Ask a provider through the ledger (``streams.ledger``); returns an answer that is ``ok``.

        ``ask`` makes the call with the given number and turns whatever the provider said, errors and streams cut short too, into an
        :class:`~streams.ledger.Answer`. What an earlier delivery recorded is returned, not asked again. The next of at most ``calls`` calls is made
        after a recorded error (not before its ``retry_after_s`` is over; long pauses are spent in the delay tiers), or after an intent expired
        without a result: that call is *in doubt*. ``time_limit_s`` is for one call. ``bill`` is what a call is billed as while nothing is known of
        it; every call becomes one usage event of this step. Several questions of a step are asked one after the other, in the same order each time.

        ``input_hash`` says what is asked: a difference to what is recorded is an alarm. ``estimate_usd`` is the most that a call may cost, for budgets.

        Raises :class:`~streams.failures.ProviderFailed` when no further call may be made, :class:`~streams.failures.Rejected` where a quota or a
        budget is used up or the run may have no effects, and :class:`~streams.failures.Waiting`, which a handler lets pass.
        """
        if self.calls is None:
            raise TypeError(f"stage {self.stage} has not declared effect 'paid'")
        return await self.calls.answer(Question(ask, input_hash, time_limit_s, bill, calls, estimate_usd, breaker))

    def _usage_so_far(self) -> int:
        return int(getattr(self._source, "usage_events", 0)) + len(self._usage) + (self.calls.bill.events if self.calls else 0)

    def finish(self, outputs: Sequence[Record]) -> list[Record]:
        """The step's outputs with its usage, each telling how many usage events the request has had so far."""
        total = self._usage_so_far()
        at = self.occurred_at

        told: list[Record] = [
            o
            if not isinstance(o, Step) or (o.usage_events == total and o.occurred_at == at)
            else replace(o, usage_events=total, occurred_at=at)
            for o in outputs
        ]
        if not self._usage and not self.calls:
            return told
        usage = [u if u.occurred_at == at else replace(u, occurred_at=at) for u in self._usage]
        return [*(self.calls.bill.rows() if self.calls else ()), *usage, *told]

    def stamp(self) -> None:
        """Let this step's outputs say the present time: for recorded steps, which are done once."""
        self.occurred_at = ids.now_ms()

    def progress(self, fraction: float, message: str = "") -> None:
        """A sign of life, published at once. Call from the event loop."""
        now = ids.now_ms()
        s = self._source
        self._services.publish_progress(
            RequestProgressed(
                event_id=self._services.writer.next_id(now),
                request_id=s.request_id,
                tenant=s.tenant,
                project=s.project,
                run=s.run,
                stage=self.stage,
                fraction=fraction,
                message=message[:500],
                occurred_at=now,
            )
        )

    async def get(self, uri: str) -> bytes:
        """The content behind a claim check of this record's own tenant. Another tenant's is refused."""
        return await asyncio.to_thread(get_content, self._services.objects, str(self.own(uri)))

    def own(self, uri: str) -> ObjectRef:
        """The reference, if it is this tenant's. Raises ``BadName`` or :class:`~streams.failures.Refused`."""
        ref = ObjectRef.parse(uri)
        if ref.tenant != self._source.tenant:
            raise Refused("foreign_reference", f"{uri} belongs to another tenant than {self._source.tenant}")
        return ref

    async def put(self, body: bytes) -> str:
        """Store content for this record's tenant; returns its claim check."""
        return str(await asyncio.to_thread(put_content, self._services.objects, self._source.tenant, body))

    @property
    def objects(self) -> ObjectStore:
        return self._services.objects
