"""What the grammar finds, before it is a specification."""

from __future__ import annotations

from dataclasses import dataclass, field

from processors.spec import FieldType


@dataclass
class FieldDraft:
    """A field as it was written. `type` is None where nothing but the label tells it; `target` is a noun phrase."""

    label: str
    type: FieldType | None = None
    required: bool | None = None
    options: tuple[str, ...] = ()
    unit: str = ""
    target: str = ""
    definite: bool = False  # written with a determiner or a hint, as fields are and features are not


@dataclass
class EntityDraft:
    """Something the application keeps. `name` is the noun phrase as written."""

    name: str
    fields: list[FieldDraft] = field(default_factory=list)
    curated: bool = False  # named as what is managed, tracked, stored
    plural: bool = False  # written in the plural, or with each and every
