"""One embedded stack for all end-to-end tests, used as a person would: through the command line, SQL and Kafka."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.cli import app
from millrace.commands.common import Connected
from millrace.demo import running_stack
from millrace.settings import connect


@dataclass
class Stack:
    data: Path
    ready: dict[str, Any]
    connection: Connected

    def cli(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``millrace`` against this stack, in this process: starting Python forty times over proves nothing."""
        done = CliRunner().invoke(app, [*arguments, "--data", str(self.data)], input=stdin or b"")
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def json(self, *arguments: str, expect: int = 0, **more: Any) -> Any:
        """Run it with ``--json``, check the exit code, and return what it printed."""
        done = self.cli(*arguments, "--json", **more)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def sql(self, text: str) -> list[dict[str, Any]]:
        return self.connection.clickhouse().rows(text)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MILLRACE_ARCHIVE_LINGER_S", "1")  # tests do not wait for large files
        yield from _running(data)


def _running(data: Path) -> Iterator[Stack]:
    with running_stack(data) as ready:
        yield Stack(data, ready, Connected(connect(data)))


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true, at most a minute."""
    import time

    def ask(question: Callable[[], Any], what: str, within: float = 60) -> Any:
        deadline = time.monotonic() + within
        while True:
            answer = question()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"{what}: not within {within} s; last answer {answer!r}"
            time.sleep(0.3)

    return ask
