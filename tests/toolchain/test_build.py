"""The build: deterministic, strict by our own rules, and blind to everything outside the project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psutil
import pytest

from processors.toolchain.build import BuildResult, build, build_sync
from processors.toolchain.compilers import Compilers
from processors.toolchain.node import Toolchain
from processors.toolchain.project import ProjectError

PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>t</title></head>
<body><div id="root"></div><script type="module" src="/src/main.tsx"></script></body></html>
"""
MAIN = b"""import { createRoot } from 'react-dom/client';
import './app.css';
const name: string = 'world';
createRoot(document.getElementById('root')!).render(<h1>Hello {name}</h1>);
"""
APP = {"index.html": PAGE, "src/main.tsx": MAIN, "src/app.css": b"h1 { color: teal }", "package.json": b"{}"}


RUNNER, COMPILERS = asyncio.Runner(), Compilers(Toolchain())


@pytest.fixture(scope="module", autouse=True)
def _compilers() -> Iterator[None]:
    """Warm for all tests here: what one project did must mean nothing to the next."""
    yield
    RUNNER.run(COMPILERS.close())
    RUNNER.close()


def made(**changes: bytes | None) -> BuildResult:
    files = {**APP, **{k: v for k, v in changes.items() if v is not None}}
    return RUNNER.run(build(files, COMPILERS))


def test_the_same_files_give_the_same_bytes() -> None:
    first, second = made(), build_sync(APP, Toolchain())  # warm compilers, and new ones
    assert first.ok and first.findings == []
    assert first.dist == second.dist
    assert set(first.dist) == {"dist/index.html", "dist/assets/app.js", "dist/assets/app.css", "dist/assets/react.js"}
    page = first.dist["dist/index.html"].decode()
    assert '<script type="module" src="/assets/app.js"></script>' in page and '<link rel="stylesheet" href="/assets/app.css">' in page
    assert "src/main.tsx" not in page


def test_there_is_one_react_whatever_is_taken_of_it() -> None:
    """The shared modules hold what applications import; who takes more of the packages gets a bundle of all of it."""
    used = (
        b"import ReactDOM from 'react-dom';\nimport * as React from 'react';\nexport const seen = [ReactDOM.createPortal, React.version];\n"
    )
    shared = made(**{"src/used.ts": used, "src/main.tsx": MAIN + b"export { seen } from './used';\n"})
    assert shared.ok and "dist/assets/react.js" in shared.dist
    more = b"import { renderToString } from 'react-dom/server';\nexport const seen = renderToString;\n"
    whole = made(**{"src/used.ts": more, "src/main.tsx": MAIN + b"export { seen } from './used';\n"})
    assert whole.ok and "dist/assets/react.js" not in whole.dist and b"react.js" not in whole.dist["dist/assets/app.js"]


def test_a_public_file_does_not_take_the_place_of_a_built_one() -> None:
    result = made(**{"public/assets/react.js": b"alert(1)"})
    assert not result.ok and [f.rule for f in result.findings] == ["build.hidden"] and result.findings[0].file == "public/assets/react.js"


def test_what_lies_in_dist_is_ignored() -> None:
    assert build_sync({**APP, "dist/assets/evil.js": b"x"}, Toolchain()).dist == made().dist


def test_a_type_error_has_its_place() -> None:
    result = made(**{"src/main.tsx": MAIN.replace(b"'world'", b"42")})
    assert not result.ok and result.dist == {}
    (finding,) = result.findings
    assert (finding.gate, finding.rule, finding.file, finding.line) == ("typecheck", "TS2322", "src/main.tsx", 3)


def test_a_syntax_error_has_its_place() -> None:
    result = made(**{"src/main.tsx": MAIN + b"const = ;\n"})
    assert not result.ok
    assert any(f.gate == "build" and f.file == "src/main.tsx" and f.line == 5 for f in result.findings)


def test_an_import_that_is_not_there_fails() -> None:
    result = made(**{"src/main.tsx": b"import x from 'left-pad';\n" + MAIN + b"console.log(x);"})
    assert {f.gate for f in result.findings} == {"typecheck", "build"}


def test_its_own_settings_do_not_soften_the_check() -> None:
    loose = b'{"compilerOptions": {"strict": false, "noImplicitAny": false, "checkJs": false}, "exclude": ["src"]}'
    assert not made(**{"tsconfig.json": loose, "src/main.tsx": MAIN.replace(b"'world'", b"null")}).ok


def test_images_and_public_files_come_along() -> None:
    main = b"import url from './dot.png';\nimport icon from './icon.svg';\nconsole.log(url, icon);\n" + MAIN
    result = made(**{"src/main.tsx": main, "src/dot.png": b"\x89PNG", "src/icon.svg": b"<svg/>", "public/robots.txt": b"x"})
    assert result.ok, result.findings
    assert result.dist["dist/robots.txt"] == b"x"
    assert sum(name.endswith((".png", ".svg")) for name in result.dist) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"import x from '/etc/passwd';",
        b"import x from '../../../../../../etc/passwd';",
        b"import x from '/proc/self/environ';",
        b"import x from '/tool/esbuild';",
        b"import x from 'typescript';",
        b"import x from 'node:fs';",
        b"import x from 'data:text/javascript,export default 1';",
        b"import x from 'https://example.com/x.js';",
    ],
)
def test_nothing_outside_the_project_can_be_bundled(line: bytes) -> None:
    result = made(**{"src/main.tsx": line + b"\nconsole.log(x);\n" + MAIN})
    assert not result.ok
    assert b"root:" not in b"".join(result.dist.values())


@pytest.mark.parametrize(
    "rule", [b"@import '/etc/passwd';", b"h1 { background: url(/proc/self/environ) }", b"h1 { background: url('../../etc/hostname') }"]
)
def test_styles_cannot_reach_out(rule: bytes) -> None:
    result = made(**{"src/app.css": rule})
    assert not result.ok or not any(b"root:" in content for content in result.dist.values())
    assert not any(name.endswith(("passwd", "environ", "hostname")) for name in result.dist)


@pytest.mark.parametrize(
    "settings",
    [b'{"extends": "/etc/passwd"}', b'{"compilerOptions": {"plugins": [{"name": "/evil"}], "jsxImportSource": "evil"}}', b"not json"],
)
def test_hostile_settings_change_nothing(settings: bytes) -> None:
    assert made(**{"tsconfig.json": settings}).dist == made().dist


@pytest.mark.parametrize("name", ["index.html", "src/main.tsx"])
def test_a_missing_entry_is_said(name: str) -> None:
    result = build_sync({k: v for k, v in APP.items() if k != name}, Toolchain())
    assert [f.rule for f in result.findings] == ["build.entry"]


def test_a_page_without_the_entry_script_is_refused() -> None:
    assert [f.rule for f in made(**{"index.html": PAGE.replace(b"/src/main.tsx", b"/other.js")}).findings] == ["build.page"]


@pytest.mark.parametrize("name", ["../out.ts", "/abs.ts", "a/../../b.ts", "node_modules/react/index.js"])
def test_unsafe_names_are_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(ProjectError):
        made(**{name: b"x"})


def test_types_that_explode_are_stopped() -> None:
    bomb = b"type T<N extends unknown[]> = N['length'] extends 900 ? N : T<[...N, ...N, 1]>;\nexport type X = T<[]>;\n" + b"".join(
        b"type U%d<A> = A extends string ? `${A}${A}` : never;\n" % i for i in range(50)
    )
    result = made(**{"src/bomb.ts": bomb})
    assert not result.ok and all(f.gate == "typecheck" for f in result.findings)


def test_a_project_leaves_nothing_behind_for_the_next() -> None:
    declares = b"declare global { interface String { shout(): string } }\nexport {};\n"
    uses = MAIN.replace(b"Hello {name}", b"Hello {name.shout()}")
    assert made(**{"src/global.d.ts": declares, "src/main.tsx": uses}).ok
    assert {f.rule for f in made(**{"src/main.tsx": uses}).findings} == {"TS2339"}
    assert made(**{"src/other.ts": b"export const other = 1;", "src/main.tsx": b"import './other';\n" + MAIN}).ok
    assert not made(**{"src/main.tsx": b"import './other';\n" + MAIN}).ok
    assert made().dist == build_sync(APP, Toolchain()).dist


def test_files_that_lie_there_already_are_those_of_the_project() -> None:
    """Names that stay, change their content, go away, and become folders: as new compilers would have it."""
    part = b"export const part: number = 1;\n"
    taken = MAIN + b"import { part } from './part';\nconsole.log(part);\n"
    projects = [
        {**APP, "src/main.tsx": taken, "src/part.ts": part},
        {**APP, "src/main.tsx": taken, "src/part.ts": part.replace(b"1", b"2")},
        {**APP, "src/main.tsx": taken, "src/part.ts/index.ts": part},  # a folder of that name
        {**APP, "src/main.tsx": taken, "src/part/index.ts": part},
        {**APP, "src/main.tsx": taken},  # nothing is left of it
        {**APP, "src/main.tsx": taken, "src/part.ts": b"export const part: = 1;"},
        {**APP, "src/main.tsx": taken, "src/part.ts": part},
    ]

    async def anew(files: dict[str, bytes]) -> BuildResult:
        async with Compilers(Toolchain()) as compilers:
            return await build(files, compilers, typecheck=False, transpile=True)

    for files in projects:
        warm, new = RUNNER.run(build(files, COMPILERS, typecheck=False, transpile=True)), RUNNER.run(anew(files))
        assert (warm.ok, warm.dist, warm.findings, warm.code) == (new.ok, new.dist, new.findings, new.code)


def test_places_count_characters_and_lines_as_an_editor_does() -> None:
    (finding,) = made(**{"src/main.tsx": "\ufeff// größer: 𝒳\r\n".encode() + MAIN.replace(b"'world'", b"42")}).findings
    assert (finding.rule, finding.file, finding.line) == ("TS2322", "src/main.tsx", 4)


def _compilers_of_ours() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.cmdline()[:2] == ["/tool/node", "/tool/compilers.mjs"]]


def test_compilers_that_end_are_replaced() -> None:
    honest = made()
    processes = _compilers_of_ours()
    assert processes
    for process in processes:
        process.kill()
    again = made()
    assert (again.dist, again.findings) == (honest.dist, [])


def test_a_project_may_have_compilers_of_its_own() -> None:
    alone = Toolchain(Toolchain().settings.model_copy(update={"compiler_uses": 1}))

    async def one() -> list[psutil.Process]:
        async with Compilers(alone) as compilers:
            before = _compilers_of_ours()
            assert (await build(APP, compilers)).ok
            return [p for p in _compilers_of_ours() if p not in before]

    assert asyncio.run(one()) == []


def test_what_takes_too_long_is_stopped_and_the_next_project_is_checked() -> None:
    impatient = Toolchain().settings
    impatient = impatient.model_copy(update={"build": impatient.build.model_copy(update={"wall_s": 0.001})})

    async def both() -> list[str]:
        async with Compilers(Toolchain(impatient)) as compilers:
            return [f.rule for f in (await build(APP, compilers)).findings]

    assert asyncio.run(both()) == ["typecheck.timeout", "build.timeout"]
    assert made().ok


@pytest.mark.parametrize("there", ["../../control/tsconfig.json", "../../tool/typescript/lib/version.cjs", "../../tool/compilers.mjs"])
def test_what_lies_beside_the_project_is_no_part_of_it(there: str) -> None:
    result = made(**{"src/main.tsx": b"import * as x from '%s';\nconsole.log(x);\n" % there.encode() + MAIN})
    assert not result.ok and result.dist == {}
