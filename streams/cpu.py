"""CPU work in processes of its own, so that the event loop never starves and a hostile input can only kill its own process.

Unlike ``concurrent.futures``, a call can be ended: when its awaiter is cancelled or times out, the process that runs it is killed and
replaced, and a process that dies takes only its own call with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from streams.failures import Transient

_PR_SET_PDEATHSIG = 1


class ProcessDied(Transient):
    """The process that ran the call ended without an answer (killed, out of memory, a crash in native code)."""

    reason = "process_died"


def _serve(connection: Connection, parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach the whole group; the parent says what happens to us
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    while True:
        try:
            function, args = connection.recv()
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = (
                "result",
                function(*args, lambda fraction, message="": connection.send(("progress", (fraction, message)))),
            )
        except BaseException as error:
            answer = ("error", _portable(error))
        try:
            connection.send(answer)
        except Exception as error:  # a result that does not pickle must not look like a crash
            connection.send(("error", RuntimeError(f"{function.__name__} returned what cannot leave its process: {error}")))


def _portable(error: BaseException) -> Exception:
    """The error, if it survives pickling and is an ``Exception``; else one that tells what it was."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    return error if isinstance(error, Exception) and type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


class _Process:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], on_progress: Callable[[float, str], None]) -> Any:
        try:
            self.connection.send((function, args))
            while True:
                kind, value = self.connection.recv()
                if kind == "progress":
                    on_progress(*value)
                elif kind == "error":
                    raise value
                else:
                    return value
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise ProcessDied(f"the process that ran {function.__name__} died") from error


class CpuPool:
    """``size`` processes, started when first needed and kept. Functions are module-level, and take a progress callback as last argument."""

    def __init__(self, size: int) -> None:
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._slots = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="cpu")

    async def __aenter__(self) -> CpuPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def run(self, function: Callable[..., Any], *args: Any, progress: Callable[[float, str], None] | None = None) -> Any:
        """Call ``function(*args, report)`` in a process. ``progress`` is called in the event loop.

        Raises what the function raised, or :class:`ProcessDied`. Cancelling kills the process.
        """
        loop = asyncio.get_running_loop()

        def report(fraction: float, message: str) -> None:
            if progress:
                loop.call_soon_threadsafe(progress, fraction, message)

        async with self._slots:
            process = self._idle.pop() if self._idle else await loop.run_in_executor(self._threads, _Process)
            self._busy.add(process)
            call = loop.run_in_executor(self._threads, process.call, function, args, report)
            try:
                result = await asyncio.shield(call)
            except asyncio.CancelledError:
                process.process.kill()
                try:
                    with contextlib.suppress(Exception):
                        await call  # the thread that reads its answer sees the end of the pipe
                finally:
                    process.kill()
                raise
            except ProcessDied:
                process.kill()
                raise
            except Exception:
                self._idle.append(process)
                raise
            else:
                self._idle.append(process)
                return result
            finally:
                self._busy.discard(process)

    def close(self) -> None:
        for process in (*self._idle, *self._busy):
            process.kill()
        self._idle.clear()
        self._threads.shutdown(wait=False)
