"""Gate ``static``, the page: what stands in ``index.html``, which no compiler reads."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from processors.toolchain.findings import Finding
from processors.validate.code import host_allowed
from processors.validate.policy import ValidationPolicy

_ALLOWED = frozenset(["html", "head", "meta", "link", "title", "body", "div", "noscript", "script", "style", "p", "a"])
_ADDRESSES = frozenset({"src", "href", "action", "data", "poster", "formaction"})
_VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])


def check_page(content: bytes, policy: ValidationPolicy, name: str = "index.html") -> list[Finding]:
    """Findings about the page: its frame is whole, and it loads one script of its own and nothing else."""
    page = _Page(policy, name)
    page.feed(content.decode(errors="replace"))
    page.close()
    return page.result()


class _Page(HTMLParser):
    def __init__(self, policy: ValidationPolicy, name: str) -> None:
        super().__init__(convert_charrefs=True)
        self._policy, self._name = policy, name
        self._found: list[Finding] = []
        self._seen: Counter[str] = Counter()
        self._open: list[str] = []
        self._title = ""
        self._script = False

    def _note(self, rule: str, message: str, line: int | None = None, warning: bool = False) -> None:
        self._found.append(Finding("static", f"static.{rule}", message, self._name, line, "warning" if warning else "error"))

    def handle_decl(self, decl: str) -> None:
        self._seen["doctype"] += decl.strip().lower() == "doctype html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line, values = self.getpos()[0], {k: v or "" for k, v in attrs}
        self._seen[tag] += 1
        if tag not in _VOID:
            self._open.append(tag)
        if tag not in _ALLOWED:
            self._note("html", f"<{tag}> does not belong into the page's frame", line)
        if len(values) < len(attrs):
            self._note("html", f"<{tag}> has an attribute twice", line)
        for key, value in values.items():
            if key.startswith("on"):
                self._note("html", f"{key} on <{tag}> is inline script", line)
            elsewhere = key in _ADDRESSES and ("//" in value or ":" in value.split("/")[0]) and not value.startswith("data:,")
            if elsewhere and not host_allowed(value, self._policy):
                self._note("html", f"<{tag}> leads to {value[:80]!r}", line)
        if tag == "html":
            self._seen["lang"] += bool(values.get("lang", "").strip())
        elif tag == "meta":
            self._seen["charset"] += values.get("charset", "").lower() in ("utf-8", "utf8")
            self._seen["viewport"] += values.get("name", "").lower() == "viewport"
            server = values.get("content", "").strip() if values.get("name", "").lower() == "supabase-url" else ""
            if server and not host_allowed(server, self._policy):
                self._note("address", f"the server {server[:80]!r} is none that an application may name", line)
            if values.get("http-equiv", "").lower() in ("refresh", "set-cookie"):
                self._note("html", "<meta http-equiv> navigates or sets a cookie", line)
        elif tag == "script":
            self._script = True
            if "src" not in values:
                self._note("html", "inline script", line)
        if values.get("id") == "root":
            self._seen["root"] += 1

    def handle_endtag(self, tag: str) -> None:
        self._script = self._script and tag != "script"
        if tag in self._open:
            while (left := self._open.pop()) != tag:
                self._note("html", f"<{left}> is not closed", self.getpos()[0], warning=True)
        elif tag not in _VOID:
            self._note("html", f"</{tag}> closes nothing", self.getpos()[0], warning=True)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self._title += data
        if self._script and data.strip():
            self._note("html", "inline script", self.getpos()[0])

    def result(self) -> list[Finding]:
        for tag in reversed(self._open):
            self._note("html", f"<{tag}> is not closed", warning=True)
        if self._seen["root"] != 1:
            self._note("html", f'there must be one element with the id "root"; there are {self._seen["root"]}')
        if self._seen["script"] != 1:
            self._note("html", f"there must be one script; there are {self._seen['script']}")
        for what, said in (
            ("doctype", "<!doctype html>"),
            ("lang", "<html lang>"),
            ("charset", '<meta charset="utf-8">'),
            ("viewport", "a viewport"),
        ):
            if not self._seen[what]:
                self._note("html", f"{said} is missing", warning=True)
        if not self._title.strip():
            self._note("html", "the title is missing or empty", warning=True)
        return self._found
