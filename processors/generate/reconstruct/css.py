"""The style sheet: design tokens as variables, and one class for each look that occurs."""

from __future__ import annotations

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
        return self._classes[key]

    def text(self, base: str) -> str:
        """The whole sheet: tokens, `base`, then the classes."""
        tokens = [f"  --{name}: {value};" for value, name in self._colors.items()]
        tokens += [f"  --{name}: {value};" for value, name in self._sizes.items()]
        tokens += [f"  --{name}: {STACKS[face]};" for face, name in self._faces.items()]
        rules = ["\n".join([f".{name} {{", *(f"  {p}: {v};" for p, v in key), "}"]) for key, name in self._classes.items()]
        return "\n".join([":root {", *tokens, "}", "", base.strip(), "", *rules, ""])
