"""What was found so far: the entities with their fields, and candidates for the application's title."""

from __future__ import annotations

import re

from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.lexicon import lexicon
from processors.plan.phrases import Reader
from processors.plan.vocabulary import BUILD, DONE_TO_RECORDS
from processors.plan.words import is_plural, singular_phrase

EVERY = frozenset({"each", "every", "all", "any"})
_PARTICIPLE = re.compile(r"(?:[^e]ed|^(?:made|sold|taken|given|kept|held|lent|bought|sent|hired|out))$")
PLAIN = lexicon("""small simple little nice basic new modern clean easy quick great good lightweight web mobile desktop online internal tiny minimal
    beautiful pretty full complete responsive custom own full-stack crud straightforward friendly user-friendly useful handy proper
    current existing""")


class Found:
    """Entities are known by their names in the singular: whoever names one again means the one that is there."""

    def __init__(self) -> None:
        self.entities: list[EntityDraft] = []
        self._by_singular: dict[str, EntityDraft] = {}
        self.titles: list[str] = []

    def entity(self, reader: Reader, start: int, end: int, *, every: bool, curated: bool = False) -> EntityDraft:
        """The entity that a noun phrase names: one that is there already, or a new one."""
        name = entity_name(reader, start, end)
        known = self.known(name)
        if known is not None:
            known.curated = known.curated or curated
            return known
        return self.add(EntityDraft(name, curated=curated, plural=every or is_plural(name.split(" ")[-1].lower())))

    def known(self, name: str) -> EntityDraft | None:
        """The entity of that name, in the singular or the plural; None where there is none yet."""
        return self._by_singular.get(singular_phrase(name.lower()))

    def add(self, entity: EntityDraft) -> EntityDraft:
        """Keep a new entity, whose name is not known yet."""
        self.entities.append(entity)
        self._by_singular.setdefault(singular_phrase(entity.name.lower()), entity)
        return entity

    def can_be(self, reader: Reader, at: int, entity: EntityDraft) -> int | None:
        """ "can be marked as resolved", "can be active or not", "can be open, pending or closed": the position after it, else None."""
        if reader.low(at) not in ("can", "may", "could", "might", "is", "are") or not (
            reader.low(at + 1) == "be" or reader.low(at) in ("is", "are")
        ):
            return None
        at += 2 if reader.low(at + 1) == "be" else 1
        if reader.low(at) in ("marked", "flagged", "ticked", "checked", "set"):
            at += 1
            while reader.low(at) in ("off", "as", "to", "being"):
                at += 1
            found = reader.choices(at)
            if found is None and reader.content(at):
                entity.fields.append(FieldDraft(reader.tokens[at].text, "boolean", definite=True))
                return at + 1
        elif reader.content(at) and reader.low(at + 1) == "or" and reader.low(at + 2) == "not":
            entity.fields.append(FieldDraft(reader.tokens[at].text, "boolean", definite=True))
            return at + 3
        else:
            at += reader.low(at) == "either"
            found = reader.choices(at)
        if found is None or any(w in DONE_TO_RECORDS for option in found[0] for w in option.lower().split()):
            return None
        entity.fields.append(FieldDraft("status", "enum", options=found[0], definite=True))
        return found[1]


def entity_name(reader: Reader, start: int, end: int) -> str:
    """What a noun phrase names, without what only praises it ("simple") or was done with it ("parcels handed out")."""
    words = [reader.tokens[i].text for i in range(start, end)]
    if not words:
        return ""
    for index in range(1, len(words)):  # "parcels handed out"
        if is_plural(words[index - 1].lower()) and _PARTICIPLE.search(words[index].lower()):
            words = words[:index]
            break
    while len(words) > 1 and (words[0].lower() in PLAIN or words[0].lower() in BUILD):
        words = words[1:]
    words[-1] = re.sub(r"(?:'s|(?<=s)')$", "", words[-1])
    return " ".join(words)
