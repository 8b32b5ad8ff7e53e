"""What a prompt says of the looks: a colour by its name or code, dark or light."""

from __future__ import annotations

import re
from typing import Literal

from processors.spec import Theme

_COLORS = {
    "red": "#c62828",
    "crimson": "#b0123b",
    "orange": "#d9630b",
    "amber": "#d98a00",
    "yellow": "#e3b505",
    "gold": "#c9970c",
    "green": "#2e7d4f",
    "lime": "#6d9f16",
    "olive": "#6b7a1e",
    "teal": "#0f766e",
    "turquoise": "#0e9aa0",
    "cyan": "#0891b2",
    "blue": "#2459c9",
    "navy": "#1f3a78",
    "indigo": "#4547c4",
    "violet": "#6d3fc9",
    "purple": "#7a35b8",
    "magenta": "#b3248f",
    "pink": "#c9327a",
    "brown": "#7a4a2b",
    "grey": "#55606e",
    "gray": "#55606e",
    "black": "#20242c",
}
_NAMES = "|".join(_COLORS)
_SAID = (
    rf"\b(?P<a>{_NAMES})\b[\w\s,-]{{0,20}}\b(?:theme|themed|accents?|colou?rs?|colou?r scheme|design|look|style|buttons?|mode|ui|interface|branding)\b",
    rf"\b(?:theme|accents?|colou?rs?|colou?r scheme|branding|look|style|design|buttons?)\s*(?:is|are|in|of|should be|:|=)?\s*(?:mostly |a |dark |light |bright )?(?P<b>{_NAMES})\b",
    rf"\b(?:make|paint|keep|have|want) (?:it|everything|the app|the page|a|an|the)\b[\w\s]{{0,16}}\b(?P<c>{_NAMES})\b",
)


def theme_of(text: str) -> Theme:
    """The accent and the scheme that a text asks for; empty where it says nothing."""
    text = text.casefold()
    scheme: Literal["", "light", "dark"] = ""
    if re.search(r"\bdark[- ]?(?:mode|theme|themed|design|ui|look|background|colou?rs|interface|scheme)\b|\btheme: ?dark\b", text):
        scheme = "dark"
    elif re.search(r"\blight[- ]?(?:mode|theme|themed|design|ui|look|background|colou?rs|interface|scheme)\b|\btheme: ?light\b", text):
        scheme = "light"
    code = re.search(r"(?<![\w&])#([0-9a-f]{6}|[0-9a-f]{3})\b", text)
    if code:
        digits = code[1] if len(code[1]) == 6 else "".join(c * 2 for c in code[1])
        return Theme(f"#{digits}", scheme)
    for pattern in _SAID:
        match = re.search(pattern, text)
        if match:
            return Theme(_COLORS[next(filter(None, match.groups()))], scheme)
    return Theme("", scheme)


def color(name: str) -> str:
    """A colour by its name or code as #rrggbb; empty where it is none."""
    name = name.strip().casefold()
    if re.fullmatch(r"#[0-9a-f]{6}", name):
        return name
    return _COLORS.get(name, "")
