"""Where a record came from and what was tried: the headers a retried record carries, and the dead letter it ends in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Message

from schemas import ids
from schemas.records import DeadLetter, Header
from streams import tracing
from streams.contract import Delivery
from streams.failures import Failure, shortened
from streams.settings import StreamSettings

ORIGIN, TRIES, NOT_BEFORE, REASON = "millrace-origin", "millrace-tries", "millrace-not-before", "millrace-reason"
WAITS_SINCE = "millrace-waits-since"
Headers = Iterable[tuple[str, bytes | None]]
_OURS = (ORIGIN, TRIES, NOT_BEFORE, REASON, WAITS_SINCE)


def headers_of(message: Message) -> dict[str, bytes]:
    """The last value of each header. Names that are not UTF-8 never get here: librdkafka's Python binding refuses them."""
    return {name: value or b"" for name, value in message.headers() or ()}


def topic_of(message: Message, settings: StreamSettings) -> str:
    """The topic's name in the catalogue."""
    name: str = message.topic()
    return name.removeprefix(settings.topic_prefix)


def place_of(message: Message, settings: StreamSettings) -> Delivery:
    """Where the record lies, as a first try."""
    return Delivery(topic_of(message, settings), message.partition(), message.offset(), max(0, message.timestamp()[1]), 1)


def origin_of(message: Message, settings: StreamSettings) -> Delivery:
    """Of a record in a retry tier: the original place, and the tries so far with this one. Topics as in the catalogue.

    The headers are the runner's own, but whoever may write into the tier can write them: what does not parse is as if it were not there.
    """
    headers = headers_of(message)
    try:
        topic, partition, offset, timestamp = headers[ORIGIN].decode().rsplit(" ", 3)
        found = Delivery(topic, int(partition), int(offset), int(timestamp), int(headers.get(TRIES, b"0")) + 1)
    except (KeyError, ValueError):
        return place_of(message, settings)
    fits = found.tries and all(0 <= n < 1 << bits for n, bits in zip(found[1:], (31, 63, 48, 31), strict=True))
    return found if fits else place_of(message, settings)


def due_ms(message: Message) -> int:
    """When a record in a retry tier may be tried again, ms; 0 where it does not say."""
    return _time(message, NOT_BEFORE)


def waits_since(message: Message) -> int:
    """When a record in a retry tier began to wait without a try in between, ms; 0 where its last try was one, or it does not say."""
    return _time(message, WAITS_SINCE)


def _time(message: Message, header: str) -> int:
    try:
        at = int(headers_of(message).get(header, b"0"))
    except ValueError:
        return 0
    return at if 0 <= at < 1 << 48 else 0


def retry_headers(message: Message, delivery: Delivery, failure: Failure, delay_s: float, waits_since: int = 0) -> list[tuple[str, bytes]]:
    """The original's headers, its place, and when to try again. The trace context is the runner's to add, as to any output."""
    kept = [(n, v or b"") for n, v in message.headers() or () if n not in _OURS and n not in tracing.NAMES]
    not_before = int((time.time() + delay_s) * 1000)
    return [
        *kept,
        (ORIGIN, f"{delivery.topic} {delivery.partition} {delivery.offset} {delivery.timestamp}".encode()),
        (TRIES, str(delivery.tries).encode()),
        (NOT_BEFORE, str(not_before).encode()),
        (REASON, failure.reason.encode()),
        *([(WAITS_SINCE, str(waits_since).encode())] if waits_since else ()),
    ]


def dead_letter(stage: str, message: Message, delivery: Delivery, failure: Failure, record: Any, code_version: str) -> DeadLetter:
    """The record, whole, with what became of it. ``record`` is what it decodes to, or anything."""
    return letter_of(stage, delivery, failure, record, code_version, message.key(), message.value(), message.headers() or ())


def letter_of(
    stage: str,
    delivery: Delivery,
    failure: Failure,
    record: Any,
    code_version: str,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
) -> DeadLetter:
    """As :func:`dead_letter`, of a record's parts. Its id comes from its place, so that giving it up twice is one dead letter."""
    return DeadLetter(
        event_id=ids.derived_id(delivery.timestamp, stage, delivery.topic, delivery.partition, delivery.offset, getattr(record, "run", "")),
        stage=stage, reason=failure.reason, message=failure.message, exception=failure.exception, tries=delivery.tries,
        topic=delivery.topic, partition=delivery.partition, offset=delivery.offset, timestamp=delivery.timestamp, occurred_at=ids.now_ms(),
        key=key, value=value, headers=tuple(Header(name=n, value=v or b"") for n, v in headers if n not in _OURS),
        code_version=code_version, tenant=_named(record, "tenant"), request_id=_named(record, "request_id"), run=_named(record, "run"),
    )  # fmt: skip


def _named(record: Any, what: str) -> str:
    """A name or id of the record, shortened where it is too long to be one: a letter always fits."""
    return shortened(getattr(record, what, ""), 200)
