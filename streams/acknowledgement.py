"""Which records of a partition are done, and so how far its group may commit.

One :class:`Window` exists for each *assignment* of a partition: it is made when the partition arrives and retired when the partition is
taken away. A completion carries the window it belongs to; one that comes late marks a window that nobody commits from any more, and so
can neither skip nor repeat anything for the new owner.

Invariants (``tests/streams/test_acknowledgement.py`` holds them against a model):

A1  ``committable`` is the lowest offset delivered and not done; where all are done, one past the highest delivered.
A2  ``committable`` never decreases, and no offset below it is in flight.
A3  An offset that was never delivered (compacted away, a transaction marker) is never waited for.
A4  A record is counted once: marking it done again, or marking one that was never delivered, changes nothing.
A5  After :meth:`Window.close` nothing more is delivered; after :meth:`Window.retire` nothing changes any more: the partition is somebody else's.
A6  ``in_flight`` and ``bytes_in_flight`` are those of the records delivered and not done.
"""

from __future__ import annotations


class Window:
    """The records in flight of one assignment of one partition. Offsets are delivered in ascending order."""

    __slots__ = ("_closed", "_in_flight", "_next", "_retired", "bytes_in_flight", "committed", "partition", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        # offset -> (bytes, broker time). Insertion order is delivery order is offset order, so the first key is the lowest not done (A1).
        self._in_flight: dict[int, tuple[int, int]] = {}
        self._next: int | None = None
        self._closed = self._retired = False
        self.bytes_in_flight = 0
        self.committed: int | None = None
        """What was last handed to the broker to commit; the source's own note."""

    @property
    def next(self) -> int | None:
        """One past the highest offset delivered; None before anything was."""
        return self._next

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def oldest_ms(self) -> int | None:
        """Broker time of the lowest record not done, None where nothing is in flight."""
        return self._in_flight[next(iter(self._in_flight))][1] if self._in_flight else None

    def deliver(self, offset: int, size: int = 0, timestamp: int = 0) -> bool:
        """Note a record as taken from the broker. False where it was delivered before, or the partition is gone."""
        if self._closed or (self._next is not None and offset < self._next):
            return False
        self._in_flight[offset] = (size, timestamp)
        self._next = offset + 1
        self.bytes_in_flight += size
        return True

    def done(self, offset: int) -> int | None:
        """Note a delivered record as done and return its size. None where it was done before, never delivered, or the partition is gone."""
        found = self._in_flight.pop(offset, None)
        if found is None:
            return None
        self.bytes_in_flight -= found[0]
        return found[0]

    @property
    def committable(self) -> int | None:
        """The offset the group may resume from; None before anything was delivered and once the partition is gone."""
        return None if self._retired else next(iter(self._in_flight), self._next)

    def close(self) -> None:
        """The partition is being taken away: what is still on its way here is the next owner's."""
        self._closed = True

    def retire(self) -> tuple[int, int]:
        """The partition was taken away; returns the number and bytes of records that were in flight and now are the next owner's."""
        left = len(self._in_flight), self.bytes_in_flight
        self._in_flight.clear()
        self.bytes_in_flight = 0
        self._closed = self._retired = True
        return left
