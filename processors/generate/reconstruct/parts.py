"""Parts that pages share become components of their own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from .jsx import Code, El, render, size
from .names import pascal, unique

_LEAST = 4  # elements that a part must have to be worth a component


def share(pages: Sequence[El], taken: set[str]) -> dict[str, El]:
    """Replace the largest subtrees that two pages have in common by components. Returns name -> tree; changes `pages`."""
    homes: dict[str, set[int]] = defaultdict(set)
    for k, page in enumerate(pages):
        for el in _below(page):
            homes[render(el)].add(k)
    names: dict[str, str] = {}
    parts: dict[str, El] = {}
    for page in pages:
        _replace(page, homes, names, parts, taken)
    return parts


def _below(el: El) -> list[El]:
    out = []
    for c in el.children:
        if isinstance(c, El):
            if size(c) >= _LEAST and c.tag not in {"tr", "tbody", "thead", "colgroup", "td", "th"}:
                out.append(c)
            out += _below(c)
    return out


def _replace(el: El, homes: dict[str, set[int]], names: dict[str, str], parts: dict[str, El], taken: set[str]) -> None:
    for k, c in enumerate(el.children):
        if not isinstance(c, El):
            continue
        text = render(c)
        if size(c) >= _LEAST and len(homes.get(text, ())) > 1:
            if text not in names:
                names[text] = unique(pascal(_first_text(c), "Part"), taken, "")
                parts[names[text]] = c
            el.children[k] = El(names[text])
        else:
            _replace(c, homes, names, parts, taken)


def _first_text(el: El) -> str:
    for c in el.children:
        if isinstance(c, str):
            return c
        if isinstance(c, Code) and (mapped := re.match(r"(\w+)\.map\(", c.text)):
            return re.sub(r"(?=[A-Z])", " ", mapped[1]) + " list"
        if isinstance(c, El) and (found := _first_text(c)):
            return found
    return ""


def walk(el: El) -> list[El]:
    """The element and all below it."""
    return [el, *(d for c in el.children if isinstance(c, El) for d in walk(c))]


def codes(el: El) -> list[str]:
    """Every expression in a tree."""
    return [v.text for e in walk(el) for v in [*e.attrs.values(), *e.children] if isinstance(v, Code)]
