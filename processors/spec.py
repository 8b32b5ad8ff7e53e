"""The specification of an application: what plan understands of a prompt and generate composes from.

It travels between the two stages as JSON, `{"schema": "millrace.spec/1", ...}`; so it lives beside the stages, not in one.
Labels, titles and options are text as a person wrote it and may hold anything printable. Keys are identifiers made from them:
`[a-z][a-z0-9_]*`, unique in their scope, safe to put into code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

SCHEMA = "millrace.spec/1"

FieldType = Literal[
    "text",
    "longtext",
    "email",
    "phone",
    "url",
    "number",
    "integer",
    "money",
    "date",
    "datetime",
    "time",
    "boolean",
    "enum",
    "reference",
]
FIELD_TYPES: tuple[str, ...] = get_args(FieldType)

MAX_ENTITIES = 40
MAX_FIELDS = 60
MAX_OPTIONS = 60
MAX_LABEL = 80
MAX_TITLE = 120
MAX_TEXT = 2000

_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
# Columns that every table has; a field of the prompt never gets one of these keys.
RESERVED_KEYS = frozenset({"id", "created_at", "updated_at", "owner_id"})


class InvalidSpec(ValueError):
    """A specification that breaks a rule of this module; the message says which and where."""


@dataclass(frozen=True)
class Field:
    """One property of an entity. `options` belong to an enum, `target` (an entity's key) to a reference."""

    key: str
    label: str
    type: FieldType = "text"
    required: bool = False
    options: tuple[str, ...] = ()
    target: str | None = None
    unit: str = ""


@dataclass(frozen=True)
class Entity:
    """One kind of thing the application keeps. `singular` and `plural` are labels; `fields` are in the order of the prompt."""

    key: str
    singular: str
    plural: str
    fields: tuple[Field, ...]

    @property
    def title_field(self) -> Field:
        """The field that stands for a record in links, selects and headings: the first of a plain text type, else the first."""
        return next((f for f in self.fields if f.type == "text"), self.fields[0])


@dataclass(frozen=True)
class Page:
    """An entry of the navigation: the list of one entity under a title of its own."""

    title: str
    entity: str


@dataclass(frozen=True)
class Theme:
    """What the prompt says of the looks: an accent colour (#rrggbb) and a scheme ("light", "dark", or "" for either)."""

    accent: str = ""
    scheme: Literal["", "light", "dark"] = ""


@dataclass(frozen=True)
class Relation:
    """`child` holds a reference to `parent` in its field `field` (all keys)."""

    child: str
    field: str
    parent: str


@dataclass(frozen=True)
class Spec:
    """A whole application. `notes` say what was assumed or left out, so that nobody has to guess."""

    title: str
    entities: tuple[Entity, ...]
    pages: tuple[Page, ...] = ()
    description: str = ""
    theme: Theme = field(default_factory=Theme)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    @property
    def relations(self) -> tuple[Relation, ...]:
        return tuple(Relation(e.key, f.key, f.target) for e in self.entities for f in e.fields if f.target is not None)

    def entity(self, key: str) -> Entity:
        """The entity with this key; raises KeyError."""
        for entity in self.entities:
            if entity.key == key:
                return entity
        raise KeyError(key)

    def to_json(self) -> bytes:
        """Canonical JSON (UTF-8, sorted keys): the same specification gives the same bytes."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> Spec:
        """Read what `to_json` wrote; raises InvalidSpec on anything else."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidSpec(f"a specification is JSON: {error}") from error
        if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
            raise InvalidSpec(f"a specification has the schema {SCHEMA}")
        try:
            return cls(
                title=document.pop("title"),
                description=document.pop("description"),
                entities=tuple(_entity(e) for e in document.pop("entities")),
                pages=tuple(Page(**p) for p in document.pop("pages")),
                theme=Theme(**document.pop("theme")),
                notes=tuple(document.pop("notes")),
                **document,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidSpec(f"a specification has other members than expected: {error}") from error


def _entity(document: dict[str, Any]) -> Entity:
    fields = tuple(Field(**{**f, "options": tuple(f.get("options", ()))}) for f in document["fields"])
    return Entity(**{**document, "fields": fields})


def _check(spec: Spec) -> None:
    _text(spec.title, "title", MAX_TITLE)
    _text(spec.description, "description", MAX_TEXT, empty=True)
    for index, note in enumerate(spec.notes):
        _text(note, f"notes[{index}]", MAX_TEXT)
    if not 1 <= len(spec.entities) <= MAX_ENTITIES:
        raise InvalidSpec(f"an application has 1 to {MAX_ENTITIES} entities, not {len(spec.entities)}")
    keys = {entity.key for entity in spec.entities}
    _unique((entity.key for entity in spec.entities), "entities")
    for entity in spec.entities:
        _check_entity(entity, keys)
    for page in spec.pages:
        _text(page.title, "page title", MAX_TITLE)
        if page.entity not in keys:
            raise InvalidSpec(f"page {page.title!r} shows an entity that is not there: {page.entity!r}")
    if spec.theme.accent and not re.fullmatch(r"#[0-9a-f]{6}", spec.theme.accent):
        raise InvalidSpec(f"an accent colour is #rrggbb, not {spec.theme.accent!r}")
    if spec.theme.scheme not in ("", "light", "dark"):
        raise InvalidSpec(f"a colour scheme is light or dark, not {spec.theme.scheme!r}")


def _check_entity(entity: Entity, keys: set[str]) -> None:
    where = f"entity {entity.key!r}"
    _key(entity.key, where)
    _text(entity.singular, f"{where} singular", MAX_LABEL)
    _text(entity.plural, f"{where} plural", MAX_LABEL)
    if not 1 <= len(entity.fields) <= MAX_FIELDS:
        raise InvalidSpec(f"{where} has {len(entity.fields)} fields; 1 to {MAX_FIELDS} are possible")
    _unique((f.key for f in entity.fields), f"{where} fields")
    for f in entity.fields:
        here = f"{where} field {f.key!r}"
        _key(f.key, here)
        if f.key in RESERVED_KEYS:
            raise InvalidSpec(f"{here}: this key belongs to every table")
        _text(f.label, f"{here} label", MAX_LABEL)
        _text(f.unit, f"{here} unit", MAX_LABEL, empty=True)
        if f.type not in FIELD_TYPES:
            raise InvalidSpec(f"{here} has the unknown type {f.type!r}")
        if not isinstance(f.required, bool):
            raise InvalidSpec(f"{here}: required is true or false")
        if (f.type == "enum") != bool(f.options) or len(f.options) > MAX_OPTIONS:
            raise InvalidSpec(f"{here}: an enum, and only an enum, has 1 to {MAX_OPTIONS} options")
        for option in f.options:
            _text(option, f"{here} option", MAX_LABEL)
        _unique((option.casefold() for option in f.options), f"{here} options")
        if (f.type == "reference") != (f.target is not None) or (f.target is not None and f.target not in keys):
            raise InvalidSpec(f"{here}: a reference, and only a reference, names an entity of the application as its target")


def _key(key: object, where: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidSpec(f"{where}: a key is {_KEY.pattern}, not {key!r}")


def _text(text: object, where: str, limit: int, *, empty: bool = False) -> None:
    if not isinstance(text, str) or not (text.strip() or empty):
        raise InvalidSpec(f"{where} is empty or no text")
    if len(text) > limit:
        raise InvalidSpec(f"{where} is {len(text)} characters long; {limit} are possible")
    if not text.isprintable():
        raise InvalidSpec(f"{where} holds characters that cannot be printed")


def _unique(values: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise InvalidSpec(f"{where}: {value!r} is there twice")
        seen.add(value)
