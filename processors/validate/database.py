"""A warm PostgreSQL in the sandbox: PGlite in a node process of its own, given one artifact's migrations after another.

Making a database costs seconds of CPU, resetting one costs milliseconds. After each job the database says whether it is what it was
before; where it is not, or where a job took too long or the process ended, the next job gets a new one. SQL runs as the
superuser of a database that holds nothing, in a process that can reach nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, cast

from processors.toolchain.node import Toolchain, ToolchainError
from processors.toolchain.sandbox import Mount, Running, plan, start
from processors.toolchain.settings import Limits

_SCRIPT = Path(__file__).with_name("backend.mjs")
_LIMITS = Limits(cpu_s=3600, memory_bytes=3 << 30, processes=64, scratch_bytes=0)
_START_S = 120.0
"""A database is seconds of work; on a machine that does much else it takes its time."""
_USES = 200


class DatabaseStopped(RuntimeError):
    """The job took longer than it may, or ended the database; the message says which."""


class Database:
    """One job at a time; started at the first, closed by :meth:`close`."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain
        self._turn = asyncio.Lock()
        self._stack: contextlib.AsyncExitStack | None = None
        self._running: Running | None = None
        self._uses = 0

    async def run(self, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """The result of a job (see ``backend.mjs``). Raises :class:`DatabaseStopped`, or ToolchainError where none can be started."""
        async with self._turn:
            finished = False
            try:
                running = self._running or await self._start()
                self._uses += 1
                result = await self._ask(running, job, limit_s)
                finished = bool(result["clean"]) and self._uses < _USES
                return result
            finally:
                if not finished:
                    await asyncio.shield(self._stop())

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._stop()

    async def _ask(self, running: Running, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        stdin, stdout = running.process.stdin, running.process.stdout
        assert stdin and stdout
        try:
            async with asyncio.timeout(limit_s):
                stdin.write(json.dumps(job).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except TimeoutError as error:
            raise DatabaseStopped(f"the migrations take longer than {limit_s:.0f} s") from error
        except (ConnectionError, ValueError) as error:
            raise DatabaseStopped(f"the database ended: {type(error).__name__}") from error
        if not line.endswith(b"\n"):
            raise DatabaseStopped("the database ended while it ran the migrations")
        return cast("dict[str, Any]", json.loads(line))

    async def _start(self) -> Running:
        mounts = [
            Mount(self._toolchain.node, "/tool/node"),
            Mount(self._toolchain.node_modules / "@electric-sql" / "pglite", "/pglite"),
            Mount(_SCRIPT, "/app/backend.mjs"),
        ]
        self._stack = contextlib.AsyncExitStack()
        ready = plan(["/tool/node", "/app/backend.mjs"], toolchain=self._toolchain, mounts=mounts, limits=_LIMITS)
        running = await self._stack.enter_async_context(start(ready))
        assert running.process.stdout and running.process.stderr
        try:
            async with asyncio.timeout(_START_S):
                line = await running.process.stdout.readline()
        except TimeoutError:
            line = b""
        if line != b"ready\n":
            await running.kill()
            said = (await running.process.stderr.read(1 << 16)).decode(errors="replace")
            raise ToolchainError(f"the database does not start: {said.strip()[-1000:]}")
        self._running, self._uses = running, 0
        return running

    async def _stop(self) -> None:
        stack, self._stack, self._running = self._stack, None, None
        if stack:
            await stack.aclose()
