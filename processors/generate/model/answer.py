"""From a model's text to a spec and files: fixed where the intent is plain, refused where it is not.

This is the deterministic half of repair for what a model says: fences around JSON, names that are no keys, types by other names, options on a field that
is no choice. Nothing here widens what an application may do: the result passes the same checks as a spec that a person wrote.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from processors.spec import (
    FIELD_TYPES,
    MAX_LABEL,
    MAX_OPTIONS,
    MAX_TEXT,
    MAX_TITLE,
    RESERVED_KEYS,
    Entity,
    Field,
    FieldType,
    InvalidSpec,
    Spec,
    Theme,
)
from processors.toolchain.project import ProjectError, check_name

MAX_FILES = 40
MAX_FILE_BYTES = 128 << 10
TREE = re.compile(r"(?:src/(?:[\w.-]+/)*[\w.-]+\.(?:ts|tsx|css)|supabase/migrations/[\w.-]+\.sql)")
"""Where a model may write; what builds, frames and secures the application lies outside."""
FRAME = frozenset({"src/main.tsx", "src/env.d.ts", "supabase/migrations/0000_platform.sql"})

_FENCE = re.compile(r"^\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*$", re.S)
_SYNONYMS: Mapping[str, FieldType] = {
    "string": "text", "str": "text", "varchar": "text", "char": "text", "uuid": "text", "name": "text", "textarea": "longtext", "multiline": "longtext", "markdown": "longtext",
    "tel": "phone", "telephone": "phone", "link": "url", "uri": "url", "float": "number", "decimal": "number", "double": "number", "numeric": "number", "percent": "number",
    "int": "integer", "bigint": "integer", "count": "integer", "currency": "money", "price": "money", "timestamp": "datetime", "date-time": "datetime", "bool": "boolean",
    "checkbox": "boolean", "select": "enum", "choice": "enum", "option": "enum", "status": "enum", "relation": "reference", "foreign_key": "reference", "ref": "reference",
}  # fmt: skip


class Unusable(ValueError):
    """The answer cannot be made into an application; the message says why, for the model and for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    spec: Spec
    files: Mapping[str, str]
    fixed: tuple[str, ...] = ()
    """What was fixed, one code a kind of fix."""

    def to_json(self) -> bytes:
        """Canonical: what is kept of an answer, and what a repair starts from."""
        document = {"spec": {"schema": "millrace.spec/1", **asdict(self.spec)}, "files": dict(self.files)}
        return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Answer:
        document = json.loads(data)
        return cls(Spec.from_json(json.dumps(document["spec"])), document["files"])


def read_answer(text: str, *, files: bool, base: Answer | None = None) -> Answer:
    """Raises :class:`Unusable`. ``base``: the answer that this one repairs, kept where it says nothing."""
    fixed: list[str] = []
    document = _json(text, fixed)
    said = document.get("spec", document if "entities" in document else None)
    if said is None and base is not None:
        spec = base.spec
    else:
        spec = _spec(said, fixed)
    written = dict(base.files) if base else {}
    if files:
        written |= _files(document.get("files"))
    return Answer(spec, dict(sorted(written.items())), tuple(dict.fromkeys(fixed)))


def _json(text: str, fixed: list[str]) -> dict[str, Any]:
    if match := _FENCE.match(text):
        text = match[1]
        fixed.append("fence")
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise Unusable("the answer is nested too deeply") from error
    except ValueError as error:
        begin, end = text.find("{"), text.rfind("}")
        try:
            document = json.loads(text[begin : end + 1])
        except (ValueError, RecursionError):
            raise Unusable(f"the answer is no JSON: {error}") from error
        fixed.append("prose")
    if not isinstance(document, dict):
        raise Unusable("the answer is JSON, but no object")
    return document


def _spec(said: Any, fixed: list[str]) -> Spec:
    if not isinstance(said, dict):
        raise Unusable("the answer has no spec")
    entities = said.get("entities")
    if not isinstance(entities, list) or not entities:
        raise Unusable("the spec has no entities")
    drafts = [e for e in entities if isinstance(e, dict)]
    taken: set[str] = set()
    keys: list[str] = []
    names: dict[str, str] = {}
    for draft in drafts:
        plural = _line(draft.get("plural") or draft.get("name") or draft.get("singular"), MAX_LABEL)
        key = _key(plural, taken, "thing")
        keys.append(key)
        for name in (plural, draft.get("singular"), draft.get("name"), draft.get("key"), key):
            if isinstance(name, str) and name.strip():
                names.setdefault(name.strip().casefold(), key)
    theme: dict[str, Any] = said["theme"] if isinstance(said.get("theme"), dict) else {}
    accent, scheme = str(theme.get("accent") or "").lower(), str(theme.get("scheme") or "").lower()
    try:
        return Spec(
            title=_line(said.get("title"), MAX_TITLE) or "Application",
            description=_line(said.get("description"), MAX_TEXT),
            entities=tuple(_entity(d, k, names, fixed) for d, k in zip(drafts, keys, strict=True)),
            theme=Theme(accent if re.fullmatch(r"#[0-9a-f]{6}", accent) else "", cast(Any, scheme if scheme in ("light", "dark") else "")),
            notes=tuple(note for n in _list(said.get("notes")) if (note := _line(n, MAX_TEXT)))[:20],
        )
    except InvalidSpec as error:
        raise Unusable(f"the spec breaks a rule: {error}") from error


def _entity(draft: Mapping[str, Any], key: str, names: Mapping[str, str], fixed: list[str]) -> Entity:
    plural = _line(draft.get("plural") or draft.get("name") or draft.get("singular"), MAX_LABEL) or key
    singular = _line(draft.get("singular"), MAX_LABEL) or plural
    fields: list[Field] = []
    taken = set(RESERVED_KEYS)
    for said in _list(draft.get("fields")):
        said = {"label": said} if isinstance(said, str) else said
        if not isinstance(said, dict):
            continue
        label = _line(said.get("label") or said.get("name") or said.get("key"), MAX_LABEL)
        if not label:
            continue
        if label.casefold().replace(" ", "_") in RESERVED_KEYS:
            fixed.append("reserved_field")  # every record has these
            continue
        fields.append(_field(said, label, _key(label, taken, "field"), names, fixed))
    if not fields:
        raise Unusable(f"{plural!r} has no fields")
    return Entity(key, singular, plural, tuple(fields))


def _field(said: Mapping[str, Any], label: str, key: str, names: Mapping[str, str], fixed: list[str]) -> Field:
    kind = str(said.get("type") or "text").strip().casefold()
    if kind not in FIELD_TYPES:
        kind = _SYNONYMS.get(kind, "text")
        fixed.append("type")
    options = tuple(dict.fromkeys(o for raw in _list(said.get("options")) if (o := _line(raw, MAX_LABEL))))
    options = tuple({o.casefold(): o for o in reversed(options)}[c] for c in dict.fromkeys(o.casefold() for o in options))[:MAX_OPTIONS]
    target = said.get("target")
    aimed = names.get(str(target).strip().casefold()) if target else None
    if kind == "enum" and not options:
        kind = "text"
        fixed.append("options")
    elif kind != "enum" and options:
        if kind == "text":
            kind = "enum"
        else:
            options = ()
        fixed.append("options")
    if kind == "reference" and aimed is None:
        kind = "text"
        fixed.append("target")
    elif kind != "reference" and aimed is not None:
        aimed = None
        fixed.append("target")
    unit = _line(said.get("unit"), MAX_LABEL)
    return Field(key, label, cast(FieldType, kind), said.get("required") is True, options, aimed, unit)


def _files(said: Any) -> dict[str, str]:
    """Files by path. Raises :class:`Unusable` for one outside the allow-listed tree: it is named, so that the model can do without."""
    out: dict[str, str] = {}
    for item in _list(said):
        if not isinstance(item, dict) or not isinstance(item.get("path"), str) or not isinstance(item.get("content"), str):
            raise Unusable("a file has a path and a content, both text")
        path, content = item["path"].removeprefix("./"), item["content"]
        try:
            check_name(path)
        except ProjectError as error:
            raise Unusable(str(error)) from error
        if not TREE.fullmatch(path) or path in FRAME:
            raise Unusable(
                f"{path[:200]!r} is not a place where files may be written: only .ts, .tsx and .css under src/ and .sql under supabase/migrations/"
            )
        if len(content.encode(errors="replace")) > MAX_FILE_BYTES:
            raise Unusable(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        if path in out:
            raise Unusable(f"{path} is there twice")
        out[path] = content
    if len(out) > MAX_FILES:
        raise Unusable(f"{len(out)} files; at most {MAX_FILES} may be written")
    return out


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _line(value: Any, limit: int) -> str:
    """A text as one printable line of at most ``limit`` characters."""
    if not isinstance(value, str):
        return ""
    value = unicodedata.normalize("NFC", " ".join(value.split()))
    return "".join(c for c in value if c.isprintable())[:limit].strip()


def _key(label: str, taken: set[str], otherwise: str) -> str:
    """An identifier of its own made from a label; ``taken`` grows by it."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40].strip("_")
    if not base or not base[0].isalpha():
        base = f"{otherwise}_{base}".strip("_")
    key, n = base, 2
    while key in taken:
        key, n = f"{base}_{n}", n + 1
    taken.add(key)
    return key
