"""A warm program in the sandbox: it is asked by one line of JSON and answers by another.

Starting node, a compiler or a database costs many times what one question costs. So the program stays; where it takes too long, says
too much, or ends, it is killed with all it started, and the next question gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from processors.toolchain.node import Toolchain, ToolchainError
from processors.toolchain.sandbox import Mount, Running, plan, start
from processors.toolchain.settings import Limits

_START_S = 120.0
"""A start is seconds of work at most; on a machine that does much else it takes its time."""
_SAID = 1 << 16
"""Bytes of its error output that are kept: the last."""

Why = Literal["timeout", "output", "memory", "ended"]


class Stopped(RuntimeError):
    """There was no answer, and the program is gone. ``said`` is the end of its error output."""

    def __init__(self, why: Why, message: str, said: str = "") -> None:
        super().__init__(message)
        self.why, self.said = why, said


class Service:
    """One question at a time; started at the first, ended by :meth:`stop`. Its first line must be ``ready``."""

    def __init__(
        self,
        what: str,
        argv: Sequence[str],
        toolchain: Toolchain,
        mounts: Sequence[Mount],
        limits: Limits,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._what, self._argv, self._toolchain = what, argv, toolchain
        self._mounts, self._limits, self._env = mounts, limits, env
        self._turn = asyncio.Lock()
        self._stack: contextlib.AsyncExitStack | None = None
        self._running: Running | None = None
        self._errors: asyncio.Task[None] | None = None
        self._said = bytearray()
        self.answers = 0
        """Given by the program that runs now."""

    async def ask(self, question: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """The answer. Raises :class:`Stopped`, or ToolchainError where the program does not start."""
        async with self._turn:
            answered = False
            try:
                running = self._running or await self._start()
                answer = await self._exchange(running, question, limit_s)
                self.answers += 1
                answered = True
                return answer
            finally:
                if not answered:
                    await asyncio.shield(self._stop())

    async def stop(self) -> None:
        """End the program, and all that it started. Safe to call twice."""
        async with self._turn:
            await self._stop()

    async def _exchange(self, running: Running, question: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        stdin, stdout = running.process.stdin, running.process.stdout
        assert stdin and stdout
        line = b""
        try:
            async with asyncio.timeout(limit_s):
                stdin.write(json.dumps(question).encode() + b"\n")
                await stdin.drain()
                line = await _line(stdout, self._limits.output_bytes)
        except TimeoutError as error:
            raise Stopped("timeout", f"the {self._what} takes longer than {limit_s:.0f} s") from error
        except ConnectionError:
            pass
        if len(line) > self._limits.output_bytes:
            raise Stopped("output", f"the {self._what} says more than it may")
        if running.exhausted:
            raise Stopped("memory", f"the {self._what} takes more memory than it may")
        if not line.endswith(b"\n"):
            raise Stopped("ended", f"the {self._what} ended while it was at work", await self._last_words(running))
        return cast("dict[str, Any]", json.loads(line))

    async def _start(self) -> Running:
        self._stack = contextlib.AsyncExitStack()
        ready = plan(self._argv, toolchain=self._toolchain, mounts=self._mounts, limits=self._limits, env=self._env)
        running = await self._stack.enter_async_context(start(ready))
        assert running.process.stdout and running.process.stderr
        self._said.clear()
        self._errors = asyncio.create_task(self._listen(running.process.stderr))
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                line = await running.process.stdout.readline()
        if line != b"ready\n":
            raise ToolchainError(f"the {self._what} does not start: {(await self._last_words(running))[-1000:]}")
        self._running, self.answers = running, 0
        return running

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(1 << 14):
            self._said += chunk
            del self._said[:-_SAID]

    async def _last_words(self, running: Running) -> str:
        await running.kill()
        if self._errors:
            await self._errors
        return self._said.decode(errors="replace").strip()

    async def _stop(self) -> None:
        stack, errors = self._stack, self._errors
        self._stack = self._running = self._errors = None
        self.answers = 0
        if stack:
            await stack.aclose()
        if errors:
            errors.cancel()


async def _line(stream: asyncio.StreamReader, most: int) -> bytes:
    """The next line with its end; what there was where the stream ends before; a byte more than ``most`` where it is too long."""
    parts: list[bytes] = []
    size = 0
    while size <= most and (chunk := await stream.read(1 << 18)):
        parts.append(chunk)
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return b"".join(parts)
