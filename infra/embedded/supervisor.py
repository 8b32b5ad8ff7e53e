"""One supervisor for the embedded stack: starts everything, says when it is ready, restarts what dies, stops cleanly.

The order is broker and engine side by side, registry, ``prepare`` (topics, tables), workers; stopping goes the other way, workers
first and the broker last.  What millrace's workers are is not known here: they come in as :class:`ProcessSpec`.

Invariants:

- one stack a data folder: a lock on ``DATA/lock``, which is held until the last process of a killed stack is gone too;
- a service that is restarted answers where it answered before; so does a stack that is started again, if its ports are free;
- ``DATA/ready.json`` exists from ready to stop, and names the processes that are running now and where each answers questions;
- a worker that is let go (``reconcile``) has time to finish, and is known until it has ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

from pydantic import BaseModel, ConfigDict

from infra.embedded.clickhouse import ClickHouse, ClickHouseSettings
from infra.embedded.kafka import Kafka, KafkaSettings
from infra.embedded.ports import free_port, is_free
from infra.embedded.process import Child, Guard, ProcessError, tail
from infra.embedded.registry import Registry, RegistrySettings

SERVICES = ("kafka", "clickhouse", "registry")

# Kafka takes a comma for the end of a folder's name and a backslash for an escape, the engine ? for settings and the others for patterns.
_AGAIN_S = 5.0
"""After which what ran beside and failed is started again."""
_UNUSABLE = frozenset(",\\?*{}[]'\"\n\r")


class StackError(Exception):
    """The stack cannot run here; the message says why and what to do."""


class StackSettings(BaseModel):
    """Where the stack keeps everything, and where it answers (on loopback only)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of everything: made if it is not there, taken up again if it is."""
    ready_file: Path | None = None
    """A second copy of ``DATA/ready.json``."""
    kafka_port: int | None = None
    registry_port: int | None = None
    clickhouse_port: int | None = None
    """None: the port of last time if it is free, else any free one."""
    start_within: float = 120.0
    """Seconds until everything must be ready."""
    stop_within: float = 14.0
    """Seconds until everything has ended: asked first, killed at the end."""
    drain_within: float = 30.0
    """Seconds that a worker which is no longer needed may take to finish."""


@dataclass(frozen=True)
class Endpoints:
    """Where a running stack answers."""

    bootstrap_servers: str
    registry_url: str
    clickhouse_url: str
    data: Path


@dataclass(frozen=True)
class ProcessSpec:
    """A process that the supervisor runs beside the services."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own environment."""
    ready_file: Path | None = None
    """Written by the process when it is ready; removed before each start. None: ready when started. As JSON it may name a ``url``, where the
    process answers ``/healthz`` and ``/metrics``."""


@dataclass
class _Managed:
    """One process to keep running."""

    name: str
    start: Callable[[], Child]
    child: Child | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    ready_file: Path | None = None
    url: str | None = None
    """Where it answers; empty where it does not, None before it is ready."""

    def look(self) -> bool:
        """Whether it has said that it is ready since the last look."""
        if self.url is not None or self.ready_file is None or self.child is None:
            return False
        try:
            said = json.loads(self.ready_file.read_text())
        except FileNotFoundError:
            return False
        except ValueError:
            said = None
        self.url = (isinstance(said, dict) and said.get("url")) or ""
        return True

    def delay(self, now: float) -> float:
        """Seconds to wait before the next start: nothing the first time, longer for what dies again and again."""
        self.failures = 1 if now - self.started > 30 else self.failures + 1
        return 0.0 if self.failures == 1 else min(15.0, 0.25 * 2.0**self.failures)


class Supervisor:
    """A stack. ``run`` is the foreground command; ``with Supervisor(...) as stack`` runs it beside the caller, for tests."""

    def __init__(
        self,
        settings: StackSettings,
        specs: Callable[[Endpoints], Iterable[ProcessSpec]] = lambda _: (),
        prepare: Callable[[Endpoints], None] = lambda _: None,
        report: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
        beside: Callable[[Endpoints], Iterable[Callable[[Supervisor, threading.Event], None]]] = lambda _: (),
    ):
        """``specs``: the workers, given the addresses; ``prepare``: called once the services answer, before the first worker; ``beside``: what
        runs in threads from ready until the event is set (scaling, watching)."""
        self.settings = settings
        self.data = settings.data.absolute()
        self._specs = specs
        self._prepare = prepare
        self._report = report
        self._beside = beside
        self._threads: list[threading.Thread] = []
        self._leaving: set[Child] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()  # over _managed and the ready file
        self._managed: dict[str, _Managed] = {}
        self._held: IO[str] | None = None
        self._watcher: threading.Thread | None = None
        self._endpoints: Endpoints | None = None
        self._is_ready = False
        self._untold = False
        """Whether the ready file does not say yet what is."""

    # -- from outside --------------------------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> Endpoints:
        """Where the stack answers, once started."""
        assert self._endpoints, "start() first"
        return self._endpoints

    def processes(self) -> dict[str, int]:
        """Name -> pid of what runs now."""
        with self._lock:
            return {m.name: m.child.pid for m in self._managed.values() if m.child}

    def addresses(self) -> dict[str, str]:
        """Name -> URL of the workers that are ready and answer questions."""
        with self._lock:
            return {m.name: m.url for m in self._managed.values() if m.child and m.url}

    def replace(self, name: str, why: str) -> None:
        """Kills a worker, which is then started again as any that dies."""
        with self._lock:
            managed = self._managed.get(name)
            if managed and managed.child:
                self._report(f"{name} is replaced: {why}")
                managed.child.signal(signal.SIGKILL)

    def reconcile(self, specs: Iterable[ProcessSpec]) -> None:
        """Makes ``specs`` the workers there are: starts the new ones, lets those no longer named finish and end. Nothing before ready or after stop."""
        wanted = {spec.name: spec for spec in specs}
        with self._lock:
            if not self._is_ready:
                return
            gone = [m for name, m in self._managed.items() if name not in wanted and name not in SERVICES]
            for managed in gone:
                del self._managed[managed.name]
            for name, spec in wanted.items():
                if name not in self._managed:
                    self._managed[name] = self._worker(spec)
                    self._keep_alive(self._managed[name])  # which tries again where it cannot be started
            leaving = [m.child for m in gone if m.child]
            self._leaving.update(leaving)
        if leaving:
            threading.Thread(target=self._let_go, args=(leaving,), name="let-go", daemon=True).start()
        self._tell()

    def _let_go(self, children: list[Child]) -> None:
        _end(children, within=self.settings.drain_within)
        with self._lock:
            self._leaving.difference_update(children)

    def run(self) -> None:
        """Starts, supervises until SIGINT, SIGTERM or SIGHUP, stops. A second signal kills at once. Raises StackError, ProcessError."""
        starting = True

        def asked(number: int, _: FrameType | None) -> None:
            if self._stop.is_set():
                self._kill()
            self._stop.set()
            if starting:
                raise _Interrupted

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            try:
                self.start()
                starting = False
                self._watch()
            except _Interrupted:
                starting = False
                self._report("stopped while starting")
            finally:
                starting = False
                self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> Supervisor:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._watcher:
            self._watcher.join()
        self.stop()

    # -- start ---------------------------------------------------------------------------------------------------------------------

    def start(self) -> Endpoints:
        """Returns when everything is ready. After an error ``stop`` must still be called. Raises StackError, ProcessError."""
        began = time.monotonic()
        until = began + self.settings.start_within
        self._take_folder()
        (self.data / "ready.json").unlink(missing_ok=True)
        ports = self._ports()
        logs = self.data / "logs"
        kafka = Kafka(
            KafkaSettings(data=self.data / "kafka", log=logs / "kafka.log", port=ports["kafka"], controller_port=ports["controller"])
        )
        clickhouse = ClickHouse(ClickHouseSettings(data=self.data / "clickhouse", log=logs / "clickhouse.log", port=ports["clickhouse"]))
        registry = Registry(RegistrySettings(bootstrap_servers=kafka.bootstrap_servers, log=logs / "registry.log", port=ports["registry"]))
        self._endpoints = Endpoints(kafka.bootstrap_servers, registry.url, clickhouse.url, self.data)
        with self._lock:
            # The engine first: the broker may have to format its folder.
            self._launch(_Managed("clickhouse", clickhouse.start))
            self._launch(_Managed("kafka", kafka.start))
        kafka.ready(until - time.monotonic())
        with self._lock:
            self._launch(_Managed("registry", registry.start))
        clickhouse.ready(until - time.monotonic())
        registry.ready(until - time.monotonic())
        self._report(f"Kafka {kafka.bootstrap_servers}, registry {registry.url}, ClickHouse {clickhouse.url}, data {self.data}")
        self._prepare(self._endpoints)
        specs = list(self._specs(self._endpoints))
        with self._lock:
            for spec in specs:
                self._launch(self._worker(spec))
        for spec in specs:
            self._wait_for(spec, until)
        with self._lock:
            for managed in self._managed.values():
                managed.look()
        self._is_ready = True
        self._write_ready()
        for task in self._beside(self._endpoints):
            thread = threading.Thread(target=self._run_beside, args=(task,), name=type(task).__name__.lower(), daemon=True)
            self._threads.append(thread)
            thread.start()
        self._report(f"ready after {time.monotonic() - began:.1f} s")
        return self._endpoints

    def _run_beside(self, task: Callable[[Supervisor, threading.Event], None]) -> None:
        """As with processes: what fails is told and started again. A thread that ends unseen would leave the stack without scaling or watching."""
        while not self._stop.is_set():
            try:
                task(self, self._stop)
            except Exception as error:
                name = threading.current_thread().name
                self._report(f"{name} failed and starts again in {_AGAIN_S:g} s: {type(error).__name__}: {error}")
                self._stop.wait(_AGAIN_S)
            else:
                return

    def _take_folder(self) -> None:
        if bad := set(str(self.data)) & _UNUSABLE:
            listed = " ".join(sorted(map(repr, bad)))
            raise StackError(
                f"the data folder {self.data} cannot be used: its path contains {listed}, which Kafka or the ClickHouse engine reads as a sign"
            )
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            held = (self.data / "lock").open("a+")
        except OSError as error:
            raise StackError(f"the data folder {self.data} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            owner = held.read().strip() or "unknown"
            held.close()
            raise StackError(
                f"the data folder {self.data} is in use by another stack (process {owner}): stop that one, or name another folder"
            ) from None
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        self._held = held
        # If this process is killed, the folder is free when its last child is gone, not before.
        Guard.hold(held.fileno())

    def _ports(self) -> dict[str, int]:
        memory = self.data / "ports.json"
        try:
            remembered: dict[str, int] = json.loads(memory.read_text())
        except (OSError, ValueError):
            remembered = {}
        given = {"kafka": self.settings.kafka_port, "registry": self.settings.registry_port, "clickhouse": self.settings.clickhouse_port}
        chosen: dict[str, int] = {}
        for name in ("kafka", "registry", "clickhouse", "controller"):
            port = given.get(name)
            if port and not is_free(port):
                raise StackError(f"port {port}, given for {name}, is in use on 127.0.0.1: name another, or none to have one chosen")
            chosen[name] = port or free_port(remembered.get(name), frozenset(chosen.values()))
        _write_atomically(memory, json.dumps(chosen))
        return chosen

    def _worker(self, spec: ProcessSpec) -> _Managed:
        def start() -> Child:
            if spec.ready_file:
                spec.ready_file.unlink(missing_ok=True)
            return Child(spec.name, spec.argv, self.data / "logs" / f"{spec.name}.log", spec.env)

        return _Managed(spec.name, start, ready_file=spec.ready_file)

    def _launch(self, managed: _Managed) -> None:
        self._managed[managed.name] = managed
        managed.url = None
        managed.child = managed.start()
        managed.started = time.monotonic()

    def _wait_for(self, spec: ProcessSpec, until: float) -> None:
        child = self._managed[spec.name].child
        while spec.ready_file and child and not spec.ready_file.exists():
            child.require_running()
            if time.monotonic() > until:
                raise ProcessError(
                    f"{spec.name} is not ready within {self.settings.start_within:.0f} s; the end of {child.log}:\n{tail(child.log)}"
                )
            child.ended_within(0.05)

    # -- run -----------------------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                changed = [m.name for m in self._managed.values() if self._keep_alive(m) or m.look()]
            if changed or self._untold:
                self._tell()

    def _keep_alive(self, managed: _Managed) -> bool:
        """Whether the process was replaced."""
        now = time.monotonic()
        if managed.child:
            status = managed.child.poll()
            if status is None:
                return False
            delay = managed.delay(now)
            managed.child, managed.due = None, now + delay
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            self._report(f"{managed.name} {how}; starting it again" + (f" in {delay:.1f} s" if delay else ""))
        if now < managed.due:
            return False
        try:
            self._launch(managed)
        except (ProcessError, OSError) as error:
            managed.due = now + managed.delay(now)
            self._report(f"{managed.name} could not be started: {error}")
            return False
        return True

    def _tell(self) -> None:
        """Write the ready file. A disk that is full for a while must not end the stack: the next look tries again."""
        try:
            self._write_ready()
            self._untold = False
        except OSError as error:
            if not self._untold:
                self._report(f"the ready file could not be written, trying again: {error}")
            self._untold = True

    def _write_ready(self) -> None:
        with self._lock:
            if not self._is_ready:
                return
            content = json.dumps(
                {
                    "bootstrap_servers": self.endpoints.bootstrap_servers,
                    "registry_url": self.endpoints.registry_url,
                    "clickhouse_url": self.endpoints.clickhouse_url,
                    "data": str(self.data),
                    "pid": os.getpid(),
                    "processes": {m.name: m.child.pid for m in self._managed.values() if m.child},
                    "metrics": {m.name: f"{m.url}/metrics" for m in self._managed.values() if m.child and m.url},
                },
                indent=1,
            )
            for path in self._ready_files():
                _write_atomically(path, content)

    def _ready_files(self) -> list[Path]:
        return [self.data / "ready.json", *([self.settings.ready_file.absolute()] if self.settings.ready_file else [])]

    # -- stop ----------------------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stops everything that was started, workers first, the broker last; lets the folder go. Safe to call at any time, and again."""
        self._stop.set()
        until = time.monotonic() + self.settings.stop_within
        with self._lock:
            self._is_ready = False
            children = {name: m.child for name, m in self._managed.items() if m.child}
            self._managed.clear()
            leaving = list(self._leaving)
        if self._held:
            for path in self._ready_files():
                path.unlink(missing_ok=True)
        workers = [child for name, child in children.items() if name not in SERVICES]
        _end([*workers, *leaving], within=self.settings.stop_within * 0.55)
        _end([children[name] for name in ("registry", "clickhouse") if name in children], within=self.settings.stop_within * 0.2)
        _end([children["kafka"]] if "kafka" in children else [], within=max(1.0, until - time.monotonic()))
        for thread in self._threads:
            thread.join(max(1.0, until - time.monotonic()))
        if self._held:
            Guard.release(self._held.fileno())
            fcntl.flock(self._held, fcntl.LOCK_UN)
            self._held.close()
            self._held = None
            Guard.close()
            self._report("stopped")

    def _kill(self) -> None:
        self._report("killing everything")
        for managed in list(self._managed.values()):
            if managed.child:
                managed.child.signal(signal.SIGKILL)


class _Interrupted(BaseException):
    """A signal came while the stack was starting."""


def _end(children: Sequence[Child], within: float) -> None:
    """SIGTERM to all at once; what has not ended after ``within`` seconds is killed, with all it started."""
    for child in children:
        child.signal(signal.SIGTERM)
    until = time.monotonic() + within
    for child in children:
        child.ended_within(max(0.0, until - time.monotonic()))
    for child in children:
        child.kill()


def _write_atomically(path: Path, content: str) -> None:
    """A reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content + "\n")
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
