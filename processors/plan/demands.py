"""Sentences that say which fields must be filled in: "Title and author are mandatory", "the name may not be empty"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.lexicon import lexicon
from processors.plan.words import singular_phrase

_SENTENCE = re.compile(r"[^.;\n]{6,240}(?=[.;\n]|$)")
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
_MOST_WORDS = 6


def without_demands(text: str) -> tuple[str, list[str]]:
    """The text without such sentences, and the labels of the fields that they name."""
    labels: list[str] = []

    def taken(match: re.Match[str]) -> str:
        must = _MUST.search(match[0])
        if must is None or not re.match(r"$| and |,", match[0][must.end() :]):
            return match[0]
        parts = [_AFTER.sub("", _BEFORE.sub("", p.strip())) for p in re.split(r",| and ", match[0][: must.start()]) if p.strip()]
        named = [_OWNER.sub("", part).casefold() for part in parts]
        if not all(re.fullmatch(r"[\w'/ -]+", n) and len(n.split()) <= _MOST_WORDS and not _MORE & set(n.split()) for n in named):
            return match[0]
        labels.extend(named)
        return ""

    return _SENTENCE.sub(taken, text), labels


def demand(drafts: Sequence[EntityDraft], labels: Sequence[str]) -> None:
    """Mark the fields that are named so as required."""
    for label in labels:
        for draft in drafts:
            if singular_phrase(draft.name.casefold()) == label and not any(
                f.label.casefold() in (label, "name", "title") for f in draft.fields
            ):
                draft.fields.insert(0, FieldDraft(label))  # "the term itself"
            for field in draft.fields:
                if field.label.casefold() == label or field.label.casefold().startswith(f"{label} "):
                    field.required = True
