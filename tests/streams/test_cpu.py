"""CPU work in processes: answers, progress, errors, crashes, cancellation, and no process left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.cpu import CpuPool, ProcessDied
from tests.streams import jobs


def with_pool(test: Callable[[CpuPool], Any], size: int = 1) -> Any:
    async def main() -> Any:
        pool = CpuPool(size)
        try:
            return await test(pool)
        finally:
            pool.close()

    return asyncio.run(main())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_call_answers_and_tells_its_progress() -> None:
    told: list[tuple[float, str]] = []

    async def test(pool: CpuPool) -> int:
        return await pool.run(jobs.double, 21, progress=lambda f, m: told.append((f, m)))

    assert with_pool(test) == 42 and told == [(0.25, "began"), (0.75, "")]


def test_a_process_is_kept_for_the_next_call() -> None:
    async def test(pool: CpuPool) -> set[int]:
        return {await pool.run(jobs.pid) for _ in range(3)}

    (kept,) = with_pool(test)
    assert kept != os.getpid() and not alive(kept)


@pytest.mark.parametrize(
    ("job", "kind", "says"),
    [
        (jobs.fail, KeyError, "missing"),
        (jobs.fail_oddly, RuntimeError, "Odd: 1 and 2"),
        (jobs.leave, RuntimeError, "SystemExit: 3"),
        (jobs.unpicklable, RuntimeError, "cannot leave its process"),
        (jobs.die, ProcessDied, "die"),
    ],
)
def test_whatever_goes_wrong_is_an_error_of_that_call_alone(job: Any, kind: type[Exception], says: str) -> None:
    async def test(pool: CpuPool) -> int:
        with pytest.raises(kind, match=says):
            await pool.run(job)
        return await pool.run(jobs.double, 4)

    assert with_pool(test) == 8


def test_arguments_that_do_not_pickle_are_the_callers_error() -> None:
    async def test(pool: CpuPool) -> int:
        with pytest.raises(Exception, match=r"(?i)pickle"):
            await pool.run(jobs.double, lambda: None)
        return await pool.run(jobs.double, 4)

    assert with_pool(test) == 8


def test_a_time_limit_kills_the_process_and_frees_its_place(tmp_path: Path) -> None:
    async def test(pool: CpuPool) -> int:
        file = tmp_path / "pid"
        call = asyncio.create_task(pool.run(jobs.say_pid_and_spin, str(file)))
        await asyncio.to_thread(wait_until, lambda: file.exists() and bool(file.read_text()))
        pid = int(file.read_text())
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not alive(pid)
        return await pool.run(jobs.double, 4)

    assert with_pool(test) == 8


def test_no_more_processes_than_its_size() -> None:
    async def test(pool: CpuPool) -> set[int]:
        return set(await asyncio.gather(*(pool.run(jobs.pid) for _ in range(12))))

    assert 1 <= len(with_pool(test, size=2)) <= 2


def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from streams.cpu import CpuPool\n"
        "from tests.streams import jobs\n"
        "if __name__ == '__main__':\n"
        "    async def main():\n"
        "        await CpuPool(1).run(jobs.say_pid_and_spin, sys.argv[1])\n"
        "    asyncio.run(main())\n"
    )
    path, file = tmp_path / "parent.py", tmp_path / "pid"
    path.write_text(script)
    parent = subprocess.Popen([sys.executable, str(path), str(file)], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    wait_until(lambda: file.exists() and bool(file.read_text()))
    child = int(file.read_text())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not alive(child))
