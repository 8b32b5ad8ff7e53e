"""The real parts of a round: broker, registry, ClickHouse, object store, supervisor and worker processes, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bench.chaos.store import Control
from bench.chaos.worker import Config
from infra.embedded.ports import free_port
from infra.embedded.process import Child
from infra.embedded.supervisor import Endpoints, ProcessSpec, StackSettings, Supervisor
from sinks.clickhouse import ClickHouse, ClickHouseSettings, install
from streams.admin import ensure_topics
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
SESSION_S = 6.0
"""After so long without a heartbeat the embedded broker gives a member's partitions to others (``infra/embedded/kafka.py``)."""
RETRY_DELAYS_S = (1.0, 4.0, 15.0)
"""Of the three delay tiers: a round has minutes, not the quarter of an hour that the product's own would take."""

SYNTHETIC = {
    "worker-front-0": "extract,plan",
    "worker-front-1": "extract,plan",
    "worker-back-0": "generate,validate",
    "worker-back-1": "generate,validate",
    "worker-back-2": "generate,validate",
    "worker-sink-0": "sink",
    "worker-sink-1": "sink",
}
REAL = {
    "worker-extract-0": "extract",
    "worker-plan-generate-0": "plan,generate",
    "worker-plan-generate-1": "plan,generate",
    "worker-validate-0": "validate",
    "worker-sink-0": "sink",
}
GUESTS = {"worker-guest-0": "extract,plan,generate,validate", "worker-guest-1": "generate,validate,sink"}
REAL_GUESTS = {"worker-guest-0": "plan,generate", "worker-guest-1": "plan,sink"}
_ENDED = re.compile(r"(worker\S*|kafka|clickhouse|registry) (?:was killed by signal (\d+)|ended with status (-?\d+))")


class Stack:
    """``with Stack(folder) as stack``: from ready to stopped. Safe for threads."""

    def __init__(self, folder: Path, *, real: bool = False, disk_mb: int = 1024) -> None:
        self.folder, self.real, self._disk_mb = folder, real, disk_mb
        self.workers: Mapping[str, str] = REAL if real else SYNTHETIC
        self.guests: Mapping[str, str] = REAL_GUESTS if real else GUESTS
        self.control = Control(folder / "control.json")
        self.log: list[str] = []
        self.crashes: list[str] = []
        """What ended without having been killed from here."""
        self.restarts = 0
        self.mounted = False
        """Whether object store and ClickHouse have file systems of their own, that can be filled."""
        self._here: dict[str, str] = dict(self.workers)
        self._members = threading.Lock()
        self._supervisor = Supervisor(
            StackSettings(data=folder / "stack", start_within=600), specs=self._specs, prepare=self._prepare, report=self._said
        )
        self._provider: Child | None = None
        self.provider_file = folder / "provider.jsonl"

    def __enter__(self) -> Stack:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._undo = contextlib.ExitStack()
        try:
            self.mounted = all([self._mount(self.objects), self._mount(self.clickhouse_data)])
            self._provider_port = free_port()
            argv = [sys.executable, "-m", "bench.chaos.provider", str(self._provider_port), str(self.provider_file)]
            self._provider = Child("provider", argv, self.folder / "provider.log", cwd=ROOT)
            self._undo.callback(self._provider.stop, 5)
            self._undo.enter_context(self._supervisor)
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    # ---- where things are ------------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> Endpoints:
        return self._supervisor.endpoints

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def clickhouse_data(self) -> Path:
        return self.folder / "stack" / "clickhouse"

    @property
    def settings(self) -> StreamSettings:
        at = self.endpoints
        return StreamSettings(bootstrap_servers=at.bootstrap_servers, registry_url=at.registry_url, retry_delays_s=RETRY_DELAYS_S)

    def pid(self, name: str) -> int | None:
        return self._supervisor.processes().get(name)

    # ---- members that come and go ----------------------------------------------------------------------------------------

    def join(self, guest: str) -> None:
        with self._members:
            self._here[guest] = self.guests[guest]
            self._supervisor.reconcile(self._specs(self.endpoints))

    def leave(self, *guests: str) -> None:
        """Asks them to stop, and returns when they have."""
        with self._members:
            for guest in guests:
                self._here.pop(guest, None)
            self._supervisor.reconcile(self._specs(self.endpoints))

    def stop_workers(self) -> None:
        self.leave(*self._here)

    # ---- is it well? -----------------------------------------------------------------------------------------------------

    def is_ready(self, name: str, since: float) -> bool:
        """Whether a worker that was started after ``since`` (wall clock) has joined its groups."""
        try:
            return self._ready_file(name).stat().st_mtime >= since
        except FileNotFoundError:
            return False

    def answers(self, service: str) -> bool:
        try:
            if service == "kafka":
                admin = AdminClient({"bootstrap.servers": self.endpoints.bootstrap_servers, "log_level": 0})
                return bool(admin.list_topics(timeout=1).brokers)
            url = f"{self.endpoints.clickhouse_url}/ping" if service == "clickhouse" else f"{self.endpoints.registry_url}/subjects"
            return httpx.get(url, timeout=2, trust_env=False).status_code == 200
        except (KafkaException, httpx.HTTPError):
            return False

    @contextlib.contextmanager
    def full(self, folder: Path, leave: int) -> Iterator[Callable[[], None]]:
        """The folder's file system without room but for ``leave`` bytes. Yields what takes room again that others gave back."""
        ballast = (folder / "ballast").open("wb")

        def fill() -> None:
            room = os.statvfs(folder)
            free = room.f_bavail * room.f_frsize - leave
            if free > 0:
                with contextlib.suppress(OSError):  # somebody was quicker: then it is as full as it gets
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, free)

        try:
            fill()
            yield fill
        finally:
            (folder / "ballast").unlink()
            ballast.close()

    # ---- how it is made --------------------------------------------------------------------------------------------------

    def _mount(self, folder: Path) -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self._disk_mb}m", "chaos", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            return False
        self._undo.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
        return True

    def _ready_file(self, name: str) -> Path:
        return self.folder / "ready" / name

    def _prepare(self, endpoints: Endpoints) -> None:
        ensure_topics(self.settings, CATALOGUE.values())
        Registry(endpoints.registry_url).register(CATALOGUE.values())
        install(ClickHouse(ClickHouseSettings(url=endpoints.clickhouse_url)))
        config = Config(
            streams=self.settings,
            clickhouse_url=endpoints.clickhouse_url,
            objects=self.objects,
            control=self.control.path,
            provider_port=self._provider_port,
            real=self.real,
        )
        (self.folder / "config.json").write_text(config.model_dump_json())

    def _specs(self, _: Endpoints) -> list[ProcessSpec]:
        (self.folder / "ready").mkdir(exist_ok=True)
        return [self._spec(name, stages) for name, stages in self._here.items()]

    def _spec(self, name: str, stages: str) -> ProcessSpec:
        ready = self._ready_file(name)
        argv = [sys.executable, "-m", "bench.chaos.worker", str(self.folder / "config.json"), name, stages, str(ready)]
        return ProcessSpec(name, argv, env={"PYTHONPATH": str(ROOT)}, ready_file=ready)

    def _said(self, line: str) -> None:
        self.log.append(f"{time.time():.2f} {line}")
        if found := _ENDED.match(line):
            self.restarts += 1
            if found[2] != str(int(signal.SIGKILL)):
                self.crashes.append(f"{line} | {self._last_words(found[1])}")

    def _last_words(self, name: str) -> str:
        try:
            lines = (self.folder / "stack" / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        telling = [line for line in lines[-60:] if "Error" in line or "error" in line]
        return (telling or lines or [""])[-1][:300]
