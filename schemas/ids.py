"""Identity: who mints an id, and why doing a step again yields the same one.

A **request** id is a UUIDv7 minted once. An **event** id is a UUIDv7 too: its time bits are the request's, the rest is a hash of what
the event *is* (never of when, where or for which time it was made). So a redelivery, a re-batching and a replay within a run repeat ids,
and a table that replaces by id counts each event once.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid

_RAND_BITS = (1 << 74) - 1
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class BadId(ValueError):
    """A text that is no UUIDv7."""


def _uuid7(unix_ms: int, rand: int) -> str:
    """RFC 9562 section 5.7: 48 bits of milliseconds, version, 12 bits, variant, 62 bits."""
    rand &= _RAND_BITS
    value = (unix_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (rand >> 62) << 64 | 0b10 << 62 | rand & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def new_id(unix_ms: int | None = None) -> str:
    """A fresh UUIDv7, for now or the given time."""
    return _uuid7(now_ms() if unix_ms is None else unix_ms, int.from_bytes(os.urandom(10), "big"))


def parse_id(text: str) -> str:
    """The canonical (lower case, hyphenated) form of a UUIDv7. Raises :class:`BadId`."""
    try:
        value = uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise BadId(f"{str(text)[:80]!r} is not a UUID") from None
    if value.version != 7:
        raise BadId(f"{text!r} is a UUID of version {value.version}, not 7")
    return str(value)


def id_time_ms(request_id: str) -> int:
    """Milliseconds since 1970 in a UUIDv7's time bits."""
    return int(request_id[:8] + request_id[9:13], 16)


def run_name(run: str) -> str:
    """What a run is called where an empty name cannot stand: in claims' keys."""
    return run or "original"


def step_name(request: str, stage: str, round: int) -> str:
    """What a step is called within its tenant and run: by its claim, its ledger and its reservation, which must mean the same one."""
    return f"{request}.{stage}.{round}"


def _hash(parts: tuple[str | int, ...]) -> str:
    """A hash of the parts in hex, each framed by its length, so that ('ab', 'c') and ('a', 'bc') differ."""
    return hashlib.sha256("".join([f"{len(part)}:{part}" for part in map(str, parts)]).encode()).hexdigest()


def event_id(*, tenant: str, run: str, request: str, stage: str, round: int = 0, kind: str, ordinal: int = 0) -> str:
    """The id of an event that belongs to a request."""
    text = f"{len(tenant)}:{tenant},{len(run)}:{run},{request},{len(stage)}:{stage},{round},{len(kind)}:{kind},{ordinal}"  # framed as _hash does
    h = hashlib.sha256(text.encode()).hexdigest()
    # The request's time bits as they stand in its text, version 7, 12 bits, the variant, 62 bits.
    return f"{request[:14]}7{h[:3]}-{_VARIANT[h[3]]}{h[4:7]}-{h[7:19]}"


def derived_id(unix_ms: int, *parts: str | int) -> str:
    """The id of an event without a request: writer instance and sequence, window and subject, or a record's place in a topic."""
    return _uuid7(unix_ms, int(_hash(parts)[:20], 16))
