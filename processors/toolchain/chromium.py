"""Chromium in the sandbox: how it is started, and that nothing of it is left.

It speaks the DevTools protocol over its descriptors 3 and 4, which are one socket that we hold the other end of: there is no port that
anything could connect to. :mod:`confine` runs as a program between us and bubblewrap, as the parent that dies with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import stat
import sys
from pathlib import Path

from processors.toolchain import confine
from processors.toolchain.devtools import BrowserGone, Connection, PageError
from processors.toolchain.node import Toolchain, ToolchainError
from processors.toolchain.sandbox import Mount, Plan, plan

_SCRATCH = "/tmp"  # in the sandbox
_START_S = 30.0
_STOP_S = 10.0
_SAID = 1 << 12
"""Bytes of its error output that are kept: the last."""

_ARGUMENTS = (
    "--headless",
    "--remote-debugging-pipe",
    f"--user-data-dir={_SCRATCH}/profile",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--enable-automation",
    "--lang=en-US",
    # what a page looks like
    "--hide-scrollbars",
    "--mute-audio",
    "--disable-gpu",
    "--disable-smooth-scrolling",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
    # what a browser does beside its pages
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-back-forward-cache",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-search-engine-choice-screen",
    # A script that is compiled while it streams in is not taken from a code cache.
    "--disable-features=AvoidUnnecessaryBeforeUnloadCheckSync,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,MediaRouter,OptimizationHints,PaintHolding,"
    "ScriptStreaming,ThirdPartyStoragePartitioning,Translate",
    "--allow-pre-commit-input",
    "--metrics-recording-only",
    "--password-store=basic",
    # A page lives for a second: code that is optimised for it pays nothing back, and optimising compilers are where an engine's holes are.
    "--js-flags=--max-old-space-size=512 --no-opt --no-maglev --single-threaded",
)
_PACED = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
    "--disable-checker-imaging",
)
"""Frames are drawn one by one, when they are asked for, and whole. The headless shell can do that; a whole browser that runs headless cannot."""


class Chromium:
    """A running browser: ``await Chromium.start(toolchain)``."""

    def __init__(self, process: asyncio.subprocess.Process, connection: Connection, paced: bool) -> None:
        self._process, self.connection = process, connection
        self.paced = paced
        """Whether it draws only when it is told to."""
        self._said = bytearray()
        self._errors = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, toolchain: Toolchain) -> Chromium:
        """Raises :class:`ToolchainError` where it does not start."""
        ready = _plan(toolchain)
        paced = "headless" in Path(ready.argv[-1]).name
        ours, theirs = socket.socketpair()
        with theirs:
            spec = {"argv": ready.argv, "seccomp": ready.seccomp.hex(), "limits": dict(ready.limits), "memory": ready.memory}
            spec["socket"] = theirs.fileno()
            arguments = [*_ARGUMENTS, *(_PACED if paced else ()), *([] if toolchain.settings.browser_inner_sandbox else ["--no-sandbox"])]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-IS",
                confine.__file__,
                json.dumps(spec),
                *arguments,
                env={},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        chromium = cls(process, Connection(*await asyncio.open_connection(sock=ours)), paced)
        try:
            async with asyncio.timeout(_START_S):
                await chromium.connection.call("Target.setDiscoverTargets", discover=True, filter=[{"type": "page"}])
        except (BrowserGone, PageError, TimeoutError) as error:
            await chromium.close()
            raise ToolchainError(f"Chromium does not start in the sandbox: {chromium._said.decode(errors='replace')}") from error
        except BaseException:
            await asyncio.shield(chromium.close())
            raise
        return chromium

    @property
    def alive(self) -> bool:
        return self.connection.open and self._process.returncode is None

    async def exhausted(self) -> bool:
        """Whether it was ended since the sandbox held more memory than it may; for one that has ended."""
        with contextlib.suppress(TimeoutError):  # one that only hung up has not ended
            async with asyncio.timeout(_STOP_S):
                return not self.connection.open and await self._process.wait() == confine.EXHAUSTED
        return False

    async def close(self) -> None:
        """End it and all that it started. Safe to call twice."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # what it confines dies with it
            await self._process.wait()
        await self.connection.close()
        await self._errors

    async def _listen(self) -> None:
        assert self._process.stderr
        while chunk := await self._process.stderr.read(1 << 14):
            self._said += chunk
            del self._said[:-_SAID]


def _plan(toolchain: Toolchain) -> Plan:
    chromium = Path(os.path.realpath(toolchain.chromium))
    mounts = [
        Mount(Path(path), path)
        for path in ("/etc/fonts", "/usr/share/fonts", "/usr/share/fontconfig", "/var/cache/fontconfig")
        if Path(path).is_dir()
    ]
    if not str(chromium).startswith("/usr/lib/") and stat.S_ISREG(chromium.stat().st_mode):
        real = _behind_script(chromium)
        if not str(real).startswith("/usr/lib/"):
            mounts.append(Mount(real.parent, str(real.parent)))
        chromium = real
    return plan(
        [str(chromium)],
        toolchain=toolchain,
        mounts=mounts,
        limits=toolchain.settings.browser,
        env={"XDG_CONFIG_HOME": _SCRATCH, "XDG_CACHE_HOME": _SCRATCH},
        profile="browser",
    )


def _behind_script(path: Path) -> Path:
    """The program that a distribution's small start script runs, or ``path`` itself where it is the program."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(b"#!"):
        return path
    for word in head.decode(errors="replace").split():
        if word.startswith("/usr/lib/") and shutil.which(word):
            return Path(word)
    raise ToolchainError(f"{path} is a script that does not say which program it starts: set the browser's own path")
