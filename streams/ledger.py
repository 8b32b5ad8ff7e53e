"""The ledger of paid calls: what was asked of a provider, what came back, and what nobody knows.

A step's calls are numbered within its (tenant, run, request, stage, round). Each is at most three claims (``streams.objects.claim``)::

    ledger/TENANT/RUN/REQUEST.STAGE.ROUND.CALL.intent     who calls, until when at most, and what is asked (a hash of it)
    ledger/TENANT/RUN/REQUEST.STAGE.ROUND.CALL.end        the provider's answer, an error too; or: in doubt
    ledger/TENANT/RUN/REQUEST.STAGE.ROUND.CALL.late       an answer that came when its call had been told to be in doubt

Invariants (``tests/streams/test_ledger.py`` holds them against a model with owners that die, sleep and wake up):

L1  A call is asked by one owner, once: the one whose intent was there first.
L2  A call has one end, for ever: its owner's result or *in doubt*, whichever was there first.
L3  An intent for call n+1 is written only after call n's end was read: a recorded error, in doubt, or (of an earlier question) an answer.
L4  *In doubt* is said of a call without an end only: when its intent has expired, or when its record is given up.
L5  The answer to a question is its first call that ended well. It is the same for every owner; a late answer never changes it.
L6  A late answer is recorded once, and corrects the bill's row for its call as revision 1.
L7  The bill has one row for each call with an intent, and each row says the same whoever writes it.
L8  After the record was given up no call is begun: the next number is taken by a *closed* mark.

Expiry compares the clocks of two hosts: whoever reads an intent waits ``skew`` longer than it says. Hosts whose clocks differ by more may make a
second call while the first still runs; L1, L2 and L7 do not depend on clocks, so both calls are on the bill all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

import orjson

from schemas import ids
from streams.objects import ObjectStore, claim, claimed

T = TypeVar("T")
RESULT, IN_DOUBT, ADOPTED = "result", "in_doubt", "adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What one provider call is billed as: the fields of ``UsageRecorded`` that the call decides. An unknown price is None, never 0."""

    kind: str
    quantity: float = 1
    unit: str = "call"
    cost_usd: Decimal | None = None
    saved_usd: Decimal = Decimal(0)
    provider: str = ""
    model: str = ""
    usage_source: str = "counted"
    in_uncached: int = 0
    in_cache_read: int = 0
    in_cache_write: int = 0
    out_text: int = 0
    out_reasoning: int = 0
    price_version: str = ""
    dims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Any answer of a provider, an error too, as it is written down."""

    body: bytes = b""
    ok: bool = True
    error: str = ""
    """For a person and the logs, where not ``ok``: no secrets."""
    retry: bool = True
    """Whether the same question may be asked again after this error. False where the question itself is wrong (HTTP 400, 413, 422)."""
    retry_after_s: float = 0
    """What the provider asked for; 0 where it did not say."""
    metered: Metered | None = None
    """None: as the question's own ``bill`` says, with a price that is not known."""

    def pack(self) -> dict[str, Any]:
        about = asdict(self)
        del about["body"]
        if metered := about["metered"]:
            metered["cost_usd"] = None if self.metered is None or self.metered.cost_usd is None else str(self.metered.cost_usd)
            metered["saved_usd"] = str(metered["saved_usd"])
        return about

    @classmethod
    def unpack(cls, about: Mapping[str, Any], body: bytes) -> Answer:
        metered = about["metered"]
        if metered is not None:
            cost = metered["cost_usd"]
            money = {"cost_usd": None if cost is None else Decimal(cost), "saved_usd": Decimal(metered["saved_usd"])}
            metered = Metered(**{**metered, **money})
        return cls(**{**about, "metered": metered, "body": body})


@dataclass(frozen=True, slots=True)
class Intent:
    owner: str
    at_ms: int
    expires_ms: int
    """The owner's clock when it wrote this, and the call's time limit later."""
    input_hash: str = ""
    code_version: str = ""
    bill: Metered | None = None
    """What the call is on the bill as while its answer is not known."""
    estimate_usd: str = ""
    """The most it may cost, in decimal text, where that was said."""
    closed: str = ""
    """Why no call was begun under this number, and none will be."""
    adopts: tuple[str, int] | None = None
    """No call either: the answer of this call of this (parent) run, paid for there."""


@dataclass(frozen=True, slots=True)
class End:
    how: str
    """``result``, ``in_doubt``, or ``adopted``: a parent run's answer, paid for there."""
    at_ms: int
    answer: Answer | None = None
    why: str = ""
    """Of what is in doubt."""

    @property
    def ok(self) -> bool:
        return self.answer is not None and self.answer.ok


@dataclass(frozen=True, slots=True)
class Call:
    """What the ledger says of one call. ``end`` is None while its owner may still be at it."""

    number: int
    intent: Intent
    end: End | None = None
    late: End | None = None

    def usd(self) -> Decimal:
        """What the call cost, and where nobody knows, the most it may have cost as far as that was said."""
        answer = next((e.answer for e in (self.late, self.end) if e is not None and e.answer is not None), None)
        if self.intent.closed or self.intent.adopts is not None:
            return Decimal(0)
        if answer is not None and answer.metered is not None and answer.metered.cost_usd is not None:
            return answer.metered.cost_usd
        return Decimal(self.intent.estimate_usd or 0)

    @property
    def good(self) -> End | None:
        """An answer that is of use, late or not."""
        return next((e for e in (self.end, self.late) if e is not None and e.ok), None)


# ---- what to do next: nothing but a look at the state -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    call: Call


@dataclass(frozen=True, slots=True)
class Ask:
    """Begin this call, ``not_before_ms`` at the earliest."""

    number: int
    not_before_ms: float = 0


@dataclass(frozen=True, slots=True)
class Doubt:
    """Say that this call is in doubt: its intent has expired and there is no end."""

    call: Call


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else is at it, until then at most."""

    call: Call
    until_ms: float


@dataclass(frozen=True, slots=True)
class Spent:
    """No further call: their number is reached, the last error is final, or the record was given up (``closed``)."""

    calls: tuple[Call, ...]
    closed: str = ""


Move: TypeAlias = Answered | Ask | Doubt | Wait | Spent


def next_move(
    calls: Sequence[Call], *, first: int, limit: int, now_ms: float, skew_ms: float, pause_ms: Callable[[int], float] = lambda failed: 0
) -> Move:
    """What an owner may do next about a question whose first call has number ``first`` and which may take ``limit`` calls.

    ``calls`` are all that have an intent from ``first`` on, in order. ``pause_ms(failed)`` is how long to wait after so many failed calls.
    """
    asked = [c for c in calls if c.number < first + limit]
    not_before = 0.0
    for failed, call in enumerate(asked, 1):
        end = call.end
        if call.intent.closed:
            return Spent(tuple(asked[: failed - 1]), call.intent.closed)
        if end is None:
            until = call.intent.expires_ms + skew_ms
            return Doubt(call) if now_ms > until else Wait(call, until)
        if end.ok:
            return Answered(call)
        if end.answer is not None:
            if not end.answer.retry:
                return Spent(tuple(asked[:failed]))
            not_before = end.at_ms + max(end.answer.retry_after_s * 1000, pause_ms(failed))
        else:  # who gives a record up says so before the time is over, and is about to close the ledger
            not_before = call.intent.expires_ms + skew_ms
    if len(asked) == limit:
        return Spent(tuple(asked))
    return Ask(first + len(asked), not_before)


# ---- the claims ----------------------------------------------------------------------------------------------------------


class Ledger:
    """The ledger of one step. Its methods block in threads; only :meth:`begin`, :meth:`finish` and :meth:`add_late` write, each by one claim."""

    def __init__(self, store: ObjectStore, source: Any, stage: str, round: int, *, run: str | None = None) -> None:
        run = ids.run_name(source.run if run is None else run)
        self._store, self._of = store, (source, stage, round)
        self._prefix = f"ledger/{source.tenant}/{run}/{ids.step_name(source.request_id, stage, round)}"

    def of_run(self, run: str) -> Ledger:
        """The same step's ledger in another run."""
        return type(self)(self._store, *self._of, run=run)

    async def _io(self, do: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(do, *arguments)

    async def read(self, first: int = 0) -> list[Call]:
        """The calls from ``first`` on that have an intent, in order."""
        calls: list[Call] = []
        while (found := await self._io(self._read, first + len(calls))) is not None:
            calls.append(found)
        return calls

    def _read(self, number: int) -> Call | None:
        packed = claimed(self._store, f"{self._prefix}.{number}.intent")
        if packed is None:
            return None
        intent = _unpack_intent(packed)
        if intent.adopts is not None:
            run, of = intent.adopts
            theirs = self.of_run(run)._read(of)
            assert theirs is not None, "adopted only after it was read"
            found = theirs.good
            assert found is not None
            return Call(number, intent, replace(found, how=ADOPTED))
        end, late = (claimed(self._store, f"{self._prefix}.{number}.{part}") for part in ("end", "late"))
        return Call(number, intent, None if end is None else _unpack_end(end), None if late is None else _unpack_end(late))

    async def begin(self, number: int, intent: Intent) -> bool:
        """Take a call's number. False: somebody else has it (L1)."""
        return await self._mine(f"{number}.intent", _pack_intent(intent))

    async def finish(self, number: int, end: End) -> bool:
        """Write a call's end. False: it has another one already (L2)."""
        return await self._mine(f"{number}.end", _pack_end(end))

    async def _mine(self, part: str, packed: bytes) -> bool:
        # What stands there may be one's own although the claim failed: a store's answer can get lost on its way.
        first, stands = await self._io(claim, self._store, f"{self._prefix}.{part}", packed)
        return first or stands == packed

    async def add_late(self, number: int, end: End) -> End:
        """Write down an answer that came too late; returns what stands there (L6)."""
        return _unpack_end((await self._io(claim, self._store, f"{self._prefix}.{number}.late", _pack_end(end)))[1])


def said_at(ms: int) -> str:
    """A time of the ledger, for a person."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pack_intent(intent: Intent) -> bytes:
    about = asdict(intent)
    about["bill"] = intent.bill and Answer(metered=intent.bill).pack()["metered"]
    return orjson.dumps(about)


def _unpack_intent(body: bytes) -> Intent:
    about = orjson.loads(body)
    if about["bill"]:
        about["bill"] = Answer.unpack({"metered": about["bill"]}, b"").metered
    return Intent(**{**about, "adopts": about["adopts"] and tuple(about["adopts"])})


def _pack_end(end: End) -> bytes:
    """A line of JSON, then the answer's body as it came."""
    about = {"how": end.how, "at_ms": end.at_ms, "why": end.why, "answer": end.answer and end.answer.pack()}
    return orjson.dumps(about) + b"\n" + (end.answer.body if end.answer else b"")


def _unpack_end(packed: bytes) -> End:
    line, _, body = packed.partition(b"\n")
    about = orjson.loads(line)
    answer = about.pop("answer")
    return End(**about, answer=Answer.unpack(answer, body) if answer is not None else None)
