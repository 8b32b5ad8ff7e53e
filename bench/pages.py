"""Pictures of pages with their truth: what the rules and the forest for elements are grown and judged on.

    python -m bench.pages OUT KITS [APP ...]     KITS is a folder with node_modules/; APPS names what is visited there
    node bench/kits/build.mjs KITS MADE; python -m bench.pages OUT MADE --made [KIT ...]     pages made up, drawn with many kits

A page costs a second where a recording costs a minute, so that many applications can be had. Each is visited in headless Chromium (pages
served from a folder, links followed), in a size and a colour scheme drawn with a fixed seed, at its top, scrolled, and with something opened. The
truth is the recorder's (``bench/scorers/record.py``), and so is what counts as seen. Split by application, never by page.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import http.server
import json
import os
import random
import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "scorers"))

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright
from record import SNAPSHOT, drop_unmarked

SIZES = [(1280, 720)] * 6 + [(1920, 1080)] * 2 + [(1440, 900)]
LINKS = (
    "() => [...document.querySelectorAll('a[href]')].map(a => a.href).filter(h => h.startsWith(location.origin)).map(h => h.split('#')[0])"
)
OPENERS = (
    "() => { const e = [...document.querySelectorAll('[data-bs-toggle=dropdown],[data-toggle=dropdown],[data-bs-toggle=modal],[aria-haspopup],"
    "[role=combobox],select,summary')].filter(e => { const r = e.getBoundingClientRect(); return r.width > 8 && r.top > 0 && r.bottom < innerHeight;"
    " }); e.forEach((x, i) => x.setAttribute('data-opens', i)); return e.length; }"
)


@dataclass(frozen=True)
class App:
    """Pages of one application: ``root`` under ``node_modules``, where to start, or an ``address`` that is served already."""

    root: str = ""
    starts: tuple[str, ...] = ("/index.html",)
    address: str = ""
    most: int = 14


APPS: dict[str, App] = {
    "tabler": App("@tabler/preview/dist", ("/index.html", "/form-elements.html", "/users.html", "/tables.html", "/settings.html"), most=26),
    "sbadmin2": App("startbootstrap-sb-admin-2", ("/index.html", "/tables.html", "/register.html")),
    "adminlte": App("admin-lte/dist", ("/index.html", "/forms/general.html", "/tables/simple.html"), most=22),
    "gentelella": App("gentelella/dist", ("/production/index.html", "/production/form.html", "/production/tables.html"), most=20),
    "uikit": App(
        "uikit", tuple(f"/tests/{n}.html" for n in ("form", "table", "nav", "card", "button", "tab", "grid", "modal", "list")), most=18
    ),
    "blackdash": App("black-dashboard", ("/examples/dashboard.html", "/examples/tables.html", "/examples/user.html")),
    "materialdash": App(
        "material-dashboard", ("/pages/dashboard.html", "/pages/tables.html", "/pages/profile.html", "/pages/sign-in.html")
    ),
    "spectre": App("spectre.css/docs", ("/index.html", "/elements/forms.html", "/elements/tables.html"), most=16),
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


async def visit(name: str, app: App, kits: Path, out: Path) -> None:
    """Visit an application's pages and write ``OUT/NAME-NNN.png`` and ``.json`` for each picture."""
    server = None
    address = app.address
    if not address:
        handler = functools.partial(_Quiet, directory=app.root if app.root.startswith("/") else str(kits / "node_modules" / app.root))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
    choose = random.Random(name)
    todo, seen, taken = [address + s for s in app.starts], set[str](), 0
    try:
        async with async_playwright() as p:
            browser = await p.chromium.launch(
                executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium"),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--force-device-scale-factor=1",
                ],
            )
            while todo and len(seen) < app.most:
                url = todo.pop(0)
                if url in seen:
                    continue
                seen.add(url)
                width, height = choose.choice(SIZES)
                page = await browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme="dark" if choose.random() < 0.3 else "light"
                )
                page.set_default_timeout(6000)
                try:
                    await page.goto(url, wait_until="load", timeout=15000)
                    await asyncio.sleep(1.2)
                    links = sorted(set(await page.evaluate(LINKS)) - seen)
                    choose.shuffle(links)
                    todo += [u for u in links if u.endswith((".html", "/")) or app.address]
                    tall = await page.evaluate("() => document.documentElement.scrollHeight - innerHeight")
                    for shot in range(3):
                        if shot == 1 and tall > 200:
                            await page.mouse.move(width / 2, height / 2)
                            await page.mouse.wheel(0, min(tall, choose.choice([400, 600, 900])))
                        elif shot == 2:
                            count = await page.evaluate(OPENERS)
                            if not count or choose.random() < 0.4:
                                break
                            await page.click(f"[data-opens='{choose.randrange(count)}']", timeout=1500)
                        elif shot:
                            continue
                        await asyncio.sleep(0.6)
                        if await take(page, out / f"{name}-{taken:03d}"):
                            taken += 1
                except PlaywrightError as error:
                    print(name, url, str(error).splitlines()[0], file=sys.stderr)
                finally:
                    await page.close()
            await browser.close()
    finally:
        if server is not None:
            server.shutdown()
    print(f"{name}: {taken} pictures of {len(seen)} pages", flush=True)


async def take(page: Any, stem: Path) -> bool:
    """Write a picture and its truth, less what left no mark in it; whether there was anything on it."""
    png = await page.screenshot()
    state = {"t": 0.0, **await page.evaluate(SNAPSHOT)}
    drop_unmarked(SimpleNamespace(frames=[(0.0, png)], start=0.0, screens=[state]))  # type: ignore[arg-type]
    if len(state["elements"]) < 3:
        return False
    stem.with_suffix(".png").write_bytes(png)
    stem.with_suffix(".json").write_text(json.dumps(state, separators=(",", ":")))
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Take pictures of pages with ground truth.")
    parser.add_argument("out", type=Path)
    parser.add_argument("kits", type=Path)
    parser.add_argument("apps", nargs="*")
    parser.add_argument("--address", default="", help="an application that is served already, under the one name given")
    parser.add_argument("--starts", default="/", help="its first pages, parted by commas")
    parser.add_argument("--made", action="store_true", help="KITS is what bench/kits/build.mjs made")
    parser.add_argument("--most", type=int, default=14)
    args = parser.parse_intermixed_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.made:
        for folder in sorted(p for p in args.kits.iterdir() if not args.apps or p.name in args.apps):
            count = 3 if "-" in folder.name else 9
            starts = tuple(f"/index.html?seed={n + len(folder.name) * 100}&dark={int(n % 3 == 2)}" for n in range(count))
            asyncio.run(visit(folder.name, App(str(folder.resolve()), starts, most=count), Path("/"), args.out))
        return
    for name in args.apps or APPS:
        app = App(address=args.address, starts=tuple(args.starts.split(",")), most=args.most) if args.address else APPS[name]
        asyncio.run(visit(name, app, args.kits, args.out))


if __name__ == "__main__":
    main()
