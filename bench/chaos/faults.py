"""Doing to the stack what the plan says, and writing down when it struck, when it was lifted, and when its effect was over."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.chaos.plan import Fault
from bench.chaos.stack import SESSION_S, Stack

PATIENCE_S = 300.0
"""How long a process may take to be there again, on a machine with other work, before the fault is given up."""
STANDS_S = 3.0
"""Without a verdict for so long the system stands, and the schedule's clock with it: faults are to strike work, not ruins."""


class Feeds(Protocol):
    def duplicates(self, count: int) -> None: ...
    def disorder(self, count: int) -> None: ...


@dataclass(slots=True)
class Struck:
    """What became of a planned fault. Times are of the wall clock."""

    fault: Fault
    struck_at: float | None = None
    """None: it was not done (``note`` says why), and does not count."""
    over_at: float | None = None
    """When its cause was gone: the process ready again, the disk free, and, where a group's member was taken away, at least the session over."""
    note: str = ""


class Injector:
    """Carries out a schedule, each fault in a thread of its own, so that they overlap as planned."""

    def __init__(self, stack: Stack, feeder: Feeds, last_end: Callable[[], float], log: Callable[[str], None]) -> None:
        """``last_end``: when the latest verdict was seen, of the wall clock."""
        self.stack, self.feeder, self.log = stack, feeder, log
        self._last_end = last_end
        self.struck: list[Struck] = []
        self.at_rest_s = 0.0
        """How long no verdict is nothing special: real stages take their time."""
        self._stopped: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._visits = {guest: threading.Lock() for guest in stack.guests}
        self._disks = {"disk-objects": threading.Lock(), "disk-clickhouse": threading.Lock()}

    def run(self, schedule: Sequence[Fault]) -> None:
        """Returns when all are over; without the rest where the system stands for longer than ``PATIENCE_S``."""
        worked = 0.0
        threads = []
        for fault in schedule:
            while worked < fault.at_s:
                tick = min(0.05, fault.at_s - worked)
                time.sleep(tick)  # the schedule's own time
                stands = time.time() - self._last_end()
                if stands < max(STANDS_S, self.at_rest_s):
                    worked += tick
                elif stands > PATIENCE_S:
                    self.log(f"nothing has ended for {PATIENCE_S:.0f} s: no more faults")
                    worked = math.inf
            if worked == math.inf:
                break  # what is stuck is counted as lost
            entry = Struck(fault)
            self.struck.append(entry)
            thread = threading.Thread(target=self._do, args=(entry,), name=f"fault-{fault.number}", daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def _do(self, entry: Struck) -> None:
        fault = entry.fault
        self.log(f"{fault.number:4} {fault.kind:<15} {fault.victim}" + (f" for {fault.lasts_s:g} s" if fault.lasts_s else ""))
        try:
            match fault.kind:
                case "kill":
                    self._kill(entry, fault.victim)
                case "broker":
                    self._kill(entry, "kafka")
                case "clickhouse" | "registry":
                    self._kill(entry, fault.kind)
                case "pause" | "zombie":
                    self._pause(entry)
                case "store-errors" | "store-slow":
                    self._order(entry)
                case "disk-objects" | "disk-clickhouse":
                    self._fill(entry)
                case "guest":
                    self._visit(entry)
                case "duplicates" | "disorder":
                    entry.struck_at = entry.over_at = time.time()
                    getattr(self.feeder, fault.kind)(int(fault.amount))
                case _:
                    raise ValueError(f"no fault is called {fault.kind!r}")
        except Exception as error:
            entry.note = f"{type(error).__name__}: {error}"
            self.log(f"{fault.number:4} {fault.kind}: {entry.note}")
            if entry.struck_at is not None and entry.over_at is None:
                entry.over_at = time.time()

    def _until(self, condition: Callable[[], bool], what: str) -> float:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {PATIENCE_S:.0f} s")
            time.sleep(0.1)
        return time.time()

    def _running(self, name: str) -> int:
        """The pid of a process that may just be on its way up."""
        self._until(lambda: self.stack.pid(name) is not None, f"{name} is not running")
        pid = self.stack.pid(name)
        assert pid is not None
        return pid

    def _kill(self, entry: Struck, name: str) -> None:
        pid = self._running(name)
        os.kill(pid, signal.SIGKILL)
        entry.struck_at = time.time()
        self._until(lambda: self.stack.pid(name) not in (None, pid), f"{name} was not started again")
        if name.startswith("worker"):
            since = entry.struck_at
            ready = self._until(lambda: self.stack.is_ready(name, since), f"{name} is not ready again")
            entry.over_at = max(ready, entry.struck_at + SESSION_S)
        else:
            entry.over_at = self._until(lambda: self.stack.answers(name), f"{name} does not answer again")

    def _pause(self, entry: Struck) -> None:
        pid = self._running(entry.fault.victim)
        with self._lock:
            self._stopped[pid] += 1
            os.killpg(pid, signal.SIGSTOP)
        entry.struck_at = time.time()
        time.sleep(entry.fault.lasts_s)  # the fault itself
        with self._lock:
            self._stopped[pid] -= 1
            if not self._stopped[pid]:
                with contextlib.suppress(ProcessLookupError):  # killed by another fault meanwhile
                    os.killpg(pid, signal.SIGCONT)
        entry.over_at = time.time()

    def _order(self, entry: Struck) -> None:
        fault = entry.fault
        self.stack.control.order(fault.kind, fault.lasts_s, fault.amount)
        entry.struck_at = time.time()
        time.sleep(fault.lasts_s)  # the fault itself
        entry.over_at = time.time()

    def _fill(self, entry: Struck) -> None:
        fault = entry.fault
        if not self.stack.mounted:
            if fault.kind == "disk-clickhouse":
                entry.note = "no file system of its own could be mounted for ClickHouse"
                return
            self._order(entry)
            return
        folder = self.stack.objects if fault.kind == "disk-objects" else self.stack.clickhouse_data
        with self._disks[fault.kind], self.stack.full(folder, int(fault.amount)) as fill:
            entry.struck_at = time.time()
            end = time.monotonic() + fault.lasts_s
            while time.monotonic() < end:
                fill()
                time.sleep(0.05)
        entry.over_at = time.time()

    def _visit(self, entry: Struck) -> None:
        fault = entry.fault
        with self._visits[fault.victim]:  # a busy machine may keep it longer than planned
            entry.struck_at = since = time.time()
            self.stack.join(fault.victim)
            self._until(lambda: self.stack.is_ready(fault.victim, since), f"{fault.victim} is not ready")
            time.sleep(fault.lasts_s)  # its visit
            self.stack.leave(fault.victim)
        entry.over_at = time.time()


def stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
