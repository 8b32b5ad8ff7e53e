"""The embedded ClickHouse engine leaves a full disk, and comes back when there is room."""

from __future__ import annotations

import threading
from pathlib import Path

from infra.embedded.room import ENOUGH, TOO_LITTLE, free_bytes, leave_without_room, wait_for_room


class Disk:
    """Says, one after the other, how much is free; then the last for ever."""

    def __init__(self, *free: int) -> None:
        self.left = list(free)

    def __call__(self, folder: Path) -> int:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def test_starting_waits_for_room(tmp_path: Path) -> None:
    said: list[str] = []
    disk = Disk(TOO_LITTLE - 1, TOO_LITTLE + 1, ENOUGH)
    wait_for_room(tmp_path, said.append, disk)
    assert disk.left == [ENOUGH] and len(said) == 1 and "48 MiB" in said[0]


def test_with_room_nothing_is_said(tmp_path: Path) -> None:
    wait_for_room(tmp_path, lambda line: (_ for _ in ()).throw(AssertionError(line)), Disk(ENOUGH))


def test_without_room_it_leaves_once(tmp_path: Path) -> None:
    left: list[str] = []
    gone = threading.Event()
    leave_without_room(tmp_path, left.append, gone.set, Disk(ENOUGH, TOO_LITTLE, TOO_LITTLE - 1)).join(10)
    assert gone.is_set() and len(left) == 1


def test_the_disks_own_word(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
