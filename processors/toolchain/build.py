"""Type-checks and bundles a generated application, in the sandbox: TypeScript 7 and esbuild, both native programs.

The project's own ``tsconfig.json`` serves whoever works on it later; what is checked here goes by ours, so that generated code
cannot talk itself out of a check. The bundle is a function of the files alone: the same files give the same bytes.

``dist`` holds ``index.html`` (the project's, with its module script and style sheet replaced), ``assets/app.js``,
``assets/app.css`` where there are styles, imported images beside them, and what lies in ``public/``.
"""

from __future__ import annotations

import asyncio
import json
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from processors.toolchain import project
from processors.toolchain.findings import Finding
from processors.toolchain.node import Toolchain, mounted
from processors.toolchain.project import Files
from processors.toolchain.sandbox import Completed, Mount, run_async

ENTRY = "src/main.tsx"
IMAGES = ("png", "jpg", "jpeg", "gif", "webp", "svg")

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
    },
    "include": ["/app/src", "/control/ambient.d.ts"],
}
_AMBIENT = {
    "'*.css'": "declare module '*.css';",
    **{f"'*.{kind}'": f"declare module '*.{kind}' {{ const url: string; export default url; }}" for kind in IMAGES},
    "interface ImportMeta ": "interface ImportMeta { readonly env: { readonly [name: string]: string | boolean | undefined } }",
}
"""What esbuild understands beyond TypeScript, declared unless the project declares it itself."""
_TSC_ERROR = re.compile(r"^(?:(?P<file>[^\s(][^(\n]*)\((?P<line>\d+),(?P<column>\d+)\): )?error (?P<code>TS\d+): (?P<text>.*)$")
_ESBUILD_ERROR = re.compile(r"^. \[(?P<severity>ERROR|WARNING)\] (?P<text>.*)$")
_ESBUILD_PLACE = re.compile(r"^    (?P<file>\S.*?):(?P<line>\d+):(?P<column>\d+):$")
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


async def build(files: Mapping[str, bytes], toolchain: Toolchain, typecheck: bool = True) -> BuildResult:
    """Type-check and bundle ``files``; what lies under ``dist/`` is ignored. Raises ``ProjectError`` for unsafe names or sizes.

    The check takes three times the CPU of the bundle: without ``typecheck`` it is left to whoever validates the result.
    """
    sources = {name: content for name, content in files.items() if not name.startswith("dist/")}
    project.check(sources)
    absent = [name for name in (ENTRY, "index.html") if name not in sources]
    if absent:
        return BuildResult(False, {}, [Finding("build", "build.entry", f"{name} is missing", name) for name in absent], {})
    with tempfile.TemporaryDirectory(prefix="millrace-build-") as folder:
        app, out, control = (Path(folder, name) for name in ("app", "out", "control"))
        for path in (app, out, control):
            path.mkdir()
        project.write(sources, app)
        (control / "tsconfig.json").write_text(json.dumps(_TSCONFIG))
        (control / "ambient.d.ts").write_text(_ambient(sources))
        packages = [Mount(toolchain.settings.folder / "node" / path, f"/{path}") for path in mounted()]
        checking = asyncio.create_task(_typecheck(app, control, packages, toolchain)) if typecheck else None
        try:
            bundle = await _bundle(app, out, packages, toolchain)
            check = await checking if checking else None
        finally:
            if checking:
                checking.cancel()
        findings = (_typecheck_findings(check) if check else []) + _bundle_findings(bundle)
        ms = {"build": round(bundle.wall_s * 1000)} | ({"typecheck": round(check.wall_s * 1000)} if check else {})
        if any(f.severity == "error" for f in findings):
            return BuildResult(False, {}, findings, ms)
        dist = {f"dist/assets/{path.name}": path.read_bytes() for path in sorted((out / "assets").iterdir()) if _plain(path)}
    dist |= {f"dist/{name.removeprefix('public/')}": content for name, content in sources.items() if name.startswith("public/")}
    page, finding = _page(sources["index.html"].decode(errors="replace"), "dist/assets/app.css" in dist)
    if finding:
        return BuildResult(False, {}, [*findings, finding], ms)
    dist["dist/index.html"] = page.encode()
    return BuildResult(True, dict(sorted(dist.items())), findings, ms)


def build_sync(files: Mapping[str, bytes], toolchain: Toolchain) -> BuildResult:
    """:func:`build` for callers without an event loop."""
    return asyncio.run(build(files, toolchain))


def _plain(path: Path) -> bool:
    """Whether this is a file and no link: what comes out of the sandbox must not name a file of ours."""
    return stat.S_ISREG(path.lstat().st_mode)


def _ambient(sources: Mapping[str, bytes]) -> str:
    own = "\n".join(content.decode(errors="replace") for name, content in sources.items() if name.endswith(".d.ts")).replace('"', "'")
    return "\n".join(declaration for mark, declaration in _AMBIENT.items() if mark not in own)


def _mounts(app: Path, packages: list[Mount], tool: Path) -> list[Mount]:
    return [Mount(app, "/app"), *packages, Mount(tool, f"/tool/{tool.name}")]


async def _typecheck(app: Path, control: Path, packages: list[Mount], toolchain: Toolchain) -> Completed:
    # The compiler finds its own library beside itself; ours lie over whatever the project has under these names.
    mounts = [Mount(app, "/app"), *packages, Mount(toolchain.tsc.parent, "/tool")]
    mounts += [Mount(control, "/control")]
    argv = ["/tool/tsc", "-p", "/control/tsconfig.json", "--pretty", "false", "--singleThreaded"]
    # A short run pays for collecting garbage and gains nothing; the limit brings it back where a program's types explode.
    env = {"GOGC": "off", "GOMEMLIMIT": str(toolchain.settings.build.memory_bytes // 2)}
    return await run_async(argv, toolchain=toolchain, mounts=mounts, limits=toolchain.settings.build, cwd="/app", env=env)


async def _bundle(app: Path, out: Path, packages: list[Mount], toolchain: Toolchain) -> Completed:
    mounts = [*_mounts(app, packages, toolchain.esbuild), Mount(out, "/out", writable=True)]
    argv = ["/tool/esbuild", f"app={ENTRY}", "--bundle", "--minify", "--format=esm", "--target=es2022", "--jsx=automatic"]
    argv += ["--outdir=/out/assets", "--asset-names=[name]-[hash]", "--public-path=/assets", "--charset=utf8", "--legal-comments=none"]
    argv += ['--define:process.env.NODE_ENV="production"', '--define:import.meta.env={"MODE":"production","DEV":false,"PROD":true}']
    argv += ["--tsconfig-raw={}", "--color=false", f"--log-limit={_SHOWN}"]
    argv += [f"--loader:.{kind}=file" for kind in IMAGES]
    return await run_async(argv, toolchain=toolchain, mounts=mounts, limits=toolchain.settings.build, cwd="/app")


def _stopped(done: Completed, gate: str) -> Finding | None:
    if done.timed_out:
        return Finding(gate, f"{gate}.timeout", "took longer than it may")
    if done.overflowed:
        return Finding(gate, f"{gate}.output", "wrote more messages than it may")
    return None


def _typecheck_findings(done: Completed) -> list[Finding]:
    if stopped := _stopped(done, "typecheck"):
        return [stopped]
    found = []
    for line in done.stdout.decode(errors="replace").splitlines():
        if match := _TSC_ERROR.match(line):
            place = match["file"]
            file = place.removeprefix("../app/") if place else None
            number = int(match["line"]) if match["line"] else None
            found.append(Finding("typecheck", match["code"], match["text"], file, number))
    if done.exit != 0 and not found:
        said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
        found.append(Finding("typecheck", "typecheck.crash", f"the type checker ended with {done.exit}", evidence={"said": said}))
    return found[:_SHOWN]


def _bundle_findings(done: Completed) -> list[Finding]:
    if stopped := _stopped(done, "build"):
        return [stopped]
    found = []
    lines = done.stderr.decode(errors="replace").splitlines()
    for i, line in enumerate(lines):
        if match := _ESBUILD_ERROR.match(line):
            place = next((m for follower in lines[i + 1 : i + 4] if (m := _ESBUILD_PLACE.match(follower))), None)
            found.append(
                Finding(
                    "build",
                    "build.bundle",
                    match["text"],
                    place["file"] if place else None,
                    int(place["line"]) if place else None,
                    "error" if match["severity"] == "ERROR" else "warning",
                )
            )
    if done.exit != 0 and not any(f.severity == "error" for f in found):
        said = done.stderr.decode(errors="replace")[-2000:]
        found.append(Finding("build", "build.crash", f"the bundler ended with {done.exit}", evidence={"said": said}))
    return found


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
