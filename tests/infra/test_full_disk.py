"""A disk that is full while the stack runs, and workers that cannot be started: neither ends the stack, nor those in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.embedded import process, supervisor
from infra.embedded.supervisor import Endpoints, ProcessSpec, StackSettings, Supervisor


@pytest.fixture
def stack(tmp_path: Path) -> Supervisor:
    """One whose services are not there, as if it were ready."""
    made = Supervisor(StackSettings(data=tmp_path), report=lambda line: LINES.append(line))
    made._endpoints = Endpoints("k", "r", "c", tmp_path)
    made._is_ready = True
    LINES.clear()
    return made


LINES: list[str] = []


def test_a_full_disk_is_said_once_and_the_file_is_written_when_there_is_room(stack: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(supervisor, "_write_atomically", full)
        stack._tell()
        stack._tell()
    assert len(LINES) == 1
    stack._tell()
    assert json.loads((stack.data / "ready.json").read_text())["processes"] == {}


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError):
        supervisor._write_atomically(tmp_path / "ready.json", "{}")
    assert not list(tmp_path.iterdir())


def test_a_worker_that_cannot_be_started_is_tried_again_and_keeps_no_other_from_starting(stack: Supervisor, tmp_path: Path) -> None:
    good = ProcessSpec("worker-good", [sys.executable, "-c", "import signal; signal.pause()"])
    bad = ProcessSpec("worker-bad", [str(tmp_path / "not-there")])
    try:
        stack.reconcile([bad, good])
        assert set(stack.processes()) == {"worker-good"}
        assert "worker-bad" in stack._managed and any("worker-bad could not be started" in line for line in LINES)
    finally:
        stack.stop()


def test_who_speaks_while_the_disk_is_full_is_heard_to_the_end() -> None:
    """A child whose pipe is closed, or read no more, would end or stand still at its next line."""
    talk = subprocess.Popen([sys.executable, "-c", "print('x' * 200_000)"], stdout=subprocess.PIPE)
    assert talk.stdout
    process._pump(talk.stdout, Path("/dev/full"))
    assert talk.wait(20) == 0


def test_a_log_that_is_full_goes_on_in_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 1000)
    talk = subprocess.Popen([sys.executable, "-c", "import os\nfor n in range(5): os.write(1, b'%d' % n * 600)"], stdout=subprocess.PIPE)
    assert talk.stdout
    process._pump(talk.stdout, tmp_path / "log")
    assert talk.wait(20) == 0
    assert (tmp_path / "log.1").exists()
