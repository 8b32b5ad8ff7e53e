"""What comes from Kafka: a record in the window of its assignment; or word of a range of them that is no longer there."""

from __future__ import annotations

from dataclasses import dataclass
from operator import methodcaller

from confluent_kafka import Message

from streams.acknowledgement import Window

OVERHEAD = 64
"""Bytes that a record counts with beside its value."""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets that were to be read next and are no longer there. The topic is named as in Kafka."""

    topic: str
    partition: int
    committed: int
    """Where we stood; -1 where that is not known."""
    earliest: int
    made_anew: bool = False
    """Whether the topic is another one of the same name: what the old one held after ``committed`` is gone with it."""

    @property
    def records(self) -> int | None:
        """How many may be lost at most (compaction and aborted writes leave gaps); None where nobody can know."""
        return self.earliest - self.committed if 0 <= self.committed <= self.earliest and not self.made_anew else None


_look_at_headers = methodcaller("headers")
UNREADABLE = [("millrace-headers", b"left out: a header's name is not UTF-8")]


def readable(message: Message) -> bool:
    """Whether a record's headers can be read. Ask before anything else looks at them.

    confluent-kafka turns all of them into Python at the first look and keeps the list. Where a name is not UTF-8 that first look raises, and the
    list that it keeps has a null pointer for the name: whoever touches it later crashes the process, again after each restart. Such headers
    are replaced by a note.

    The look goes through a ``methodcaller``: the client gives its list back *and* leaves the error set, which only a call that checks its result
    notices. CPython 3.11 leaves that check out of a method call that has run often enough to be specialised.
    """
    try:
        _look_at_headers(message)
    except SystemError:
        message.set_headers(list(UNREADABLE))
        return False
    return True


class Taken:
    """A record as taken from Kafka, in the window of its partition's assignment."""

    __slots__ = ("message", "offset", "readable", "size", "timestamp", "window")

    def __init__(self, message: Message, window: Window) -> None:
        self.message = message
        self.window = window
        self.offset: int = message.offset()
        self.size: int = len(message) + OVERHEAD
        self.timestamp: int = message.timestamp()[1]
        """The broker's time, ms; -1 where it has none."""
        self.readable = readable(message)
