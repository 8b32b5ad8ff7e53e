"""Room on the disk of the embedded ClickHouse engine: without it, the engine's process ends, and starts again when there is some.

A merge that is under way when the disk fills up may be committed with empty files (chDB 4.4), and then no query reads its table any more. The
parts that it was made of still lie there, for eight minutes: an engine that is started anew finds the merged part broken, and takes them instead.
So the process leaves at once, and waits with starting until parts can be written again; nothing that was acknowledged is lost. Whoever
writes or asks meanwhile finds ClickHouse away, which all of them wait out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

TOO_LITTLE, ENOUGH = 32 << 20, 48 << 20
"""Bytes that may be written: where the process leaves, and where it starts."""
_LOOK_EVERY_S = 0.1


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write below ``folder``."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def wait_for_room(folder: Path, say: Callable[[str], None], free: Callable[[Path], int] = free_bytes) -> None:
    """Returns when there is enough room."""
    if free(folder) >= ENOUGH:
        return
    say(f"the disk of {folder} is full: waiting until {ENOUGH >> 20} MiB are free")
    while free(folder) < ENOUGH:
        time.sleep(_LOOK_EVERY_S)


def leave_without_room(
    folder: Path, say: Callable[[str], None], leave: Callable[[], None] = lambda: os._exit(1), free: Callable[[Path], int] = free_bytes
) -> threading.Thread:
    """Look after the disk in a thread of its own, and ``leave`` as soon as there is too little room. As after a crash, parts are whole or not there."""

    def watch() -> None:
        while free(folder) >= TOO_LITTLE:
            time.sleep(_LOOK_EVERY_S)
        say(f"the disk of {folder} is full: leaving, to start on whole parts when there is room")
        leave()

    thread = threading.Thread(target=watch, name="room", daemon=True)
    thread.start()
    return thread
