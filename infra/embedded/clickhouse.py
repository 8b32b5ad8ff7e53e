"""The ClickHouse engine as the stack runs it: one process that owns a data folder and serves ClickHouse's HTTP interface."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.embedded.ports import free_port
from infra.embedded.probe import wait_for_http
from infra.embedded.process import Child
from infra.toolchain import REPOSITORY


class ClickHouseSettings(BaseModel):
    """Where the engine keeps its data and listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of its own; made if it is not there."""
    log: Path
    """File for the process's output."""
    port: int | None = None
    """None: a free one is chosen."""


class ClickHouse:
    """The engine's process being started, running or stopped. ``start`` returns at once; ``ready`` waits."""

    def __init__(self, settings: ClickHouseSettings):
        self._settings = settings
        self.port = settings.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._child: Child | None = None

    def start(self) -> Child:
        argv = [sys.executable, "-m", "infra.embedded.clickhouse_http", "--data", str(self._settings.data), "--port", str(self.port)]
        self._child = Child("clickhouse", argv, self._settings.log, cwd=REPOSITORY)
        return self._child

    def ready(self, timeout: float = 60.0) -> None:
        """Returns when the engine answers. Raises ProcessError if it ends before, or after ``timeout`` seconds."""
        assert self._child, "start() first"
        wait_for_http(self._child, f"{self.url}/ping", timeout)

    def stop(self, within: float = 10.0) -> bool:
        """SIGTERM, which lets running inserts finish and closes the engine; SIGKILL after ``within`` seconds."""
        return self._child.stop(within) if self._child else True
