"""The mark that an artifact was validated, under its address in the object store: written by validate, believed by the cache and by validate itself.

An artifact's address is the hash of its bytes, so the mark speaks of exactly those, whoever names them. It is written only for applications that are
held against nothing but the gates (made from prompts): one made from a recording is judged by that recording too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from schemas.names import ObjectRef


class Shelf(Protocol):
    """Bodies by key (``streams.objects.Shelf``)."""

    def read(self, key: str) -> bytes | None: ...
    def write(self, key: str, body: bytes) -> None: ...
    def has(self, key: str) -> bool: ...


def _place(tenant: str, artifact_uri: str) -> str:
    ref = ObjectRef.parse(artifact_uri)
    if ref.tenant != tenant:
        raise ValueError(f"{artifact_uri} is not of tenant {tenant}")
    return f"validated/{tenant}/{ref.sha256[:2]}/{ref.sha256}"


def mark(shelf: Shelf, tenant: str, artifact_uri: str, by: str, about: Mapping[str, Any]) -> None:
    """Say that validator ``by`` (its version: code, tools, policy) found the artifact good, and what it said of it (JSON values)."""
    shelf.write(_place(tenant, artifact_uri), json.dumps({"by": by, "about": about}, sort_keys=True).encode())


def known(shelf: Shelf, tenant: str, artifact_uri: str) -> bool:
    """Whether any validator found it good."""
    return shelf.has(_place(tenant, artifact_uri))


def said(shelf: Shelf, tenant: str, artifact_uri: str, by: str) -> dict[str, Any] | None:
    """What this very validator said of it; None where it was another version, or nobody."""
    body = shelf.read(_place(tenant, artifact_uri))
    document = json.loads(body) if body is not None else {}
    return dict(document["about"]) if document.get("by") == by else None
