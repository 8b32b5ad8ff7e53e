"""The grammar of prompts: which entities a text names, and which fields each has.

It reads clauses from left to right and looks for the few ways in which people say what an application keeps: "products (name, price)",
"each book has a title", "we keep patients with a name", "Suppliers: name, country", "for each order we store". Everything else is
left alone. Lists of fields are read item by item (`items`) until something begins that is an entity of its own.
"""

from __future__ import annotations

import re

from processors.plan.drafts import EntityDraft
from processors.plan.fieldtypes import is_known
from processors.plan.found import EVERY, PLAIN, entity_name
from processors.plan.items import RELATION_VERBS
from processors.plan.lexicon import lexicon
from processors.plan.listed import Lists
from processors.plan.phrases import Reader
from processors.plan.sections import sentences
from processors.plan.tokens import clauses, outline, tokenise
from processors.plan.vocabulary import (
    APPS,
    BUILD,
    CHROME,
    CURATE,
    DETERMINERS,
    FUNCTION,
    GENERIC_APPS,
    HAS,
    HAS_OF_PARTS,
    HEADINGS,
    KEEPERS,
    MODALS,
    PRONOUNS,
    VAGUE,
)
from processors.plan.words import COLLECTIVE, is_plural

_ADJECTIVE = re.compile(r"(?:al|ic|ous|ive|ary|ory|ful|ing|ed)$")
_RELATES = lexicon("belongs belong linked related assigned connected attached refers references associated")
# Applications named by two words of which the second alone is an ordinary thing.
_BOOKS = lexicon("address phone log guest recipe visitor contact cash order sketch score note day")


def read(text: str) -> tuple[list[EntityDraft], list[str]]:
    """The entities that a normalised text declares, in its order, and candidates for the application's title."""
    grammar = _Grammar()
    for line in outline(text):
        for sentence in sentences(line):
            for clause in clauses(tokenise(sentence)):
                grammar.clause(Reader(clause))
    return grammar.entities, grammar.titles


class _Grammar(Lists):
    def clause(self, reader: Reader) -> None:
        at, declared = 0, len(self.entities)
        fields_before = sum(len(e.fields) for e in self.entities)
        while at < len(reader):
            at = max(self._step(reader, at), at + 1)
        if len(self.entities) == declared and fields_before == sum(len(e.fields) for e in self.entities) and len(reader) <= 7:
            self.titles.append(reader.text(0, len(reader)))

    def _step(self, reader: Reader, at: int) -> int:
        """Reads one declaration at `at`, or skips a word."""
        low = reader.low(at)
        if reader.mark(at, "(", ")", ",", ";", ":", "-", "/", "?"):
            return at + 1
        if low == "for" and reader.low(at + 1) in EVERY:
            return self._for_each(reader, at + 1)
        if low == "for" and self._for_things(reader, at + 1):
            return self._for_each(reader, at + 1)
        if low in ("its", "their") and self.entities and reader.low(at + 1) in HEADINGS and reader.low(at + 2) == "are":
            return self.fields(reader, at + 3, self.entities[-1])  # "its columns are name and city"
        verb = at + 2 if low == "each" and reader.low(at + 1) == "one" else at + 1
        if low in ("each", "they", "it", "these", "both", "all") and self.entities and reader.low(verb) in HAS_OF_PARTS | MODALS:
            after = reader.has(verb)
            if after is not None and not reader.lists_things(after):
                return self.fields(reader, after, self.entities[-1])
        after = reader.has(at + 1) if low in PRONOUNS and reader.low(at + 1) not in ("need", "needs") else None
        if after is not None and reader.lists_things(after):
            return self.things(reader, after, curated=True)
        if low in ("it", "they", "each") and self.entities and (state := self.can_be(reader, at + 1, self.entities[-1])) is not None:
            return state
        if reader.verb(at):
            return self.things(reader, at, curated=low in CURATE)
        if low in ("i", "we", "you") and reader.content(at + 1):
            return at + 2  # "concerts I attended": a verb we do not know
        if (
            low in DETERMINERS
            or low in FUNCTION
            or (low in BUILD and reader.low(at + 1) in FUNCTION and reader.has(at + 1) is None)
            or not reader.content(at)
        ):
            return at + 1
        return self.noun(reader, at)

    def noun(self, reader: Reader, at: int) -> int:
        """A noun phrase outside any list: perhaps the subject of a declaration, perhaps the application itself."""
        end = reader.noun_phrase(at)
        every = reader.low(at - 1) in EVERY or reader.low(at - 1) in ("a", "an")
        last = reader.low(end - 1)
        many = is_plural(last)
        application = (
            (last in APPS or (last == "book" and end - at > 1 and reader.low(end - 2) in _BOOKS))
            and not many
            and reader.low(at - 1) not in EVERY
        )
        if application:
            self.titles.append(self._application_title(reader, at, end))
        possessive = self.possessive(reader, at, end)
        if possessive is not None:
            return possessive
        if reader.typed(end):
            return reader.closing(end) + 1  # "begin (date)": a field that stands alone
        if reader.mark(end, "("):
            close = reader.closing(end)
            if not application or reader.fieldish(end + 1, close):
                keeper = application and last in KEEPERS and end - at > 1 and reader.low(end - 2) not in PLAIN
                return self.bracketed(reader, at, end - 1 if keeper else end, end)  # "a subscription tracker (service, cost)"
            return end + 1
        if many and (opening := self.said_of(reader, end)) is not None:
            return self.bracketed(reader, at, end, opening)  # "apartments we own (street, rent)"
        known = self.known(entity_name(reader, at, end))
        if known is not None and (state := self.can_be(reader, end, known)) is not None:
            return state
        relative = self.relative(reader, end)
        if many and relative != end:
            return self.fields(reader, relative, self.entity(reader, at, end, every=True))
        after = reader.has(end)
        if after is None and many and reader.low(end) == "and":
            after = reader.has(end + 1) if reader.low(end + 1) in HAS_OF_PARTS else None
        if after is not None and application and (kept := self._kept(reader, at, end)) is not None:
            return kept
        if after is not None and last in CHROME:
            return len(reader) if not reader.lists_things(after) else self.things(reader, after, curated=True)
        if after is not None and reader.low(after) in ("each", "every"):
            return self.things(reader, after, curated=True)
        if after is not None and reader.low(after - 1) in CURATE:  # "teachers can record homework: subject, class"
            start = reader.determiners(after)
            phrase = reader.noun_phrase(start)
            if phrase > start and reader.mark(phrase, ":", "-") and reader.fieldish(phrase + 1, reader.end_of_list(phrase + 1)):
                return self.fields(reader, phrase + 1, self.entity(reader, start, phrase, every=True))
        if after is not None and self._wants_application(reader, after):
            return after  # "our gym needs an app where ..."
        if after is not None:
            if self._owner_of_things(reader, at, end, after, application):
                return self.things(reader, after, curated=True)
            return self.fields(reader, after, self.entity(reader, at, end, every=True))
        if application and reader.low(end) in ("with", "for", "of", "containing", "about", "around", "including"):
            if (kept := self._kept(reader, at, end)) is not None:
                return kept
            bare = not entity_name(reader, at, end - 1) or entity_name(reader, at, end - 1).lower() in PLAIN
            curated = reader.low(end) == "of" or (reader.low(end) == "for" and last not in GENERIC_APPS and bare)
            return self.things(reader, end + 1, curated=curated)
        introduced = reader.introduced(end)
        if introduced is not None and reader.low(end) != "and" and not application and (many or reader.low(at - 1) in EVERY):
            return self.fields(reader, introduced, self.entity(reader, at, end, every=every))
        if reader.mark(end, ":", "-") or (reader.mark(end, ";") and reader.introduced(end) is not None):
            return self._after_colon(reader, at, end, application)
        if (
            reader.low(end) in ("is", "are")
            and reader.low(end + 2) in ("by", "to", "with", "from", "in", "at")
            and reader.low(end + 3) in DETERMINERS
        ):
            known = self.known(entity_name(reader, at, end))
            return self.fields(reader, end, known) if known and reader.low(end + 1) in RELATION_VERBS else end
        if (
            reader.low(end) in ("is", "are")
            and reader.low(end + 1) in ("for", "by", "from")
            and reader.low(end + 2) in DETERMINERS
            and every
        ):
            return self.fields(reader, end, self.entity(reader, at, end, every=True))
        if reader.low(end) in _RELATES or (reader.low(end) in ("is", "are") and reader.low(end + 1) in _RELATES):
            return self.fields(reader, end, self.entity(reader, at, end, every=True))
        return end

    def _kept(self, reader: Reader, at: int, end: int) -> int | None:
        """ "a movie tracker with title, director and year": the fields are those of what the application is named after."""
        after = reader.introduced(end)
        after = reader.has(end) if after is None else after
        if after is None or reader.low(end - 1) not in KEEPERS or end - at < 2 or reader.low(at - 1) in EVERY:
            return None
        start = reader.determiners(after)
        phrase = reader.noun_phrase(start)
        listed = [item.split() for item in re.split(r" , | ; | and ", reader.text(after, reader.end_of_list(after)))]
        things = is_plural(reader.low(phrase - 1)) and (
            not is_known(reader.text(start, phrase)) or all(item and is_plural(item[-1].lower()) for item in listed)
        )
        if things or reader.lists_things(after) or not reader.fieldish(after, reader.end_of_list(after)):
            return None
        words = entity_name(reader, at, end - 1).split(" ")
        last = words[-1].lower()
        if last in PLAIN or last.endswith("ing") or last in FUNCTION:
            return None
        name = "item" if (last in APPS and last not in ("product", "service")) or last in COLLECTIVE else " ".join(words)
        entity = self.known(name) or self.add(EntityDraft(name, plural=True))
        return self.fields(reader, after, entity)

    def _wants_application(self, reader: Reader, at: int) -> bool:
        start = reader.determiners(at)
        end = reader.noun_phrase(start)
        return (
            end > start > at and reader.low(end - 1) in APPS and not is_plural(reader.low(end - 1)) and reader.low(end) not in (",", "and")
        )

    def _owner_of_things(self, reader: Reader, at: int, end: int, after: int, application: bool) -> bool:
        """ "The app has products (...)", "our shop has customers and orders": the subject keeps things and is none itself."""
        if reader.lists_things(after):
            return not is_plural(reader.low(end - 1)) or application
        if application and reader.low(end - 1) in GENERIC_APPS:
            return True
        start = reader.determiners(after)
        phrase = reader.noun_phrase(start)
        bare = start == after and phrase > start and is_plural(reader.low(phrase - 1))
        return (
            bare
            and reader.low(at - 1) in ("our", "my", "the")
            and not is_plural(reader.low(end - 1))
            and not is_known(reader.text(start, phrase))
        )

    def _after_colon(self, reader: Reader, at: int, end: int, application: bool) -> int:
        after = reader.introduced(end) if reader.mark(end, ";") else end + 1
        assert after is not None
        start = reader.determiners(after)
        phrase = reader.noun_phrase(start)
        declares = phrase > start and (reader.has(phrase) is not None or reader.lists_things(after))
        declares = declares or (phrase > start and reader.mark(phrase, ":", "-") and is_plural(reader.low(phrase - 1)))
        if reader.mark(phrase, "(") and self.groups(reader, phrase) > is_known(reader.text(start, phrase)):
            self.titles.append(reader.text(at, end))
            return self.things(reader, after, curated=True)
        declares = declares or reader.low(phrase) in _RELATES or (phrase > start and reader.verb(phrase))
        if declares or reader.verb(after) or reader.low(after) in PRONOUNS or not reader.word(after):
            self.titles.append(reader.text(at, end))
            return after
        listed = reader.end_of_list(after)
        last = reader.low(end - 1)
        if (
            last in ("records", "entries")
            and end - at > 1
            and not _ADJECTIVE.search(reader.low(end - 2))
            and reader.fieldish(after, listed)
        ):
            return self.fields(reader, after, self.entity(reader, at, end - 1, every=True))  # "blood donation records: donor, date"
        if last in HEADINGS or last in CHROME or (last in VAGUE and not reader.fieldish(after, listed)):
            return self.things(reader, after, curated=True)
        named = application and last not in GENERIC_APPS and reader.fieldish(after, listed) and not is_plural(reader.low(phrase - 1))
        if not is_plural(reader.low(end - 1)) and ((application and not named) or self._all_plural(reader, after, listed)):
            self.titles.append(reader.text(at, end))
            return self.things(reader, after, curated=True)
        fields = is_plural(reader.low(end - 1)) or reader.fieldish(after, listed) or reader.fieldish(after, len(reader))
        if (application and not named) or not fields:
            return after
        return self.fields(reader, after, self.entity(reader, at, end, every=True))

    def _all_plural(self, reader: Reader, at: int, end: int) -> bool:
        phrases = [p.split() for p in re.split(r" , | ; | and ", reader.text(at, end))]
        return all(p and is_plural(p[-1].lower()) and not is_known(" ".join(p)) for p in phrases)

    def _application_title(self, reader: Reader, at: int, end: int) -> str:
        text = reader.text(at, end)
        if all(word.lower() in GENERIC_APPS or word.lower() in PLAIN for word in text.split()) and reader.low(end) == "for":
            start = reader.determiners(end + 1)
            phrase = reader.noun_phrase(start)
            if phrase > start and not is_plural(reader.low(phrase - 1)):
                return reader.text(start, phrase)
        return text

    def _for_each(self, reader: Reader, at: int) -> int:
        """ "For each event we store the name and the date"."""
        start = reader.determiners(at)
        if reader.low(start) == "of":
            start = reader.determiners(start + 1)
        end = reader.noun_phrase(start)
        if end == start:
            return at + 1
        entity = self.entity(reader, start, end, every=True)
        after = end
        if reader.mark(after, ",", ":"):
            after += 1
        if reader.low(after) in ("just", "only", "also"):
            after += 1
        verb = after
        while verb < len(reader) and verb - after < 7 and reader.word(verb):
            if (
                reader.low(verb) in HAS | {"know", "see", "remember", "note", "enter", "log", "register", "want"}
                and reader.low(verb + 1)
                not in (
                    "to",
                    "track",
                )
                and reader.low(verb + 1) not in HAS
            ):
                return self.fields(reader, verb + 1, entity)
            if reader.low(verb) in ("track", "record") and reader.low(verb + 1) == "of":
                return self.fields(reader, verb + 2, entity)
            verb += 1
        if reader.low(after) in PRONOUNS:  # "for each child I write down the name"
            first = next((i for i in range(after + 1, min(after + 6, len(reader))) if reader.low(i) in DETERMINERS), None)
            if first is not None:
                return self.fields(reader, first, entity)
        introduced = reader.introduced(after)
        return self.fields(reader, introduced if introduced is not None else after, entity)

    def _for_things(self, reader: Reader, at: int) -> bool:
        """ "For laptops we want to store the brand"."""
        start = reader.determiners(at)
        end = reader.noun_phrase(start)
        after = end + 1 if reader.mark(end, ",") else end
        if end > start and is_plural(reader.low(end - 1)) and reader.low(end) in ("just", "only") and reader.low(end + 1) in DETERMINERS:
            return True
        return (
            end > start
            and is_plural(reader.low(end - 1))
            and reader.low(after) in ("we", "i", "you", "it")
            and any(reader.low(i) in HAS or reader.low(i) in ("want", "like") for i in range(after + 1, after + 6))
        )
