"""Names and references that travel in records, and the rules they obey."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
MAX_PROMPT_BYTES = 64 << 10
MAX_MEDIA_BYTES = 2_000_000_000
"""What a prompt and a recording may have; checked at the door, and again by the stage that reads them."""
PRIORITIES = ("critical", "high", "normal", "low")
_OBJECT = re.compile(r"object:([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([0-9a-f]{64})\Z")


class BadName(ValueError):
    """A tenant, project, priority or reference that is not one."""


def check_name(value: str, what: str) -> str:
    """Return ``value`` if it may name a tenant or project, else raise :class:`BadName` saying why."""
    if not NAME.match(value):
        shown = value if len(value) <= 80 else value[:77] + "..."
        raise BadName(f"{what} {shown!r} is not a name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit")
    return value


def check_priority(value: str) -> str:
    if value not in PRIORITIES:
        raise BadName(f"priority {value[:40]!r} is none of {', '.join(PRIORITIES)}")
    return value


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A claim check: content in the object store, addressed by its SHA-256 within a tenant."""

    tenant: str
    sha256: str

    @classmethod
    def parse(cls, uri: str) -> ObjectRef:
        """Read ``object:<tenant>/<sha256>``. Every other form, ``file:`` and ``http:`` among them, raises :class:`BadName`."""
        found = _OBJECT.match(uri)
        if not found:
            shown = uri if len(uri) <= 120 else uri[:117] + "..."
            raise BadName(f"{shown!r} is not a reference of the form object:<tenant>/<sha256>; nothing else is fetched")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"object:{self.tenant}/{self.sha256}"

    @property
    def key(self) -> str:
        """The key it lies under in an object store."""
        return f"objects/{self.tenant}/{self.sha256[:2]}/{self.sha256}"
