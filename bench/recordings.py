"""Make more screen recordings with ground truth, of open-source interface kits and applications, for the extraction benchmark.

    python -m bench.recordings OUT [NAME ...]        names as in RECORDINGS; without any, all of them
    python -m bench.recordings OUT --list

Each is driven by a wanderer with a fixed seed: it clicks links and buttons that can be seen, types into fields, scrolls. The
recorder writes down what really happened, so that it need not be told. Kits come from npm (``npm pack``) and are served from a folder; applications
come from PyPI, each into an environment of its own, and are started by their command. The list is split by *application*: on ``dev`` one
may tune, and the committed forests were grown on pages of those; ``held`` is only scored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "scorers"))

from playwright.async_api import Error as PlaywrightError
from record import record

from bench.applications import HERE, served
from bench.pages import folder_served

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


MOVES = """
([x, y, dy]) => {
  for (let el = document.elementFromPoint(x, y); el; el = el.parentElement || el.getRootNode().host) {
    const rolls = el === document.scrollingElement || /auto|scroll/.test(getComputedStyle(el).overflowY);
    if (rolls && (dy > 0 ? el.scrollTop + el.clientHeight < el.scrollHeight - 40 : el.scrollTop > 40)) return true;
  }
  return false;
}
"""


@dataclass(frozen=True)
class Kit:
    """An npm package whose folder ``root`` is served as it is."""

    package: str
    root: str = "."


@dataclass(frozen=True)
class Hosted:
    """An application from PyPI: what is installed, and what its interpreter is called with; ``{port}``, ``{work}`` and ``{here}`` are filled in."""

    packages: tuple[str, ...]
    command: tuple[str, ...]
    content: bool = False  # needs the made-up database in {work}


@dataclass(frozen=True)
class Spec:
    """One recording: of what, where it starts, and how it is made."""

    source: Kit | Hosted
    page: str
    part: str
    dark: bool = False
    size: tuple[int, int] = (1280, 720)
    vp8: bool = False
    seed: int = 1
    steps: int = 9


FULL_HD = (1920, 1080)
TABLER, SBADMIN, ADMINLTE = Kit("@tabler/preview@1.2.0", "dist"), Kit("startbootstrap-sb-admin-2@4.1.4"), Kit("admin-lte@4.0.0", "dist")
GENTELELLA, UIKIT = Kit("gentelella@4.2.0", "dist"), Kit("uikit@3.25.25")
DATASETTE = Hosted(("datasette==0.65.5",), ("-m", "datasette", "serve", "{work}/things.db", "-p", "{port}"), content=True)
DJANGO = Hosted(("django==5.2.19",), ("{here}/django_admin.py", "{port}"))
STREAMLIT = Hosted(
    ("streamlit==1.67.0",),
    (
        "-m",
        "streamlit",
        "run",
        "{here}/streamlit_app.py",
        "--server.port={port}",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    ),
)
GRADIO = Hosted(("gradio==6.31.0",), ("{here}/gradio_app.py", "{port}"))
PANEL = Hosted(("panel==1.9.4",), ("-m", "panel", "serve", "{here}/panel_app.py", "--address=127.0.0.1", "--port={port}"))
MARIMO = Hosted(("marimo==0.25.2",), ("-m", "marimo", "run", "{here}/marimo_app.py", "--headless", "--no-token", "--port={port}"))
DAGSTER = Hosted(
    ("dagster==1.13.27", "dagster-webserver==1.13.27"), ("-m", "dagster_webserver", "-f", "{here}/dagster_app.py", "-p", "{port}")
)
FLOWER = Hosted(
    ("celery==5.7.0", "flower==2.2.0"),
    ("-m", "celery", "--workdir={here}", "-A", "flower_app", "flower", "--address=127.0.0.1", "--port={port}"),
)
OPTUNA = Hosted(("optuna==5.0.0", "optuna-dashboard==0.21.0"), ("{here}/optuna_app.py", "{port}", "{work}"))

RECORDINGS: dict[str, Spec] = {
    "tabler_forms": Spec(TABLER, "/form-elements.html", "dev", seed=3),
    "tabler_dark": Spec(TABLER, "/index.html?theme=dark", "dev", dark=True, seed=4),
    "tabler_users": Spec(TABLER, "/users.html", "dev", size=FULL_HD, vp8=True, seed=5),
    "sbadmin_index": Spec(SBADMIN, "/index.html", "dev", seed=6),
    "sbadmin_tables": Spec(SBADMIN, "/tables.html", "dev", vp8=True, seed=7),
    "adminlte_index": Spec(ADMINLTE, "/index2.html", "dev", seed=8),
    "adminlte_dark": Spec(ADMINLTE, "/forms/general.html", "dev", dark=True, vp8=True, seed=9),
    "gentelella_form": Spec(GENTELELLA, "/production/form.html", "dev", seed=10),
    "gentelella_orders": Spec(GENTELELLA, "/production/orders.html", "dev", size=FULL_HD, seed=11),
    "uikit_form": Spec(UIKIT, "/tests/form.html", "dev", vp8=True, seed=12),
    "datasette": Spec(DATASETTE, "/things", "dev", seed=13),
    "django_admin": Spec(DJANGO, "/admin/", "dev", vp8=True, seed=14),
    "streamlit": Spec(STREAMLIT, "/", "dev", vp8=True, seed=15),
    "streamlit_dark": Spec(STREAMLIT, "/", "dev", dark=True, seed=16),
    "gradio": Spec(GRADIO, "/", "dev", seed=17),
    "panel": Spec(PANEL, "/panel_app", "dev", seed=18),
    "marimo": Spec(MARIMO, "/", "held", vp8=True, seed=19),
    "dagster": Spec(DAGSTER, "/", "held", seed=20),
    "dagster_wide": Spec(DAGSTER, "/assets", "held", size=FULL_HD, dark=True, vp8=True, seed=21),
    "flower": Spec(FLOWER, "/", "held", seed=22),
    "optuna": Spec(OPTUNA, "/", "held", seed=23),
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
            for dy in (choose.choice([240, 360, 480]), *((-600,) if choose.random() < 0.6 else ())):
                if await rec._evaluate(MOVES, [*rec.cursor, dy]):  # a wheel that moves nothing is nothing one could see
                    await rec.scroll(dy)
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


def environment(packages: tuple[str, ...], into: Path) -> Path:
    """Install packages once into an environment of their own; its interpreter comes back."""
    folder = into / packages[-1].replace("=", "_")
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
        complete.touch()
    return python


@contextmanager
def running(source: Kit | Hosted, cache: Path) -> Iterator[str]:
    """Have an application run until it is no longer needed; its address comes back."""
    if isinstance(source, Kit):
        with folder_served(unpack(source.package, cache) / source.root) as address:
            yield address
        return
    python = environment(source.packages, cache)
    with tempfile.TemporaryDirectory() as work:
        if source.content:
            subprocess.run([str(python), str(HERE / "content.py"), work], check=True)
        with served(str(python), [part.replace("{here}", str(HERE)) for part in source.command], Path(work)) as address:
            yield address


async def make(name: str, spec: Spec, address: str, out: Path) -> None:
    """Make one recording into ``out``."""
    width, height = spec.size
    await record(
        name,
        address + spec.page,
        lambda rec: wander(rec, spec.seed, spec.steps),
        out,
        width=width,
        height=height,
        vp8=spec.vp8,
        dark=spec.dark,
        crf=23,
        gop=300,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Make recordings with ground truth for the extraction benchmark.")
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true", help="print what there is as JSON")
    parser.add_argument("--cache", type=Path, default=None, help="folder for what is fetched (default: OUT/.packages)")
    args = parser.parse_intermixed_args()
    if args.list:
        print(json.dumps({n: asdict(s) for n, s in RECORDINGS.items()}, indent=1))
        return
    if unknown := set(args.names) - set(RECORDINGS):
        parser.error(f"no such recording: {', '.join(sorted(unknown))}; --list says what there is")
    os.environ.setdefault("CHROMIUM", shutil.which("chromium-headless-shell") or shutil.which("chromium") or "")
    cache = args.cache or args.out / ".packages"
    cache.mkdir(parents=True, exist_ok=True)
    for name in args.names or RECORDINGS:
        spec = RECORDINGS[name]
        try:
            with running(spec.source, cache) as address:
                asyncio.run(make(name, spec, address, args.out))
        except (subprocess.CalledProcessError, RuntimeError, PlaywrightError) as error:
            print(f"left out {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
