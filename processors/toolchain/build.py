"""Type-checks and bundles a generated application, in the sandbox: TypeScript 7 and esbuild, both native programs.

The project's own ``tsconfig.json`` serves whoever works on it later; what is checked here goes by ours, so that generated code
cannot talk itself out of a check. The bundle is a function of the files alone: the same files give the same bytes.

``dist`` holds ``index.html`` (the project's, with its module script and style sheet replaced), ``assets/app.js``,
``assets/app.css`` where there are styles, imported images and the packages it uses (``react.js``, ``supabase.js``: the same bytes in every
application) beside them, and what lies in ``public/``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from processors.toolchain.compilers import IMAGES, SUFFIXES, Compilers, Workbench
from processors.toolchain.findings import Finding
from processors.toolchain.node import Toolchain
from processors.toolchain.project import Files
from processors.toolchain.service import Stopped

ENTRY = "src/main.tsx"

_TSCONFIG = {
    "compilerOptions": {
        "target": "ES2022",
        "lib": ["ES2023", "DOM", "DOM.Iterable"],
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "jsx": "react-jsx",
        "strict": True,
        "noEmit": True,
        "noFallthroughCasesInSwitch": True,
        "forceConsistentCasingInFileNames": True,
        "isolatedModules": True,
        "skipLibCheck": True,
        "types": ["react", "react-dom"],
        "resolveJsonModule": True,
        "singleThreaded": True,  # several checkers would each find out anew what all files share, on the same core
    },
}
_AMBIENT = {
    "'*.css'": "declare module '*.css';",
    **{f"'*.{kind}'": f"declare module '*.{kind}' {{ const url: string; export default url; }}" for kind in IMAGES},
    "interface ImportMeta ": "interface ImportMeta { readonly env: { readonly [name: string]: string | boolean | undefined } }",
}
"""What esbuild understands beyond TypeScript, declared unless the project declares it itself."""
_TYPED = (".ts", ".tsx", ".mts", ".cts")
_MODULE_SCRIPT = re.compile(r"""<script\b[^>]*\bsrc\s*=\s*["']?[./]*src/main\.tsx["']?[^>]*>\s*</script>""", re.I)
_SHOWN = 50  # findings of one tool; the rest of a broken file repeats the first ones


@dataclass(frozen=True)
class BuildResult:
    """``dist`` maps paths that begin with ``dist/`` to content; it is empty unless ``ok``. Findings have gate ``typecheck`` or ``build``."""

    ok: bool
    dist: Files
    findings: list[Finding]
    ms: Mapping[str, int]
    """Wall time of each tool; no part of the result's identity."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Where asked for: JavaScript without types, comments and JSX by path, for every file of code but declarations; empty where esbuild cannot
    parse one of them."""


async def build(files: Mapping[str, bytes], compilers: Compilers, *, typecheck: bool = True, transpile: bool = False) -> BuildResult:
    """Type-check and bundle ``files``; what lies under ``dist/`` is ignored. Raises ``ProjectError`` for unsafe names or sizes.

    The check takes twice the CPU of the bundle: without ``typecheck`` it is left to whoever validates the result.
    """
    sources = {name: content for name, content in files.items() if not name.startswith("dist/")}
    names = sorted(name for name in sources if name.endswith(SUFFIXES) and not name.endswith(".d.ts"))
    ms: dict[str, int] = {}
    # Every file by its name: a warm compiler would not look again for what a pattern finds.
    typed = ["ambient.d.ts", *(f"/app/{name}" for name in sorted(sources) if name.startswith("src/") and name.endswith(_TYPED))]
    control = {"tsconfig.json": json.dumps(_TSCONFIG | {"files": typed}), "ambient.d.ts": _ambient(sources)}
    absent = [name for name in (ENTRY, "index.html") if name not in sources]
    findings = [Finding("build", "build.entry", f"{name} is missing", name) for name in absent]
    async with compilers.open(sources, control) as bench:
        with _timed(ms, "transpile"):
            code = await bench.transpile(names) if transpile and names else {}
        if absent:
            return BuildResult(False, {}, findings, ms, code)
        if typecheck:
            with _timed(ms, "typecheck"):
                findings += await _typecheck(bench)
        with _timed(ms, "build"):
            found, outputs = await _bundle(bench)
            findings += found
    if any(f.severity == "error" for f in findings):
        return BuildResult(False, {}, findings, ms, code)
    dist = {f"dist/assets/{name}": content for name, content in outputs.items()}
    public = {f"dist/{name.removeprefix('public/')}": name for name in sources if name.startswith("public/")}
    if hidden := sorted(public[name] for name in public.keys() & {*dist, "dist/index.html"}):
        hiding = [Finding("build", "build.hidden", "the file would take the place of a built one", name) for name in hidden]
        return BuildResult(False, {}, [*findings, *hiding], ms, code)
    dist |= {name: sources[source] for name, source in public.items()}
    page, finding = _page(sources["index.html"].decode(errors="replace"), "dist/assets/app.css" in dist)
    if finding:
        return BuildResult(False, {}, [*findings, finding], ms, code)
    dist["dist/index.html"] = page.encode()
    return BuildResult(True, dict(sorted(dist.items())), findings, ms, code)


def build_sync(files: Mapping[str, bytes], toolchain: Toolchain, *, transpile: bool = False) -> BuildResult:
    """One :func:`build` with compilers of its own, for callers without an event loop."""

    async def once() -> BuildResult:
        async with Compilers(toolchain) as compilers:
            return await build(files, compilers, transpile=transpile)

    return asyncio.run(once())


@contextlib.contextmanager
def _timed(ms: dict[str, int], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    ms[what] = round((time.monotonic() - began) * 1000)


def _ambient(sources: Mapping[str, bytes]) -> str:
    own = "\n".join(content.decode(errors="replace") for name, content in sources.items() if name.endswith(".d.ts")).replace('"', "'")
    return "\n".join(declaration for mark, declaration in _AMBIENT.items() if mark not in own)


async def _typecheck(bench: Workbench) -> list[Finding]:
    try:
        said = await bench.typecheck()
    except Stopped as stopped:
        return [_stopped("typecheck", stopped)]
    return [Finding("typecheck", m.code, m.text, m.file, m.line) for m in said[:_SHOWN]]


async def _bundle(bench: Workbench) -> tuple[list[Finding], dict[str, bytes]]:
    try:
        said, outputs = await bench.bundle(_SHOWN)
    except Stopped as stopped:
        return [_stopped("build", stopped)], {}
    return [
        Finding("build", "build.bundle", m.text, m.file, m.line, "error" if m.severity == "error" else "warning") for m in said
    ], outputs


def _stopped(gate: str, stopped: Stopped) -> Finding:
    rule = {"timeout": "timeout", "output": "output", "memory": "memory", "ended": "crash"}[stopped.why]
    return Finding(gate, f"{gate}.{rule}", str(stopped), evidence={"said": stopped.said[-2000:]} if stopped.said else {})


def _page(source: str, styled: bool) -> tuple[str, Finding | None]:
    """The built page: the source's module script becomes the bundle, its style sheet stands in the head."""
    script = '<script type="module" src="/assets/app.js"></script>'
    page, count = _MODULE_SCRIPT.subn(lambda _: script, source)
    if count != 1:
        return "", Finding("build", "build.page", f'index.html must load "/{ENTRY}" by one module script; it has {count}', "index.html")
    if styled:
        link = '<link rel="stylesheet" href="/assets/app.css">'
        page, count = re.subn(r"</head>", lambda m: f"{link}\n{m[0]}", page, count=1, flags=re.I)
        if count != 1:
            return "", Finding("build", "build.page", "index.html has no </head>", "index.html")
    return page, None
