"""What the engine makes of records always fits the topic it goes to, whatever the records say: else what is given up could never be.

A record larger than its topic takes is known by its size before anything is claimed for it (:func:`fits`). What is left to say about one that was
given up is made smaller until it fits: a letter without its value, or even its headers (:func:`letter`), anything else with its texts shortened and
its lists left out (:func:`cut`). The same record is always cut the same way, so ids keep meaning one content.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from schemas.records import DeadLetter, Record
from streams.admin import largest_record
from streams.codec import Codec
from streams.failures import shortened
from streams.producer import Output
from streams.settings import StreamSettings
from streams.topics import CATALOGUE, DEAD_LETTERS, Topic, route

TEXT = 2000
"""Characters that a text may have in a record that was cut."""
_FRAME = 4096
"""Bytes for headers, and for what Kafka puts around a record."""


def fits(output: Output, settings: StreamSettings) -> bool:
    """Whether the topic takes the record as it is. One that is larger may still pass where it happens to be compressed well; nothing relies on that."""
    topic, key, value, _ = output
    return _fits(CATALOGUE[topic], len(key or b"") + len(value or b""), settings)


def _fits(topic: Topic, size: int, settings: StreamSettings) -> bool:
    return size <= largest_record(topic, settings) - _FRAME


def cut(record: Record, codec: Codec, settings: StreamSettings) -> Record:
    """The record, where it is too large without its lists and with its texts shortened."""
    topic = route(record)
    if _fits(topic, len(codec.encode(topic, record)), settings):
        return record
    return replace(record, **{f.name: _smaller(getattr(record, f.name)) for f in fields(record)})


def _smaller(value: Any) -> Any:
    match value:
        case str():
            return shortened(value, TEXT)
        case tuple() | dict():
            return type(value)()
        case _:
            return value


def letter(full: DeadLetter, codec: Codec, settings: StreamSettings) -> DeadLetter:
    """The letter, without its value or even its headers where not even ``dead.letters`` would take it. Its key is the record's, too."""
    for smaller in (_without_value, _without_headers):
        if _fits(DEAD_LETTERS, len(codec.encode(DEAD_LETTERS, full)) + len(full.key or b""), settings):
            break
        full = smaller(full)
    return full


def _without_value(full: DeadLetter) -> DeadLetter:
    """The letter stays, the value lies where the provenance says."""
    size = len(full.value or b"")
    return replace(full, value=None, message=f"{full.message} (its value of {size:,} bytes is only in the original topic)")


def _without_headers(full: DeadLetter) -> DeadLetter:
    return replace(full, key=None, headers=(), message=f"{full.message} (its key and headers are only in the original topic)")
