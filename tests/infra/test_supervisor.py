"""The embedded stack as a whole, with small stand-ins for the workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from infra.embedded.process import ProcessError
from infra.embedded.supervisor import Endpoints, ProcessSpec, StackError, StackSettings, Supervisor

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

# A worker with a child of its own, in its group, as stages have process pools and browsers.
WORKER = """
import pathlib, signal, subprocess, sys
if "--stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])
print("helper", helper.pid, flush=True)
pathlib.Path(sys.argv[1]).write_text("ready")
while True:
    signal.pause()
"""


def worker(name: str, data: Path, *options: str) -> ProcessSpec:
    ready = data / f"{name}.ready"
    return ProcessSpec(name, [sys.executable, "-c", WORKER, str(ready), *options], ready_file=ready)


def eventually(what: Callable[[], Any], seconds: float = 60) -> Any:
    """What a condition gives once it is true."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def family(pids: list[int]) -> list[int]:
    """The processes and all that descends from them."""
    return [p.pid for pid in pids for p in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]]


def ready(data: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((data / "ready.json").read_text())
    return content


@pytest.fixture
def lines() -> list[str]:
    """What a supervisor reports."""
    return []


def test_a_stack_is_ready_keeps_its_data_and_its_addresses_and_leaves_nothing(tmp_path: Path, lines: list[str]) -> None:
    settings = StackSettings(data=tmp_path / "data", ready_file=tmp_path / "else" / "ready.json")
    prepared: list[Endpoints] = []

    with Supervisor(settings, lambda e: [worker("worker-a", e.data)], prepared.append, lines.append) as stack:
        first = ready(tmp_path / "data")
        assert json.loads((tmp_path / "else" / "ready.json").read_text()) == first
        assert prepared == [stack.endpoints]
        assert set(first["processes"]) == {"kafka", "clickhouse", "registry", "worker-a"}
        assert first["processes"] == stack.processes()
        pids = family(list(first["processes"].values()))
        listening = [c for p in map(psutil.Process, pids) for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert len(listening) == 4  # broker, its quorum, registry, engine
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}

        admin = AdminClient({"bootstrap.servers": first["bootstrap_servers"]})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
        number = SchemaRegistryClient({"url": first["registry_url"]}).register_schema("kept-value", Schema('"string"', "AVRO"))
        httpx.post(
            first["clickhouse_url"], content="CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a", trust_env=False
        ).raise_for_status()
    assert not [pid for pid in pids if alive(pid)]
    assert not (tmp_path / "data" / "ready.json").exists()
    assert not (tmp_path / "else" / "ready.json").exists()

    with Supervisor(settings, report=lines.append):
        again = ready(tmp_path / "data")
        assert {k: v for k, v in again.items() if k != "processes"} == {k: v for k, v in first.items() if k != "processes"}
        assert "kept" in AdminClient({"bootstrap.servers": again["bootstrap_servers"]}).list_topics(timeout=30).topics
        assert SchemaRegistryClient({"url": again["registry_url"]}).get_latest_version("kept-value").schema_id == number
        assert httpx.post(again["clickhouse_url"], content="SELECT count() FROM kept", trust_env=False).text == "0\n"


def test_what_dies_is_started_again_and_others_may_run_beside(tmp_path: Path, lines: list[str]) -> None:
    data = tmp_path / "one"
    turns: list[float] = []

    def fails_at_first(_: Supervisor, stop: threading.Event) -> None:
        turns.append(time.monotonic())
        if len(turns) == 1:
            raise RuntimeError("no luck")
        stop.wait()

    with (
        Supervisor(
            StackSettings(data=data), lambda e: [worker("worker-a", e.data)], report=lines.append, beside=lambda _: [fails_at_first]
        ) as one,
        Supervisor(StackSettings(data=tmp_path / "two"), report=lines.append) as two,
    ):
        assert one.endpoints.bootstrap_servers != two.endpoints.bootstrap_servers
        with pytest.raises(StackError, match=rf"in use by another stack \(process {os.getpid()}\)"):
            Supervisor(StackSettings(data=data), report=lines.append).__enter__()
        assert ready(data)["processes"] == one.processes(), "the rival must not touch the owner's files"

        before = one.processes()
        helpers = family([before["worker-a"]])
        admin = AdminClient({"bootstrap.servers": one.endpoints.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: set(before) == set(one.processes()) and not set(before.values()) & set(one.processes().values()))
        eventually(lambda: ready(data)["processes"] == one.processes())
        eventually(lambda: not [pid for pid in helpers if alive(pid)])

        # On the same addresses, with what they held.
        def answers() -> bool:
            try:
                return (
                    httpx.get(f"{one.endpoints.clickhouse_url}/ping", trust_env=False).status_code == 200
                    and httpx.get(f"{one.endpoints.registry_url}/subjects", trust_env=False).status_code == 200
                )
            except httpx.HTTPError:
                return False

        eventually(answers)
        assert "kept" in AdminClient({"bootstrap.servers": one.endpoints.bootstrap_servers}).list_topics(timeout=60).topics

        eventually(lambda: len(turns) == 2)
        assert any("failed and starts again" in line and "RuntimeError: no luck" in line for line in lines)
        one.reconcile([worker("worker-b", data), worker("worker-c", data)])
        assert {n for n in one.processes() if n.startswith("worker")} == {"worker-b", "worker-c"}
        assert ready(data)["processes"] == one.processes()


FOREGROUND = """
import sys
from pathlib import Path
from infra.embedded.supervisor import StackSettings, Supervisor
from test_supervisor import worker
data = Path(sys.argv[1])
Supervisor(StackSettings(data=data, stop_within=6), lambda e: [worker("worker-a", e.data, *sys.argv[2:])]).run()
"""


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts stacks as commands; ends what a failed test leaves."""
    started: list[subprocess.Popen[bytes]] = []

    def start(data: Path, *options: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        process = subprocess.Popen([sys.executable, "-c", FOREGROUND, str(data), *options], env=env, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_also_what_does_not_want_to(
    tmp_path: Path, foreground: Callable[..., subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    command = foreground(tmp_path, "--stubborn")
    eventually((tmp_path / "ready.json").exists)
    pids = family([command.pid])
    assert len(pids) >= 6  # the supervisor, its guard, three services, the worker, its helper
    command.send_signal(number)
    assert command.wait(60) == 0
    assert not [pid for pid in pids if alive(pid)]


def test_a_signal_while_starting_stops_too(tmp_path: Path, foreground: Callable[..., subprocess.Popen[bytes]]) -> None:
    command = foreground(tmp_path)
    eventually((tmp_path / "logs" / "kafka.log").exists)
    pids = family([command.pid])
    command.send_signal(signal.SIGTERM)
    assert command.wait(60) == 0
    assert not [pid for pid in pids if alive(pid)]


def test_a_killed_supervisor_leaves_no_orphans_and_the_folder_can_be_taken_up(
    tmp_path: Path, foreground: Callable[..., subprocess.Popen[bytes]]
) -> None:
    command = foreground(tmp_path)
    eventually((tmp_path / "ready.json").exists)
    pids = family([command.pid])
    command.kill()
    command.wait()

    def taken() -> Supervisor | None:
        stack = Supervisor(StackSettings(data=tmp_path), report=lambda _: None)
        try:
            return stack.__enter__()
        except StackError:
            return None  # the lock is let go when the last of them is gone

    stack = eventually(taken)
    try:
        assert not [pid for pid in pids if alive(pid)]
    finally:
        stack.__exit__(None, None, None)


def test_a_worker_that_cannot_start_ends_the_start_with_its_last_words(tmp_path: Path, lines: list[str]) -> None:
    bad = ProcessSpec("worker-bad", [sys.executable, "-c", "raise SystemExit('the recipe is missing')"], ready_file=tmp_path / "never")
    with pytest.raises(ProcessError, match=r"worker-bad ended with status 1(.|\n)*the recipe is missing"):
        Supervisor(StackSettings(data=tmp_path / "data"), lambda _: [bad], report=lines.append).__enter__()
    assert lines[-1] == "stopped"


def test_a_port_that_is_taken_is_refused_by_name(tmp_path: Path, lines: list[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port}, given for registry, is in use"):
            Supervisor(StackSettings(data=tmp_path, registry_port=port), report=lines.append).__enter__()


@pytest.mark.parametrize("name", ["what?", "a,b", "{x}", "it's", "*"])
def test_a_folder_whose_name_the_servers_misread_is_refused(tmp_path: Path, lines: list[str], name: str) -> None:
    with pytest.raises(StackError, match="its path contains"):
        Supervisor(StackSettings(data=tmp_path / name), report=lines.append).__enter__()
    assert not (tmp_path / name).exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot be used"):
        Supervisor(StackSettings(data=tmp_path / "file" / "data"), report=lines.append).__enter__()
