"""Names for what is generated: stable, valid, never a text as it stood on the screen."""

from __future__ import annotations

import re
import unicodedata

from .model import Box

# Lower case: what every page imports or the application's own modules define, and what would read like it.
_RESERVED = {
    "app",
    "flow",
    "index",
    "main",
    "router",
    "page",
    "react",
    "object",
    "string",
    "number",
    "array",
    "fragment",
    "field",
    "check",
    "choice",
    "dataform",
    "reactnode",
    "componenttype",
    "flowprovider",
    "currentpage",
    "pageid",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of the language: no variable of a module can be called so.
KEYWORDS = _words("""arguments await break case catch class const continue debugger default delete do else enum eval export extends false
    finally for function if implements import in instanceof interface let new null package private protected public return
    static super switch this throw true try typeof undefined var void while with yield""")


def slug(text: str, fallback: str) -> str:
    """Lower case ASCII words joined by hyphens, at most five of them and 40 characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    found = re.findall(r"[a-z0-9]+", plain)[:5]
    return "-".join(found)[:40].strip("-") or fallback


def pascal(text: str, fallback: str) -> str:
    """A name for a component."""
    name = "".join(w.capitalize() for w in slug(text, fallback).split("-"))
    if not name[0].isalpha():
        name = fallback.capitalize() + name
    return name + "View" if name.lower() in _RESERVED else name


def unique(name: str, taken: set[str], joint: str = "-") -> str:
    """The name, numbered if it is taken; takes it. Case does not tell names apart, as it does not on every file system."""
    candidate, n = name, 2
    while candidate.lower() in taken:
        candidate, n = f"{name}{joint}{n}", n + 1
    taken.add(candidate.lower())
    return candidate


class Registry:
    """Keys of controls: the same control on two pages has one key."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._known: dict[str, list[tuple[Box, str]]] = {}

    def key(self, kind: str, text: str, box: Box) -> str:
        base = slug(text, kind)
        known = self._known.setdefault(f"{kind} {base}", [])
        for other, key in known:
            if abs(other.x - box.x) <= 10 and abs(other.y - box.y) <= 10 and abs(other.w - box.w) <= 30:
                return key
        key = unique(base, self._taken)
        known.append((box, key))
        return key
