"""A child process as the stack runs it: a group of its own, its output in a bounded log, ended whole.

Invariants:

- every child leads a process group (and session) of its own, so that ending the group ends what it started too, and Ctrl-C in a
  terminal reaches the supervisor alone;
- every group is known to the guard (``guard.py``) for as long as it may live, so that none outlives this process;
- a log keeps at most the last two files of ``LOG_BYTES`` each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar

LOG_BYTES = 8 * 1024 * 1024


class ProcessError(Exception):
    """A child did not start, or ended where it should have run; the message ends with the last lines of its log."""


class Guard:
    """The pipe to the guard process. One for this process, started with the first child."""

    _lock = threading.Lock()
    _process: subprocess.Popen[str] | None = None
    _groups: ClassVar[set[int]] = set()
    _held: ClassVar[set[int]] = set()

    @classmethod
    def hold(cls, descriptor: int) -> None:
        """Lets the guard inherit an open file (a lock): after this process's death it is closed when the last group is gone."""
        with cls._lock:
            cls._held.add(descriptor)

    @classmethod
    def release(cls, descriptor: int) -> None:
        with cls._lock:
            cls._held.discard(descriptor)

    @classmethod
    def add(cls, group: int) -> None:
        with cls._lock:
            cls._groups.add(group)
            cls._tell(f"+{group}\n")

    @classmethod
    def remove(cls, group: int) -> None:
        with cls._lock:
            cls._groups.discard(group)
            cls._tell(f"-{group}\n")

    @classmethod
    def close(cls) -> None:
        """Ends the guard once no group is left: the last step of a clean stop."""
        with cls._lock:
            if cls._process is not None and not cls._groups:
                assert cls._process.stdin
                with contextlib.suppress(BrokenPipeError):
                    cls._process.stdin.close()
                cls._process.wait()
                cls._process = None

    @classmethod
    def _tell(cls, line: str) -> None:
        if cls._process is not None and cls._process.poll() is None:
            assert cls._process.stdin
            with contextlib.suppress(BrokenPipeError):
                cls._process.stdin.write(line)
                return
        # Not there yet, or somebody killed it: a new one learns all that is alive.
        cls._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=tuple(cls._held),
            start_new_session=True,
            text=True,
            bufsize=1,
        )
        assert cls._process.stdin
        for group in cls._groups:
            cls._process.stdin.write(f"+{group}\n")


class Child:
    """One running process. Made by ``start``; reaped by ``poll``, ``wait`` or ``stop``."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None):
        """Starts ``argv`` with ``env`` added to this process's environment, its stdout and stderr appended to ``log``."""
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._popen = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._gone = False
        Guard.add(self.pid)
        assert self._popen.stdout
        self._pump = threading.Thread(target=_pump, args=(self._popen.stdout, log), name=f"log-{name}", daemon=True)
        self._pump.start()

    def poll(self) -> int | None:
        """The exit status (negative: the signal) if it ended, else None."""
        status = self._popen.poll()
        if status is not None:
            self._end_group()
        return status

    def ended_within(self, seconds: float) -> bool:
        """Waits for the process to end; False if it has not after ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        return self.poll() is not None

    def require_running(self) -> None:
        """Raises ProcessError, with the end of the log, if the process has ended."""
        status = self.poll()
        if status is not None:
            self._pump.join(1)
            raise ProcessError(f"{self.name} ended with status {status}; the end of {self.log}:\n{tail(self.log)}")

    def signal(self, number: signal.Signals) -> None:
        """Signals the leader alone: it decides how its children end. Nothing if it has ended."""
        self._popen.send_signal(number)  # checks for the exit first, so a recycled pid is never hit

    def stop(self, within: float) -> bool:
        """SIGTERM, then after ``within`` seconds SIGKILL to the whole group. True if it ended by itself."""
        self.signal(signal.SIGTERM)
        try:
            self._popen.wait(within)
            clean = True
        except subprocess.TimeoutExpired:
            clean = False
        self.kill()
        return clean

    def kill(self) -> None:
        """SIGKILL to the whole group, and reaps the leader."""
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
        self._end_group()
        self._pump.join(1)

    def _end_group(self) -> None:
        # The leader is gone; what it started may not be. Once only: later the number may belong to somebody else.
        if self._gone:
            return
        self._gone = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        Guard.remove(self.pid)


def _pump(output: IO[bytes], log: Path) -> None:
    """Appends a child's output to its log until the pipe closes; a full log becomes ``.1``, replacing the one before."""
    file: IO[bytes] | None = None
    with contextlib.closing(output):
        while data := os.read(output.fileno(), 65536):
            # What is said while the disk is full is lost; but a pipe that nobody reads would end whoever says it.
            with contextlib.suppress(OSError):
                file = file or log.open("ab", buffering=0)
                file.write(data)
                if file.tell() > LOG_BYTES:
                    log.replace(log.with_name(log.name + ".1"))
                    file.close()
                    file = None
    if file:
        file.close()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return b"\n".join(file.read().splitlines()[-lines:]).decode(errors="replace")
    except FileNotFoundError:
        return ""
