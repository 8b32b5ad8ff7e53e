"""Lines and what lies under them: a heading with its fields, or a heading over lines of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from processors.plan.phrases import Reader
from processors.plan.tokens import Line, tokenise
from processors.plan.vocabulary import CHROME, GENERIC_APPS, VAGUE
from processors.plan.words import is_plural

_AWAY = re.compile(r"^(?P<label>[^:()]{1,40}?)\s*(?::|\s-)\s(?P<list>[^:()]{3,400})$")


def sentences(line: Line) -> Iterator[str]:
    """The texts to read of a line and of the lines under it: an entity with its fields is one."""
    if line.children and _lists_fields(line):
        children = "; ".join(_item_text(child) for child in line.children)
        head = line.text.rstrip(" :-.")
        yield f"{head}: {children}" if not re.search(r"\b(with|have|has|fields|following)$", head) else f"{head} {children}"
        return
    yield line.text
    for child in line.children:
        yield from sentences(child)


def _item_text(line: Line) -> str:
    text = line.text.rstrip(" .;,:")
    choices = _AWAY.match(text)
    if choices and "," in choices["list"]:  # on a line of its own "size: S, M, L" can only mean choices
        return f"{choices['label']} ({choices['list']})"
    if line.children:
        text += f" ({', '.join(child.text.rstrip(' .;,') for child in line.children)})"
    return text


def _lists_fields(line: Line) -> bool:
    """Whether the lines under this one are fields of what it names, and no entities themselves."""
    head = Reader(tokenise(line.text.rstrip(" :-.")))
    plain = sum(not re.search(r"[:(,]", child.text) for child in line.children)
    choices = [c for c in line.children if plain * 2 >= len(line.children) and _lists_choices(c)]
    if not 1 <= len(head) <= 12 or any(_declares_line(child) for child in line.children if child not in choices):
        return False
    last = head.low(len(head) - 1)
    if last in CHROME:
        return False
    if last in VAGUE and last not in ("fields", "following", "people", "users", "data", "details", "records", "values"):
        return False
    start = head.determiners(0)
    whole = head.noun_phrase(start) == len(head)
    return (
        (whole and last not in GENERIC_APPS)
        or last in ("with", "have", "has", "fields", "following")
        or any(head.has(i) is not None for i in range(1, len(head)))
    )


def _lists_choices(line: Line) -> bool:
    """ "condition: new, used, broken" among lines that are plain fields."""
    match = _AWAY.match(line.text)
    return match is not None and not line.children and not is_plural(match["label"].split(" ")[-1].lower())


def _declares_line(line: Line) -> bool:
    if line.children and not all(len(child.text.split()) <= 2 for child in line.children):
        return True
    reader = Reader(tokenise(line.text))
    start = reader.determiners(0)
    end = reader.noun_phrase(start)
    if any(reader.low(i) in ("must", "should", "can", "want", "need") and reader.word(i + 1) for i in range(1, min(len(reader), 5))):
        return True  # a sentence
    for index in range(min(len(reader), 8)):  # "a place to store my guitars: brand, model"
        after = reader.determiners(index + 1)
        stop = reader.noun_phrase(after)
        if index > 0 and reader.verb(index) and is_plural(reader.low(stop - 1)) and reader.mark(stop, ":", "-", "("):
            return True
    if end == start:
        return False
    if reader.mark(end, ":", "-"):
        return reader.fieldish(end + 1, len(reader))
    if reader.mark(end, "("):
        return is_plural(reader.low(end - 1)) and reader.fieldish(end + 1, reader.closing(end))
    return reader.has(end) is not None or (is_plural(reader.low(end - 1)) and reader.introduced(end) is not None)
