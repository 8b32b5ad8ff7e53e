"""Make more screen recordings with ground truth, of open-source interface kits and applications, for the extraction benchmark.

    python -m bench.recordings OUT [NAME ...]        names as in RECORDINGS; without any, all of them
    python -m bench.recordings OUT --list

Each is driven by a wanderer with a fixed seed: it clicks links and buttons that can be seen, types into fields, scrolls. The
recorder writes down what really happened, so that it need not be told. Kits come from npm (``npm pack``) and are served from a folder; applications
need ``pip install`` in an environment of their own and are started by their command. The list is split by *application*: on ``dev``
one may tune, ``held`` is only scored.
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
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "scorers"))

from record import record

WORDS = ["alpha", "North Ridge", "42", "blue sky", "2026", "Rivera", "list of things", "x17"]
PICK = """
(want) => {
  const ok = el => { const r = el.getBoundingClientRect();
    if (r.width < 12 || r.height < 10 || r.top < 4 || r.bottom > innerHeight - 4 || r.left < 0 || r.right > innerWidth) return false;
    const t = document.elementFromPoint(r.left + Math.min(r.width / 2, 120), r.top + r.height / 2);
    return t && (el === t || el.contains(t)); };
  const lists = {
    link: [...document.querySelectorAll('a[href]')].filter(a => a.origin === location.origin && a.href.split('#')[0] !== location.href.split('#')[0]
      && !a.target && !/\\.(zip|pdf|svg|png)$/.test(a.pathname)),
    field: [...document.querySelectorAll('input[type=text],input[type=search],input[type=email],input[type=password],input:not([type]),textarea')].filter(e => !e.disabled && !e.readOnly),
    button: [...document.querySelectorAll('button,[role=tab],summary,input[type=checkbox],input[type=radio]')].filter(e => !e.disabled),
  };
  const found = (lists[want] || []).filter(ok);
  document.querySelectorAll('[data-pick]').forEach(e => e.removeAttribute('data-pick'));
  found.forEach((e, i) => e.setAttribute('data-pick', i));
  return found.length;
}
"""


@dataclass(frozen=True)
class Spec:
    """One recording. ``package`` is an npm package, ``root`` the folder in it that is served, ``page`` where it starts."""

    package: str
    root: str
    page: str
    part: str
    dark: bool = False
    size: tuple[int, int] = (1280, 720)
    vp8: bool = False
    seed: int = 1
    steps: int = 9


RECORDINGS: dict[str, Spec] = {
    "tabler_forms": Spec("@tabler/preview@1.2.0", "dist", "/form-elements.html", "dev", seed=3),
    "tabler_dark": Spec("@tabler/preview@1.2.0", "dist", "/index.html?theme=dark", "dev", dark=True, seed=4),
    "tabler_users": Spec("@tabler/preview@1.2.0", "dist", "/users.html", "dev", size=(1920, 1080), vp8=True, seed=5),
    "sbadmin_index": Spec("startbootstrap-sb-admin-2@4.1.4", ".", "/index.html", "dev", seed=6),
    "sbadmin_tables": Spec("startbootstrap-sb-admin-2@4.1.4", ".", "/tables.html", "dev", vp8=True, seed=7),
    "adminlte_index": Spec("admin-lte@4.0.0", "dist", "/index2.html", "held", seed=8),
    "adminlte_dark": Spec("admin-lte@4.0.0", "dist", "/forms/general.html", "held", dark=True, vp8=True, seed=9),
    "gentelella_form": Spec("gentelella@4.2.0", "dist", "/production/form.html", "held", seed=10),
    "gentelella_orders": Spec("gentelella@4.2.0", "dist", "/production/orders.html", "held", size=(1920, 1080), seed=11),
    "uikit_form": Spec("uikit@3.25.25", ".", "/tests/form.html", "held", vp8=True, seed=12),
}


async def wander(rec: Any, seed: int, steps: int) -> None:
    """Do ``steps`` things a person might: the same for the same seed and page."""
    choose = random.Random(seed)

    async def pick(want: str) -> str | None:
        count = await rec._evaluate(PICK, want)
        return f"[data-pick='{choose.randrange(count)}']" if count else None

    for step in range(steps):
        want = ["field", "link", "scroll", "button"][step % 4] if step else "link"
        if want == "scroll":
            await rec.scroll(choose.choice([240, 360, 480]))
            if choose.random() < 0.6:
                await rec.scroll(-600)
            continue
        selector = await pick(want)
        if selector is None:
            continue
        if want == "field":
            await rec.type(selector, choose.choice(WORDS), clear=choose.random() < 0.3)
        else:
            await rec.click(selector)


def unpack(package: str, into: Path) -> Path:
    """Fetch an npm package once and unpack it; its folder comes back."""
    folder = into / package.replace("/", "_").replace("@", "_")
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as tmp:
            done = subprocess.run(["npm", "pack", package, "--silent"], cwd=tmp, check=True, capture_output=True, text=True)
            with tarfile.open(Path(tmp, done.stdout.strip().splitlines()[-1])) as archive:
                archive.extractall(Path(tmp, "x"), filter="data")
            shutil.move(str(next(Path(tmp, "x").iterdir())), folder)
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


async def make(name: str, spec: Spec, out: Path, cache: Path) -> None:
    """Make one recording into ``out``."""
    root = unpack(spec.package, cache) / spec.root
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        width, height = spec.size
        await record(
            name,
            f"http://127.0.0.1:{server.server_address[1]}{spec.page}",
            lambda rec: wander(rec, spec.seed, spec.steps),
            out,
            width=width,
            height=height,
            vp8=spec.vp8,
            dark=spec.dark,
            crf=23,
            gop=300,
        )
    finally:
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make recordings with ground truth for the extraction benchmark.")
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true", help="print what there is as JSON")
    parser.add_argument("--cache", type=Path, default=None, help="folder for the unpacked packages (default: OUT/.packages)")
    args = parser.parse_intermixed_args()
    if args.list:
        print(json.dumps({n: vars(s) for n, s in RECORDINGS.items()}, indent=1))
        return
    os.environ.setdefault("CHROMIUM", shutil.which("chromium-headless-shell") or shutil.which("chromium") or "")
    cache = args.cache or args.out / ".packages"
    cache.mkdir(parents=True, exist_ok=True)
    for name in args.names or RECORDINGS:
        asyncio.run(make(name, RECORDINGS[name], args.out, cache))


if __name__ == "__main__":
    main()
