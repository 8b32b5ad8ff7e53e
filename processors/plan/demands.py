"""Sentences that say which fields must be filled in: "Title and author are mandatory", "the name may not be empty"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.fieldtypes import is_known
from processors.plan.lexicon import lexicon
from processors.plan.words import singular_phrase
from processors.spec import MAX_FIELDS

_SENTENCE = re.compile(r"(?<![^.;\n])[^.;\n]{6,240}(?![^.;\n])")
_MUST = re.compile(
    r" (?:(?:is|are|must be|should be|has to be|have to be|needs? to be) (?:always |both |all |a )?"
    r"(?:required|mandatory|compulsory|obligatory|filled in|filled out|provided|entered|given)"
    r"|must (?:always |both |all )?(?:be (?:present|set|filled|filled in|filled out|given|entered|provided)|not be (?:empty|blank|missing|left (?:empty|blank|out)))"
    r"|(?:may not|cannot|can't|can not|mustn't|shouldn't|should not|may never|can never|must never) be "
    r"(?:empty|blank|missing|omitted|left (?:empty|blank|out)))\b(?: fields?| in| too)?",
    re.I,
)
_BEFORE = re.compile(r"^[-*\u2022\s]*(?:and |the |both |an? |every |each |its |their |fields? )*", re.I)
_AFTER = re.compile(r" (?:itself|themselves|fields?)$| (?:of|for) (?:an?|the|every|each) [\w -]+$", re.I)
_OWNER = re.compile(r"^[\w -]*\w's? (?=\w)", re.I)  # "a book's title"
# Words of sentences that say more than which fields are meant.
_MORE = lexicon("has have had with which that where who whether if when is are was were be must should can may not")
# What is demanded of those who use an application, and what stands for fields already declared.
_NO_FIELD = lexicon(
    "all any both everything each login logins password passwords registration account accounts it they these those this that"
)
_ALL = re.compile(
    r"(?:[,;]? (?:and )?|\b)(?<!not )all (?:of )?(?:the |its |their |these )?fields (?:are|must be) (?:required|mandatory|compulsory|filled in)\b",
    re.I,
)
_LINE = re.compile(r"^ *(?:[-*\u2022]|\d{1,2}[.)]) *")
_INDENT = re.compile(r"^ *")
_WORD = re.compile(r"[\w'/-]*\w")
_MOST_WORDS = 6


@dataclass(frozen=True)
class Demand:
    """A field that a sentence demands, by its label; without a label it is every field.

    `before` is what the text says up to the sentence, in lower case. `field` tells that the sentence declares what is declared nowhere
    else: a usual field is among those it names, so that "login is required" makes no field.
    """

    label: str
    owner: str
    before: str
    field: bool


def without_demands(text: str) -> tuple[str, list[Demand]]:
    """The text without such sentences, and the fields that they name.

    A line of a list keeps those of its fields that are named nowhere else: "- owner and weight are required" declares them.
    """
    demands: list[Demand] = []
    if _ALL.search(text):
        text = _ALL.sub("", text)
        demands.append(Demand("", "", "", False))
    lower = text.casefold()
    words = Counter(_WORD.findall(lower))

    def taken(match: re.Match[str]) -> str:
        must = _MUST.search(match[0])
        if must is None or not re.match(r"$| and |,", match[0][must.end() :]):
            return match[0]
        parts = [_BEFORE.sub("", p.strip()) for p in re.split(r",| and ", match[0][: must.start()]) if p.strip()]
        plain = [_AFTER.sub("", part) for part in parts]
        named = [_OWNER.sub("", part).casefold() for part in plain]
        if not all(re.fullmatch(r"[\w'/ -]+", n) and len(n.split()) <= _MOST_WORDS and not _MORE & set(n.split()) for n in named):
            return match[0]
        under = text[max(0, match.start() - 3) : match.start()].rstrip(" ").endswith(":\n")  # "these fields:"
        whole = text[match.end() : match.end() + 1] in ("", "\n")
        bullet = (_LINE.match(match[0]) or (_INDENT.match(match[0]) if under else None)) if whole else None
        new = [n for n in named if bullet and any(words[w] == 1 for w in _WORD.findall(n)) and not _NO_FIELD & set(n.split())]
        field = any(is_known(n) for n in named)
        for part, one, name in zip(parts, plain, named, strict=True):
            owner = one[: -len(name)] + part[len(one) :]
            declares = field and not _NO_FIELD & set(name.split()) and not (under and name in new)
            demands.append(Demand(name, owner.casefold(), lower[: match.start()] if declares else "", declares))
        return bullet[0] + ", ".join(new) if bullet and new else ""

    return _SENTENCE.sub(taken, text), demands


def demand(drafts: Sequence[EntityDraft], demands: Sequence[Demand]) -> None:
    """Mark the fields that are named so as required; one that is declared only so becomes a field of what the text was about."""
    for said in demands:
        label, found = said.label, False
        for draft in drafts:
            if singular_phrase(draft.name.casefold()) == label and not any(
                f.label.casefold() in (label, "name", "title") for f in draft.fields
            ):
                draft.fields.insert(0, FieldDraft(label))  # "the term itself"
            for field in draft.fields:
                if not label or field.label.casefold() == label or field.label.casefold().startswith(f"{label} "):
                    field.required = found = True
        if (
            said.field
            and not found
            and not _said(drafts, label)
            and (owner := _owner(drafts, said)) is not None
            and len(owner.fields) < MAX_FIELDS
        ):
            owner.fields.append(FieldDraft(label, required=True, definite=True))


def _said(drafts: Sequence[EntityDraft], label: str) -> bool:
    """Whether a field or a thing has these words at the end of its name, in the singular or the plural: "dates" are said of a "due date"."""
    endings = (f" {label}", f" {singular_phrase(label)}", f" {label}s")
    return any(f" {name.casefold()}".endswith(endings) for draft in drafts for name in (draft.name, *(f.label for f in draft.fields)))


def _owner(drafts: Sequence[EntityDraft], said: Demand) -> EntityDraft | None:
    """Whose field is demanded: whose name stands with it, else what was named last before the sentence."""
    names = [(singular_phrase(draft.name.casefold()), draft) for draft in drafts if draft.fields or draft.plural]
    for where in (said.owner, said.before):
        at, draft = max(((where.rfind(name), draft) for name, draft in names), key=lambda one: one[0], default=(-1, None))
        if at >= 0:
            return draft
    return names[0][1] if len(names) == 1 else None
