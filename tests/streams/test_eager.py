"""Coroutines started at once behave as tasks do, whether they wait or not."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from streams.eager import EagerStarter

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def started(coroutine: Any, *, cancel: bool = False) -> tuple[bool, Any]:
    """Whether it ended at once, and what it returned or raised."""

    async def main() -> tuple[bool, Any]:
        got: asyncio.Future[tuple[bool, Any]] = asyncio.get_running_loop().create_future()
        starter = EagerStarter()

        def begin() -> None:
            try:
                task = starter.start(coroutine)
            except Exception as error:
                got.set_result((True, error))
                return
            if not isinstance(task, asyncio.Task):
                got.set_result((True, task))
                return
            if cancel:
                task.cancel()

            def end(t: asyncio.Task[Any]) -> None:
                got.set_result((False, asyncio.CancelledError() if t.cancelled() else t.exception() or t.result()))

            task.add_done_callback(end)

        asyncio.get_running_loop().call_soon(begin)
        try:
            return await got
        finally:
            starter.close()

    return asyncio.run(main())


def test_what_never_waits_ends_at_once() -> None:
    async def f() -> int:
        return 7

    assert started(f()) == (True, 7)


def test_what_waits_becomes_a_task() -> None:
    async def f() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return await asyncio.to_thread(lambda: 8)

    assert started(f()) == (False, 8)


@pytest.mark.parametrize("wait", [False, True])
def test_an_error_is_the_callers_or_the_tasks(wait: bool) -> None:
    async def f() -> None:
        if wait:
            await asyncio.sleep(0)
        raise KeyError("x")

    at_once, error = started(f())
    assert at_once is not wait and isinstance(error, KeyError)


def test_task_identity_and_context_stay_the_same_over_the_first_wait() -> None:
    async def f() -> tuple[bool, str]:
        before = asyncio.current_task()
        VARIABLE.set("mine")
        await asyncio.sleep(0)
        return before is asyncio.current_task() and before is not None, VARIABLE.get()

    assert started(f()) == (False, (True, "mine"))
    assert VARIABLE.get() == "unset"


def test_a_timeout_entered_before_the_first_wait_works() -> None:
    async def f() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "timed out"
        return "not"

    assert started(f()) == (False, "timed out")


def test_a_task_group_entered_before_the_first_wait_works() -> None:
    async def f() -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
        return sum(t.result() for t in tasks)

    assert started(f()) == (False, 3)


def test_cancelled_before_its_first_turn_it_hears_of_it_where_it_waits() -> None:
    heard: list[str] = []

    async def f() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
            await asyncio.sleep(0)
            heard.append("cleaned up")
            raise

    at_once, error = started(f(), cancel=True)
    assert not at_once and isinstance(error, asyncio.CancelledError) and heard == ["cancelled", "cleaned up"]


def test_many_that_wait_and_many_that_do_not() -> None:
    async def main() -> list[int]:
        results: list[int] = []
        starter = EagerStarter()

        async def f(n: int) -> int:
            VARIABLE.set(str(n))
            if n % 3 == 0:
                await asyncio.sleep(0.001 * (n % 7))
            assert VARIABLE.get() == str(n)
            return n

        tasks = []

        def begin() -> None:
            for n in range(200):
                begun = starter.start(f(n))
                if isinstance(begun, asyncio.Task):
                    tasks.append(begun)
                else:
                    results.append(begun)

        asyncio.get_running_loop().call_soon(begin)
        await asyncio.sleep(0)
        results += await asyncio.gather(*tasks)
        starter.close()
        return results

    assert sorted(asyncio.run(main())) == list(range(200))
