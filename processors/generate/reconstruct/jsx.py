"""A small tree for generated JSX, and how it is written. Text never becomes code: it is written as a string literal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,:;!?()'/+*#%&=@$_-]*(?<! )")
_WIDTH = 120


@dataclass(frozen=True)
class Code:
    """A TypeScript expression made by us."""

    text: str


@dataclass
class El:
    """An element; attribute values are texts (escaped) or Code. A child is an element, a text or Code."""

    tag: str
    attrs: dict[str, str | Code | None] = field(default_factory=dict)
    children: list[El | str | Code] = field(default_factory=list)


def literal(text: str) -> str:
    """A double-quoted TypeScript string, safe in a script as well: no raw <, no line separators."""
    out = json.dumps(text, ensure_ascii=False)
    return out.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and "&" not in text and "//" not in text and "/*" not in text else "{" + literal(text) + "}"


def _attr(name: str, value: str | Code | None) -> str:
    if value is None:
        return name
    if isinstance(value, Code):
        return f"{name}={{{value.text}}}"
    return f'{name}="{value}"' if re.fullmatch(r"[A-Za-z0-9 ._:/#-]*", value) else f"{name}={{{literal(value)}}}"


def render(el: El | str | Code, indent: int = 0) -> str:
    """The JSX of a tree, indented by two blanks a level."""
    pad = "  " * indent
    if isinstance(el, str):
        return pad + _text(el)
    if isinstance(el, Code):
        return "\n".join(pad + line for line in ("{" + el.text + "}").split("\n"))
    attrs = "".join(" " + _attr(k, v) for k, v in el.attrs.items())
    if not el.children:
        return f"{pad}<{el.tag}{attrs} />"
    if len(el.children) == 1 and isinstance(el.children[0], str):
        line = f"{pad}<{el.tag}{attrs}>{_text(el.children[0])}</{el.tag}>"
        if len(line) <= _WIDTH + len(el.children[0]):
            return line
    if len(el.children) == 1 and isinstance(el.children[0], Code) and "\n" not in el.children[0].text:
        line = f"{pad}<{el.tag}{attrs}>{{{el.children[0].text}}}</{el.tag}>"
        if len(line) <= _WIDTH:
            return line
    inner = "\n".join(render(c, indent + 1) for c in el.children)
    return f"{pad}<{el.tag}{attrs}>\n{inner}\n{pad}</{el.tag}>"


def size(el: El | str | Code) -> int:
    """How many elements a tree has; an expression of several lines counts as many as it has."""
    if isinstance(el, Code):
        return el.text.count("\n") + 1 if "\n" in el.text else 0
    return 1 + sum(map(size, el.children)) if isinstance(el, El) else 0
