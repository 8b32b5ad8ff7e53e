"""The schema registry as the stack runs it: one small process over the broker."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.embedded.ports import free_port
from infra.embedded.probe import wait_for_http
from infra.embedded.process import Child
from infra.toolchain import REPOSITORY


class RegistrySettings(BaseModel):
    """Which broker keeps the schemas, and where the registry listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str
    log: Path
    """File for the process's output."""
    port: int | None = None
    """None: a free one is chosen."""


class Registry:
    """The registry's process being started, running or stopped. ``start`` returns at once; ``ready`` waits. The broker must be ready."""

    def __init__(self, settings: RegistrySettings):
        self._settings = settings
        self.port = settings.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._child: Child | None = None

    def start(self) -> Child:
        servers = self._settings.bootstrap_servers
        argv = [sys.executable, "-m", "infra.embedded.registry_http", "--bootstrap-servers", servers, "--port", str(self.port)]
        self._child = Child("registry", argv, self._settings.log, cwd=REPOSITORY)
        return self._child

    def ready(self, timeout: float = 60.0) -> None:
        """Returns when the registry answers. Raises ProcessError if it ends before, or after ``timeout`` seconds."""
        assert self._child, "start() first"
        wait_for_http(self._child, f"{self.url}/subjects", timeout)

    def stop(self, within: float = 10.0) -> bool:
        """SIGTERM; SIGKILL after ``within`` seconds. True if it ended by itself."""
        return self._child.stop(within) if self._child else True
