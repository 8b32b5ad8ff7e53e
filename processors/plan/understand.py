"""From the text of a prompt to a specification, without a language model."""

from __future__ import annotations

import json
import re

from processors.plan.assemble import assemble
from processors.plan.defaults import is_usual, kept_by_name
from processors.plan.demands import demand, without_demands
from processors.plan.drafts import EntityDraft
from processors.plan.errors import BadPrompt, NotUnderstood
from processors.plan.fieldtypes import is_known
from processors.plan.grammar import read
from processors.plan.language import is_english
from processors.plan.layout import as_lines, declared, structured
from processors.plan.look import theme_of
from processors.plan.policy import forbidden
from processors.plan.tokens import normalise
from processors.plan.vocabulary import BEYOND, VAGUE
from processors.plan.words import clean, label, singular_phrase
from processors.plan.written import is_written, read_written
from processors.spec import MAX_TITLE, InvalidSpec, Spec

MAX_PROMPT_BYTES = 64 * 1024
MAX_PROSE_CHARACTERS = 20_000
_FEW_WORDS = 8

_CALLED = re.compile(
    r"\b(?:called|named|titled)\s*:?\s*(?:[\"\u201c\u201d'\u2018\u2019]([^\"\u201c\u201d\u2018\u2019\n]{1,60}?)[\"\u201c\u201d'\u2018\u2019]|([A-Z][\w-]*(?: [A-Z][\w-]*){0,3}))"
)
_THING_LABEL = re.compile(r"(?:(?<=^)|(?<=[.;\n] )|(?<=\n))(?:entity|table|model|resource)(?: ?: ?| )(?=[\"'\w][\w \"']{0,40}:)", re.I)
_FIELDS_LABEL = re.compile(r"(?<=[a-z])[.;,] ?(?:its |the )?(?:fields?|columns?|attributes?) ?(?:: ?|(?:are|include) )", re.I)
_LEAD_IN = re.compile(
    r"^(?:we|i) (?:organi[sz]e|host|hold|run|own|offer|sell|rent out) [^.:;(),\n]{1,50}\. (?=(?:please |now )?(?:keep|track|store|record|manage|make|build|create)\b)|"
    r"^for (?:our|my|an?) [^.:;,()\n]{1,40}[^s\W][:,] (?=(?:an? |the |we |i )\w)|"
    r"(?:(?<=^)|(?<=[.!?\n] ))(?:my|our|i|we|the) [^.:;(),!?\n]{1,60} and (?=(?:(?:i|we|she|he|they) )?(?:would|want|wants|need|needs)\b"
    r"[^.:;()!?\n]{0,40}\b(?:app|application|tool|tracker|system|database)\b)",
    re.I,
)
"""What somebody does, before they say that they want an application: "My wife keeps bees and would love an app that"."""
_QUOTED_THING = re.compile(r"\b(?:entity|table|model)(?: called| named)? [\"']([\w ]{1,40})[\"']", re.I)
"""How a list may label its parts: "Entity Customer: name, email", "Table: products. Columns: name, price"."""
_HOW = "Say what it keeps and which fields each has, for example: a library app with books (title, author, year) and members (name, email)."


def understand(text: str) -> Spec:
    """The specification that a prompt asks for: a written one (YAML) or plain English sentences.

    Raises BadPrompt (`empty_prompt`, `prompt_too_large`, `bad_spec`) for what is no prompt or asks for harm (`not_allowed`), and NotUnderstood (`needs_model`) for
    what a grammar cannot understand.
    """
    if not isinstance(text, str) or not clean(text):
        raise BadPrompt("empty_prompt", "the prompt is empty")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_PROMPT_BYTES:
        raise BadPrompt("prompt_too_large", f"the prompt has {size} bytes; {MAX_PROMPT_BYTES} are possible")
    if (harm := forbidden(text)) is not None:
        raise BadPrompt("not_allowed", f"no application is made for this: {harm}")
    written = is_written(text)
    if written is not None:
        return read_written(written)
    if (entities := structured(text) or declared(text)) is not None:
        try:
            return read_written(json.dumps({"entities": entities}))
        except BadPrompt as error:  # it only looked like a list of things with fields
            raise NotUnderstood("needs_model", f"the prompt was read, but makes no application: {error}. {_HOW}") from error
    if len(text) > MAX_PROSE_CHARACTERS:
        raise NotUnderstood(
            "needs_model", f"a prompt of {len(text)} characters is too long to be understood without a language model. {_HOW}"
        )
    if not is_english(text):
        raise NotUnderstood("needs_model", "without a language model only English is understood")
    return _prose(normalise(as_lines(text)))


def _prose(text: str) -> Spec:
    """`text` is normalised: the patterns below meet no long runs of anything."""
    text = _QUOTED_THING.sub(r"\1", _THING_LABEL.sub("", _FIELDS_LABEL.sub(": ", _LEAD_IN.sub("", text))))
    text, demands = without_demands(text)
    drafts, titles = read(_CALLED.sub(" ", text))
    demand(drafts, demands)
    names = {singular_phrase(draft.name.lower()) for draft in drafts}
    kept = [draft for draft in drafts if _believable(draft, names - {singular_phrase(draft.name.lower())})]
    kept = _without_broader(_with_named(kept, drafts))
    declared = [draft for draft in kept if draft.fields]
    if not declared and re.search(BEYOND, text, re.I):
        raise NotUnderstood("needs_model", f"what this application does is more than keeping records. {_HOW}")
    if not kept and (name := kept_by_name(titles)):
        kept = [EntityDraft(name, curated=True, plural=True)]
    if not kept and len(text.split()) <= _FEW_WORDS:  # "an app for my recipes" has nothing else to say
        kept = [d for d in drafts if not d.fields and d.plural and d.name.lower() not in VAGUE and is_usual(d.name)]
    if not kept:
        raise NotUnderstood("needs_model", f"no things with fields were found in the prompt. {_HOW}")
    called = _CALLED.search(text)
    title = label(clean(called[1] or called[2]))[:MAX_TITLE] if called else ""
    try:
        return assemble(kept, titles, title=title, theme=theme_of(text))
    except InvalidSpec as error:
        raise NotUnderstood("needs_model", f"the prompt was read, but makes no application: {error}") from error


def _with_named(kept: list[EntityDraft], drafts: list[EntityDraft]) -> list[EntityDraft]:
    """Also what is named in the plural and that a record of another kind points to: "books and members; a loan links a book and a member"."""
    named = {f.label.lower() for draft in kept for f in draft.fields}
    return [
        d
        for d in drafts
        if any(d is k for k in kept)
        or (not d.fields and d.plural and singular_phrase(d.name.lower()) in named and not is_known(singular_phrase(d.name.lower())))
    ]


def _without_broader(drafts: list[EntityDraft]) -> list[EntityDraft]:
    """Without things of which nothing is said but that have their say under a shorter name: houseplants, where each plant has fields."""
    declared = [singular_phrase(d.name.lower()) for d in drafts if d.fields]
    return [d for d in drafts if d.fields or not any(singular_phrase(d.name.lower()).endswith(name) for name in declared)]


def _believable(draft: EntityDraft, others: set[str]) -> bool:
    """Whether something that reads like an entity is one.

    With fields: at least one of them is written as a field is, is a usual one, or is named as one of the ``others``. Without: it is named as what is managed or tracked,
    in the plural, and is no word that could mean anything.
    """
    last = draft.name.lower().split(" ")[-1]
    if draft.fields:
        return any(f.definite or f.type or f.options or is_known(f.label) or f.label.lower() in others for f in draft.fields)
    return draft.curated and draft.plural and last not in VAGUE and draft.name.lower() not in VAGUE
