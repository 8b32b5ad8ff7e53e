"""The style sheet: design tokens as variables, and one class for each look that occurs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .typography import STACKS

Declarations = Mapping[str, str]


def px(value: float) -> str:
    """A length with at most one decimal."""
    rounded = round(value, 1)
    return f"{rounded:g}px" if rounded else "0"


class Stylesheet:
    """Collects tokens and classes in order of first use, so that the same application gives the same bytes."""

    def __init__(self) -> None:
        self._colors: dict[str, str] = {}
        self._sizes: dict[str, str] = {}
        self._faces: dict[str, str] = {}
        self._classes: dict[tuple[tuple[str, str], ...], str] = {}
        self._keys: dict[str, tuple[tuple[str, str], ...]] = {}
        self._counts: dict[str, int] = {}

    def color(self, value: str) -> str:
        return f"var(--{self._colors.setdefault(value, f'color-{len(self._colors) + 1}')})"

    def size(self, value: float) -> str:
        return f"var(--{self._sizes.setdefault(px(value), f'text-{len(self._sizes) + 1}')})"

    def face(self, face: str) -> str:
        return f"var(--{self._faces.setdefault(face, 'font-' + face)})"

    def add(self, role: str, declarations: Declarations) -> str:
        """The class that has exactly these declarations; a new one is named after its role."""
        if not declarations:
            return ""
        key = tuple(sorted(declarations.items()))
        if key not in self._classes:
            self._counts[role] = self._counts.get(role, 0) + 1
            self._classes[key] = f"{role}-{self._counts[role]}"
            self._keys[self._classes[key]] = key
        return self._classes[key]

    def look(self, name: str) -> dict[str, str]:
        """The declarations of a class; none where there is no such class."""
        return dict(self._keys.get(name, ()))

    def hexadecimal(self, value: str) -> str | None:
        """#rrggbb of the colour that a declaration names by its token; None where it names none."""
        named = re.search(r"var\(--(color-\d+)\)", value)
        return next((v for v, name in self._colors.items() if named and name == named[1]), None)

    def length(self, value: str) -> float | None:
        """Pixels of a length, also of one that a token stands for; None for what is none."""
        if value.startswith("var(--"):
            value = next((v for v, name in self._sizes.items() if value == f"var(--{name})"), "")
        return float(value.removesuffix("px")) if re.fullmatch(r"-?[\d.]+(?:px)?", value) else None

    def text(self, base: str, source: str) -> str:
        """The whole sheet: tokens, `base`, then the classes, of both only what is used in `source` (TypeScript)."""
        used = set(re.findall(r"[\w-]+", source))
        rules = ["\n".join([f".{n} {{", *(f"  {p}: {v};" for p, v in key), "}"]) for key, n in self._classes.items() if n in used]
        variables = set(re.findall(r"var\(--([\w-]+)\)", "\n".join(rules)))
        values = {**self._colors, **self._sizes}
        tokens = [f"  --{name}: {value};" for value, name in values.items() if name in variables]
        tokens += [f"  --{name}: {STACKS[face]};" for face, name in self._faces.items() if name in variables]
        return "\n".join([":root {", *tokens, "}", "", base.strip(), "", *rules, ""])
