"""Single flight across workers: who asks a question says so in the object store, and others wait for what becomes of it.

An answer is shared with those who asked before it was there, as within a worker: what comes later asks the cache, which knows whether it proved good.

Nothing exact rests on it. A lease that ran out, or two clocks that differ, let two ask the same: the ledger pays both, the cache keeps one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

SHARED_S = 60.0
"""How long an answer lies there for those who waited for it."""


class Store(Protocol):
    """What it needs of an object store (``streams.objects.ObjectStore``)."""

    def get(self, key: str) -> Any: ...
    def create(self, key: str, body: bytes) -> bool: ...
    def replace(self, key: str, body: bytes, etag: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else is asking, for ``seconds`` more at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """What somebody else was told: a JSON value."""

    answer: Any


class Leases:
    """Methods block. ``missing`` is what the store raises for a key that is not there."""

    def __init__(self, store: Store, missing: type[Exception], *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._missing, self._clock = store, missing, clock

    def take(self, tenant: str, question: str, owner: str, seconds: float, asked_at: float) -> Held | Answered | None:
        """None where the question, which came up at ``asked_at`` (seconds since 1970), is the caller's to ask, for ``seconds``. The same ``owner``
        gets it again: it is back after a crash, and its ledger knows what it was told."""
        place, mine = _place(tenant, question), self._body(owner, seconds)
        while not self._store.create(place, mine):
            try:
                there = self._store.get(place)
            except self._missing:
                continue
            lease = json.loads(there.body)
            left = lease["until"] - self._clock()
            if left > 0 and lease["owner"] != owner:
                if lease["answer"] is None:
                    return Held(left)
                if asked_at < lease["at"]:
                    return Answered(lease["answer"])
            if self._store.replace(place, mine, there.etag):
                break
        return None

    def answered(self, tenant: str, question: str, owner: str, answer: Any) -> None:
        """Leave the answer for those who wait."""
        self._end(tenant, question, owner, self._body(owner, SHARED_S, answer))

    def release(self, tenant: str, question: str, owner: str) -> None:
        """There is no answer: whoever waits may ask."""
        self._end(tenant, question, owner, self._body(owner, 0.0))

    def _end(self, tenant: str, question: str, owner: str, body: bytes) -> None:
        there = self._store.get(_place(tenant, question))
        if json.loads(there.body)["owner"] == owner:  # else it ran out, and is somebody else's
            self._store.replace(_place(tenant, question), body, there.etag)

    def _body(self, owner: str, seconds: float, answer: Any = None) -> bytes:
        now = self._clock()
        return json.dumps({"owner": owner, "at": now, "until": now + seconds, "answer": answer}, sort_keys=True).encode()


def _place(tenant: str, question: str) -> str:
    return f"leases/{tenant}/{question[:2]}/{question}"
