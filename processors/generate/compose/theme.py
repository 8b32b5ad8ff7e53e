"""Colours of an application: its accent, and the texts on it and in it, each with enough contrast to be read (WCAG 2.2, 4.5:1)."""

from __future__ import annotations

import hashlib
import re

from processors.spec import Spec

# Accents for prompts that name no colour; which one follows from the title.
_ACCENTS = ("#3457d5", "#0f766e", "#7c3aed", "#b4451f", "#1d6fa5", "#a21c5b")
_LIGHT_SURFACE = "#ffffff"
_DARK_SURFACE = "#181c25"
_CONTRAST = 4.8  # a little over the rule, as tinted badges lie under some of the texts
_DARK = re.compile(r"/\* dark \*/\n:root \{\n(.*?)\n\}\n/\* end dark \*/\n", re.S)


def stylesheet(spec: Spec, template: str) -> str:
    """Fill in the accent, and keep of the dark tokens what the theme's scheme wants."""
    accent = spec.theme.accent or _ACCENTS[hashlib.sha256(spec.title.encode()).digest()[0] % len(_ACCENTS)]
    values = {
        "ACCENT": accent,
        "ON_ACCENT": max("#ffffff", "#10131a", key=lambda color: contrast(color, accent)),
        "ACCENT_TEXT_LIGHT": _readable(accent, _LIGHT_SURFACE, towards="#000000"),
        "ACCENT_TEXT_DARK": _readable(accent, _DARK_SURFACE, towards="#ffffff"),
    }
    css = re.sub(r"@@([A-Z_]+)@@", lambda match: values[match[1]], template)
    match spec.theme.scheme:
        case "light":
            return _DARK.sub("", css)
        case "dark":
            return _DARK.sub(lambda match: f":root {{\n{match[1]}\n}}\n", css)
        case _:
            return _DARK.sub(lambda match: f"@media (prefers-color-scheme: dark) {{\n  :root {{\n{_indent(match[1])}\n  }}\n}}\n", css)


def color_scheme(spec: Spec) -> str:
    """The value of the page's `color-scheme` meta element."""
    return spec.theme.scheme or "light dark"


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _readable(color: str, surface: str, towards: str) -> str:
    """`color`, moved as little as needed towards black or white to be read on `surface` and on a tint of itself there."""
    for step in range(21):
        candidate = _mix(color, towards, step / 20)
        if contrast(candidate, surface) >= _CONTRAST and contrast(candidate, _mix(surface, color, 0.2)) >= 4.5:
            return candidate
    return towards


def _mix(start: str, end: str, share: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(_channels(start), _channels(end), strict=True))


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    linear = (c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in _channels(color))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _indent(block: str) -> str:
    return "\n".join(f"  {line}" for line in block.splitlines())
