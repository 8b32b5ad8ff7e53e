"""How much a stage may have in hand, in records and in bytes; counted by two threads without a lock.

The poll thread takes and the event loop gives back. Each counter is written by one of them alone, so nothing is lost between them, and what one
sees of the other's is at most a moment old.

R1  In hand is what was taken less what was given back.
R2  The poll thread takes no more than :meth:`Room.left` says; it reads its own counter exactly and the other's late, so it errs towards less.
R3  Bytes are known only when a record is there, so they are judged by the mean so far: they may pass their bound by a turn's records, once.
"""

from __future__ import annotations

import threading


class Room:
    def __init__(self, records: int, size: int, largest: int) -> None:
        """``largest``: bytes that a record is taken to have while none was seen."""
        self._records, self._size, self._largest = records, size, largest
        self._freed = threading.Event()
        # Written by the poll thread.
        self._taken = self._taken_bytes = 0
        self.starved = False
        """Whether the poll thread waits for room just now."""
        # Written by the loop.
        self._given_back = self._given_back_bytes = 0
        self._closed = False

    @property
    def in_hand(self) -> int:
        return self._taken - self._given_back

    def in_use(self) -> float:
        """The share of what may be in hand that is: of records or of bytes, whichever is more."""
        return max(self.in_hand / self._records, (self._taken_bytes - self._given_back_bytes) / self._size)

    def left(self) -> int:
        """How many records may be taken, 0 where there is no room."""
        if self._closed or self.in_use() >= 1:
            return 0
        mean = self._taken_bytes // self._taken if self._taken else self._largest
        return max(1, min(self._records - self.in_hand, (self._size - self._taken_bytes + self._given_back_bytes) // mean))

    # ---- of the poll thread ----------------------------------------------------------------------------------------------

    def take(self, records: int, size: int) -> None:
        self._taken += records
        self._taken_bytes += size

    def wait(self, seconds: float) -> bool:
        """Whether there is room again (a quarter of it, so that a moment's fullness costs few turns) within so many seconds."""
        self._freed.clear()
        self.starved = True
        try:
            return not self._closed and (self.left() > 0 or self._freed.wait(seconds)) and not self._closed
        finally:
            self.starved = False

    # ---- of the loop -----------------------------------------------------------------------------------------------------

    def give_back(self, records: int, size: int) -> None:
        self._given_back += records
        self._given_back_bytes += size
        if self.starved and self.in_use() < 0.75:
            self._freed.set()

    def take_again(self, records: int, size: int) -> None:
        """What was given back without being done is in hand once more."""
        self._given_back -= records
        self._given_back_bytes -= size

    def close(self) -> None:
        """Nothing more is to be taken."""
        self._closed = True
        self._freed.set()
