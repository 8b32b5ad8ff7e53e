"""Chromium's DevTools protocol, spoken over a socket that only it and we hold: JSON messages, each ended by a NUL.

The protocol's commands and events are those of https://chromedevtools.github.io/devtools-protocol/ (its domains are named as there).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

_NO_SESSION = -32001
_REMEMBERED = 100

Event = Callable[[str, dict[str, Any]], None]
"""Called with an event's name and parameters, in the order in which the browser sent them. Must not wait."""


class PageError(RuntimeError):
    """The page did not do what was asked: its script threw, it did not load, it went away meanwhile, it crashed."""

    @property
    def brief(self) -> str:
        """The first line of what is said, which the page may have had a hand in, fit to be written down."""
        return (str(self).splitlines() or [""])[0][:200].encode(errors="replace").decode()


class BrowserGone(RuntimeError):
    """The browser ended while it was needed."""


class OutOfMemory(BrowserGone):
    """The browser was ended, since it and its pages held more memory than they may."""


class Connection:
    """One browser. Commands may be sent at any time; their answers come in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[str, asyncio.Future[dict[str, Any]]]] = {}
        self._listeners: dict[str, Event] = {}
        self._gone: dict[str, str] = {}  # sessions forgotten last, and why
        self.open = True
        self._pump = asyncio.create_task(self._receive())

    def listen(self, session: str, event: Event) -> None:
        """Hear a session's events; ``""`` is the browser's own."""
        self._listeners[session] = event

    def forget(self, session: str, why: str) -> None:
        """Hear no more of a session; what still waits for it raises :class:`PageError`."""
        self._listeners.pop(session, None)
        self._gone[session] = why
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]
        for number, (asked, answer) in list(self._waiting.items()):
            if asked == session:
                del self._waiting[number]
                if not answer.done():
                    answer.set_exception(PageError(why))
                    answer.exception()  # a command that nobody waits for is no unheard failure

    def promise(self, session: str) -> asyncio.Future[dict[str, Any]]:
        """Something to wait for that fails as a command does where the session or the browser goes away."""
        promised: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if session in self._gone:
            promised.set_exception(PageError(self._gone[session]))
        elif self.open:
            number = next(self._numbers)
            self._waiting[number] = session, promised
            promised.add_done_callback(lambda _: self._waiting.pop(number, None))
        else:
            promised.set_exception(BrowserGone("the browser has ended"))
        return promised

    def post(self, method: str, session: str = "", **parameters: Any) -> asyncio.Future[dict[str, Any]]:
        """Send a command; what is sent is done in order, so only the last of many need be waited for. Raises :class:`BrowserGone`.

        A parameter that is ``bytes`` is base64 already."""
        if not self.open:
            raise BrowserGone("the browser has ended")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if session in self._gone:
            answer.set_exception(PageError(self._gone[session]))
            answer.exception()
            return answer
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method}
        if session:
            message["sessionId"] = session
        large = {name: value for name, value in parameters.items() if isinstance(value, bytes)}
        message["params"] = {name: value for name, value in parameters.items() if name not in large}
        said = json.dumps(message).encode()
        for name, value in large.items():  # a megabyte in base64 is JSON as it is
            said = b"".join((said[:-2], b", " if said[-3:] != b"{}}" else b"", b'"', name.encode(), b'": "', value, b'"}}'))
        self._waiting[number] = session, answer
        self._writer.write(said + b"\0")
        return answer

    async def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for what it gives. Raises :class:`PageError` where it is refused, :class:`BrowserGone`."""
        answer = await self.post(method, session, **parameters)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error'].get('message', '')}")
        return cast("dict[str, Any]", answer["result"])

    async def drain(self) -> None:
        """Wait until the browser has taken most of what was sent."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def close(self) -> None:
        self._pump.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        finally:
            self._writer.close()

    async def _receive(self) -> None:
        rest = bytearray()
        try:
            while chunk := await self._reader.read(1 << 18):
                rest += chunk
                if 0 in chunk:
                    *messages, tail = rest.split(b"\0")
                    for message in messages:
                        self._hear(json.loads(message))
                    rest = tail
                    await asyncio.sleep(0)  # a page that says much is not all that this loop has to do
        except ConnectionError:
            pass
        finally:
            self.open = False
            for _, answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(BrowserGone("the browser has ended"))
                    answer.exception()
            self._waiting.clear()

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "id" in message:
            if message.get("error", {}).get("code") == _NO_SESSION and self._waiting.get(message["id"], ("", None))[0] in self._listeners:
                return  # why it is gone is heard next, and said by `forget`
            _, answer = self._waiting.pop(message["id"], ("", None))
            if answer and not answer.done():
                answer.set_result(dict(message))
        elif event := self._listeners.get(message.get("sessionId", "")):
            event(message["method"], message["params"])
