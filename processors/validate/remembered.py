"""What was found in a file before: applications of one generator share most of their files, and a file is judged by its content alone."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_MOST = 4096
"""Files whose findings are kept, those used last."""

T = TypeVar("T")


class Remembered(Generic[T]):
    """Results of one pure function, found by a hash of what went into it. Nothing of the content itself is kept."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, T] = OrderedDict()

    def get(self, make: Callable[[], T], *given: str) -> T:
        """The result for what is given, made where it is not known; whoever gets it must not change it."""
        h = hashlib.sha256()
        for part in given:
            raw = part.encode(errors="surrogatepass")
            h.update(len(raw).to_bytes(8, "big"))
            h.update(raw)
        key = h.digest()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        made = self._known[key] = make()
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return made
