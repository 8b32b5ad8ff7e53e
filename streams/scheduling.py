"""Which of the records in hand is next: weighted fairness over priority classes, then turn by turn over tenants. Nothing starves."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
WEIGHTS = {"critical": 8, "high": 4, "normal": 2, "low": 1}


class FairQueue(Generic[T]):
    """Smooth weighted round robin over the classes that have something; within a class, tenants take turns.

    Every record costs one, so this is deficit round robin with a quantum of the class's weight. A class that was empty starts without
    credit, so that waiting for work earns nothing.
    """

    def __init__(self, weights: dict[str, int] | None = None) -> None:
        self._weights = weights or WEIGHTS
        self._classes: dict[str, OrderedDict[str, deque[T]]] = {}
        self._credit: dict[str, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, item: T, priority: str, tenant: str) -> None:
        tenants = self._classes.setdefault(priority, OrderedDict())
        tenants.setdefault(tenant, deque()).append(item)
        self._size += 1

    def pop(self) -> T:
        """The next item. Raises ``IndexError`` when empty."""
        if not self._size:
            raise IndexError("nothing is queued")
        if len(self._classes) == 1:
            chosen = next(iter(self._classes))
        else:
            total = 0
            for name in self._classes:
                weight = self._weights.get(name, 1)
                self._credit[name] = self._credit.get(name, 0) + weight
                total += weight
            chosen = max(self._classes, key=lambda name: self._credit[name])
            self._credit[chosen] -= total
        tenants = self._classes[chosen]
        tenant, queue = next(iter(tenants.items()))
        item = queue.popleft()
        self._size -= 1
        if queue:
            tenants.move_to_end(tenant)
        else:
            del tenants[tenant]
            if not tenants:
                del self._classes[chosen]
                self._credit.pop(chosen, None)
        return item

    def drop_where(self, gone: Callable[[T], bool]) -> None:
        """Remove the items for which ``gone`` is true."""
        kept = [
            (i, priority, tenant)
            for priority, tenants in self._classes.items()
            for tenant, queue in tenants.items()
            for i in queue
            if not gone(i)
        ]
        self._classes.clear()
        self._size = 0
        for item, priority, tenant in kept:
            self.push(item, priority, tenant)
