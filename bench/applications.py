"""Real applications and documentation sites, started with made-up content and visited for pictures of their pages (``bench.pages``).

    python -m bench.applications OUT PYTHON WORK [NAME ...]

PYTHON is the interpreter of an environment that has datasette, django, django-jazzmin, django-unfold, django-simpleui, flask-admin, flask-sqlalchemy,
flask-appbuilder, sqladmin, starlette-admin, greenlet, streamlit, gradio, panel, nicegui, dash, notebook, furo, mkdocs-material, sphinx, sphinx-rtd-theme,
sphinx-book-theme and pydata-sphinx-theme; WORK is where content and sites are built. What is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.pages import App, visit

HERE = Path(__file__).parent / "kits" / "apps"
ADMIN = ("/admin/", "/admin/auth/user/", "/admin/auth/user/2/change/", "/admin/auth/group/add/", "/admin/auth/user/add/")
MADE_UP = tuple(f"/p{n}" for n in range(8))
HEADLESS = ("--server.headless=true", "--browser.gatherUsageStats=false")
SERVED: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "datasette": (
        ["-m", "datasette", "serve", "{work}/things.db", "-p", "{port}"],
        ("/", "/things", "/things/vessel", "/things/harbour?_sort=city"),
    ),
    "djangoadmin": ([str(HERE / "django_admin.py"), "{port}"], ADMIN),
    "jazzmin": ([str(HERE / "django_admin.py"), "{port}", "jazzmin"], ADMIN),
    "unfold": ([str(HERE / "django_admin.py"), "{port}", "unfold"], ADMIN),
    "flaskadmin": (
        [str(HERE / "flask_admin_app.py"), "{port}", "{work}/things.db"],
        ("/admin/harbour/", "/admin/vessel/", "/admin/vessel/new/?url=/admin/vessel/", "/admin/ticket/edit/?id=1"),
    ),
    "simpleui": ([str(HERE / "django_admin.py"), "{port}", "simpleui"], ADMIN[1:]),
    "sqladmin": (
        [str(HERE / "models_app.py"), "{port}", "{work}/things.db", "sqladmin"],
        ("/admin/", "/admin/harbour/list", "/admin/vessel/create", "/admin/ticket/edit/1", "/admin/invoice/details/2", "/admin/route/list"),
    ),
    "starlette_admin": (
        [str(HERE / "models_app.py"), "{port}", "{work}/things.db", "starlette_admin"],
        ("/admin/", "/admin/harbour/list", "/admin/vessel/create", "/admin/ticket/edit/1", "/admin/invoice/detail/2", "/admin/route/list"),
    ),
    "appbuilder": (
        [str(HERE / "models_app.py"), "{port}", "{work}/things.db", "appbuilder"],
        ("/", "/harbourview/list/", "/vesselview/add", "/ticketview/edit/1", "/invoiceview/show/2", "/users/list/", "/roles/list/"),
    ),
    "gradio": ([str(HERE / "widget_app.py"), "{port}", "gradio"], MADE_UP),
    "panel": ([str(HERE / "widget_app.py"), "{port}", "panel"], MADE_UP),
    "streamlit": (
        ["-m", "streamlit", "run", str(HERE / "streamlit_widgets.py"), "--server.port={port}", *HEADLESS],
        tuple(f"/?p={n}" for n in range(8)),
    ),
    "nicegui": ([str(HERE / "widget_app.py"), "{port}", "nicegui"], MADE_UP),
    "dash": ([str(HERE / "widget_app.py"), "{port}", "dash"], tuple(p + "/" for p in MADE_UP)),
    "notebook": (
        ["-m", "notebook", "--no-browser", "--allow-root", "--port={port}", "--IdentityProvider.token=", "--ServerApp.root_dir={work}"],
        ("/tree", "/lab", "/edit/content.py"),
    ),
}
SPHINX = {"docs_alabaster": "alabaster", "docs_furo": "furo", "docs_sphinx": "sphinx_rtd_theme", "docs_pydata": "pydata_sphinx_theme"}
SPHINX |= {f"docs_{name}": name for name in ("classic", "nature", "haiku", "bizstyle", "agogo", "sphinx_book_theme")}
MKDOCS = {"docs_material": "material", "docs_mkdocs": "mkdocs"}
STARTS_WITHIN_S = 120.0


@contextmanager
def served(python: str, command: list[str], work: Path) -> Iterator[str]:
    """Run a server on a free port until it is no longer needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    filled = [part.format(work=work, port=port) for part in command]
    process = subprocess.Popen(
        [python, *filled], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(HERE)}
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as caller:
                if caller.connect_ex(("127.0.0.1", port)) == 0:
                    yield f"http://127.0.0.1:{port}"
                    return
            time.sleep(0.2)
        raise RuntimeError(f"does not start: {' '.join(filled)}")
    finally:
        process.terminate()
        process.wait()


def built(python: str, name: str, work: Path) -> Path:
    """Build a documentation site; its folder comes back."""
    site = work / f"site_{name}"
    if name in SPHINX:
        (work / "rst" / "conf.py").write_text(f'project = "Harbour handbook"\nhtml_theme = "{SPHINX[name]}"\n')
        command = ["-m", "sphinx", "-q", "-E", "-b", "html", str(work / "rst"), str(site)]
    else:
        made = work / "mkdocs.yml"
        made.write_text(
            f"site_name: Harbour handbook\ndocs_dir: docs\ntheme: {MKDOCS[name]}\nmarkdown_extensions: [admonition, tables, toc]\nuse_directory_urls: false\n"
        )
        command = ["-m", "mkdocs", "build", "-q", "-f", str(made), "-d", str(site)]
    subprocess.run([python, *command], check=True)
    return site


def main() -> None:
    parser = argparse.ArgumentParser(description="Take pictures of real applications' pages, with ground truth.")
    parser.add_argument("out", type=Path)
    parser.add_argument("python")
    parser.add_argument("work", type=Path)
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*SERVED, *SPHINX, *MKDOCS])}; all by default")
    parser.add_argument("--styles", type=int, default=0, help="how often each page is seen again in made-up styles")
    args = parser.parse_intermixed_args()
    args.out.mkdir(parents=True, exist_ok=True)
    subprocess.run([args.python, str(HERE / "content.py"), str(args.work)], check=True)
    for name in args.names or [*SERVED, *SPHINX, *MKDOCS]:
        try:
            if name in SERVED:
                command, starts = SERVED[name]
                with served(args.python, command, args.work) as address:
                    asyncio.run(visit(name, App(address=address, starts=starts, most=12, styles=args.styles), Path("/"), args.out))
            else:
                site = built(args.python, name, args.work)
                asyncio.run(
                    visit(
                        name,
                        App(root=str(site.resolve()), starts=("/index.html", "/ticket.html"), most=6, styles=args.styles),
                        Path("/"),
                        args.out,
                    )
                )
        except (subprocess.CalledProcessError, RuntimeError) as error:
            print(f"left out {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
