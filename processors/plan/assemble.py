"""From drafts to a specification: names, types, references, keys, and what has to be filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from processors.plan.defaults import default_fields
from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.fieldtypes import CURRENCIES, before_preposition, infer, is_known
from processors.plan.lexicon import lexicon
from processors.plan.vocabulary import APPS, GENERIC_APPS
from processors.plan.words import clean, is_plural, key, label, plural_phrase, singular, singular_phrase
from processors.spec import MAX_ENTITIES, MAX_FIELDS, MAX_LABEL, MAX_OPTIONS, MAX_TITLE, Entity, Field, FieldType, Page, Spec, Theme

_PLAIN = re.compile(
    r"^(?:small|simple|little|nice|basic|new|modern|clean|web|mobile|online|internal|beautiful|full|tiny|minimal|great|good|easy|quick|custom|own)\s+",
    re.I,
)
# Names of applications that say enough to be a title.
_SPEAKING = lexicon("crm erp inventory library shop store clinic journal diary registry bookkeeping helpdesk intranet")
# Words before a reference's noun that make it another field: "customer name" is a text, "assigned customer" is a customer.
_MOST_PREFIX_WORDS = 2


def assemble(
    drafts: Sequence[EntityDraft],
    titles: Sequence[str],
    *,
    title: str = "",
    description: str = "",
    theme: Theme | None = None,
    notes: Sequence[str] = (),
) -> Spec:
    """Build the specification. Raises InvalidSpec where the drafts break one of its rules."""
    drafts = list(drafts)[:MAX_ENTITIES]
    said = list(notes)
    for draft in drafts:
        if not draft.fields:
            draft.fields = default_fields(draft.name)
            names = ", ".join(f.label for f in draft.fields)
            said.append(f"Nothing is said of the fields of {clean(draft.name)}; assumed: {names}."[:500])
    shouting = all(d.name.isupper() for d in drafts)
    keys = _entity_keys(drafts)
    _children(drafts)
    entities = tuple(_entity(draft, keys, drafts, shouting) for draft in drafts)
    pages = tuple(Page(entity.plural, entity.key) for entity in entities)
    return Spec(
        title=title or _title(titles, entities),
        description=description,
        entities=entities,
        pages=pages,
        theme=theme or Theme(),
        notes=tuple(said),
    )


def _entity_keys(drafts: Sequence[EntityDraft]) -> dict[int, str]:
    keys: dict[int, str] = {}
    for index, draft in enumerate(drafts):
        keys[index] = key(singular_phrase(draft.name.lower()), set(keys.values()), "entity")
    return keys


def _children(drafts: list[EntityDraft]) -> None:
    """ "customers have orders": the reference stands in the order; a list of things is no field of its own."""
    for parent in drafts:
        for field in list(parent.fields):
            words = field.label.lower()
            last = words.split(" ")[-1] if words else ""
            child = _find(drafts, words)
            if child is None or child is parent or not is_plural(last) or field.type or field.options or words == singular_phrase(words):
                continue
            parent.fields.remove(field)
            name = singular_phrase(parent.name.lower())
            if not any(_find(drafts, f.label.lower()) is parent for f in child.fields):
                child.fields.append(FieldDraft(name, "reference", target=name))
        if not parent.fields:
            parent.fields.append(FieldDraft("name"))


def _find(drafts: Sequence[EntityDraft], phrase: str) -> EntityDraft | None:
    wanted = singular_phrase(phrase.lower())
    return next((d for d in drafts if singular_phrase(d.name.lower()) == wanted), None)


def _entity(draft: EntityDraft, keys: dict[int, str], drafts: Sequence[EntityDraft], shouting: bool) -> Entity:
    name = _cased(clean(draft.name), shouting)
    one = singular_phrase(name)
    own = next(keys[i] for i, d in enumerate(drafts) if d is draft)
    fields: list[Field] = []
    taken: set[str] = set()
    # "names, prices and stock" are fields in the plural; "title, authors, journal" are as they are.
    last = [clean(f.label).lower().split(" ")[-1] for f in draft.fields]
    many = sum(is_plural(word) and word not in _PLURAL_FIELDS for word in last) * 2 >= len(last)
    for field in _distinct(draft.fields)[:MAX_FIELDS]:
        if field.type is None and not field.target and not field.options and f" {one.lower()}".endswith(f" {clean(field.label).lower()}"):
            field.type = "text"  # the word of a word: its name, and no other record
        made = _field(field, taken, keys, drafts, shouting, plural=many and not field.definite)
        taken.add(made.key)
        fields.append(made)
    fields = _with_required(fields, taken)
    plural = name if is_plural(name.split(" ")[-1].lower()) and name != one else plural_phrase(one)
    return Entity(own, label(one), label(plural), tuple(fields))


def _distinct(fields: Sequence[FieldDraft]) -> list[FieldDraft]:
    """Each label once; what a later mention adds to an earlier one is kept."""
    found: dict[str, FieldDraft] = {}
    for field in fields:
        name = clean(field.label).lower()
        if not name:
            continue
        earlier = found.setdefault(name, field)
        if earlier is not field:
            earlier.type = earlier.type or field.type
            earlier.options = earlier.options or field.options
            earlier.target = earlier.target or field.target
    return list(found.values())


# Plurals that name one field of a record.
_PLURAL_FIELDS = lexicon("""notes comments instructions details directions ingredients remarks observations symptoms requirements terms steps hours minutes seconds
    days nights weeks months years seats beds bedrooms bathrooms pages copies bottles points calories votes likes views goals laps doors
    passengers pieces units servings portions episodes seasons rounds wins losses sets reps stars slots spaces people miles kilometers
    kilometres contents dimensions specs goods allergies skills tags keywords hobbies interests opening credits lessons""")


def _one(text: str) -> str:
    """ "names" -> "name": the fields of many things are named in the plural as often as in the singular."""
    last = text.split(" ")[-1].lower()
    one = singular(last)
    if (
        one == last
        or before_preposition(text) != text
        or last in _PLURAL_FIELDS
        or (not is_known(one) and one not in ("level", "image", "picture", "photo"))
    ):
        return text
    return text[: len(text) - len(last)] + one


def _field(draft: FieldDraft, taken: set[str], keys: dict[int, str], drafts: Sequence[EntityDraft], shouting: bool, plural: bool) -> Field:
    text = label(_cased(clean(draft.label), shouting))
    if plural:
        text = label(_one(text))
    options = tuple({o.casefold(): label(o) for o in map(clean, draft.options) if o}.values())[:MAX_OPTIONS]
    kind: FieldType
    target: str | None = None
    if (options and len(options) >= 2) or (draft.type == "enum" and options):
        kind = "enum"
    else:
        options = ()
        target = _target(draft, keys, drafts)
        kind = "reference" if target else draft.type if draft.type and draft.type not in ("enum", "reference") else infer(text)
    if draft.unit and kind in ("text", "integer") and draft.type is None:
        kind = "number"
    unit = draft.unit if kind in ("number", "integer", "money") else ""
    if kind == "money":
        unit = CURRENCIES.get(unit.lower(), unit)
    return Field(
        key=key(text, taken),
        label=text,
        type=kind,
        required=bool(draft.required),
        options=options,
        target=target,
        unit=unit[:MAX_LABEL],
    )


def _target(draft: FieldDraft, keys: dict[int, str], drafts: Sequence[EntityDraft]) -> str | None:
    """The key of the entity that a field points to: by what it says, or because its label ends with the entity's name."""
    if draft.type is not None and draft.type != "reference":
        return None
    for phrase in filter(None, (draft.target, draft.label)):
        words = before_preposition(clean(phrase).lower()).split(" ")
        for start in range(min(len(words), _MOST_PREFIX_WORDS + 1)):
            found = _find(drafts, " ".join(words[start:]))
            if found is not None:
                return next(keys[i] for i, d in enumerate(drafts) if d is found)
    # "car" among rentals means one of the "rental cars", where no other thing ends so.
    wanted = singular_phrase(clean(draft.label).lower())
    longer = [i for i, d in enumerate(drafts) if singular_phrase(d.name.lower()).endswith(f" {wanted}")]
    return (
        keys[longer[0]]
        if len(longer) == 1 and infer(wanted) == "text" and wanted not in ("name", "type", "title", "code", "status", "number", "note")
        else None
    )


def _with_required(fields: list[Field], taken: set[str]) -> list[Field]:
    """At least one field must be filled in: the one that names the record, unless the prompt says which."""
    if any(f.required and f.type != "boolean" for f in fields):
        return fields
    order = ("text", "email", "phone", "url", "longtext", "enum", "date", "datetime", "time", "integer", "number", "money", "reference")
    able = [f for f in fields if f.type != "boolean"]
    if not able:
        return [Field(key("name", taken), "Name", "text", required=True), *fields]
    first = min(able, key=lambda f: order.index(f.type))
    return [f if f is not first else Field(f.key, f.label, f.type, True, f.options, f.target, f.unit) for f in fields]


def _cased(text: str, shouting: bool) -> str:
    """Upper-case prompts become ordinary text; acronyms in others stay."""
    if shouting:
        return text.lower()
    return text[:1].lower() + text[1:] if text[:1].isupper() and not text[:2].isupper() else text


def _title(titles: Sequence[str], entities: Sequence[Entity]) -> str:
    for candidate in titles:
        words = clean(candidate)
        while (shorter := _PLAIN.sub("", words)) != words:
            words = shorter
        parts = words.split(" ")
        while parts and parts[-1].lower() in GENERIC_APPS:
            parts = parts[:-1]
        words = " ".join(parts)
        if words and len(words) <= 48 and any(w.lower() not in APPS or w.lower() in _SPEAKING for w in parts):
            return label(words)
    names = [entity.plural if i == 0 else entity.plural[:1].lower() + entity.plural[1:] for i, entity in enumerate(entities[:3])]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return joined[:MAX_TITLE]
