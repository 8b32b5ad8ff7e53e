"""Start a coroutine now, and make it a task only if it suspends.

A handler that never waits is then a function call: no task, no turn of the loop. One that waits goes on as an ordinary task, and sees
the same ``asyncio.current_task()`` and the same context variables before and after, so that ``asyncio.timeout``, task groups and
libraries built on them work wherever in the handler they are used. (Python 3.12 has this as eager tasks, at a task for each start.)
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
_NOTHING = object()


class _Host(Coroutine[Any, Any, Any]):
    """What a task runs: nothing, until it adopts a coroutine that was stepped once and waits for something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._wake: asyncio.Future[None] = loop.create_future()
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._context: contextvars.Context | None = None
        self._waited: Any = _NOTHING
        self.task: asyncio.Task[Any] = loop.create_task(self)

    def adopt(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context, waited: Any) -> None:
        self._coroutine, self._context, self._waited = coroutine, context, waited
        self._wake.set_result(None)

    # The three methods below are what a task drives a coroutine by (PEP 492). StopIteration, raised by the adopted one, ends the task.

    def send(self, value: Any) -> Any:
        if self._coroutine is None or self._context is None:
            self._wake._asyncio_future_blocking = True  # what ``await`` on a future does before it yields it to the task
            return self._wake
        if self._waited is not _NOTHING:
            waited, self._waited = self._waited, _NOTHING
            return waited
        return self._context.run(self._coroutine.send, value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        error = kind if isinstance(kind, BaseException) else value if isinstance(value, BaseException) else kind()
        if self._coroutine is None or self._context is None:
            raise error
        if self._waited is not _NOTHING:  # cancelled before the task could wait for what the coroutine waits for
            if self._waited is not None:
                self._waited._asyncio_future_blocking = False
            self._waited = _NOTHING
        return self._context.run(self._coroutine.throw, error)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("a host is run by its task alone")


class EagerStarter:
    """Starts coroutines of one event loop. Call :meth:`start` from loop callbacks, not from within a task."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._spare: _Host | None = None

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T] | T:
        """Step the coroutine once. Returns its result if it ended, the task it now is if it waits.

        An exception of a coroutine that ended at once is raised here; that of a task is the task's.
        """
        host = self._spare
        if host is None or host.task.done() or host.task.cancelling():
            host = self._spare = _Host(self._loop)
        context = contextvars.copy_context()
        asyncio.tasks._enter_task(self._loop, host.task)
        try:
            waited = context.run(coroutine.send, None)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            asyncio.tasks._leave_task(self._loop, host.task)
        self._spare = None
        host.adopt(coroutine, context, waited)
        return host.task

    def close(self) -> None:
        if self._spare:
            self._spare.task.cancel()
            self._spare = None


@types.coroutine
def resume(coroutine: Coroutine[Any, Any, T], waited: Any) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine that was stepped once by hand and now waits for ``waited``."""
    try:
        while True:
            try:
                sent = yield waited
            except BaseException as error:
                waited = coroutine.throw(error)
            else:
                waited = coroutine.send(sent)
    except StopIteration as end:
        result: T = end.value
        return result
