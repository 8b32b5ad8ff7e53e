"""esbuild and TypeScript, kept warm in the sandbox: one project after another is written where they read, and they are asked about it.

What projects share (React, the libraries' types) is parsed once. A project gets a pair of compilers for itself while it is at work; what
pairs keep between projects are syntax trees, found by content. ``compiler_uses = 1`` gives every project a new pair.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.toolchain import project
from processors.toolchain.node import Toolchain, mounted
from processors.toolchain.sandbox import Mount
from processors.toolchain.service import Service, Stopped

SUFFIXES = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts")
IMAGES = ("png", "jpg", "jpeg", "gif", "webp", "svg")
"""What a project may import as the address of a file."""
_SCRIPT = Path(__file__).with_name("compilers.mjs")


@dataclass(frozen=True)
class Message:
    """What a compiler says about a project. ``file`` is a path of the project, or None where it speaks of all of it."""

    text: str
    code: str = ""
    file: str | None = None
    line: int | None = None
    severity: str = "error"


class Compilers:
    """A pool: ``async with Compilers(toolchain) as compilers``. At most ``settings.compilers`` projects are at work at once."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain
        self._slots = asyncio.Semaphore(toolchain.settings.compilers)
        self._idle: list[Workbench] = []
        self._all: set[Workbench] = set()

    async def __aenter__(self) -> Compilers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all of them. Nothing of them is left afterwards."""
        for bench in list(self._all):
            await bench.close()
        self._all.clear()
        self._idle.clear()

    @contextlib.asynccontextmanager
    async def open(self, files: Mapping[str, bytes], control: Mapping[str, str]) -> AsyncIterator[Workbench]:
        """A workbench with these files on it; ``control`` are the type checker's own,
        its settings among them as ``tsconfig.json``. Raises ``ProjectError`` for unsafe names or sizes."""
        project.check(files)
        async with self._slots:
            bench = self._idle.pop() if self._idle else Workbench(self._toolchain)
            self._all.add(bench)
            try:
                bench.lay_out(files, control)
                yield bench
            finally:
                await asyncio.shield(bench.tidy())
                self._idle.append(bench)


class Workbench:
    """A folder and the compilers that read it; a project has it for itself."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._settings = toolchain.settings
        self._folder = tempfile.TemporaryDirectory(prefix="millrace-build-")
        self._app, self._control = Path(self._folder.name, "app"), Path(self._folder.name, "control")
        for folder in (self._app, self._control):
            folder.mkdir()
        self._projects = 0
        self._lying: dict[str, bytes] | None = {}
        """The files in the folder; None where something went wrong while they were put there."""
        self._code: dict[str, str] = {}
        """What those of them that were transpiled are in JavaScript."""
        self._shared: dict[str, bytes] = {}  # a function of the packages alone
        mounts = [
            Mount(self._app, "/app"),
            Mount(self._control, "/control"),
            *(Mount(toolchain.settings.folder / "node" / path, f"/{path}") for path in mounted()),
            Mount(toolchain.node, "/tool/node"),
            Mount(toolchain.node_modules / "esbuild", "/tool/esbuild"),
            Mount(toolchain.esbuild, "/tool/bin/esbuild"),
            Mount(toolchain.node_modules / "typescript", "/tool/typescript"),
            Mount(toolchain.tsc.parent, "/tool/tsc"),  # with the libraries that it finds beside itself
            Mount(_SCRIPT, "/tool/compilers.mjs"),
        ]
        env = {"ESBUILD_BINARY_PATH": "/tool/bin/esbuild", "GOMAXPROCS": "1", "GOGC": "200"}
        env["GOMEMLIMIT"] = str(self._settings.build.memory_bytes // 2)
        # A warm process uses CPU as long as it lives: each question has a clock of its own.
        limits = self._settings.build.model_copy(update={"cpu_s": 3600, "output_bytes": 64 << 20})
        self._service = Service("compiler", ["/tool/node", "/tool/compilers.mjs", *IMAGES], toolchain, mounts, limits, env)

    def lay_out(self, files: Mapping[str, bytes], control: Mapping[str, str]) -> None:
        """Put a project in the place of the one before: files that both have lie there already."""
        self._projects += 1
        lying, self._lying = self._lying, None
        if lying is None:
            _clear(self._app)
            lying = {}
        for name in sorted(lying.keys() - files.keys()):
            project.remove(name, self._app)
        new = {name: content for name, content in files.items() if lying.get(name) != content}
        project.write(new, self._app)
        self._lying = dict(files)
        self._code = {name: code for name, code in self._code.items() if name in files and name not in new}
        # Another folder each time: a settings file is read once, whatever is said of its having changed.
        folder = self._control / str(self._projects)
        folder.mkdir()
        for name, text in control.items():
            (folder / name).write_text(text)

    async def tidy(self) -> None:
        """After a project: its settings are nobody else's, its files lie there until the next one comes."""
        _clear(self._control)
        if self._projects >= self._settings.compiler_uses:
            await self._service.stop()
            self._projects, self._shared, self._code = 0, {}, {}  # what a compiler with a past made is not for those after it
            _clear(self._app)
            self._lying = {}

    async def close(self) -> None:
        await self._service.stop()
        self._folder.cleanup()

    async def transpile(self, names: list[str]) -> dict[str, str]:
        """JavaScript by path; empty where one of the files cannot be parsed, or takes too long."""
        with contextlib.suppress(Stopped):
            while new := [name for name in names if name not in self._code]:  # once; again where it had to be started anew
                code: dict[str, str] | None = (await self._ask({"do": "transpile", "files": new}))["code"]
                if code is None or set(new) - code.keys():
                    return {}
                self._code |= code
            return {name: self._code[name] for name in names}
        return {}

    async def bundle(self, most: int) -> tuple[list[Message], dict[str, bytes]]:
        """Messages (``most`` of them), and files by their names under ``dist/assets``. Raises :class:`Stopped`."""
        answer = await self._ask({"do": "bundle", "log": most})
        outputs = _decoded(answer["outputs"])
        if set(answer["shared"]) - self._shared.keys():
            self._shared = _decoded((await self._ask({"do": "shared"}))["outputs"])
        outputs |= {name: self._shared[name] for name in answer["shared"] if name in self._shared}
        return [Message(**said) for said in answer["messages"]], outputs

    async def typecheck(self) -> list[Message]:
        """Errors. Raises :class:`Stopped`."""
        return [
            Message(**said)
            for said in (await self._ask({"do": "typecheck", "config": f"/control/{self._projects}/tsconfig.json"}))["messages"]
        ]

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        limit = self._settings.build.wall_s
        began = self._service.answers
        try:
            return await self._service.ask(question, limit)
        except Stopped as stopped:
            self._shared, self._code = {}, {}
            if stopped.why not in ("ended", "memory") or began == 0:
                raise
            return await self._service.ask(question, limit)  # it may have ended for what it did before: a new one has no past


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _decoded(outputs: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(content) for name, content in sorted(outputs.items())}
