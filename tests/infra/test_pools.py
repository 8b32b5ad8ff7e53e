"""The real supervisor over the real broker: a burst grows and shrinks a pool; a worker that is stopped is replaced once there is work."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import httpx
import pytest

from bench import scaling
from infra.embedded.scaling import ScalingSettings
from infra.embedded.supervisor import StackSettings, Supervisor
from infra.embedded.watchdog import Watchdog
from tests.infra.test_supervisor import alive, eventually, family, worker

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


def test_a_burst_grows_and_shrinks_the_pool_and_every_record_is_done_once() -> None:
    quick = ScalingSettings(target_s=1, grow_every_s=1, quiet_s=1, every_s=0.3)
    found = scaling.measure(records=700, work_s=0.05, most=2, scaling=quick, timeout_s=200)
    assert found["largest_pool"] == 2
    assert found["back_to_one"] and found["workers_in_ready_json"] == ["worker-slow-1"]
    assert (found["done"], found["missing"]) == (700, 0)
    assert {look["pool"] for look in found["course"]} == {1, 2}


def test_a_stopped_worker_is_replaced_and_one_that_is_let_go_may_finish(tmp_path: Path) -> None:
    """Small stand-ins: a worker that answers, and one that takes its time to end."""
    lines: list[str] = []
    work = threading.Event()
    answers = """
import http.server, json, pathlib, sys
class Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Well)
new = pathlib.Path(sys.argv[1] + ".new")
new.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}))
new.rename(sys.argv[1])
server.serve_forever()
"""
    spec = worker("worker-a", tmp_path)
    well = type(spec)(spec.name, [spec.argv[0], "-c", answers, str(spec.ready_file)], ready_file=spec.ready_file)
    settings = StackSettings(data=tmp_path / "data", drain_within=3)
    asked: list[str] = []

    def behind(name: str) -> bool:
        asked.append(name)
        return work.is_set()

    with Supervisor(settings, lambda _: [well], report=lines.append, beside=lambda _: [Watchdog(behind, silent_s=1)]) as stack:

        def metrics() -> dict[str, str]:
            found: dict[str, str] = json.loads((tmp_path / "data/ready.json").read_text())["metrics"]
            return found

        first, address = stack.processes()["worker-a"], metrics()["worker-a"]
        assert httpx.get(address, trust_env=False).status_code == 200
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: len(asked) >= 3)
        assert stack.processes()["worker-a"] == first, "nothing is to be done, so it harms nobody"
        work.set()
        eventually(lambda: stack.processes().get("worker-a") not in (first, None))
        assert not alive(first)
        assert "worker-a is replaced: it gives no answer, and there is work for it" in lines
        assert eventually(lambda: metrics().get("worker-a") not in (address, None)), "the new one answers elsewhere"

        # A stubborn one ignores SIGTERM: it has its time, and is known to the stop all the while.
        stack.reconcile([well, worker("worker-b", tmp_path, "--stubborn")])
        eventually((tmp_path / "worker-b.ready").exists)
        pids = family([stack.processes()["worker-b"]])
        stack.reconcile([well])
        assert "worker-b" not in json.loads((tmp_path / "data/ready.json").read_text())["processes"]
        assert alive(pids[0]), "let go, not killed"
        eventually(lambda: not any(alive(pid) for pid in pids))
        stack.reconcile([well, worker("worker-c", tmp_path, "--stubborn")])
        eventually((tmp_path / "worker-c.ready").exists)
        left = family([stack.processes()["worker-c"]])
        stack.reconcile([well])
    assert not any(alive(pid) for pid in left), "the stop ends also what was just let go"
