"""The browser: what an application does there is seen, what it must not do does not work, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from processors.toolchain.browser import BrowserGone, Browsers, Opened, PageError, Script
from processors.toolchain.node import Toolchain
from processors.toolchain.settings import ToolchainSettings

pytestmark = pytest.mark.browser


def dist(script: str, body: str = "<h1>Hello</h1>") -> dict[str, bytes]:
    page = f'<!doctype html><html lang="en"><head><title>t</title></head><body>{body}<script type="module" src="/assets/app.js"></script></body></html>'
    return {"dist/index.html": page.encode(), "dist/assets/app.js": script.encode()}


@pytest.fixture(scope="module")
def browsers() -> Any:
    """Runs a coroutine function with a page of an application, in one warm pool."""
    with asyncio.Runner() as runner:
        pool = runner.run(Browsers(Toolchain()).__aenter__())

        def use(files: dict[str, bytes], steps: Callable[[Opened], Coroutine[Any, Any, Any]]) -> Any:
            async def go() -> Any:
                async with asyncio.timeout(60), pool.open(files, (800, 600)) as opened:
                    return await steps(opened)

            return runner.run(go())

        yield use
        runner.run(pool.close())


async def settled(opened: Opened, seconds: float = 0.4) -> Opened:
    await opened.visit("/")
    await opened.page.wait(seconds)
    return opened


def test_an_application_opens_without_complaint(browsers: Any) -> None:
    async def steps(opened: Opened) -> None:
        await settled(opened)
        assert await opened.page.evaluate("document.querySelector('h1').innerText") == "Hello"
        assert await opened.page.evaluate("[innerWidth, innerHeight, devicePixelRatio]") == [800, 600, 1]
        assert await opened.page.evaluate("isSecureContext && typeof crypto.randomUUID") == "function"
        assert opened.log.clean

    browsers(dist("document.body.append('more')"), steps)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("console.error('bad')", "console"),
        ("throw new Error('bad')", "exceptions"),
        ("Promise.reject(new Error('bad'))", "exceptions"),
        ("new Image().src = 'https://example.com/x.png'", "blocked"),
        ("fetch('http://169.254.169.254/latest').catch(() => 0)", "blocked"),
        ("fetch('http://127.0.0.1:PORT/').catch(() => 0)", "blocked"),
        ("new Image().src = 'http://127.0.0.1:PORT/x.png'", "blocked"),
        ("new WebSocket('ws://127.0.0.1:PORT/')", "blocked"),
        ("new WebSocket('ws://localhost/')", "console"),
        ("new Image().src = '/missing.png'", "failed"),
        ("import('/assets/missing.js').catch(() => 0)", "failed"),
        ("window.open('/other')", "popups"),
        ("eval('1')", "exceptions"),
        ("new Function('return 1')()", "exceptions"),
        ("const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s)", "blocked"),
        ("const f = document.createElement('iframe'); f.src = 'https://example.com'; document.body.append(f)", "blocked"),
        ("navigator.serviceWorker.register('/assets/app.js').catch(() => 0)", "blocked"),
    ],
)
def test_what_it_must_not_do_is_seen(script: str, kind: str, browsers: Any) -> None:
    connections: list[Any] = []
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: connections.append(server.accept()), daemon=True).start()

    async def steps(opened: Opened) -> None:
        await settled(opened)
        until = time.monotonic() + 10
        while not getattr(opened.log, kind) and time.monotonic() < until:  # a connection may take its time to fail
            await opened.page.evaluate("new Promise(done => setTimeout(done, 50))")
        assert getattr(opened.log, kind), opened.log

    browsers(dist(script.replace("PORT", str(server.getsockname()[1]))), steps)
    assert connections == []
    server.close()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "http://127.0.0.1:1/", "chrome://version", "view-source:file:///etc/passwd"])
def test_it_cannot_be_sent_elsewhere(address: str, browsers: Any) -> None:
    async def steps(opened: Opened) -> None:
        await settled(opened, 0.8)
        assert "root:" not in await opened.page.content()
        assert (await opened.page.evaluate("location.href")).startswith(("http://localhost/", "chrome-error:", "about:blank"))

    browsers(dist(f"location.href = {address!r}"), steps)


def test_what_needs_frames_goes_on_while_it_is_waited_for(browsers: Any) -> None:
    code = """
        let frames = 0, seen = 0;
        const count = () => { frames++; requestAnimationFrame(count); };
        requestAnimationFrame(count);
        document.body.style.height = '3000px';
        new IntersectionObserver(entries => { seen += entries.length; }).observe(document.body);
        document.body.animate([{ opacity: 0 }, { opacity: 1 }], 50).finished.then(() => { window.moved = true; });
        window.said = () => ({ frames, seen, moved: window.moved === true, scrolled: scrollY });
    """

    async def steps(opened: Opened) -> None:
        await opened.visit("/")
        rested = "() => new Promise(done => { const look = () => said().moved && said().seen && said().frames > 2 ? done(said()) : setTimeout(look, 5); look(); })"
        async with asyncio.timeout(10):
            await opened.page.watch(rested, unseen=True)
            await opened.page.move(50, 50)
            await opened.page.wheel(120)
            await opened.page.watch("() => new Promise(done => { const look = () => scrollY ? done() : setTimeout(look, 5); look(); })")
        picture = await opened.page.picture()
        assert picture.startswith(b"\x89PNG") and (await opened.page.thumbnail()).startswith(b"\xff\xd8")

    browsers(dist(code), steps)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'nonce-x'\">",
        "<meta http-equiv=Content-Security-Policy content=\"require-trusted-types-for 'script'\">",
    ],
)
def test_a_script_of_ours_runs_in_every_page_as_it_was_compiled(policy: str, browsers: Any) -> None:
    script = Script(f"window.examined = 'well'; /* {'x' * 2000} */")

    async def compiled(opened: Opened) -> None:
        await opened.visit("/")
        await opened.page.compile(script)
        assert script.compiled

    async def steps(opened: Opened) -> None:
        await opened.visit("/")
        await opened.page.add(script)
        assert await opened.page.evaluate("examined") == "well"
        assert await opened.page.evaluate("document.querySelectorAll('script').length") <= 1
        if not policy:  # V8 knows a source by its length: what runs is what was compiled
            assert opened.log.clean
            await opened.page.add(Script(script.source.replace("well", "anew"), script.compiled))
            assert await opened.page.evaluate("examined") == "well"

    browsers(dist(""), compiled)
    page = dist("")
    browsers(page | {"dist/index.html": page["dist/index.html"].replace(b"<head>", b"<head>" + policy.encode())}, steps)


def test_a_page_that_is_gone_says_why(browsers: Any) -> None:
    async def steps(opened: Opened) -> None:
        await opened.visit("/")
        for _ in range(2):  # what is asked before it is known, and after
            with pytest.raises(PageError, match="closed its own window"):
                async with asyncio.timeout(10):
                    while True:
                        await opened.page.wait(0.01)
                        await opened.page.evaluate("1")

    with contextlib.suppress(BrowserGone, PageError):
        browsers(dist("setTimeout(() => window.close(), 50)"), steps)


def test_even_the_browser_itself_sees_no_file_of_the_machine(browsers: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("canary-file")

    async def steps(opened: Opened) -> None:
        for path in (tmp_path / "secret.txt", "/etc/passwd", "/proc/1/environ"):
            try:
                await opened.page.goto(f"file://{path}")
            except PageError:
                continue
            text = await opened.page.content()
            assert "canary-file" not in text and "root:" not in text

    browsers(dist(""), steps)


def test_applications_share_no_storage(browsers: Any) -> None:
    async def write(opened: Opened) -> None:
        await settled(opened)
        await opened.page.evaluate("localStorage.setItem('x', '1'); document.cookie = 'x=1'; caches.open('x')")

    async def read(opened: Opened) -> Any:
        await settled(opened)
        return await opened.page.evaluate("(async () => [localStorage.getItem('x'), document.cookie, (await caches.keys()).length])()")

    browsers(dist(""), write)
    assert browsers(dist(""), read) == [None, "", 0]


def test_a_page_that_never_rests_does_not_hold_the_browser(browsers: Any) -> None:
    async def stuck(opened: Opened) -> None:
        with pytest.raises(PageError):
            await opened.visit("/", timeout_s=1)

    async def fine(opened: Opened) -> None:
        await settled(opened)
        assert opened.log.clean

    browsers(dist("while (true);"), stuck)
    browsers(dist(""), fine)


def test_memory_without_end_ends_the_page_only(browsers: Any) -> None:
    async def hungry(opened: Opened) -> None:
        with pytest.raises(PageError):
            await opened.visit("/", timeout_s=30)
        assert opened.log.crashed

    async def fine(opened: Opened) -> None:
        await settled(opened)
        assert opened.log.clean

    browsers(dist("const kept = []; while (true) kept.push(new Array(1e6).fill(Math.random()));"), hungry)
    browsers(dist(""), fine)


def test_a_window_that_closes_itself_is_told_at_once(browsers: Any) -> None:
    async def steps(opened: Opened) -> None:
        with pytest.raises(PageError, match="closed its own window"):
            await opened.visit("/", timeout_s=30)
            await opened.page.evaluate("new Promise(() => 0)")
        assert opened.log.exceptions

    browsers(dist("setTimeout(() => window.close(), 30)"), steps)


def test_a_page_is_not_given_its_files_without_end(browsers: Any) -> None:
    """Nor does what it asks for hold up others: the loop goes on beside it."""

    async def steps(opened: Opened) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await settled(opened)
        kept = await opened.page.evaluate(
            "Promise.all([...Array(70).keys()].map(n => fetch('/big.bin?' + n).then(r => r.arrayBuffer()).then(b => b.byteLength, () => 0)))"
        )
        counting.cancel()
        assert 0 < sum(size > 0 for size in kept) < 70 and "MB already" in " ".join(opened.log.failed)
        assert turns > 140

    browsers(dist("") | {"dist/big.bin": bytes(4 << 20)}, steps)


def test_what_a_page_says_can_be_written_down(browsers: Any) -> None:
    async def steps(opened: Opened) -> None:
        await settled(opened)
        assert [said.encode() for said in opened.log.console] == [b"? half"]

    browsers(dist("console.error('\\ud800 half')"), steps)


def test_nothing_listens_to_an_application_that_is_gone() -> None:
    async def go() -> None:
        async with pool() as browsers:
            for _ in range(3):
                async with browsers.open(dist("for (let n = 0; n < 3; n++) new Worker('/assets/app.js')"), (800, 600)) as opened:
                    await settled(opened)
            (browser,) = browsers._all
            assert set(browser.connection._listeners) == {""}

    asyncio.run(go())


@asynccontextmanager
async def pool(**settings: Any) -> AsyncIterator[Browsers]:
    async with Browsers(Toolchain(ToolchainSettings(**settings))) as browsers:
        yield browsers


async def browsers_of(browsers: Browsers, tenants: list[str]) -> list[int]:
    """Which browser each application got, as the number of the object that stands for it."""
    seen = []
    for tenant in tenants:
        async with browsers.open(dist(""), (800, 600), tenant) as opened:
            await opened.visit("/")
            seen.append(id(next(iter(browsers._all))))
    return seen


def test_a_browser_is_kept_and_replaced_after_its_uses() -> None:
    async def go() -> list[int]:
        async with pool(browser_uses=2) as browsers:
            return await browsers_of(browsers, ["a"] * 4)

    first, second, third, fourth = asyncio.run(go())
    assert first == second and third == fourth and first != third


def test_tenants_can_be_kept_apart() -> None:
    async def go() -> list[int]:
        async with pool(browser_per_tenant=True) as browsers:
            return await browsers_of(browsers, ["a", "a", "b"])

    first, second, other = asyncio.run(go())
    assert first == second != other


def test_a_browser_that_ends_is_said_and_replaced() -> None:
    async def go() -> None:
        async with pool() as browsers:
            with pytest.raises(BrowserGone):
                async with browsers.open(dist(""), (800, 600)) as opened:
                    await opened.visit("/")
                    await next(iter(browsers._all)).close()
                    await opened.page.evaluate("document.title")
            async with browsers.open(dist(""), (800, 600)) as opened:
                await opened.visit("/")
                assert opened.log.clean

    asyncio.run(go())


def processes(mark: str) -> list[int]:
    """Processes whose command line holds ``mark``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_no_process_is_left(how: str, tmp_path: Path) -> None:
    """The task that holds a page is cancelled, or the whole program killed the hard way: the browser goes with it."""
    mark = f"--user-agent=mark-{os.getpid()}-{how}"
    program = tmp_path / "holder.py"
    program.write_text(
        "import asyncio\nfrom processors.toolchain import browser, chromium\nfrom processors.toolchain.node import Toolchain\n"
        f"chromium._ARGUMENTS = (*chromium._ARGUMENTS, {mark!r})\n"
        "async def hold():\n"
        "    async with browser.Browsers(Toolchain()) as browsers:\n"
        "        async with browsers.open({'dist/index.html': b'<h1>x</h1>'}, (800, 600)) as opened:\n"
        "            await opened.visit('/')\n"
        "            print('up', flush=True)\n"
        "            await asyncio.sleep(60)\n"
        "async def main():\n"
        "    task = asyncio.create_task(hold())\n"
        "    await asyncio.to_thread(input)\n"
        "    task.cancel()\n"
        "    await asyncio.wait([task])\n"
        "asyncio.run(main())\n"
    )
    holder = subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin and holder.stdout
    assert holder.stdout.readline() == b"up\n"
    assert len(processes(mark)) > 2
    if how == "kill":
        holder.kill()
    else:
        holder.stdin.write(b"\n")
        holder.stdin.flush()
    holder.wait(timeout=20)
    deadline = time.monotonic() + 10
    while processes(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes(mark) == []
