"""Answers that were asked for before, and proved good.

An entry is a *candidate* from the moment its artifact is generated and an *answer* once that very artifact was validated: validate leaves a mark
under the artifact's address (``processors.validated``), and a lookup believes nothing else. Nothing is told to the cache, nothing has to be
taken back: what is never validated is never found.

C1  Nobody gets another tenant's entry: the tenant is in the place and in the key.
C2  Only artifacts that were validated are found.
C3  The key holds everything that can change the answer; what is asked at a temperature above 0 has no key.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from processors import validated

WORTH_USD = Decimal("0.01")
"""An answer that cost this much is kept in memory when it is found for the first time, a cheaper one for the second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An artifact and what it took to make it."""

    method: str
    artifact_uri: str
    artifact_size: int
    artifact_digest: str
    request_id: str
    """Whose request made it."""
    cost_usd: str | None = None
    """None where a price was not known."""
    provider: str = ""
    model: str = ""

    @property
    def saved_usd(self) -> Decimal:
        """What a hit spares; 0 where that is not known."""
        return Decimal(self.cost_usd or 0)


def key(*parts: str | bytes) -> str:
    """SHA-256 in hex over parts, each length-framed."""
    h = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        h.update(len(raw).to_bytes(8, "big"))
        h.update(raw)
    return h.hexdigest()


class Cache:
    """Memory over the object store. Safe to use from several threads; methods block."""

    def __init__(
        self,
        shelf: validated.Shelf,
        *,
        entries: int = 1_000,
        seconds: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shelf, self._entries, self._seconds, self._clock = shelf, entries, seconds, clock
        self._memory: OrderedDict[tuple[str, str], tuple[float, Entry]] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], int] = OrderedDict()

    def find(self, tenant: str, key: str) -> Entry | None:
        """The validated answer, or None."""
        where = (tenant, key)
        held = self._memory.get(where)
        if held is not None:
            if self._clock() - held[0] <= self._seconds:
                self._touch(self._memory, where)
                return held[1]
            self._memory.pop(where, None)
        entry = self._stored(tenant, key)
        if entry is None or not validated.known(self._shelf, tenant, entry.artifact_uri):
            return None
        self._asked[where] = self._asked.get(where, 0) + 1
        self._touch(self._asked, where)
        if self._asked[where] > 1 or entry.saved_usd >= WORTH_USD:
            self._memory[where] = (self._clock(), entry)
            self._touch(self._memory, where)
        return entry

    def offer(self, tenant: str, key: str, entry: Entry) -> None:
        """Put a candidate down. An answer that was validated stays; another candidate gives way to the newer one."""
        there = self._stored(tenant, key)
        if there is None or not validated.known(self._shelf, tenant, there.artifact_uri):
            self._shelf.write(_place(tenant, key), json.dumps(asdict(entry), sort_keys=True).encode())

    def in_memory(self) -> int:
        return len(self._memory)

    def _stored(self, tenant: str, key: str) -> Entry | None:
        body = self._shelf.read(_place(tenant, key))
        try:
            return None if body is None else Entry(**json.loads(body))
        except (ValueError, TypeError):  # written by another version: asked anew
            return None

    def _touch(self, kept: OrderedDict[tuple[str, str], Any], where: tuple[str, str]) -> None:
        try:
            kept.move_to_end(where)
        except KeyError:  # another thread put it out
            return
        while len(kept) > self._entries:
            kept.popitem(last=False)


def _place(tenant: str, key: str) -> str:
    return f"cache/{tenant}/{key[:2]}/{key}"
