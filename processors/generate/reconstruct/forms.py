"""Forms: fields that one button sends off together become a real form, and what is entered in it a row of a table.

A form is found in the tree that a page was emitted as: the smallest part that holds a button named as one that saves or sends, and at
least two fields before it. Its contents move into a `<form>` that has no box of its own, so that nothing moves on the screen.
Passwords are never columns, and what asks for one (signing in) is a form without a table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .jsx import Code, El, literal
from .names import slug, unique
from .parts import walk
from .tables import Column

_FIELDS = ("Field", "Choice", "Check")
_SENDS = re.compile(
    r"^(?:save|submit|send|add|create|register|apply|ok|done|confirm|continue|next|order|book|pay|post|publish|update|upload|sign (?:in|up)|log ?in|"
    r"subscribe|invite|start|finish|reserve|checkout|check out|place order)\b",
    re.I,
)
_MOST_FIELDS = 20
_ROOM = {"main", "section", "div", "aside", "header"}
_COLUMNS_OF_EVERY_TABLE = frozenset({"row_id", "owner_id", "position"})


@dataclass(frozen=True)
class Form:
    """`name` in code, `title` for people, `table` in SQL; `columns` by the names of the controls, none where nothing is kept."""

    name: str
    title: str
    table: str
    columns: tuple[tuple[str, Column], ...]


@dataclass
class Forms:
    """The forms of one application. The same controls on two pages are one form."""

    tables: set[str]
    """Names of SQL tables that are taken."""
    found: dict[tuple[str, ...], Form] = field(default_factory=dict)
    _names: set[str] = field(default_factory=lambda: {"forms", "form"})

    def find(self, page: El, title: str) -> None:
        """Turn the forms of a page, which is changed, into elements of their own."""
        self._below(page, title)

    def _below(self, el: El, title: str) -> bool:
        """Whether a form was made in this part: then none is made around it."""
        inner = [self._below(c, title) for c in el.children if isinstance(c, El)]
        if any(inner):
            return True
        if el.tag not in _ROOM:
            return False
        parts = walk(el)
        fields = [p for p in parts if p.tag in _FIELDS]
        last = max((i for i, p in enumerate(parts) if p.tag in _FIELDS), default=-1)
        senders = [p for i, p in enumerate(parts) if i > last and p.tag == "button" and _SENDS.match(_text(p).strip())]
        if not 2 <= len(fields) <= _MOST_FIELDS or not senders or any(p.tag in ("table", "form") for p in parts):
            return False
        sender = senders[0]
        form = self._form(fields, _heading(parts) or title, _text(sender).strip())
        sender.attrs["type"] = "submit"
        el.children = [El("DataForm", {"form": Code(form.name)}, el.children)]
        return True

    def _form(self, fields: Sequence[El], heading: str, sends: str) -> Form:
        controls = tuple(dict.fromkeys(str(f.attrs["name"]) for f in fields))
        known = self.found.get(controls)
        if known is not None:
            return known
        words = slug(heading, "entry").split("-")[:3]
        name = unique(words[0] + "".join(w.capitalize() for w in words[1:]), self._names, "")
        name = f"{name}Form" if name[0].isalpha() else f"form{name}"
        taken = set(_COLUMNS_OF_EVERY_TABLE)
        columns = []
        signs_in = any(f.attrs.get("type") == "password" for f in fields)
        for f in fields if not signs_in else ():
            key = slug(str(f.attrs["label"]), str(f.attrs["name"])).replace("-", "_")
            key = unique(key if key[0].isalpha() else f"column_{key}", taken, "_")
            columns.append((str(f.attrs["name"]), Column(key, str(f.attrs["label"]), "boolean" if _ticked(f) else "text")))
        table = unique("_".join([*words, "entries"]), self.tables, "_") if columns else ""
        table = table if not table or table[0].isalpha() else f"table_{table}"
        form = self.found[controls] = Form(name, heading[:80] or sends, table, tuple(columns))
        return form


def _ticked(f: El) -> bool:
    return f.tag == "Check" and f.attrs.get("type") == "checkbox"


def _heading(parts: Sequence[El]) -> str:
    return next((_text(p) for p in parts if re.fullmatch(r"h[1-6]", p.tag)), "")


def _text(el: El) -> str:
    """What is written in an element; else what it is called."""
    said = " ".join(c if isinstance(c, str) else _text(c) for c in el.children if not isinstance(c, Code))
    label = el.attrs.get("aria-label")
    return said or (label if isinstance(label, str) else "")


def module(forms: Sequence[Form]) -> str:
    """The forms as data: which control fills which column."""
    out = ['import { type FormTable } from "./entries";', ""]
    for form in forms:
        out += [f"export const {form.name}: FormTable = {{", f"  title: {literal(form.title)},", f"  table: {literal(form.table)},"]
        out += ["  columns: {", *(f"    {literal(control)}: {literal(c.key)}," for control, c in form.columns), "  },"]
        out += [f"  flags: [{', '.join(literal(c.key) for _, c in form.columns if c.type == 'boolean')}],", "};", ""]
    return "\n".join(out)
