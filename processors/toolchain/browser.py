"""Opens a built application in headless Chromium: sandboxed, without network, served from memory.

A browser is started once and kept warm; every application gets a context of its own (storage, cookies, cache, service workers) and
so a renderer process of its own. What the applications in one warm browser share is its browser and graphics processes: an
application that breaks out of Chromium's own sandbox would still be inside ours, but could see the others opened by that browser.
``browser_per_tenant`` keeps tenants apart there too.

Playwright starts an executable and talks to it over descriptors 3 and 4; the executable it is given is a script that starts
bubblewrap around Chromium (:mod:`confine`), which hands these descriptors on. There is no port that anything could connect to.
Requests never reach a socket: they are answered from the ``dist`` files, as a static file server that falls back to index.html
would, and all others are refused and written down.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import mimetypes
import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, Page, Playwright, Request, Route, WebSocketRoute, async_playwright
from playwright.async_api import Error as PlaywrightError

from processors.toolchain import confine
from processors.toolchain.node import Toolchain, ToolchainError
from processors.toolchain.sandbox import Mount, plan

ORIGIN = "http://localhost"
"""Where applications believe to be; a secure context, as a real deployment is."""

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-src 'none'"
)
"""Sent with every page: no code but the bundle's runs, not even from a string."""

_ARGUMENTS = (
    "--disable-gpu",
    "--disable-smooth-scrolling",
    "--disable-crash-reporter",
    "--disable-breakpad",
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--no-first-run",
    # A page lives for a second: code that is optimised for it pays nothing back, and optimising compilers are where an engine's holes are.
    "--js-flags=--max-old-space-size=512 --no-opt --no-maglev",
)
_SCRATCH = "/tmp"  # in the sandbox
_KEPT = 50  # entries of one kind that a page's log keeps


class BrowserGone(RuntimeError):
    """The browser ended while an application was open in it; the pool has a new one for the next try."""


@dataclass
class Log:
    """What a page did that it should not have, in order; each list keeps its first 50 entries."""

    console: list[str] = field(default_factory=list)
    """Messages written with console.error."""
    blocked: list[str] = field(default_factory=list)
    """What the page's content security policy stopped: code from text, addresses elsewhere."""
    exceptions: list[str] = field(default_factory=list)
    """Uncaught exceptions and rejections."""
    failed: list[str] = field(default_factory=list)
    """Own addresses that could not be answered."""
    external: list[str] = field(default_factory=list)
    """Addresses elsewhere that were asked for and refused."""
    popups: list[str] = field(default_factory=list)
    """Windows opened, and closed again."""
    crashed: bool = False

    def note(self, kind: str, text: str) -> None:
        entries: list[str] = getattr(self, kind)
        if len(entries) < _KEPT:
            entries.append(text[:500])

    @property
    def clean(self) -> bool:
        return not (self.console or self.blocked or self.exceptions or self.failed or self.external or self.popups or self.crashed)


@dataclass(frozen=True)
class Opened:
    """An application in the browser. ``page`` is on ``/`` once :meth:`visit` was called."""

    page: Page
    log: Log

    async def visit(self, path: str = "/", timeout_s: float = 10.0) -> None:
        """Load a path of the application. Raises playwright's ``TimeoutError`` if it does not load in time."""
        await self.page.goto(ORIGIN + path, wait_until="load", timeout=timeout_s * 1000)

    async def thumbnail(self, width: int = 960, quality: int = 80) -> bytes:
        """What shows now as JPEG, at most ``width`` pixels across: made small and lossy where it is drawn, for pictures that nothing is measured by."""
        size = self.page.viewport_size or {"width": width, "height": width}
        clip = {"x": 0, "y": 0, **size, "scale": min(1.0, width / size["width"])}
        session = await self.page.context.new_cdp_session(self.page)
        shot = await session.send("Page.captureScreenshot", {"format": "jpeg", "quality": quality, "clip": clip, "optimizeForSpeed": True})
        return base64.b64decode(shot["data"])


@dataclass
class _Warm:
    browser: PlaywrightBrowser
    tenant: str | None
    uses: int = 0


class Browsers:
    """A pool of warm browsers: ``async with Browsers(toolchain) as browsers``. At most ``settings.browsers`` applications are open at once."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain
        self._slots = asyncio.Semaphore(toolchain.settings.browsers)
        self._idle: list[_Warm] = []
        self._all: set[PlaywrightBrowser] = set()
        self._playwright: Playwright | None = None
        self._starting = asyncio.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> Browsers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def warm(self) -> None:
        """Start one browser ahead of the first application."""
        async with self._slots:
            self._idle.append(await self._take(None))

    async def close(self) -> None:
        """Stop all browsers. Nothing of them is left afterwards."""
        for browser in list(self._all):
            await self._drop(browser)
        self._idle.clear()
        if self._playwright:
            await self._playwright.stop()
            self._playwright = None
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    @contextlib.asynccontextmanager
    async def open(self, dist: Mapping[str, bytes], viewport: tuple[int, int], tenant: str | None = None) -> AsyncIterator[Opened]:
        """Give the application in ``dist`` (paths begin with ``dist/``) a fresh page of ``viewport`` CSS pixels.

        Whatever goes wrong inside the block, the page is gone after it; where it cannot be closed, its browser is killed.
        Raises :class:`BrowserGone` if the browser itself ended, :class:`ToolchainError` if none can be started.
        """
        async with self._slots:
            warm = await self._take(tenant)
            healthy = False
            log = Log()
            try:
                context = await self._context(warm.browser, dist, viewport, log)
                page = await context.new_page()
                _watch(page, log)
                context.on("page", lambda other: asyncio.ensure_future(_refuse(other, log)))
                yield Opened(page, log)
                await asyncio.wait_for(context.close(), 5)
                healthy = not log.crashed
            except PlaywrightError as error:
                if not warm.browser.is_connected():
                    raise BrowserGone("the browser ended while the application was open") from error
                raise
            finally:
                await self._give(warm, healthy)

    async def _take(self, tenant: str | None) -> _Warm:
        per_tenant = self._toolchain.settings.browser_per_tenant
        while self._idle:
            warm = self._idle.pop()
            if warm.browser.is_connected() and not (per_tenant and warm.uses and warm.tenant != tenant):
                break
            await self._drop(warm.browser)
        else:
            warm = _Warm(await self._start(), tenant)
        warm.tenant, warm.uses = tenant, warm.uses + 1
        return warm

    async def _give(self, warm: _Warm, healthy: bool) -> None:
        if healthy and warm.browser.is_connected() and warm.uses < self._toolchain.settings.browser_uses:
            self._idle.append(warm)
        else:
            await asyncio.shield(self._drop(warm.browser))

    async def _drop(self, browser: PlaywrightBrowser) -> None:
        self._all.discard(browser)
        with contextlib.suppress(PlaywrightError, TimeoutError):
            await asyncio.wait_for(browser.close(), 10)

    async def _start(self) -> PlaywrightBrowser:
        async with self._starting:
            if self._playwright is None:
                self._folder = tempfile.TemporaryDirectory(prefix="millrace-browser-")
                self._playwright = await async_playwright().start()
        assert self._folder
        launcher = _launcher(self._toolchain, Path(self._folder.name), len(self._all))
        try:
            browser = await self._playwright.chromium.launch(
                executable_path=launcher,
                args=list(_ARGUMENTS),
                chromium_sandbox=self._toolchain.settings.browser_inner_sandbox,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=30_000,
            )
        except PlaywrightError as error:
            raise ToolchainError(f"Chromium does not start in the sandbox: {error.message[:2000]}") from error
        self._all.add(browser)
        return browser

    async def _context(self, browser: PlaywrightBrowser, dist: Mapping[str, bytes], viewport: tuple[int, int], log: Log) -> BrowserContext:
        context = await browser.new_context(
            viewport={"width": viewport[0], "height": viewport[1]},
            device_scale_factor=1,
            reduced_motion="reduce",
            color_scheme="light",
            locale="en-US",
            timezone_id="UTC",
            service_workers="block",
            accept_downloads=False,
        )
        await context.route("**/*", lambda route: _answer(route, dist, log))
        await context.route_web_socket("**/*", lambda socket: _refuse_socket(socket, log))
        return context


async def _answer(route: Route, dist: Mapping[str, bytes], log: Log) -> None:
    url = route.request.url
    if not url.startswith(ORIGIN + "/"):
        log.note("external", url)
        await route.abort("blockedbyclient")
        return
    path = url[len(ORIGIN) + 1 :].split("?")[0].split("#")[0]
    name = f"dist/{path}"
    if name not in dist:
        if "." in path.rsplit("/", 1)[-1] and path != "favicon.ico":
            log.note("failed", f"/{path}")
        if path == "favicon.ico":
            await route.fulfill(status=204)
            return
        name = "dist/index.html"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind == "application/javascript":
        kind += "; charset=utf-8"
    await route.fulfill(status=200, body=dist[name], headers={"Content-Type": kind, "Content-Security-Policy": _POLICY})


def _watch(page: Page, log: Log) -> None:
    def failed(request: Request) -> None:
        # A request that a navigation or the application itself gave up is no fault, and a refused one is noted where it was refused.
        if request.url.startswith(ORIGIN + "/") and "ERR_ABORTED" not in (request.failure or ""):
            log.note("failed", f"{request.url[len(ORIGIN) :]}: {request.failure}")

    def crashed(_: Page) -> None:
        log.crashed = True

    page.on("console", lambda message: log.note(_kind(message.text), message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: log.note("exceptions", str(error)))
    page.on("requestfailed", failed)
    page.on("crash", crashed)
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))


def _kind(message: str) -> str:
    return "blocked" if "Content Security Policy" in message else "console"


async def _refuse(page: Page, log: Log) -> None:
    log.note("popups", page.url)
    with contextlib.suppress(PlaywrightError):
        await page.close()


async def _refuse_socket(socket: WebSocketRoute, log: Log) -> None:
    log.note("external", socket.url)
    await socket.close()


def _launcher(toolchain: Toolchain, folder: Path, number: int) -> Path:
    """An executable that starts Chromium in the sandbox with the arguments it is given."""
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
    ready = plan(
        [str(chromium)],
        toolchain=toolchain,
        mounts=mounts,
        limits=toolchain.settings.browser,
        env={"XDG_CONFIG_HOME": _SCRATCH, "XDG_CACHE_HOME": _SCRATCH},
        profile="browser",
    )
    spec = folder / f"{number}.json"
    spec.write_text(json.dumps({"argv": ready.argv, "seccomp": ready.seccomp.hex(), "limits": dict(ready.limits)}))
    script = folder / f"{number}.sh"
    python = shlex.join([sys.executable, "-IS", confine.__file__, str(spec)])
    script.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    script.chmod(0o755)
    return script


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
