"""Finds the third-party tools: node and its packages, TypeScript, esbuild, bubblewrap, Chromium.

Everything is looked up once, when a :class:`Toolchain` is made; what is missing is said all at once.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from processors.toolchain.settings import ToolchainSettings

MANIFEST = Path(__file__).with_name("node")
"""Our package.json and package-lock.json; set-up installs them into ``<toolchain>/node``."""

_CPU = {"x86_64": "x64", "aarch64": "arm64"}


class ToolchainError(RuntimeError):
    """A part of the toolchain is missing or does not work; the message says which and how to get it."""


def importable() -> frozenset[str]:
    """Packages that a generated application may import: the ``dependencies`` of our manifest, types apart."""
    manifest = json.loads((MANIFEST / "package.json").read_text())
    return frozenset(name for name in manifest["dependencies"] if not name.startswith("@types/"))


def mounted() -> list[str]:
    """Folders under ``node_modules`` that a build may read: the closure of ``dependencies``, without the tools themselves."""
    lock = json.loads((MANIFEST / "package-lock.json").read_text())
    return sorted(path for path, entry in lock["packages"].items() if path and not entry.get("dev") and not entry.get("devOptional"))


def find_node(settings: ToolchainSettings) -> str | None:
    """Path of a node executable: the setting, then the one that set-up chose as new enough, then PATH."""
    if settings.node:
        return settings.node
    chosen = settings.folder / "bin" / "node"
    return str(chosen.resolve()) if chosen.exists() else shutil.which("node")


def find_chromium(settings: ToolchainSettings) -> str | None:
    """Path of a Chromium: the setting, then the usual names on PATH."""
    return settings.chromium or next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)


@dataclass(frozen=True)
class Toolchain:
    """The tools as paths. Cheap to make; nothing is started."""

    settings: ToolchainSettings = field(default_factory=ToolchainSettings)

    @property
    def node_modules(self) -> Path:
        return self.settings.folder / "node" / "node_modules"

    @cached_property
    def tsc(self) -> Path:
        cpu = _CPU.get(platform.machine(), platform.machine())
        return self._need(self.node_modules / "@typescript" / f"typescript-linux-{cpu}" / "lib" / "tsc", "TypeScript")

    @cached_property
    def esbuild(self) -> Path:
        cpu = _CPU.get(platform.machine(), platform.machine())
        return self._need(self.node_modules / "@esbuild" / f"linux-{cpu}" / "bin" / "esbuild", "esbuild")

    @cached_property
    def axe(self) -> Path:
        return self._need(self.node_modules / "axe-core" / "axe.min.js", "axe-core")

    @cached_property
    def node(self) -> Path:
        return Path(_found(find_node(self.settings), "node >= 20", "run `make setup`"))

    @cached_property
    def chromium(self) -> Path:
        return Path(_found(find_chromium(self.settings), "Chromium", "apt-get install chromium-headless-shell"))

    @cached_property
    def bwrap(self) -> str:
        return _found(shutil.which(self.settings.bwrap), "bubblewrap", "apt-get install bubblewrap")

    def missing(self) -> list[str]:
        """What is not there, each with how to get it; empty when the toolchain is complete."""
        said = []
        for part in ("bwrap", "node", "chromium", "tsc", "esbuild", "axe"):
            try:
                getattr(self, part)
            except ToolchainError as error:
                said.append(str(error))
        return said

    def _need(self, path: Path, what: str) -> Path:
        if not path.exists():
            raise ToolchainError(f"{what} is not at {path}: run `make setup`")
        return path


def _found(path: str | None, what: str, how: str) -> str:
    if path is None:
        raise ToolchainError(f"{what} was not found: {how}")
    return path
