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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "scorers"))

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright
from record import SNAPSHOT, drop_unmarked

from bench.restyle import sheet

SIZES = [(1280, 720)] * 6 + [(1920, 1080)] * 2 + [(1440, 900)]
LINKS = (
    "() => [...document.querySelectorAll('a[href]')].map(a => a.href).filter(h => h.startsWith(location.origin)).map(h => h.split('#')[0])"
)
OPENERS = (
    "() => { const e = [...document.querySelectorAll('[data-bs-toggle=dropdown],[data-toggle=dropdown],[data-bs-toggle=modal],[aria-haspopup],"
    "[role=combobox],select,summary')].filter(e => { const r = e.getBoundingClientRect(); return r.width > 8 && r.top > 0 && r.bottom < innerHeight;"
    " }); e.forEach((x, i) => x.setAttribute('data-opens', i)); return e.length; }"
)

# Texts as they are shown: a style may set them in capitals, and how much of a line is capitals speaks for a button.
SHOWN = (
    "() => { const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); for (let n; (n = walk.nextNode());) {"
    " const how = n.parentElement && n.data.trim() ? getComputedStyle(n.parentElement).textTransform : 'none';"
    " const shown = how === 'uppercase' ? n.data.toUpperCase() : how === 'lowercase' ? n.data.toLowerCase()"
    " : how === 'capitalize' ? n.data.replace(/(^|\\s)\\p{L}/gu, c => c.toUpperCase()) : n.data; if (shown !== n.data) n.data = shown; } }"
)


@dataclass(frozen=True)
class App:
    """Pages of one application: ``root`` under ``node_modules``, where to start, or an ``address`` that is served already."""

    root: str = ""
    starts: tuple[str, ...] = ("/index.html",)
    address: str = ""
    most: int = 14
    styles: int = 0  # how often each page is seen again in made-up styles


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
    "adminlte2": App("admin-lte2", ("/index.html", "/pages/forms/general.html", "/pages/tables/simple.html")),
    "adminlte3": App(
        "admin-lte3", ("/index.html", "/pages/forms/general.html", "/pages/tables/simple.html", "/pages/examples/projects.html")
    ),
    "sbadmin": App("startbootstrap-sb-admin/dist"),
    "paperdash": App("paper-dashboard", ("/dashboard.html", "/table.html", "/user.html"), most=8),
    "softui": App("soft-ui-dashboard", ("/pages/dashboard.html", "/pages/tables.html", "/pages/profile.html"), most=8),
    "softdesign": App(
        "soft-ui-design-system", ("/presentation.html", "/sections/input-areas/forms.html", "/sections/elements/buttons.html")
    ),
    "argon": App("argon-design-system-free", most=6),
    "nowui": App("now-ui-dashboard", ("/examples/dashboard.html", "/examples/tables.html", "/examples/user.html"), most=8),
    "nowkit": App("now-ui-kit", most=5),
    "paperkit": App("paper-kit-2", most=6),
    "materialkit": App("material-kit", most=5),
    "modernbusiness": App("startbootstrap-modern-business/dist", most=9),
    "cleanblog": App("startbootstrap-clean-blog/dist", most=4),
    "agency": App("startbootstrap-agency/dist", most=1),
    "jsoneditor": App(
        "jsoneditor/examples", ("/01_basic_usage.html", "/02_viewer.html", "/04_load_and_save.html", "/05_custom_fields_editable.html")
    ),
    "spectre": App("spectre.css/docs", ("/index.html", "/elements/forms.html", "/elements/tables.html"), most=16),
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def folder_served(root: Path) -> Iterator[str]:
    """Serve a folder as it is until it is no longer needed; its address comes back."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


async def visit(name: str, app: App, kits: Path, out: Path) -> None:
    """Visit an application's pages and write ``OUT/NAME-NNN.png`` and ``.json`` for each picture."""
    choose = random.Random(name)
    seen, taken, restyled = set[str](), 0, 0
    with nullcontext(app.address) if app.address else folder_served(kits / "node_modules" / app.root) as address:
        todo = [address + s for s in app.starts]
        async with async_playwright() as p:
            browser = await p.chromium.launch(
                executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium"),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # what is not here is missing at once
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
                    await quiet(page)
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
                    for _ in range(app.styles):
                        await restyle(page, choose.randrange(10**6), choose.random() * max(0, tall))
                        if await take(page, out / f"{name}-restyled-{restyled:03d}"):
                            restyled += 1
                except PlaywrightError as error:
                    print(name, url, str(error).splitlines()[0], file=sys.stderr)
                finally:
                    await page.close()
            await browser.close()
    print(f"{name}: {taken + restyled} pictures of {len(seen)} pages", flush=True)


async def quiet(page: Any) -> None:
    """Wait until a page asks for nothing more; one that never stops asking is taken as it is."""
    with suppress(PlaywrightError):
        await page.wait_for_load_state("networkidle", timeout=5000)
    await asyncio.sleep(0.8)


async def restyle(page: Any, seed: int, top: float) -> None:
    """Show a page in another style, scrolled to ``top``."""
    await page.evaluate(
        "([css, top]) => { document.getElementById('restyled')?.remove(); const s = document.createElement('style'); s.id = 'restyled';"
        " s.textContent = css + '*{transition:none!important;animation:none!important}'; document.head.append(s); scrollTo(0, top); }",
        [sheet(seed), top],
    )
    await asyncio.sleep(0.3)


async def take(page: Any, stem: Path) -> bool:
    """Write a picture and its truth, less what left no mark in it; whether there was anything on it."""
    await page.evaluate(SHOWN)
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
    parser.add_argument("--styles", type=int, default=0, help="how often each page is seen again in made-up styles")
    args = parser.parse_intermixed_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.made:
        for folder in sorted(p for p in args.kits.iterdir() if not args.apps or p.name in args.apps):
            count = 3 if "-" in folder.name else 9
            starts = tuple(f"/index.html?seed={n + len(folder.name) * 100}&dark={int(n % 3 == 2)}" for n in range(count))
            asyncio.run(visit(folder.name, App(str(folder.resolve()), starts, most=count, styles=args.styles), Path("/"), args.out))
        return
    for name in args.apps or APPS:
        app = App(address=args.address, starts=tuple(args.starts.split(",")), most=args.most) if args.address else APPS[name]
        app = replace(app, styles=args.styles)
        asyncio.run(visit(name, app, args.kits, args.out))


if __name__ == "__main__":
    main()
