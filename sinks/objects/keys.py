"""Which keys there are. The rule is the same for every store, so that what one takes, the others take."""

from __future__ import annotations

import re

from streams.failures import Unavailable

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,200}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*\Z")
_PREFIX = re.compile(rf"(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?\Z")
LONGEST = 900
"""Characters a key may have; S3 allows 1,024 bytes and the store's own prefix is among them."""


class StoreUnreachable(Unavailable, ConnectionError):
    """The store did not answer, answered with a failure of its own, also after retries, or has no room. Trying later may help."""

    reason = "store_unavailable"


class BadKey(ValueError):
    """A key that no store takes: absolute, with ``..``, an empty segment or a character that is odd somewhere."""


def check_key(key: str) -> str:
    """Return ``key`` if it may name an object, else raise :class:`BadKey`."""
    if len(key) > LONGEST or not _KEY.match(key):
        raise BadKey(f"{_shown(key)} is not a key: segments of 1 to 200 of [A-Za-z0-9._-] between slashes, {LONGEST} characters at most")
    return key


def check_prefix(prefix: str) -> str:
    """Return ``prefix`` if some key may start with it, else raise :class:`BadKey`. Empty stands for all keys."""
    if len(prefix) > LONGEST or not _PREFIX.match(prefix):
        raise BadKey(f"{_shown(prefix)} is not the beginning of a key")
    return prefix


def _shown(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")
