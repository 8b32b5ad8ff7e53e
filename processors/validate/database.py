"""A warm PostgreSQL in the sandbox: PGlite in a node process of its own, given one artifact's migrations after another.

Making a database costs seconds of CPU, resetting one costs milliseconds. After each job the database says whether it is what it was
before; where it is not, or where a job took too long or the process ended, the next job gets a new one. SQL runs as the
superuser of a database that holds nothing, in a process that can reach nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from processors.toolchain.node import Toolchain
from processors.toolchain.sandbox import Mount
from processors.toolchain.service import Service
from processors.toolchain.settings import Limits

_SCRIPT = Path(__file__).with_name("backend.mjs")
_LIMITS = Limits(cpu_s=3600, memory_bytes=3 << 30, sandbox_bytes=3 << 30, processes=64, scratch_bytes=0)
_USES = 200


class Database:
    """One job at a time; started at the first, closed by :meth:`close`."""

    def __init__(self, toolchain: Toolchain) -> None:
        mounts = [
            Mount(toolchain.node, "/tool/node"),
            Mount(toolchain.node_modules / "@electric-sql" / "pglite", "/pglite"),
            Mount(_SCRIPT, "/app/backend.mjs"),
        ]
        self._service = Service("database", ["/tool/node", "/app/backend.mjs"], toolchain, mounts, _LIMITS)
        self._turn = asyncio.Lock()

    async def run(self, job: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """The result of a job (see ``backend.mjs``). Raises :class:`~processors.toolchain.service.Stopped`, or ToolchainError where none can be
        started."""
        async with self._turn:  # until it is clean, or gone
            result = await self._service.ask(job, limit_s)
            if result.get("again"):
                await asyncio.shield(self._service.stop())
                result = await self._service.ask({**job, "afresh": True}, limit_s)
            if not result["clean"] or self._service.answers >= _USES:
                await asyncio.shield(self._service.stop())
            return result

    async def close(self) -> None:
        """End the process."""
        await self._service.stop()
