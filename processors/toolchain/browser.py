"""Opens built applications in headless Chromium: sandboxed, without network, served from memory.

A browser is started once and kept warm; every application gets a context of its own (storage, cookies, cache, service workers) and
so a renderer process of its own. What the applications in one warm browser share is its browser and graphics processes: an
application that breaks out of Chromium's own sandbox would still be inside ours, but could see the others opened by that browser.
``browser_per_tenant`` keeps tenants apart there too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from processors.toolchain.chromium import Chromium
from processors.toolchain.devtools import BrowserGone, OutOfMemory, PageError
from processors.toolchain.node import Toolchain
from processors.toolchain.page import ORIGIN, Log, Page, Script

__all__ = ["ORIGIN", "BrowserGone", "Browsers", "Log", "Opened", "OutOfMemory", "Page", "PageError", "Script"]

_OPENS_S = 30.0
_CLOSES_S = 5.0
_EMPTY = {"dist/index.html": b"<!doctype html>"}


@dataclass(frozen=True)
class Opened:
    """An application in the browser. ``page`` is on ``/`` once :meth:`visit` was called."""

    page: Page
    log: Log

    async def visit(self, path: str = "/", timeout_s: float = 10.0) -> None:
        """Load a path of the application. Raises :class:`PageError` if it does not load in time."""
        await self.page.goto(ORIGIN + path, timeout_s)


@dataclass
class _Warm:
    browser: Chromium
    tenant: str | None
    uses: int = 0


class Browsers:
    """A pool of warm browsers: ``async with Browsers(toolchain) as browsers``. At most ``settings.browsers`` applications are open at once, each
    in a browser that no other is open in."""

    def __init__(self, toolchain: Toolchain) -> None:
        self._toolchain = toolchain
        self._slots = asyncio.Semaphore(toolchain.settings.browsers)
        self._idle: list[_Warm] = []
        self._all: set[Chromium] = set()

    async def __aenter__(self) -> Browsers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def warm(self) -> None:
        """Start one browser ahead of the first application."""
        async with self._slots:
            self._idle.append(await self._take(None))

    async def compile(self, script: Script) -> None:
        """Compile a script for all pages to come, in a browser that no application was opened in yet."""
        async with self._slots:
            browser = await Chromium.start(self._toolchain)
            self._all.add(browser)
            healthy = False
            try:
                async with _context(browser, _EMPTY, (100, 100), Log()) as page:
                    await page.goto(ORIGIN + "/")
                    await page.compile(script)
                healthy = True
            finally:
                if healthy:
                    self._idle.append(_Warm(browser, None))
                else:
                    await asyncio.shield(self._drop(browser))

    async def close(self) -> None:
        """Stop all browsers. Nothing of them is left afterwards."""
        for browser in list(self._all):
            await self._drop(browser)
        self._idle.clear()

    @contextlib.asynccontextmanager
    async def open(self, dist: Mapping[str, bytes], viewport: tuple[int, int], tenant: str | None = None) -> AsyncIterator[Opened]:
        """Give the application in ``dist`` (paths begin with ``dist/``) a fresh page of ``viewport`` CSS pixels.

        Whatever goes wrong inside the block, the page is gone after it; where it cannot be closed, its browser is killed.
        Raises :class:`BrowserGone` if the browser itself ended (:class:`OutOfMemory`: was ended), :class:`ToolchainError` if none can be started.
        """
        async with self._slots:
            warm = await self._take(tenant)
            healthy = False
            log = Log()
            try:
                async with _context(warm.browser, dist, viewport, log) as page:
                    yield Opened(page, log)
                healthy = not log.crashed
            except BrowserGone as error:
                if await warm.browser.exhausted():
                    raise OutOfMemory("the browser and its page hold more memory than they may") from error
                raise
            finally:
                await self._give(warm, healthy)

    async def _take(self, tenant: str | None) -> _Warm:
        per_tenant = self._toolchain.settings.browser_per_tenant
        while self._idle:
            warm = self._idle.pop()
            if warm.browser.alive and not (per_tenant and warm.uses and warm.tenant != tenant):
                break
            await self._drop(warm.browser)
        else:
            warm = _Warm(await Chromium.start(self._toolchain), tenant)
            self._all.add(warm.browser)
        warm.tenant, warm.uses = tenant, warm.uses + 1
        return warm

    async def _give(self, warm: _Warm, healthy: bool) -> None:
        if healthy and warm.browser.alive and warm.uses < self._toolchain.settings.browser_uses:
            self._idle.append(warm)
        else:
            await asyncio.shield(self._drop(warm.browser))

    async def _drop(self, browser: Chromium) -> None:
        self._all.discard(browser)
        await browser.close()


@contextlib.asynccontextmanager
async def _context(browser: Chromium, dist: Mapping[str, bytes], viewport: tuple[int, int], log: Log) -> AsyncIterator[Page]:
    """A page in a context of its own, which is disposed of where the block ends well; otherwise the browser is not used again."""
    connection = browser.connection
    width, height = viewport
    try:
        async with asyncio.timeout(_OPENS_S):
            context = (await connection.call("Target.createBrowserContext"))["browserContextId"]
            connection.post("Browser.setDownloadBehavior", behavior="deny", browserContextId=context)
            where: dict[str, Any] = {"browserContextId": context, "width": width, "height": height}
            if browser.paced:
                where["enableBeginFrameControl"] = True
            own = (await connection.call("Target.createTarget", url="about:blank", **where))["targetId"]
            session = (await connection.call("Target.attachToTarget", targetId=own, flatten=True))["sessionId"]
    except TimeoutError as error:
        raise BrowserGone("the browser does not open another page") from error

    def heard(method: str, said: dict[str, Any]) -> None:
        about = said.get("targetInfo") or {}
        if method == "Target.targetCrashed" and said["targetId"] == own:
            log.crashed = True
            connection.forget(session, "the page crashed")
        elif method == "Target.targetDestroyed" and said["targetId"] == own:
            log.note("exceptions", "the page closed its own window")
            connection.forget(session, "the page closed its own window")
        elif method == "Target.targetCreated" and about["browserContextId"] == context and about["targetId"] != own:
            log.note("popups", about["url"])
            connection.post("Target.closeTarget", targetId=about["targetId"])

    connection.listen("", heard)
    page = Page(connection, own, session, dist, viewport, log, browser.paced)
    try:
        await page.prepare()
        yield page
    finally:
        connection.listen("", lambda method, said: None)
        await page.close()
    async with asyncio.timeout(_CLOSES_S):
        await connection.call("Target.disposeBrowserContext", browserContextId=context)
