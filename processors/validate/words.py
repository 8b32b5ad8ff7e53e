"""Words of a screen and how alike two screens read: the measure by which a recorded state counts as reached.

A screen here is anything with ``texts`` (each with ``text``) and, where known, ``extra_texts``: what can be read but need not be,
such as values and placeholders of fields.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

Screen = Mapping[str, Any]

_REST = re.compile(r"[^\w]|_")


def words(text: str) -> list[str]:
    """Words case-folded, letters and digits only."""
    return [word for part in text.split() if (word := _REST.sub("", part).casefold())]


def bag(screen: Screen, key: str = "texts") -> Counter[str]:
    """All words of a screen with their number."""
    return Counter(word for entry in screen.get(key) or () for word in words(str(entry.get("text") or "")))


def likeness(a: Screen, b: Screen) -> float:
    """F1 of two screens' words as multisets; 1 for two empty ones. Words among the other's extra texts do not count against."""
    x, y = bag(a), bag(b)
    both = x & y
    left = sum(((x - both) - bag(b, "extra_texts")).values()) + sum(((y - both) - bag(a, "extra_texts")).values())
    common = 2 * sum(both.values())
    return common / (common + left) if common or left else 1.0


def differences(expected: Screen, seen: Screen, most: int = 20) -> tuple[list[str], list[str]]:
    """Words expected but not there, and words there but not expected: at most ``most`` of each, sorted."""
    x, y = bag(expected), bag(seen)
    missing = (x - y) - bag(seen, "extra_texts")
    surplus = (y - x) - bag(expected, "extra_texts")
    return sorted(missing)[:most], sorted(surplus)[:most]
