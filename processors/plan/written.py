"""The written specification: YAML that lists entities with their fields.

    title: Shop                       # optional, as are description, theme and pages
    entities:
      - name: product
        fields: [name, "price: money", {name: size, options: [S, M, L]}, "supplier: reference"]
      - name: supplier
        fields: [name, "country: text required"]
    pages: [products, suppliers]

What is written is read node by node and as text, never as Python values: so every message names a line, `no` stays a name, and neither
an alias nor a tag nor a deep nest gets anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NoReturn

import yaml

from processors.plan.assemble import assemble
from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.errors import BadPrompt
from processors.plan.fieldtypes import CURRENCIES, TYPE_WORDS, UNITS
from processors.plan.look import color, theme_of
from processors.plan.words import clean, singular_phrase
from processors.spec import (
    FIELD_TYPES,
    MAX_ENTITIES,
    MAX_FIELDS,
    MAX_LABEL,
    MAX_OPTIONS,
    MAX_TEXT,
    MAX_TITLE,
    InvalidSpec,
    Page,
    Spec,
    Theme,
)

_MAX_DEPTH = 10
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))
_MAX_NODES = 20_000
_FENCE = re.compile(r"```(?:ya?ml|json)?[^\S\n]*\n(.*?)\n\s*```", re.S)
_STARTS = re.compile(r"^(?:entities\s*:|[\"']?entities[\"']?\s*:)", re.M)
_TOP = ("title", "name", "app", "description", "entities", "pages", "theme", "color", "colour", "accent")
_ENTITY = ("name", "fields", "plural", "label", "description")
_FIELD = (
    "name",
    "type",
    "required",
    "optional",
    "options",
    "values",
    "label",
    "target",
    "entity",
    "references",
    "to",
    "unit",
    "currency",
    "description",
)


def is_written(text: str) -> str | None:
    """The YAML of a prompt that is a written specification, else None. It may stand in a fence, or be JSON."""
    for block in _FENCE.findall(text):
        if _STARTS.search(block) or '"entities"' in block:
            return str(block)
    if _STARTS.search(text) or (text.lstrip().startswith("{") and re.search(r"[\"']?entities[\"']?\s*:", text)):
        return text
    return None


def read_written(text: str) -> Spec:
    """Read a written specification; raises BadPrompt (`bad_spec`) with the line of what is wrong."""
    root = _parse(text)
    members = _mapping(root, "the specification", _TOP)
    if "entities" not in members:
        _fail(root, "the specification has no entities")
    drafts = _entities(members["entities"])
    if not drafts:
        _fail(members["entities"], "the specification lists no entities")
    title = _first_text(members, ("title", "name", "app"), MAX_TITLE)
    description = _text(members["description"], "the description", MAX_TEXT) if "description" in members else ""
    try:
        spec = assemble(drafts, [], title=title, description=description, theme=_theme(members))
        return _with_pages(spec, members["pages"]) if "pages" in members else spec
    except InvalidSpec as error:
        raise BadPrompt("bad_spec", f"the specification makes no application: {error}") from error


# -- YAML ---------------------------------------------------------------------------------------------------------------------


def _parse(text: str) -> yaml.Node:
    text = text.replace("\t", "    ")
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark: yaml.Mark | None = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise BadPrompt("bad_spec", f"{where}this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadPrompt("bad_spec", f"this is no YAML: {error}") from error
    if node is None:
        raise BadPrompt("bad_spec", "the specification is empty")
    return node


def _check_events(text: str) -> None:
    """Refuses aliases (a few lines of them can mean gigabytes), nests and sheer numbers before anything is built."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadPrompt(
                "bad_spec",
                f"line {line}: anchors and aliases (& and *) are not possible in a specification; quote text that begins with them",
            )
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            tag = getattr(event, "tag", None)
            if tag is not None and tag not in _TAGS:
                raise BadPrompt("bad_spec", f"line {line}: tags (!) are not possible in a specification; quote text that begins with one")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise BadPrompt("bad_spec", f"line {line}: nested more than {_MAX_DEPTH} levels deep")
        if nodes > _MAX_NODES:
            raise BadPrompt("bad_spec", f"line {line}: more than {_MAX_NODES} values")
        if documents > 1:
            raise BadPrompt("bad_spec", f"line {line}: a second document; a specification is one")


def _fail(node: yaml.Node, message: str) -> NoReturn:
    raise BadPrompt("bad_spec", f"line {node.start_mark.line + 1}: {message}")


def _mapping(node: yaml.Node, what: str, allowed: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        _fail(node, f"{what} is a mapping of names to values, not {_kind(node)}")
    members: dict[str, yaml.Node] = {}
    for name_node, value in node.value:
        name = _text(name_node, f"a name in {what}", MAX_LABEL)
        folded = name.lower() if allowed else name
        if allowed and folded not in allowed:
            _fail(name_node, f"{what} has no member {name!r}; it may have {', '.join(allowed)}")
        if folded in members:
            _fail(name_node, f"{name!r} is there twice in {what}")
        members[folded] = value
    return members


def _sequence(node: yaml.Node, what: str, limit: int) -> list[yaml.Node]:
    if isinstance(node, yaml.ScalarNode) and node.style is None and not node.value.strip():
        return []
    if not isinstance(node, yaml.SequenceNode):
        _fail(node, f"{what} is a list, not {_kind(node)}")
    if len(node.value) > limit:
        _fail(node, f"{what} has {len(node.value)} items; {limit} are possible")
    return list(node.value)


def _text(node: yaml.Node, what: str, limit: int) -> str:
    if not isinstance(node, yaml.ScalarNode):
        _fail(node, f"{what} is a text, not {_kind(node)}")
    text = clean(node.value)
    if not text:
        _fail(node, f"{what} is empty")
    if len(text) > limit:
        _fail(node, f"{what} is {len(text)} characters long; {limit} are possible")
    return text


def _kind(node: yaml.Node) -> str:
    return {"ScalarNode": "a text", "SequenceNode": "a list", "MappingNode": "a mapping"}.get(type(node).__name__, "this")


def _first_text(members: dict[str, yaml.Node], names: tuple[str, ...], limit: int) -> str:
    return next((_text(members[name], f"the {name}", limit) for name in names if name in members), "")


# -- entities and fields ------------------------------------------------------------------------------------------------------


def _entities(node: yaml.Node) -> list[EntityDraft]:
    if isinstance(node, yaml.MappingNode):  # entities: {product: [name, price]}
        drafts = [_entity_named(name, value) for name, value in node.value]
        if len(drafts) > MAX_ENTITIES:
            _fail(node, f"the entities are {len(drafts)}; {MAX_ENTITIES} are possible")
    else:
        drafts = [_entity(item) for item in _sequence(node, "the list of entities", MAX_ENTITIES)]
    seen: dict[str, EntityDraft] = {}
    for draft in drafts:
        name = singular_phrase(draft.name.lower())
        if name in seen:
            _fail(node, f"the entity {draft.name!r} is there twice")
        seen[name] = draft
    _check_references(node, drafts, seen)
    return drafts


def _check_references(node: yaml.Node, drafts: list[EntityDraft], known: dict[str, EntityDraft]) -> None:
    for draft in drafts:
        for field in draft.fields:
            target = field.target or field.label
            if field.type == "reference" and not any(singular_phrase(w) in known for w in _tails(target)):
                _fail(
                    node,
                    f"the field {field.label!r} of {draft.name!r} refers to {target!r}, which is no entity; there are {', '.join(known)}",
                )


def _tails(phrase: str) -> Iterator[str]:
    words = phrase.lower().split(" ")
    return (" ".join(words[i:]) for i in range(len(words)))


def _entity(node: yaml.Node) -> EntityDraft:
    if isinstance(node, yaml.ScalarNode):
        return EntityDraft(_name(node, "the name of an entity"), curated=True)
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1 and getattr(node.value[0][0], "value", "") not in _ENTITY:
        name, value = node.value[0]
        return _entity_named(name, value)  # - product: [name, price]
    members = _mapping(node, "an entity", _ENTITY)
    if "name" not in members:
        _fail(node, "an entity has a name")
    draft = EntityDraft(_name(members["name"], "the name of an entity"), curated=True)
    if "plural" in members:
        draft.name = _name(members["plural"], "the plural of an entity")
    draft.fields = _fields(members["fields"], draft.name) if "fields" in members else []
    return draft


def _entity_named(name: yaml.Node, value: yaml.Node) -> EntityDraft:
    draft = EntityDraft(_name(name, "the name of an entity"), curated=True)
    if isinstance(value, yaml.MappingNode) and any(getattr(n, "value", "") == "fields" for n, _ in value.value):
        draft.fields = _fields(_mapping(value, f"the entity {draft.name!r}", _ENTITY)["fields"], draft.name)
    else:
        draft.fields = _fields(value, draft.name)
    return draft


def _name(node: yaml.Node, what: str) -> str:
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", _text(node, what, MAX_LABEL)).replace("_", " ")
    name = clean(text)
    if not any(c.isalnum() for c in name):
        _fail(node, f"{what} has no letter in it: {name!r}")
    return name


def _fields(node: yaml.Node, entity: str) -> list[FieldDraft]:
    what = f"the list of fields of {entity!r}"
    if isinstance(node, yaml.ScalarNode):  # products: name, price
        parts = [part for part in re.split(r"[,;]", node.value) if part.strip()]
        return [_field_text(node, part, entity) for part in parts]
    if isinstance(node, yaml.MappingNode):  # fields: {name: text, price: money}
        fields = [_field_typed(name, value, entity) for name, value in node.value]
    else:
        fields = [_field(item, entity) for item in _sequence(node, what, MAX_FIELDS)]
    if len(fields) > MAX_FIELDS:
        _fail(node, f"{what} has {len(fields)} items; {MAX_FIELDS} are possible")
    seen: set[str] = set()
    for field in fields:
        if field.label.lower() in seen:
            _fail(node, f"the field {field.label!r} is there twice in {entity!r}")
        seen.add(field.label.lower())
    return fields


def _field(node: yaml.Node, entity: str) -> FieldDraft:
    if isinstance(node, yaml.ScalarNode):
        return _field_text(node, _text(node, f"a field of {entity!r}", MAX_TITLE), entity)
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1 and getattr(node.value[0][0], "value", "") != "name":
        name, value = node.value[0]
        return _field_typed(name, value, entity)  # - price: money
    what = f"a field of {entity!r}"
    members = _mapping(node, what, _FIELD)
    if "name" not in members:
        _fail(node, f"{what} has a name")
    draft = FieldDraft(_name(members["label"] if "label" in members else members["name"], f"the name of {what}"), definite=True)
    if "type" in members:
        _apply_type(members["type"], _text(members["type"], f"the type of {draft.label!r}", MAX_TITLE), draft)
    for name in ("options", "values"):
        if name in members:
            options = _sequence(members[name], f"the options of {draft.label!r}", MAX_OPTIONS)
            draft.options = tuple(_text(o, f"an option of {draft.label!r}", MAX_LABEL) for o in options)
            draft.type = "enum"
    for name in ("target", "entity", "references", "to"):
        if name in members:
            draft.type, draft.target = "reference", _name(members[name], f"the target of {draft.label!r}")
    for name in ("unit", "currency"):
        if name in members:
            draft.unit = _text(members[name], f"the unit of {draft.label!r}", MAX_LABEL)
    for name, meaning in (("required", True), ("optional", False)):
        if name in members:
            draft.required = meaning == _flag(members[name], name)
    if draft.type == "enum" and not draft.options:
        _fail(node, f"the field {draft.label!r} of {entity!r} is an enum and has no options")
    return draft


def _flag(node: yaml.Node, what: str) -> bool:
    text = _text(node, what, MAX_LABEL).lower()
    if text not in ("true", "false", "yes", "no"):
        _fail(node, f"{what} is true or false, not {text!r}")
    return text in ("true", "yes")


def _field_typed(name: yaml.Node, value: yaml.Node, entity: str) -> FieldDraft:
    draft = FieldDraft(_name(name, f"the name of a field of {entity!r}"), definite=True)
    if isinstance(value, yaml.SequenceNode):  # - size: [S, M, L]
        options = _sequence(value, f"the options of {draft.label!r}", MAX_OPTIONS)
        draft.type, draft.options = "enum", tuple(_text(o, f"an option of {draft.label!r}", MAX_LABEL) for o in options)
        if not options:
            _fail(value, f"the field {draft.label!r} of {entity!r} has an empty list of options")
    elif isinstance(value, yaml.ScalarNode):
        if value.value.strip():
            _apply_type(value, value.value, draft)
    else:
        _fail(value, f"the type of {draft.label!r} is a text, not a mapping")
    return draft


def _field_text(node: yaml.Node, text: str, entity: str) -> FieldDraft:
    """ "price", "price: money", "size: S | M | L", "email?" (optional), "name!" (required)."""
    name, _, kind = text.partition(":")
    name = clean(name)
    draft = FieldDraft("", definite=True)
    if name.endswith(("?", "!", "*")):
        draft.required = name[-1] != "?"
        name = name[:-1].rstrip()
    draft.label = _name(yaml.ScalarNode("tag:yaml.org,2002:str", name, node.start_mark), f"the name of a field of {entity!r}")
    if len(draft.label) > MAX_LABEL:
        _fail(node, f"the name of a field of {entity!r} is {len(draft.label)} characters long; {MAX_LABEL} are possible")
    if kind.strip():
        _apply_type(node, kind, draft)
    return draft


_FLAGS = re.compile(r"\b(?P<required>required|mandatory|not null)\b|\b(?P<optional>optional|nullable)\b", re.I)
_LISTED = re.compile(
    r"^(?:(?:enum|select|choice|choices|one of|options?)\s*:?\s*)?[(\[]?(?P<list>[^()\[\]]+(?:[|,/]| or )[^()\[\]]+)[)\]]?$", re.I
)
_REFERS = re.compile(
    r"^(?:references?|relation|ref|belongs to|lookup|fk|foreign key|link)\b\s*(?:to\b)?\s*[(:]?\s*(?P<to>[^()]+?)\)?$", re.I
)


def _apply_type(node: yaml.Node, text: str, draft: FieldDraft) -> None:
    """What stands behind a field's colon: a type, choices or an entity, perhaps with "required" or "optional"."""
    for flag in _FLAGS.finditer(text):
        draft.required = flag["required"] is not None
    kind = clean(_FLAGS.sub(" ", text)).strip(" ,;").lower()
    if kind.endswith(("?", "!")):
        draft.required = kind[-1] == "!"
        kind = kind[:-1]
    plain = clean(_FLAGS.sub(" ", text)).strip(" ,;?!")
    if not kind:
        return
    if kind in TYPE_WORDS and kind != "enum":
        draft.type = TYPE_WORDS[kind]
        if draft.type == "money":
            draft.unit = CURRENCIES.get(kind, "")
    elif unit := re.fullmatch(r"(?P<type>\w+)\s*(?:\(|in\s)\s*(?P<unit>[^()\s]+)\s*\)?", kind):
        if TYPE_WORDS.get(unit["type"]) in ("money", "number", "integer") and (unit["unit"] in CURRENCIES or unit["unit"] in UNITS):
            draft.type, draft.unit = TYPE_WORDS[unit["type"]], CURRENCIES.get(unit["unit"], unit["unit"])
        else:
            _other_type(node, kind, plain, draft)
    else:
        _other_type(node, kind, plain, draft)


def _other_type(node: yaml.Node, kind: str, plain: str, draft: FieldDraft) -> None:
    if refers := _REFERS.match(plain):
        draft.type, draft.target = "reference", clean(refers["to"].replace("_", " "))
    elif listed := _LISTED.match(plain):
        options = [clean(o).strip("'\"") for o in re.split(r"[|,/]|\bor\b", listed["list"])]
        draft.type, draft.options = "enum", tuple(dict.fromkeys(o for o in options if o))
        if len(draft.options) > MAX_OPTIONS or any(len(o) > MAX_LABEL for o in draft.options):
            _fail(node, f"the options of {draft.label!r} are too many or too long")
    elif kind == "enum":
        _fail(node, f"the field {draft.label!r} is an enum and has no options; write for example enum(low, medium, high)")
    elif re.fullmatch(r"(?:var)?char(?:acter)?\s*\(\s*\d+\s*\)", kind):
        draft.type = "text"
    elif re.fullmatch(r"(?:numeric|decimal)\s*\(.*\)", kind):
        draft.type = "number"
    else:
        draft.target = clean(plain.replace("_", " "))  # an entity's name, or nothing we know: checked once all entities are there
        draft.type = "reference"
        if not re.fullmatch(r"[\w -]+", plain):
            _unknown_type(node, plain, draft)


def _unknown_type(node: yaml.Node, kind: str, draft: FieldDraft) -> NoReturn:
    _fail(
        node,
        f"the field {draft.label!r} has the unknown type {kind[:60]!r}; types are {', '.join(FIELD_TYPES)}, choices (a | b | c) or the name of an entity",
    )


# -- the rest -----------------------------------------------------------------------------------------------------------------


def _theme(members: dict[str, yaml.Node]) -> Theme:
    accent, scheme = "", ""
    for name in ("color", "colour", "accent"):
        if name in members:
            text = _text(members[name], f"the {name}", MAX_LABEL)
            accent = color(text)
            if not accent:
                _fail(members[name], f"the {name} is a colour's name or #rrggbb, not {text!r}")
    if "theme" in members:
        text = _text(members["theme"], "the theme", MAX_LABEL)
        said = theme_of(f"{text} theme")
        accent, scheme = accent or said.accent or color(text), said.scheme
    kept: Literal["", "light", "dark"] = "dark" if scheme == "dark" else "light" if scheme == "light" else ""
    return Theme(accent, kept)


def _with_pages(spec: Spec, node: yaml.Node) -> Spec:
    """The navigation in the order of the pages; entities without a page stand at its end, so that everything can be reached."""
    known = {singular_phrase(e.plural.lower()): e for e in spec.entities}
    found: dict[str, Page] = {}
    notes = list(spec.notes)
    for item in _sequence(node, "the list of pages", 2 * MAX_ENTITIES):
        title, entity = _page(item)
        words = re.sub(
            r"\b(?:list|page|overview|table|all|the|detail|details|form|new|edit)\b", " ", (entity or title).lower().replace("_", " ")
        )
        match = known.get(singular_phrase(clean(words)) if clean(words) else "")
        if match is None and entity:
            _fail(item, f"the page {title!r} shows {entity!r}, which is no entity; there are {', '.join(known)}")
        if match is None:
            notes.append(f"The page {title!r} shows no entity and is left out; an overview is always there.")
        elif match.key not in found:
            found[match.key] = Page(title if entity else match.plural, match.key)
    pages = [*found.values(), *(p for p in spec.pages if p.entity not in found)]
    return Spec(spec.title, spec.entities, tuple(pages), spec.description, spec.theme, tuple(notes))


def _page(node: yaml.Node) -> tuple[str, str]:
    if isinstance(node, yaml.ScalarNode):
        return _text(node, "a page", MAX_TITLE), ""
    members = _mapping(node, "a page", ("title", "name", "entity", "type", "kind"))
    entity = _text(members["entity"], "the entity of a page", MAX_LABEL) if "entity" in members else ""
    title = _first_text(members, ("title", "name"), MAX_TITLE) or entity
    if not title:
        _fail(node, "a page has a title or an entity")
    return title, entity
