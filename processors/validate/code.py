"""Rules over the code of a generated application: what it may import, which names it must not use, where its addresses lead.

They look at tokens, not at text: a recording's words may say anything, and a string is only judged by where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from processors.toolchain.findings import Finding, Severity
from processors.toolchain.node import importable
from processors.validate.lexer import LexError, Token, tokens
from processors.validate.policy import ValidationPolicy

# Names that are never used by an application of ours, each with why.
_FORBIDDEN_NAMES = {
    "eval": "runs text as code",
    "Function": "runs text as code",
    "WebAssembly": "runs code that no check reads",
    "importScripts": "runs code from elsewhere",
    "dangerouslySetInnerHTML": "puts text into the page as markup",
    "innerHTML": "puts text into the page as markup",
    "outerHTML": "puts text into the page as markup",
    "insertAdjacentHTML": "puts text into the page as markup",
    "createContextualFragment": "puts text into the page as markup",
    "srcdoc": "puts text into the page as markup",
    "srcDoc": "puts text into the page as markup",
    "fetch": "talks to the network past the data access",
    "XMLHttpRequest": "talks to the network past the data access",
    "WebSocket": "talks to the network past the data access",
    "EventSource": "talks to the network past the data access",
    "WebTransport": "talks to the network past the data access",
    "RTCPeerConnection": "talks to the network past the data access",
    "sendBeacon": "talks to the network past the data access",
    "Worker": "runs beside the page",
    "SharedWorker": "runs beside the page",
    "serviceWorker": "outlives the page",
    "geolocation": "asks for a permission",
    "mediaDevices": "asks for a permission",
    "__proto__": "changes objects it does not own",
    "debugger": "stops the page",
}
_FORBIDDEN_MEMBERS = {("document", "write"), ("document", "writeln"), ("document", "cookie"), ("document", "domain"), ("window", "open")}
_ORDINARY = frozenset({"Function", "fetch", "Worker", "eval", "geolocation"})
_GLOBAL = frozenset({"window", "globalThis", "self", "navigator", "top", "parent", "frames"})
_FORBIDDEN_KEYS = frozenset(_FORBIDDEN_NAMES) - {"debugger"} | {"constructor"}
_FORBIDDEN_TAGS = frozenset({"script", "iframe", "object", "embed", "base", "frame", "applet"})
_TAG_MAKERS = frozenset({"jsx", "jsxs", "jsxDEV", "createElement", "createElementNS", "_jsx", "_jsxs"})
_REQUESTING = frozenset(
    {"src", "href", "action", "formAction", "poster", "data", "srcSet", "srcset", "xlinkHref", "ping", "background", "manifest"}
)
_NAVIGATING = frozenset({"assign", "location"})
_SCRIPT_ADDRESS = re.compile(r"^[\s\x00-\x1f]*(javascript|vbscript)\s*:", re.I)
_ABSOLUTE = re.compile(r"^[\s\x00-\x1f]*(?:(?:https?|wss?|ftp):)?//[^/\s]", re.I)
_NOTHING = Token("mark", "")


def check_code(name: str, code: str, source: str, policy: ValidationPolicy) -> list[Finding]:
    """Findings about one file. ``code`` is what esbuild made of ``source``; lines are those of ``source``."""
    try:
        return list(_Rules(name, tokens(code), source, policy).findings())
    except LexError as error:
        return [Finding("static", "static.unreadable", f"the code cannot be read: {error}", name)]


class _Rules:
    def __init__(self, name: str, stream: list[Token], source: str, policy: ValidationPolicy) -> None:
        self._file, self._stream, self._source, self._policy = name, stream, source, policy
        self._application = name.startswith("src/")
        self._packages = importable() | (frozenset() if self._application else frozenset(policy.tool_imports))

    def findings(self) -> Iterator[Finding]:
        for i, token in enumerate(self._stream):
            if token.kind == "name":
                if token.text in ("import", "require", "export"):
                    yield from self._import(i)
                if self._application:
                    yield from self._name(i)
            elif token.kind in ("string", "template") and self._application:
                yield from self._string(i)

    def _at(self, i: int) -> Token:
        return self._stream[i] if 0 <= i < len(self._stream) else _NOTHING

    def _found(self, rule: str, message: str, mark: str, severity: Severity = "error") -> Finding:
        at = self._source.find(mark)
        line = self._source.count("\n", 0, at) + 1 if at >= 0 else None
        return Finding("static", f"static.{rule}", message, self._file, line, severity)

    def _import(self, i: int) -> Iterator[Finding]:
        word, after = self._at(i).text, self._at(i + 1)
        if self._at(i - 1).text in (".", "?.") or after.text in (":", "."):  # a property of that name; import.meta
            return
        if word != "export" and after.text == "(":
            target = self._at(i + 2)
            if target.kind not in ("string", "template") or self._at(i + 3).text not in (")", ","):
                yield self._found("import", "what is imported must be written out", word)
                return
        elif word == "require":
            yield self._found("import", "require must be called with a name written out", word)
            return
        else:
            found = self._specifier(i)
            if found is None:
                return
            target = found
        package = "/".join(target.text.split("/")[: 2 if target.text.startswith("@") else 1])
        if not target.text.startswith(("./", "../")) and package not in self._packages:
            yield self._found("import", f"imports {target.text!r}, which is not among the packages there are", target.text)

    def _specifier(self, i: int) -> Token | None:
        """The module named by the import or export statement at ``i``; None for an export of the file's own."""
        if self._at(i).text == "import" and self._at(i + 1).kind == "string":
            return self._at(i + 1)
        j = i + 1
        if self._at(i).text == "export" and self._at(j).text not in ("{", "*"):
            return None
        while self._at(j) is not _NOTHING and self._at(j).text != ";":
            if self._at(j).text == "from" and self._at(j + 1).kind == "string":
                return self._at(j + 1)
            j += 1
        return None

    def _name(self, i: int) -> Iterator[Finding]:
        name, before, after = self._at(i).text, self._at(i - 1).text, self._at(i + 1).text
        member = before in (".", "?.")
        owner = self._at(i - 2).text if member else ""
        if name in _FORBIDDEN_NAMES:
            # These are ordinary words too: as a property of something else than the global object they mean nothing.
            ordinary = name in _ORDINARY and ((member and owner not in _GLOBAL) or (after == ":" and before in ("{", ",")))
            if not ordinary:
                yield self._found("forbidden", f"{name} {_FORBIDDEN_NAMES[name]}", name)
        if (owner, name) in _FORBIDDEN_MEMBERS:
            yield self._found("forbidden", f"{owner}.{name} is not for applications", name)
        if name in ("setTimeout", "setInterval") and after == "(" and self._at(i + 2).kind in ("string", "template"):
            yield self._found("forbidden", f"{name} with text runs it as code", name)
        if name == "constructor" and member and after in ("(", ".", "?.", "["):
            yield self._found("forbidden", "a constructor reached through an object leads to code made from text", name)

    def _string(self, i: int) -> Iterator[Finding]:
        text, before, after = self._at(i).text, self._at(i - 1).text, self._at(i + 1).text
        if before == "[" and after == "]" and text in _FORBIDDEN_KEYS and self._is_value(i - 2):
            yield self._found("forbidden", f"{text} reached by its name", text)
        caller = self._at(i - 2).text if before == "(" else ""
        if caller in _TAG_MAKERS and text.lower() in _FORBIDDEN_TAGS:
            yield self._found("forbidden", f"makes an element <{text.lower()}>", text)
        place = self._at(i - 2).text if before in (":", "=") else caller
        leaves = place in _NAVIGATING or (place == "href" and self._at(i - 4).text == "location")
        if place in _REQUESTING or leaves or place == "createClient":
            if _SCRIPT_ADDRESS.match(text):
                yield self._found("address", f"{place} runs text as code", text[:40])
            elif _ABSOLUTE.match(text) and not host_allowed(text, self._policy):
                # A link is followed only when somebody clicks on it, and recordings are full of links to elsewhere.
                severity: Severity = "warning" if place == "href" and not leaves else "error"
                yield self._found("address", f"{place} leads to {text[:80]!r}", text[:40], severity)

    def _is_value(self, i: int) -> bool:
        token = self._at(i)
        return token.kind in ("name", "string", "template") or token.text in (")", "]", "?.")


def host_allowed(url: str, policy: ValidationPolicy) -> bool:
    """Whether an address leads to a host that the policy names, or to a host below one."""
    try:
        host = (urlsplit(url.strip()).hostname or "").rstrip(".").lower()
    except ValueError:
        return False
    return any(host == allowed or host.endswith("." + allowed) for allowed in policy.allowed_hosts)
