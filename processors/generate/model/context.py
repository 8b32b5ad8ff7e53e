"""What of a prompt and of a recording a model gets to see, within a budget of tokens.

Compression drops what says nothing (space, repetition, blobs) and, only where the budget asks for it, the sentences that say least of what an
application is to keep. Selection takes from a recording each text once, headings, labels and the heads of tables first, and of rows only
samples; screens that share words with the prompt come first. Nothing is rewritten: what is left is quoted as it was.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processors.generate.model.port import tokens_of

ROWS_SHOWN = 3
"""Of a table or list: enough to tell a type from."""
_OPAQUE = re.compile(r"[^\s]{120,}")
_SPACE = re.compile(r"[^\S\n]+")
_RULE = re.compile(r"^[\s|:=*_~.-]*$")
_SENTENCE = re.compile(r"(?<=[.!?;。！？])\s+")
_WORD = re.compile(r"\w{3,}")
_TELLING = re.compile(
    r"[(:|,]|^\s*(?:[-*\u2022]|\d+[.)])\s|\b(?:app|application|manag|track|keep|stor|record|field|column|table|page|list|form|entit|status|date|name|number|price|type)\w*",
    re.I,
)
_ROLE_WEIGHT = {"th": 4, "heading": 3, "columnheader": 4, "label": 3, "field": 3, "input": 3, "button": 2, "link": 1, "tab": 2}


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen, and what it spared: tokens before and after."""

    value: Any
    tokens_before: int
    tokens_after: int


def normalised(text: str) -> str:
    """A text without the differences that mean nothing: Unicode composition, line ends, space at the ends of lines and of the whole."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def compress(prompt: str, budget: int) -> Selected:
    """The prompt in at most about ``budget`` tokens."""
    text = normalised(prompt)
    before = tokens_of(text)
    text = _OPAQUE.sub(lambda m: f"[{len(m[0])} characters without a space]", text)
    seen: set[str] = set()
    lines: list[str] = []
    for line in text.split("\n"):
        line = _SPACE.sub(" ", line).rstrip()
        mark = line.strip().casefold()
        if not mark or _RULE.match(line) or mark in seen:
            continue
        seen.add(mark)
        lines.append(line)
    if tokens_of("\n".join(lines)) > budget:
        lines = _most_telling(lines, budget)
    kept = "\n".join(lines)
    return Selected(kept, before, tokens_of(kept))


def _most_telling(lines: Sequence[str], budget: int) -> list[str]:
    """Sentences in their order, those dropped that say least. The first says what it is all about."""
    sentences = [(i, s) for i, line in enumerate(lines) for s in _SENTENCE.split(line) if s.strip()]

    def value(item: tuple[int, tuple[int, str]]) -> float:
        at, (_, sentence) = item
        density = len(_TELLING.findall(sentence)) / (1 + len(sentence) / 40)
        return density + (10 if at == 0 else 0) + (0.1 if at == len(sentences) - 1 else 0)

    kept: set[int] = set()
    left = budget * 4
    for at, (_, sentence) in sorted(enumerate(sentences), key=value, reverse=True):
        size = len(sentence.encode()) + 1
        if size <= left:
            kept.add(at)
            left -= size
        elif not kept:  # one sentence longer than all there may be
            cut = sentence.encode()[:left].decode(errors="ignore")
            return [cut]
    out: dict[int, list[str]] = {}
    for at, (line, sentence) in enumerate(sentences):
        if at in kept:
            out.setdefault(line, []).append(sentence)
    return [" ".join(parts) for _, parts in sorted(out.items())]


def select(features: Mapping[str, Any], prompt: str, budget: int) -> Selected:
    """What a recording shows, as data: ``[{"screen", "texts": [...]}, ...]`` in at most about ``budget`` tokens."""
    wanted = {w.casefold() for w in _WORD.findall(prompt)}
    screens = _screens(features)
    before = sum(tokens_of(text) + 2 for _, texts in screens for text, _ in texts)
    distinct: dict[str, list[tuple[str, int]]] = {}
    for screen, texts in screens:
        distinct.setdefault(screen, []).extend(texts)

    def relevance(item: tuple[str, list[tuple[str, int]]]) -> int:
        return len(wanted & {w.casefold() for text, _ in item[1] for w in _WORD.findall(text)}) if wanted else 0

    ranked = sorted(distinct.items(), key=relevance, reverse=True)
    seen: set[str] = set()
    chosen: dict[str, list[str]] = {}
    left = budget
    order = {screen: i for i, screen in enumerate(distinct)}
    candidates = [
        (-weight - 2 * len(wanted & {w.casefold() for w in _WORD.findall(text)}), rank, at, screen, text)
        for rank, (screen, texts) in enumerate(ranked)
        for at, (text, weight) in enumerate(texts)
    ]
    taken: dict[str, list[tuple[int, str]]] = {}
    for _, _, at, screen, text in sorted(candidates):
        mark = text.casefold()
        cost = tokens_of(text) + 2
        if mark in seen or cost > left:
            continue
        seen.add(mark)
        left -= cost
        taken.setdefault(screen, []).append((at, text))
    for screen in sorted(taken, key=order.__getitem__):
        chosen[screen] = [text for _, text in sorted(taken[screen])]
    value = [{"screen": screen, "texts": texts} for screen, texts in chosen.items()]
    return Selected(value, before, sum(tokens_of(t) + 2 for texts in chosen.values() for t in texts))


def _screens(features: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Every settled screen's identity and its texts in reading order, each with what it weighs."""
    out = []
    for number, entry in enumerate(features.get("screens") or ()):
        if not isinstance(entry, Mapping):
            continue
        roles = _roles(entry.get("elements") or ())
        texts: list[tuple[str, int]] = []
        columns: dict[int, int] = {}
        for item in entry.get("texts") or ():
            text = str(item.get("text") or "").strip() if isinstance(item, Mapping) else ""
            if not text:
                continue
            box = item.get("box") or (0, 0, 0, 0)
            column = round(float(box[0]) / 8)
            columns[column] = columns.get(column, 0) + 1
            weight = max(_ROLE_WEIGHT.get(str(item.get("role") or ""), 0), roles.get(text.casefold(), 0))
            if not weight and columns[column] <= ROWS_SHOWN:
                weight = 1  # the first of what stands in one column: the head of a table and its first rows
            texts.append((text, weight))
        out.append((str(entry.get("screen") or entry.get("id") or number), texts))
    return out


def _roles(elements: Iterable[Any]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for element in elements:
        if isinstance(element, Mapping) and (
            label := str(element.get("text") or element.get("label") or element.get("name") or "").strip()
        ):
            kind = str(element.get("role") or element.get("kind") or element.get("type") or "")
            weights[label.casefold()] = max(weights.get(label.casefold(), 0), _ROLE_WEIGHT.get(kind, 1))
    return weights
