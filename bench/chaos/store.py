"""An object store that can be told, from outside its process, to fail, to be slow or to be full."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson

from sinks.objects import StoreUnreachable
from streams.objects import ObjectStore, Stored

T = TypeVar("T")
INJECTED = "injected by bench.chaos"
"""In the message of every failure made here, so that a dead letter's reason can be told from the engine's own."""


class FaultyStore:
    """``streams.objects.ObjectStore`` over another one, doing what a control file says. Written by :class:`Control`."""

    def __init__(self, inner: ObjectStore, control: Path) -> None:
        self._inner, self._control = inner, control
        self._seen = -1
        self._orders: list[dict[str, Any]] = []
        self._chance = random.Random(os.getpid())

    def _ask(self, call: Callable[[], T], *, writes: bool = False) -> T:
        try:
            changed = self._control.stat().st_mtime_ns
        except FileNotFoundError:
            changed = -1
        if changed != self._seen:
            self._seen = changed
            self._orders = orjson.loads(self._control.read_bytes()) if changed >= 0 else []
        orders = self._orders
        if not orders:
            return call()
        now = time.time()
        late = False
        for order in orders:
            if now >= order["until"]:
                continue
            match order["kind"]:
                case "store-slow":
                    time.sleep(order["amount"])  # the fault itself: handlers call the store in threads
                case "store-errors" if self._chance.random() < 0.5:
                    if not writes or self._chance.random() < 2 / 3:
                        raise StoreUnreachable(f"the object store does not answer ({INJECTED})")
                    late = True
                case "disk-objects" if writes:
                    raise OSError(errno.ENOSPC, f"no space left on the object store's disk ({INJECTED})")
        answer = call()
        if late:
            raise StoreUnreachable(f"the object store's answer was lost ({INJECTED})")
        return answer

    def get(self, key: str) -> Stored:
        return self._ask(lambda: self._inner.get(key))

    def put(self, key: str, body: bytes) -> str:
        return self._ask(lambda: self._inner.put(key, body), writes=True)

    def create(self, key: str, body: bytes) -> bool:
        return self._ask(lambda: self._inner.create(key, body), writes=True)

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        return self._ask(lambda: self._inner.replace(key, body, etag), writes=True)

    def delete(self, key: str) -> None:
        self._ask(lambda: self._inner.delete(key), writes=True)

    def exists(self, key: str) -> bool:
        return self._ask(lambda: self._inner.exists(key))

    def keys(self, prefix: str) -> Iterator[str]:
        return self._ask(lambda: self._inner.keys(prefix))

    def put_file(self, key: str, path: Path) -> None:
        self._ask(lambda: self._inner.put_file(key, path), writes=True)

    def get_file(self, key: str, path: Path) -> None:
        self._ask(lambda: self._inner.get_file(key, path))


class Control:
    """Tells every :class:`FaultyStore` what to do until when."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._orders: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def order(self, kind: str, seconds: float, amount: float) -> None:
        now = time.time()
        with self._lock:
            self._orders = [o for o in self._orders if o["until"] > now] + [{"kind": kind, "until": now + seconds, "amount": amount}]
            new = self.path.with_suffix(".new")
            new.write_bytes(orjson.dumps(self._orders))
            new.replace(self.path)
