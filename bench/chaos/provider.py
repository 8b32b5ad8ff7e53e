"""A provider of paid answers that counts its calls: ``python -m bench.chaos.provider PORT FILE``.

One line in, one line out: ``{"step": ..., "call": N}`` -> ``{"ok": true, "answer": ...}``. Every call is a line in FILE before it is answered,
so that the count is the provider's own. One call in twelve is answered with an error (by a hash of step and call), and every answer is
another one, so that a step that is paid twice shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

PRICE = "0.0200000003"
"""USD of an answer; an error costs nothing."""


def fails(step: str, call: int) -> bool:
    return hashlib.sha256(f"{step}/{call}".encode()).digest()[0] % 12 == 0


async def serve(port: int, file: Path) -> None:
    calls = file.open("a", buffering=1)
    made = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                made += 1
                number, bad = made, fails(asked["step"], asked["call"])
                calls.write(json.dumps({**asked, "number": number, "ok": not bad, "at": time.time()}) + "\n")
                # Thinking: 20 to 200 ms, the time in which killing hurts most.
                await asyncio.sleep(0.02 + 0.18 * (hashlib.sha256(str(number).encode()).digest()[0] / 255))
                said = {"ok": False, "error": "overloaded"} if bad else {"ok": True, "answer": f"answer {number} to {asked['step']}"}
                writer.write(json.dumps(said).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the caller was killed: its call stays counted
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


async def ask(port: int, step: str, call: int) -> dict[str, Any]:
    """One call. Raises ``OSError`` or ``EOFError`` where the provider is not there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(json.dumps({"step": step, "call": call}).encode() + b"\n")
        line = await reader.readuntil(b"\n")
    finally:
        writer.close()
    found: dict[str, Any] = json.loads(line)
    return found


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
