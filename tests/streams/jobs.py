"""What the CPU pool's tests run in other processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Report = Callable[..., None]


class Odd(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def pid(report: Report) -> int:
    return os.getpid()


def double(n: int, report: Report) -> int:
    report(0.25, "began")
    report(0.75)
    return 2 * n


def die(report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(report: Report) -> None:
    raise SystemExit(3)


def fail(report: Report) -> None:
    raise KeyError("missing")


def fail_oddly(report: Report) -> None:
    raise Odd(1, 2)


def unpicklable(report: Report) -> Any:
    return lambda: None


def say_pid_and_spin(path: str, report: Report) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)  # stands for endless work
