"""Lists that people lay out in other ways than sentences and bullets: JSON, rows of cells, tables, names over their fields.

All become lines that the grammar reads anyhow ("products: name, price"), so that it has one way to read a list.
"""

from __future__ import annotations

import json
import re
from typing import Any

from processors.plan.fieldtypes import TYPE_WORDS, is_known
from processors.plan.lexicon import lexicon
from processors.plan.words import is_plural
from processors.spec import MAX_FIELDS

_KIND = r"(?:entity|entities|table|model|object|resource|collection|sheet|list|tab|section|module|class|record type|data type|screen)"
_NAMED = re.compile(
    rf"^(?P<mark>[ ]{{0,8}}(?:[-*\u2022#]{{1,6}}[ ]+|\d{{1,2}}[.)][ ]+)?){_KIND}(?: \d{{1,2}})? ?(?:[:=]|-(?= )) ?(?P<name>[A-Za-z]\S.{{0,300}})$",
    re.I,
)
_FIELDS = re.compile(
    r"^[ ]{0,8}(?:[-*\u2022][ ]+)?(?:its |the )?(?:fields|columns|attributes|properties|details|data|keys)(?: are)? ?[:=] ?(?P<list>.{0,4000})$",
    re.I,
)
_RULE = re.compile(r"^[\s|:+-]{3,}$")
_ARROW = re.compile(r"^(?P<head>[ ]{0,8}(?:[-*\u2022][ ]+)?[A-Za-z][\w' -]{0,40}?) ?(?:->|=>|\u2192) ?(?=[^,]{1,80},)")
_BULLET = re.compile(r"^\s*(?:[-*+\u2022#]|\d{1,2}[.)]|[a-z]\))")
_CELL_HEADS = lexicon("field fields column columns attribute attributes property name entity entities table tables object type types")
_MOST_CELL_WORDS = 5


def structured(text: str) -> dict[str, Any] | None:
    """The entities of a JSON object that maps names to lists of fields or fields to types, perhaps with words around it; else None."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        document = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    for wrapper in ("entities", "tables", "models", "schema"):
        if isinstance(document, dict) and isinstance(document.get(wrapper), dict):
            document = document[wrapper]
    if isinstance(document, dict) and document and all(_lists_fields(fields) for fields in document.values()):
        return document
    return None


def _lists_fields(fields: object) -> bool:
    if isinstance(fields, dict):
        return bool(fields) and all(isinstance(kind, str) or _options(kind) for kind in fields.values())
    return isinstance(fields, list) and bool(fields) and all(isinstance(f, str) or (isinstance(f, dict) and "name" in f) for f in fields)


def _options(kind: object) -> bool:
    return isinstance(kind, list) and bool(kind) and all(isinstance(option, str) for option in kind)


_DECLARED = re.compile(
    r"\b(?:create table(?: if not exists)?|interface|type|model) [\"`]?(?P<name>[A-Za-z_]\w{0,60})[\"`]?(?: =| extends \w{1,60})? ?(?P<open>[({])"
    r"(?P<body>(?:[^(){}]|\([^(){}]{0,200}\)){1,4000})[)}]",
    re.I,
)
# Code that is shown to be talked about is no wish for an application.
_ABOUT_CODE = re.compile(r"\b(?:explain|debug|refactor|fix|bug|errors?|why|how|convert|translate|review|optimi[sz]e|compile|query)\b", re.I)
_COLUMN = re.compile(r"^[\"`]?(?P<name>[A-Za-z_]\w{0,60})[\"`]?(?P<optional>\?)?(?: ?: ?| {1,20})(?P<type>.{1,200})$")
_CODE_TYPES = {
    "string": "text",
    "str": "text",
    "varchar": "text",
    "serial": "integer",
    "numeric": "number",
    "datetime": "datetime",
    "timestamp": "datetime",
}


def declared(text: str) -> dict[str, Any] | None:
    """The entities of declarations in SQL, TypeScript or the like; None where a text holds none."""
    if _ABOUT_CODE.search(text):
        return None
    found = list(_DECLARED.finditer(text))
    names = {match["name"].casefold().rstrip("s"): match["name"] for match in found}
    entities: dict[str, Any] = {}
    for match in found:
        fields: dict[str, str | list[str]] = {}
        for part in re.split(r"[;\n]|,(?![^(]{0,200}\))", match["body"]):
            column = _COLUMN.match(part.strip())
            if column is None or column["name"].casefold() in ("id", "primary", "foreign", "unique", "constraint", "check", "index"):
                continue
            fields[column["name"]] = _column_type(column["type"], names)
        if not fields or (match["open"] == "(" and not match[0].lower().startswith("create")):
            return None
        entities[match["name"]] = fields
    return entities or None


def _column_type(text: str, names: dict[str, str]) -> str | list[str]:
    options = re.findall(r"['\"]([^'\"]{1,60})['\"]", text)
    if len(options) >= 2 and ("|" in text or text.lower().startswith(("enum", "check")) or " in (" in text.lower()):
        return list(dict.fromkeys(options))
    if refers := re.search(r"\breferences [\"`]?(\w{1,60})", text, re.I):
        return names.get(refers[1].casefold().rstrip("s"), "text")
    kind = re.split(r"\W", text.strip(), maxsplit=1)[0].casefold()
    if (target := names.get(kind.rstrip("s"))) is not None:
        return target
    kind = _CODE_TYPES.get(kind, kind)
    return kind if kind in TYPE_WORDS and TYPE_WORDS[kind] not in ("enum", "reference") else "text"


def as_lines(text: str) -> str:
    """The text with tables, rows of cells and names over their fields as lines and bullets."""
    lines = [_ARROW.sub(lambda m: f"{m['head']}: ", _without_kind(line)) for line in text.split("\n")]
    return "\n".join(_stacks(_merged(_tables(lines))))


def _without_kind(line: str) -> str:
    """ "Entity: Employee" -> "Employee"."""
    match = _NAMED.match(line)
    return f"{match['mark']}{match['name']}" if match else line


def _merged(lines: list[str]) -> list[str]:
    """ "Fields: name, price" goes to the name on the line before it."""
    merged: list[str] = []
    at: int | None = None  # the last line with text
    for line in lines:
        match = _FIELDS.match(line)
        head = merged[at].strip(" -*#\u2022:.0123456789)") if at is not None else ""
        if match and at is not None and 1 <= len(head.split()) <= 4 and "," not in head:
            merged[at] = f"{merged[at].rstrip(' :')}: {match['list']}".rstrip()
            del merged[at + 1 :]
        else:
            merged.append(line)
            at = len(merged) - 1 if line.strip() else at
    return merged


def _tables(lines: list[str]) -> list[str]:
    """Rows of cells: a name with its fields, or below a heading one field with its type a row."""
    made: list[str] = []
    columns: list[str] = []
    for line in lines:
        if "|" in line and _RULE.match(line):
            continue
        cells = _cells(line)
        if cells is None:
            made.append(line)
            columns = []
        elif columns and len(cells) <= len(columns):
            made.append(_field_row(dict(zip(columns, cells, strict=False))))
        elif columns_of_fields := _columns_of_fields(cells):
            columns = columns_of_fields
        elif all(cell.lower().split(" ")[-1] in _CELL_HEADS | {"notes", "description", "required"} for cell in cells):
            continue  # the table's own heading
        elif "|" in line.strip()[:1]:
            name, rest = cells[0], ", ".join(cells[1:])
            made.append(f"{name}: {rest}" if is_plural(name.lower().split(" ")[-1]) or "," in rest else f"- {name} ({rest})")
        else:
            made.append(f"{cells[0]}: {', '.join(cells[1:])}")
    return made


def _columns_of_fields(cells: list[str]) -> list[str]:
    """The columns of a table with one field a row ("Field | Type | Required"), in lower case; else nothing."""
    said = [cell.lower().strip(" *_?") for cell in cells]
    return (
        said if said[0] in ("field", "column", "attribute", "property", "field name", "column name", "name") and "type" in said[1:] else []
    )


def _field_row(row: dict[str, str]) -> str:
    name, *_ = row.values()
    asked = row.get("required", row.get("mandatory", "")).lower()
    flag = "required" if asked in ("yes", "y", "true", "x") else "optional" if asked in ("no", "n", "false") else ""
    kind = row.get("type", "")
    if re.fullmatch(r"[A-Za-z]{2,40}", kind) and kind.lower() not in TYPE_WORDS:
        kind = f"reference to {kind}"
    said = ", ".join(part for part in (kind, flag) if part)
    return f"- {name} ({said})" if said else f"- {name}"


def _cells(line: str) -> list[str] | None:
    """The cells of a row, at least two: between pipes at both ends, or three and more short ones between semicolons."""
    text = line.strip()
    if text.startswith("|") and text.endswith("|") and len(text) > 2:
        cells = [cell.strip() for cell in text[1:-1].split("|")]
        return [c for c in cells if c] if sum(map(bool, cells)) >= 2 else None
    cells = [cell.strip() for cell in re.split(r"[;\t]", text)]
    short = all(0 < len(cell.split()) <= _MOST_CELL_WORDS and not re.search(r"[:().?!]", cell) for cell in cells)
    return cells if len(cells) >= 3 and short and not _BULLET.match(line) else None


def _stacks(lines: list[str]) -> list[str]:
    """A name on a line of its own and its fields on the lines below: the fields become bullets."""
    made: list[str] = []
    at = 0
    fits = [_stacked(line) for line in lines]
    while at < len(lines):
        end = at + 1
        while end < len(lines) and end - at <= MAX_FIELDS and fits[end]:
            end += 1
        head, below = lines[at].strip(), lines[at + 1 : end]
        alone = at == 0 or not lines[at - 1].strip()
        if below and alone and _heads(head, below):
            made.append(lines[at].rstrip(" :") + ":")
            made.extend(f"- {line.strip()}" for line in below)
            at = end
        else:
            made.append(lines[at])
            at += 1
    return made


def _stacked(line: str) -> bool:
    text = re.sub(r"\([^()]{0,200}\)", "", line).strip()
    return bool(text) and len(text.split(":")[0].split()) <= _MOST_CELL_WORDS and not _BULLET.match(line) and text[-1] not in ".!?:;,"


def _heads(head: str, below: list[str]) -> bool:
    if _BULLET.match(head) or "," in head or "(" in head or not 1 <= len(head.split()) <= 4:
        return False
    if head.endswith(":"):
        return not any(re.search(r"[:(].*,.*,|\w+ \(.*,", line) for line in below) or not is_plural(
            below[0].split(":")[0].split()[-1].lower()
        )
    plain = [re.split(r"[:(]", line)[0].strip().lower() for line in below]
    known = sum(is_known(label) for label in plain)
    return ":" not in head and len(below) >= 2 and known * 2 >= len(below) and is_plural(head.split()[-1].lower())
