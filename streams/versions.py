"""Artifacts are versioned within their project: 1, 2, 3, ... without gaps, each number given once."""

from __future__ import annotations

import orjson

from streams.objects import ObjectStore, claim, claimed


def claim_version(store: ObjectStore, tenant: str, project: str, artifact: str) -> int:
    """The version of ``artifact`` (any text that identifies it) in its project: the one it has, else the next one.

    Numbers are claims, ``versions/TENANT/PROJECT/N``, each written once; so two artifacts never share a number, and an artifact keeps its own
    under ``version-of/TENANT/PROJECT/ARTIFACT``. A process that dies between the two leaves an artifact that finds its number again, since it
    looks for itself from its own pointer or, without one, over the numbers that were given last.
    """
    pointer = f"version-of/{tenant}/{project}/{artifact}"
    known = claimed(store, pointer)
    if known is not None:
        return int(known)
    mine = orjson.dumps({"artifact": artifact})
    number = _last(store, tenant, project)
    for earlier in range(number, max(0, number - 32), -1):
        if claimed(store, _key(tenant, project, earlier)) == mine:
            number = earlier - 1
            break
    while True:
        number += 1
        won, first = claim(store, _key(tenant, project, number), mine)
        if won or first == mine:
            break
    return int(claim(store, pointer, str(number).encode())[1])


def _key(tenant: str, project: str, number: int) -> str:
    return f"versions/{tenant}/{project}/{number}"


def _last(store: ObjectStore, tenant: str, project: str) -> int:
    """The highest number given. Numbers have no gaps, so doubling and halving finds it in a handful of reads."""
    high = 1
    while claimed(store, _key(tenant, project, high)) is not None:
        high *= 2
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        if claimed(store, _key(tenant, project, middle)) is None:
            high = middle
        else:
            low = middle
    return low
