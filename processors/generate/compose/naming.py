"""Names of an entity in code: TypeScript identifiers, file names, the table, the path. All unique, none a reserved word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from processors.spec import Entity, Spec


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names that the generated modules use themselves.
_TAKEN_TYPES = {
    "EntityDefinition",
    "Entities",
    "EntityKey",
    "Repository",
    "Row",
    "Array",
    "Boolean",
    "Number",
    "Object",
    "Promise",
    "Record",
    "String",
}
# The modules' own file beside the entities'.
_TAKEN_FILES = {"index"}
# Top-level addresses that are folders of the build.
_TAKEN_PATHS = {"assets"}

# Reserved in PostgreSQL 18 (Appendix C of its manual: "reserved", also where it can be a function or type).
SQL_RESERVED = _words("""all analyse analyze and any array as asc asymmetric authorization between binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full
    grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right
    select session_user similar some symmetric system_user table tablesample then to trailing true union unique user using
    variadic verbose when where window with""")
_SQL_NAME_MAX = 63


@dataclass(frozen=True)
class Names:
    """`type` Product, `value` product (prefix of constants), `file` product, `table` products, `path` /products."""

    type: str
    value: str
    file: str
    table: str
    path: str


def names(spec: Spec) -> dict[str, Names]:
    """Names for every entity, by its key; the same specification gives the same names."""
    types: set[str] = set(_TAKEN_TYPES)
    files: set[str] = set(_TAKEN_FILES)
    tables: set[str] = set()
    paths: set[str] = set(_TAKEN_PATHS)
    found: dict[str, Names] = {}
    for entity in spec.entities:
        type_name = _unique("".join(part.capitalize() for part in entity.key.split("_")), types, "Item")
        table = _unique(_table(entity), tables, "_table")
        path = _unique(table.replace("_", "-").strip("-"), paths, "-list")
        found[entity.key] = Names(
            type=type_name,
            value=type_name[0].lower() + type_name[1:],
            file=_unique(entity.key.replace("_", "-"), files, "-entity"),
            table=table,
            path=f"/{path}",
        )
    return found


def sql_name(name: str) -> str:
    """An identifier as SQL takes it: quoted where PostgreSQL reserves the word."""
    return f'"{name}"' if name in SQL_RESERVED else name


def sql_object_name(*parts: str) -> str:
    """A name for an index or a constraint; where PostgreSQL would cut it, a hash keeps it unique."""
    name = "_".join(parts)
    if len(name) <= _SQL_NAME_MAX:
        return name
    return f"{name[: _SQL_NAME_MAX - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _table(entity: Entity) -> str:
    plural = re.sub(r"[^a-z0-9]+", "_", entity.plural.lower()).strip("_")
    ascii_only = entity.plural.isascii() and plural[:1].isalpha()
    return (plural if ascii_only else entity.key)[:48].strip("_")


def _unique(name: str, taken: set[str], suffix: str) -> str:
    candidate = name
    number = 1
    while candidate in taken or _folded(candidate, taken):
        candidate = f"{name}{suffix}{'' if number == 1 else number}"
        number += 1
    taken.add(candidate)
    return candidate


def _folded(candidate: str, taken: Iterable[str]) -> bool:
    """Whether another name differs in case alone: two such files or constants are a trap."""
    return candidate.casefold() in {name.casefold() for name in taken}
