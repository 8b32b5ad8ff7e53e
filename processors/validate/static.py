"""Gate ``static``: what can be said from the files alone, before anything runs.

It is the first wall, not the only one: a bundle that builds code at run time gets past any reading of it, and meets the page's
content security policy and a browser without network. What it does catch, it catches with file and line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

from processors.remembered import Remembered
from processors.toolchain import project
from processors.toolchain.findings import Finding
from processors.toolchain.node import importable
from processors.validate.code import check_code
from processors.validate.html import check_page
from processors.validate.policy import ValidationPolicy

GATE = "static"

_SUFFIXES = frozenset(
    [
        ".ts",
        ".tsx",
        ".mjs",
        ".js",
        ".jsx",
        ".css",
        ".html",
        ".json",
        ".sql",
        ".md",
        ".txt",
        ".svg",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".webp",
        ".ico",
        ".toml",
        ".example",
        ".yml",
        ".yaml",
    ]
)
_PLAIN_NAMES = frozenset({".gitignore", "LICENSE", "README"})

_CODE: Remembered[list[Finding]] = Remembered()
_SECRET: Remembered[list[tuple[str, int]]] = Remembered()

_SECRETS = {
    "private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    "AWS access key": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})\b"),
    "Slack token": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "Google API key": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    "Stripe key": re.compile(rb"\b[sr]k_live_[0-9A-Za-z]{16,}\b"),
    "LLM provider key": re.compile(rb"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{32,}\b"),
    "npm token": re.compile(rb"\bnpm_[A-Za-z0-9]{36}\b"),
    "Supabase secret key": re.compile(rb"\bsb_secret_[A-Za-z0-9_-]{16,}\b"),
    "service role token": re.compile(
        rb"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:InNlcnZpY2Vfcm9sZSI|c2VydmljZV9yb2xl|zZXJ2aWNlX3JvbGU)[A-Za-z0-9_-]*\."
    ),
    "password in an address": re.compile(rb"\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqp)://[^\s:@/'\"]+:[^\s@/'\"]+@"),
}
_SUPPRESSED = re.compile(rb"@ts-(?:nocheck|ignore|expect-error)")
_HOOKS = frozenset(
    {"preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare", "prepublish", "prepublishOnly", "prepack"}
)
_CSS_REQUEST = re.compile(r"@import\b|url\(\s*['\"]?\s*(?!data:)(?P<url>[a-z][a-z0-9+.-]*:|//)[^)]*\)|expression\s*\(|-moz-binding", re.I)
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_SVG_ACTIVE = re.compile(
    rb"<\s*(?:script|foreignObject|iframe|embed|object)\b|\son\w+\s*=|(?:href|src)\s*=\s*['\"]\s*(?!#|data:image/)", re.I
)


def check(files: Mapping[str, bytes], code: Mapping[str, str], policy: ValidationPolicy) -> list[Finding]:
    """All findings. ``code`` is the transpiled form of the files of code (``BuildResult.code``)."""
    try:
        project.check(files, policy.limits)
    except project.ProjectError as error:
        return [_finding("files", str(error))]
    said = policy.model_dump_json()
    return [
        *_file_set(files),
        *_manifest(files.get("package.json"), policy),
        *_secrets(files),
        *_styles(files),
        *check_page(files.get("index.html", b""), policy),
        *(finding for name in sorted(code) for finding in _code(name, code[name], files[name].decode(errors="replace"), policy, said)),
    ]


def _code(name: str, code: str, source: str, policy: ValidationPolicy, said: str) -> list[Finding]:
    given = (text.encode(errors="surrogatepass") for text in (name, code, source, said))
    return _CODE.get(lambda: check_code(name, code, source, policy), *given)


def _finding(rule: str, message: str, file: str | None = None, line: int | None = None) -> Finding:
    return Finding(GATE, f"static.{rule}", message, file, line)


def _file_set(files: Mapping[str, bytes]) -> Iterator[Finding]:
    for name in ("index.html", "package.json", "src/main.tsx"):
        if name not in files:
            yield _finding("files", f"{name} is missing", name)
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.suffix.lower() not in _SUFFIXES and path.name not in _PLAIN_NAMES:
            yield _finding("files", f"a file of this kind does not belong into an application: {name}", name)
        if path.name.startswith(".") and path.name not in (".gitignore", ".env.example"):
            yield _finding("files", f"hidden files change what tools do: {name}", name)
        if path.suffix.lower() == ".svg" and _SVG_ACTIVE.search(files[name]):
            yield _finding("svg", "the picture holds script or asks for something elsewhere", name)
        if path.suffix.lower() in (".ts", ".tsx") and (match := _SUPPRESSED.search(files[name])):
            line = files[name].count(b"\n", 0, match.start()) + 1
            yield _finding("suppressed", f"{match[0].decode()} hides what the type checker finds", name, line)


def _manifest(content: bytes | None, policy: ValidationPolicy) -> Iterator[Finding]:
    if content is None:
        return
    name = "package.json"
    try:
        manifest = json.loads(content)
        if not isinstance(manifest, dict):
            raise ValueError("not an object")
    except ValueError as error:
        yield _finding("manifest", f"package.json is not JSON: {error}", name)
        return
    known = importable() | {"@types/react", "@types/react-dom", "@playwright/test", "typescript", "esbuild"}
    for key in ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "overrides", "bundledDependencies"):
        wanted = manifest.get(key, {})
        for package, version in wanted.items() if isinstance(wanted, dict) else [(str(w), "") for w in wanted]:
            if package not in known:
                yield _finding("dependency", f"{key} asks for {package!r}, which is not among the packages there are", name)
            elif not re.fullmatch(r"[\^~]?\d+\.\d+\.\d+", str(version)):
                yield _finding("dependency", f"{package} must be asked for by version, not {str(version)[:60]!r}", name)
    scripts = manifest.get("scripts", {})
    for script in sorted(_HOOKS & set(scripts if isinstance(scripts, dict) else ())):
        yield _finding("hook", f"the script {script!r} runs when somebody installs the project", name)


def _secrets(files: Mapping[str, bytes]) -> Iterator[Finding]:
    for name, content in sorted(files.items()):
        if name.startswith("dist/"):  # held against what these sources build to, byte by byte
            continue
        for kind, line in _SECRET.get(partial(_secrets_in, content), content):
            yield _finding("secret", f"looks like a secret: {kind}", name, line)


def _secrets_in(content: bytes) -> list[tuple[str, int]]:
    """What looks like a secret, and the line that the first of its kind stands in."""
    found = ((kind, pattern.search(content)) for kind, pattern in _SECRETS.items())
    return [(kind, content.count(b"\n", 0, match.start()) + 1) for kind, match in found if match]


def _styles(files: Mapping[str, bytes]) -> Iterator[Finding]:
    for name, content in sorted(files.items()):
        if not name.endswith(".css") or name.startswith("dist/"):
            continue
        text = _CSS_COMMENT.sub(lambda m: "\n" * m[0].count("\n"), content.decode(errors="replace"))
        for match in _CSS_REQUEST.finditer(text):
            local = match[0].lower().startswith("@import") and re.match(r"@import\s+['\"]\./[^'\"]+\.css['\"]", text[match.start() :], re.I)
            if not local:
                line = text.count("\n", 0, match.start()) + 1
                yield _finding("style", f"a style sheet asks for something elsewhere or runs code: {match[0][:80]}", name, line)
