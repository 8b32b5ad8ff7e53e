"""Results that are kept for when the same is asked again, to the byte: files that applications share, pictures that come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Results of one pure function, found by a hash of what went into it, those used last; of what went in nothing is kept. Safe for threads."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._lock = Lock()

    def get(self, make: Callable[[], T], *given: bytes) -> T:
        """The result for what is given, made where it is not known; whoever gets it must not change it."""
        h = blake2b(digest_size=16)
        for part in given:
            h.update(len(part).to_bytes(8, "big"))
            h.update(part)
        key = h.digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = make()  # two threads may make the same: better than one waiting for the other
        with self._lock:
            self._known[key] = made
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return made
