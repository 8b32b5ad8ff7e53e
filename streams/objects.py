"""The object store as the engine sees it: a port, claim checks, and the one primitive called a claim.

What implements the port lies in ``sinks.objects`` (a folder, S3); one contract suite runs over both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.names import ObjectRef


class ObjectMissing(LookupError):
    """No object lies under that key."""


class ObjectDamaged(ValueError):
    """What lies under a content address has another hash."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's body with the tag that a conditional replace compares."""

    body: bytes
    etag: str


class ObjectStore(Protocol):
    """Keys are POSIX-like paths of ``[A-Za-z0-9._-]`` segments. Every write is atomic: a reader sees all of it or none.

    After a method returned, its effect survives the death of the process (and for the folder, of the machine).
    Methods block; async callers use a thread. All are safe to call from several threads and processes at once.
    """

    def get(self, key: str) -> Stored:
        """The object under ``key``. Raises :class:`ObjectMissing`."""

    def put(self, key: str, body: bytes) -> str:
        """Write ``key`` whatever was there; returns the new etag."""

    def create(self, key: str, body: bytes) -> bool:
        """Write ``key`` only where nothing is. False, and nothing changed, where something was. Exactly one of many racing callers gets True."""

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        """Write ``key`` only while its etag is ``etag``. False, and nothing changed, where it is another or the key is gone."""

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens where it is not there."""

    def exists(self, key: str) -> bool: ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with ``prefix``, in order."""

    def put_file(self, key: str, path: Path) -> None:
        """As :meth:`put`, from a file of any size, without holding it in memory."""

    def get_file(self, key: str, path: Path) -> None:
        """As :meth:`get`, into a file of any size. Raises :class:`ObjectMissing`; leaves no partial file."""


class Shelf:
    """An object store as the craft sees it: bodies by key, overwritable. For what may be lost: nothing exact rests on it. Methods block."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key).body
        except ObjectMissing:
            return None

    def write(self, key: str, body: bytes) -> None:
        self._store.put(key, body)

    def has(self, key: str) -> bool:
        return self._store.exists(key)


def put_content(store: ObjectStore, tenant: str, body: bytes) -> ObjectRef:
    """Store ``body`` under its content address and return the claim check. Storing the same again writes nothing."""
    ref = ObjectRef(tenant, hashlib.sha256(body).hexdigest())
    store.create(ref.key, body)
    return ref


def put_content_file(store: ObjectStore, tenant: str, path: Path) -> tuple[ObjectRef, int]:
    """As :func:`put_content` for a file of any size; returns the claim check and the size in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    ref = ObjectRef(tenant, digest.hexdigest())
    if not store.exists(ref.key):
        store.put_file(ref.key, path)
    return ref, size


def get_content(store: ObjectStore, uri: str) -> bytes:
    """The body behind a claim check. Raises ``BadName``, :class:`ObjectMissing` or :class:`ObjectDamaged`."""
    ref = ObjectRef.parse(uri)
    body = store.get(ref.key).body
    if hashlib.sha256(body).hexdigest() != ref.sha256:
        raise ObjectDamaged(f"{ref} does not hold what its address says")
    return body


def claim(store: ObjectStore, key: str, body: bytes) -> tuple[bool, bytes]:
    """The conditional create that everything exact rests on.

    Returns ``(True, body)`` to the one who came first and ``(False, what the first one wrote)`` to all others, for ever.
    """
    key = f"claims/{key}"
    if store.create(key, body):
        return True, body
    return False, store.get(key).body


def claimed(store: ObjectStore, key: str) -> bytes | None:
    """What was claimed under ``key``, or None."""
    try:
        return store.get(f"claims/{key}").body
    except ObjectMissing:
        return None
