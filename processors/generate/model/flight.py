"""Single flight: of many who ask the same at the same time in one process, one asks and the others get what it gets, the partial answers too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from processors.generate.model.port import Partial

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.listeners: list[Partial] = []
        self.text = ""

    def hear(self, text: str) -> None:
        self.text = text
        for listener in self.listeners:
            listener(text)


class Flights(Generic[T]):
    """Used from one event loop."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Flight[T]] = {}

    async def join(self, key: str, partial: Partial, ask: Callable[[Partial], Awaitable[T]]) -> tuple[T, bool]:
        """What ``ask`` gives, and whether somebody else's was shared.

        A failure is shared too: asking again at once would meet the same. Where the one who asks is cancelled, the next takes over.
        """
        while (flight := self._under_way.get(key)) is not None:
            if flight.text:
                partial(flight.text)
            flight.listeners.append(partial)
            try:
                return await asyncio.shield(flight.done), True
            except asyncio.CancelledError:
                if not flight.done.cancelled():
                    raise  # it is this one that was cancelled
            finally:
                flight.listeners.remove(partial)
        flight = self._under_way[key] = _Flight()
        flight.listeners.append(partial)
        try:
            answer = await ask(flight.hear)
        except asyncio.CancelledError:
            self._under_way.pop(key)
            flight.done.cancel()
            raise
        except BaseException as error:
            self._under_way.pop(key)
            flight.done.set_exception(error)
            flight.done.exception()  # heard here at least
            raise
        self._under_way.pop(key)
        flight.done.set_result(answer)
        return answer, False
