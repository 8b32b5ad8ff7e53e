"""Which of the records in hand is next: weighted fairness over priority classes, then over tenants, then the earliest due. Nothing starves.

Weighted deficit round robin in its smooth form. A class's account is the cost it was served, divided by its weight; the class whose account is
lowest is next, and so is, within it, the tenant with the lowest. A class or tenant that had nothing to do starts level with the one served last, so
that waiting for work earns nothing.

What follows (``tests/streams/test_scheduling.py``):

F1  While classes are kept full, each is served in proportion to its weight, by cost; so are tenants, equally.
F2  A class that has something is served after at most ``c * sum(1 + w / own)`` of others' cost, ``w`` and ``own`` being weights and ``c`` the largest
    cost of a record: nothing starves, however full the others are kept.
F3  Ageing and overflow raise a class's weight to at most its double, so a class's share never falls below half of what its weight says.
F4  Within a tenant's class, the record due first goes first. One without a deadline counts as due :data:`PATIENCE_S` after it came, so it goes
    before any that come that much later.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from itertools import count, islice
from typing import Generic, TypeVar

T = TypeVar("T")
WEIGHTS: Mapping[str, float] = {"critical": 8, "high": 4, "normal": 2, "low": 1}
PATIENCE_S = 600.0


class _Line(Generic[T]):
    """One tenant's records of a class: a heap of (due, order of arrival, cost, record)."""

    __slots__ = ("account", "heap", "tenant")

    def __init__(self, tenant: str, account: float) -> None:
        self.tenant, self.account = tenant, account
        self.heap: list[tuple[float, int, float, T]] = []


class _Class(Generic[T]):
    __slots__ = ("account", "idle", "level", "lines", "size", "turns", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.account = 0.0
        self.level = 0.0
        """The account of the tenant served last: where one that comes now starts."""
        self.lines: dict[str, _Line[T]] = {}
        """Of tenants that have something."""
        self.turns: list[tuple[float, int, _Line[T]]] = []
        """The same as a heap, by account."""
        self.idle: dict[str, float] = {}
        """Accounts of tenants that have nothing just now, where they are above the level: so that nobody clears its account by pausing."""
        self.size = 0


class FairQueue(Generic[T]):
    """Records that wait for a slot. Classes are known by name; one without a weight has 1."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights = WEIGHTS if weights is None else weights
        self._classes: dict[str, _Class[T]] = {}
        self._factors: dict[str, float] = {}
        self._level = 0.0
        self._size = 0
        self._order = count()

    def __len__(self) -> int:
        return self._size

    def size(self, priority: str) -> int:
        """How many of a class wait."""
        found = self._classes.get(priority)
        return found.size if found else 0

    def favour(self, priority: str, factor: float) -> None:
        """Let a class's weight be ``factor`` times its own from now on, 1 to 2 (F3)."""
        self._factors[priority] = min(2.0, max(1.0, factor))

    def push(self, item: T, priority: str, tenant: str, *, due: float = PATIENCE_S, cost: float = 1.0) -> None:
        """Let a record wait. ``due`` (seconds, any clock, the same for all) orders it within its tenant's class; ``cost`` is what it takes of a slot."""
        found = self._classes.get(priority)
        if found is None:
            found = self._classes[priority] = _Class(self._weights.get(priority, 1.0))
        if not found.size:
            found.account = max(found.account, self._level)
        line = found.lines.get(tenant)
        if line is None:
            line = found.lines[tenant] = _Line(tenant, max(found.level, found.idle.pop(tenant, 0.0)))
            heapq.heappush(found.turns, (line.account, next(self._order), line))
        heapq.heappush(line.heap, (due, next(self._order), cost, item))
        found.size += 1
        self._size += 1

    def pop(self) -> T:
        """The next record. Raises ``IndexError`` when none waits."""
        if not self._size:
            raise IndexError("nothing is queued")
        name, chosen = min(((n, c) for n, c in self._classes.items() if c.size), key=_account)
        self._level = chosen.account
        line = chosen.turns[0][2]
        chosen.level = line.account
        _, _, cost, item = heapq.heappop(line.heap)
        chosen.account += cost / (chosen.weight * self._factors.get(name, 1.0))
        line.account += cost
        if line.heap:
            heapq.heapreplace(chosen.turns, (line.account, next(self._order), line))
        else:
            heapq.heappop(chosen.turns)
            self._rest(chosen, line)
        chosen.size -= 1
        self._size -= 1
        return item

    def _rest(self, found: _Class[T], line: _Line[T]) -> None:
        del found.lines[line.tenant]
        found.idle[line.tenant] = line.account
        if len(found.idle) > 2 * len(found.lines) + 100:
            above = {tenant: account for tenant, account in found.idle.items() if account > found.level}
            # Those that rested longest are forgiven what they are above the level, one record at most: else tenants that come once pile up.
            found.idle = dict(islice(above.items(), len(above) // 2, None))

    def take_where(self, wanted: Callable[[T], bool]) -> list[T]:
        """Take out the records for which ``wanted`` is true, whoever's turn it is. Nobody is charged."""
        taken: list[T] = []
        for found in self._classes.values():
            before = len(taken)
            for line in list(found.lines.values()):
                out = [entry[3] for entry in line.heap if wanted(entry[3])]
                if out:
                    gone = set(map(id, out))
                    line.heap = [entry for entry in line.heap if id(entry[3]) not in gone]
                    heapq.heapify(line.heap)
                    taken += out
                    if not line.heap:
                        self._rest(found, line)
            if len(taken) > before:
                found.size -= len(taken) - before
                found.turns = [turn for turn in found.turns if turn[2].heap]
                heapq.heapify(found.turns)
        self._size -= len(taken)
        return taken


def _account(entry: tuple[str, _Class[T]]) -> float:
    return entry[1].account
