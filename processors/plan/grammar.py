"""The grammar of prompts: which entities a text names, and which fields each has.

It reads clauses from left to right and looks for the few ways in which people say what an application keeps: "products (name, price)",
"each book has a title", "we keep patients with a name", "Suppliers: name, country", "for each order we store". Everything else is
left alone. Lists of fields are read item by item (`items`) until something begins that is an entity of its own.
"""

from __future__ import annotations

import re

from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.fieldtypes import is_known
from processors.plan.items import RELATION_VERBS, read_item
from processors.plan.lexicon import lexicon
from processors.plan.phrases import Reader
from processors.plan.tokens import Line, clauses, outline, tokenise
from processors.plan.vocabulary import (
    APPS,
    BUILD,
    CHROME,
    CURATE,
    DETERMINERS,
    DONE_TO_RECORDS,
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
from processors.plan.words import COLLECTIVE, is_plural, singular_phrase

_EVERY = frozenset({"each", "every", "all", "any"})
_RELATES = lexicon("belongs belong linked related assigned connected attached refers references associated")
_MOST_ITEMS = 400
_PEOPLE = lexicon("people customers clients users members students pupils guests visitors everyone")
# Applications named by two words of which the second alone is an ordinary thing.
_BOOKS = lexicon("address phone log guest recipe visitor contact cash order sketch score note day")
_AWAY = re.compile(r"^(?P<label>[^:()]{1,40}?)\s*(?::|\s-)\s(?P<list>[^:()]{3,400})$")


def read(text: str) -> tuple[list[EntityDraft], list[str]]:
    """The entities that a normalised text declares, in its order, and candidates for the application's title."""
    grammar = _Grammar()
    for line in outline(text):
        grammar.line(line)
    return grammar.entities, grammar.titles


class _Grammar:
    def __init__(self) -> None:
        self.entities: list[EntityDraft] = []
        self.titles: list[str] = []

    # -- lines --------------------------------------------------------------------------------------------------------------

    def line(self, line: Line) -> None:
        """A line with what lies under it: either an entity with its fields, or a heading over lines of their own."""
        if line.children and self._lists_fields(line):
            children = "; ".join(self._item_text(child) for child in line.children)
            head = line.text.rstrip(" :-.")
            self.text(f"{head}: {children}" if not re.search(r"\b(with|have|has|fields|following)$", head) else f"{head} {children}")
            return
        self.text(line.text)
        for child in line.children:
            self.line(child)

    def text(self, text: str) -> None:
        for clause in clauses(tokenise(text)):
            self.clause(Reader(clause))

    def _item_text(self, line: Line) -> str:
        text = line.text.rstrip(" .;,:")
        choices = _AWAY.match(text)
        if choices and "," in choices["list"]:  # on a line of its own "size: S, M, L" can only mean choices
            return f"{choices['label']} ({choices['list']})"
        if line.children:
            text += f" ({', '.join(child.text.rstrip(' .;,') for child in line.children)})"
        return text

    def _lists_fields(self, line: Line) -> bool:
        """Whether the lines under this one are fields of what it names, and no entities themselves."""
        head = Reader(tokenise(line.text.rstrip(" :-.")))
        plain = sum(not re.search(r"[:(,]", child.text) for child in line.children)
        choices = [c for c in line.children if plain * 2 >= len(line.children) and self._lists_choices(c)]
        if not 1 <= len(head) <= 12 or any(self._declares_line(child) for child in line.children if child not in choices):
            return False
        last = head.low(len(head) - 1)
        if last in CHROME:
            return False
        if last in VAGUE and last not in ("fields", "following", "people", "users", "data", "details", "records", "values"):
            return False
        start = head.determiners(0)
        whole = head.noun_phrase(start) == len(head)
        return (
            (whole and last not in GENERIC_APPS)
            or last in ("with", "have", "has", "fields", "following")
            or any(head.has(i) is not None for i in range(1, len(head)))
        )

    def _lists_choices(self, line: Line) -> bool:
        """ "condition: new, used, broken" among lines that are plain fields."""
        match = _AWAY.match(line.text)
        return match is not None and not line.children and not is_plural(match["label"].split(" ")[-1].lower())

    def _declares_line(self, line: Line) -> bool:
        if line.children and not all(len(child.text.split()) <= 2 for child in line.children):
            return True
        reader = Reader(tokenise(line.text))
        start = reader.determiners(0)
        end = reader.noun_phrase(start)
        if any(reader.low(i) in ("must", "should", "can", "want", "need") and reader.word(i + 1) for i in range(1, min(len(reader), 5))):
            return True  # a sentence
        for index in range(min(len(reader), 8)):  # "a place to store my guitars: brand, model"
            after = reader.determiners(index + 1)
            stop = reader.noun_phrase(after)
            if index > 0 and reader.verb(index) and is_plural(reader.low(stop - 1)) and reader.mark(stop, ":", "-", "("):
                return True
        if end == start:
            return False
        if reader.mark(end, ":", "-"):
            return reader.fieldish(end + 1, len(reader))
        if reader.mark(end, "("):
            return is_plural(reader.low(end - 1)) and reader.fieldish(end + 1, reader.closing(end))
        return reader.has(end) is not None or (is_plural(reader.low(end - 1)) and reader.introduced(end) is not None)

    # -- clauses ------------------------------------------------------------------------------------------------------------

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
        if low == "for" and reader.low(at + 1) in _EVERY:
            return self._for_each(reader, at + 1)
        if low == "for" and self._for_things(reader, at + 1):
            return self._for_each(reader, at + 1)
        if low in ("its", "their") and self.entities and reader.low(at + 1) in HEADINGS and reader.low(at + 2) == "are":
            return self._fields(reader, at + 3, self.entities[-1])  # "its columns are name and city"
        verb = at + 2 if low == "each" and reader.low(at + 1) == "one" else at + 1
        if low in ("each", "they", "it", "these", "both", "all") and self.entities and reader.low(verb) in HAS_OF_PARTS | MODALS:
            after = reader.has(verb)
            if after is not None and not reader.lists_things(after):
                return self._fields(reader, after, self.entities[-1])
        after = reader.has(at + 1) if low in PRONOUNS and reader.low(at + 1) not in ("need", "needs") else None
        if after is not None and reader.lists_things(after):
            return self._things(reader, after, curated=True)
        if low in ("it", "they", "each") and self.entities and (state := self._can_be(reader, at + 1, self.entities[-1])) is not None:
            return state
        if reader.verb(at):
            return self._things(reader, at, curated=low in CURATE)
        if low in ("i", "we", "you") and reader.content(at + 1):
            return at + 2  # "concerts I attended": a verb we do not know
        if (
            low in DETERMINERS
            or low in FUNCTION
            or (low in BUILD and reader.low(at + 1) in FUNCTION and reader.has(at + 1) is None)
            or not reader.content(at)
        ):
            return at + 1
        return self._noun(reader, at)

    def _noun(self, reader: Reader, at: int) -> int:
        """A noun phrase outside any list: perhaps the subject of a declaration, perhaps the application itself."""
        end = reader.noun_phrase(at)
        every = reader.low(at - 1) in _EVERY or reader.low(at - 1) in ("a", "an")
        last = reader.low(end - 1)
        many = is_plural(last)
        application = (
            (last in APPS or (last == "book" and end - at > 1 and reader.low(end - 2) in _BOOKS))
            and not many
            and reader.low(at - 1) not in _EVERY
        )
        if application:
            self.titles.append(self._application_title(reader, at, end))
        possessive = self._possessive(reader, at, end)
        if possessive is not None:
            return possessive
        if reader.typed(end):
            return reader.closing(end) + 1  # "begin (date)": a field that stands alone
        if reader.mark(end, "("):
            close = reader.closing(end)
            if not application or reader.fieldish(end + 1, close):
                keeper = application and last in KEEPERS and end - at > 1 and reader.low(end - 2) not in _PLAIN
                return self._bracketed(reader, at, end - 1 if keeper else end, end)  # "a subscription tracker (service, cost)"
            return end + 1
        if many and reader.low(end) in ("we", "i", "you", "they") and reader.word(end + 1) and reader.mark(end + 2, "("):
            return self._bracketed(reader, at, end, end + 2)  # "apartments we own (street, rent)"
        known = self._known(_entity_name(reader, at, end))
        if known is not None and (state := self._can_be(reader, end, known)) is not None:
            return state
        relative = self._relative(reader, end)
        if many and relative != end:
            return self._fields(reader, relative, self._entity(reader, at, end, every=True))
        after = reader.has(end)
        if after is None and many and reader.low(end) == "and":
            after = reader.has(end + 1) if reader.low(end + 1) in HAS_OF_PARTS else None
        if after is not None and application and (kept := self._kept(reader, at, end)) is not None:
            return kept
        if after is not None and last in CHROME:
            return len(reader) if not reader.lists_things(after) else self._things(reader, after, curated=True)
        if after is not None and reader.low(after) in ("each", "every"):
            return self._things(reader, after, curated=True)
        if after is not None and reader.low(after - 1) in CURATE:  # "teachers can record homework: subject, class"
            start = reader.determiners(after)
            phrase = reader.noun_phrase(start)
            if phrase > start and reader.mark(phrase, ":", "-") and reader.fieldish(phrase + 1, reader.end_of_list(phrase + 1)):
                return self._fields(reader, phrase + 1, self._entity(reader, start, phrase, every=True))
        if after is not None and self._wants_application(reader, after):
            return after  # "our gym needs an app where ..."
        if after is not None:
            if self._owner_of_things(reader, at, end, after, application):
                return self._things(reader, after, curated=True)
            return self._fields(reader, after, self._entity(reader, at, end, every=True))
        if application and reader.low(end) in ("with", "for", "of", "containing", "about", "around", "including"):
            if (kept := self._kept(reader, at, end)) is not None:
                return kept
            bare = not _entity_name(reader, at, end - 1) or _entity_name(reader, at, end - 1).lower() in _PLAIN
            curated = reader.low(end) == "of" or (reader.low(end) == "for" and last not in GENERIC_APPS and bare)
            return self._things(reader, end + 1, curated=curated)
        introduced = reader.introduced(end)
        if introduced is not None and reader.low(end) != "and" and not application and (many or reader.low(at - 1) in _EVERY):
            return self._fields(reader, introduced, self._entity(reader, at, end, every=every))
        if reader.mark(end, ":", "-") or (reader.mark(end, ";") and reader.introduced(end) is not None):
            return self._after_colon(reader, at, end, application)
        if (
            reader.low(end) in ("is", "are")
            and reader.low(end + 2) in ("by", "to", "with", "from", "in", "at")
            and reader.low(end + 3) in DETERMINERS
        ):
            known = self._known(_entity_name(reader, at, end))
            return self._fields(reader, end, known) if known and reader.low(end + 1) in RELATION_VERBS else end
        if (
            reader.low(end) in ("is", "are")
            and reader.low(end + 1) in ("for", "by", "from")
            and reader.low(end + 2) in DETERMINERS
            and every
        ):
            return self._fields(reader, end, self._entity(reader, at, end, every=True))
        if reader.low(end) in _RELATES or (reader.low(end) in ("is", "are") and reader.low(end + 1) in _RELATES):
            return self._fields(reader, end, self._entity(reader, at, end, every=True))
        return end

    def _kept(self, reader: Reader, at: int, end: int) -> int | None:
        """ "a movie tracker with title, director and year": the fields are those of what the application is named after."""
        after = reader.introduced(end)
        after = reader.has(end) if after is None else after
        if after is None or reader.low(end - 1) not in KEEPERS or end - at < 2 or reader.low(at - 1) in _EVERY:
            return None
        start = reader.determiners(after)
        phrase = reader.noun_phrase(start)
        listed = [item.split() for item in re.split(r" , | ; | and ", reader.text(after, reader.end_of_list(after)))]
        things = is_plural(reader.low(phrase - 1)) and (
            not is_known(reader.text(start, phrase)) or all(item and is_plural(item[-1].lower()) for item in listed)
        )
        if things or reader.lists_things(after) or not reader.fieldish(after, reader.end_of_list(after)):
            return None
        words = _entity_name(reader, at, end - 1).split(" ")
        last = words[-1].lower()
        if last in _PLAIN or last.endswith("ing") or last in FUNCTION:
            return None
        name = "item" if (last in APPS and last not in ("product", "service")) or last in COLLECTIVE else " ".join(words)
        entity = self._known(name)
        if entity is None:
            entity = EntityDraft(name, plural=True)
            self.entities.append(entity)
        return self._fields(reader, after, entity)

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
        if reader.mark(phrase, "(") and self._groups(reader, phrase) > is_known(reader.text(start, phrase)):
            self.titles.append(reader.text(at, end))
            return self._things(reader, after, curated=True)
        declares = declares or reader.low(phrase) in _RELATES or (phrase > start and reader.verb(phrase))
        if declares or reader.verb(after) or reader.low(after) in PRONOUNS or not reader.word(after):
            self.titles.append(reader.text(at, end))
            return after
        listed = reader.end_of_list(after)
        last = reader.low(end - 1)
        if last in HEADINGS or last in CHROME or (last in VAGUE and not reader.fieldish(after, listed)):
            return self._things(reader, after, curated=True)
        named = application and last not in GENERIC_APPS and reader.fieldish(after, listed) and not is_plural(reader.low(phrase - 1))
        if not is_plural(reader.low(end - 1)) and ((application and not named) or self._all_plural(reader, after, listed)):
            self.titles.append(reader.text(at, end))
            return self._things(reader, after, curated=True)
        fields = is_plural(reader.low(end - 1)) or reader.fieldish(after, listed) or reader.fieldish(after, len(reader))
        if (application and not named) or not fields:
            return after
        return self._fields(reader, after, self._entity(reader, at, end, every=True))

    def _groups(self, reader: Reader, at: int) -> int:
        """How many of the brackets from `at` on hold lists of three and more fields."""
        found = 0
        while at < len(reader):
            close = reader.closing(at) if reader.mark(at, "(") else at
            found += reader.fieldish(at + 1, close) and sum(reader.mark(i, ",") for i in range(at, close)) >= 2
            at = close + 1
        return found

    def _can_be(self, reader: Reader, at: int, entity: EntityDraft) -> int | None:
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

    def _relative(self, reader: Reader, end: int) -> int:
        """The mark behind "(concerts) I attended -", "(pets) at a shelter, including" and "(orders) that they place:"; else `end`."""
        at = end + (reader.low(end) in ("that", "which", "who"))
        placed = reader.low(end) in ("at", "in", "to", "on", "from") and reader.word(end + 1) and not reader.verb(end + 1)
        if not placed and reader.low(at) not in ("we", "i", "you", "they", "he", "she"):
            return end
        for index in range(at + (1 if placed else 2), at + 6):
            if reader.mark(index, ":", "-"):
                return index
            if reader.mark(index, ",") and reader.low(index + 1) in ("with", "having", "including"):
                return index + 2
            if reader.low(index) == "with" and reader.low(index + 1) in DETERMINERS:
                return index + 1
            if not reader.word(index):
                break
        return end

    def _all_plural(self, reader: Reader, at: int, end: int) -> bool:
        phrases = [p.split() for p in re.split(r" , | ; | and ", reader.text(at, end))]
        return all(p and is_plural(p[-1].lower()) and not is_known(" ".join(p)) for p in phrases)

    def _application_title(self, reader: Reader, at: int, end: int) -> str:
        text = reader.text(at, end)
        if all(word.lower() in GENERIC_APPS or word.lower() in _PLAIN for word in text.split()) and reader.low(end) == "for":
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
        entity = self._entity(reader, start, end, every=True)
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
                return self._fields(reader, verb + 1, entity)
            if reader.low(verb) in ("track", "record") and reader.low(verb + 1) == "of":
                return self._fields(reader, verb + 2, entity)
            verb += 1
        if reader.low(after) in PRONOUNS:  # "for each child I write down the name"
            first = next((i for i in range(after + 1, min(after + 6, len(reader))) if reader.low(i) in DETERMINERS), None)
            if first is not None:
                return self._fields(reader, first, entity)
        introduced = reader.introduced(after)
        return self._fields(reader, introduced if introduced is not None else after, entity)

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

    # -- things and fields --------------------------------------------------------------------------------------------------

    def _things(self, reader: Reader, at: int, *, curated: bool) -> int:
        """A list of things to keep, each perhaps with its fields. Ends before what is no thing."""
        if (turned := self._fields_of(reader, at)) is not None:
            return turned
        for _ in range(_MOST_ITEMS):
            at = self._to_noun(reader, at)
            start = reader.determiners(at)
            end = reader.noun_phrase(start)
            if end == start:
                return at
            last = reader.low(end - 1)
            if last in APPS and not is_plural(last):
                return start if start > at or at == 0 else self._noun(reader, start)
            at = self._thing(reader, start, end, curated=curated)
            if reader.mark(at, ",", ";") or reader.low(at) in ("and", "plus", "or"):
                if self._clause_begins(reader, at + 1):
                    return at + 1
                at += 1
            else:
                return at
        return at

    def _fields_of(self, reader: Reader, at: int) -> int | None:
        """ "record the title and the author of every book": the fields come first."""
        end = reader.end_of_list(at)
        for index in range(at + 1, min(end, at + 120)):
            if reader.low(index) in ("of", "for") and reader.low(index + 1) in ("each", "every", "all", "our", "the", "my"):
                start = reader.determiners(index + 1)
                stop = reader.noun_phrase(start)
                fits = stop > start and stop == end and (reader.low(index + 1) in ("each", "every") or is_plural(reader.low(stop - 1)))
                if fits and reader.fieldish(at + 1 if reader.verb(at) else at, index):
                    entity = self._entity(reader, start, stop, every=True)
                    self._fields(Reader(reader.tokens[:index]), at + 1 if reader.verb(at) else at, entity)
                    return stop
        return None

    def _to_noun(self, reader: Reader, at: int) -> int:
        """Skips verbs and what goes with them: "keep track of", "create, edit and delete", "also", "a list of"."""
        while at < len(reader):
            low = reader.low(at)
            listing = (
                low in ("a", "an", "the")
                and reader.low(at + 1)
                in ("list", "record", "database", "register", "catalogue", "catalog", "log", "overview", "inventory", "collection")
                and reader.low(at + 2) == "of"
            )
            if listing:
                at += 3
            elif low in ("track", "record", "records", "tabs", "lists") and reader.low(at + 1) in ("of", "on"):
                at += 2
            elif (
                reader.verb(at)
                or low in MODALS - {"each", "all"}
                or low in ("also", "and", "our", "my", "their", "search", "of", "up", "both", "information", "about", "on", "following")
                or (
                    reader.mark(at, ",")
                    and reader.low(at - 1) in ("create", "add", "edit", "view", "delete", "remove", "browse", "update", "manage")
                )
            ):
                at += 1
            else:
                return at
        return at

    def _thing(self, reader: Reader, start: int, end: int, *, curated: bool) -> int:
        every = start > 0 and reader.low(start - 1) in _EVERY
        possessive = self._possessive(reader, start, end)
        if possessive is not None:
            return possessive
        if reader.mark(end, "("):
            return self._bracketed(reader, start, end)
        if is_plural(reader.low(end - 1)) and reader.low(end) in ("we", "i", "you", "they") and reader.mark(end + 2, "("):
            return self._bracketed(reader, start, end, end + 2)  # "the books we read (title, author)"
        for who in (end - 1, end - 2):
            if who > start and reader.low(who) in _PEOPLE and is_plural(reader.low(who - 1)) and reader.mark(who + 2, "("):
                return self._bracketed(reader, start, who, who + 2)  # "orders people make (customer, date)"
        people = reader.low(end - 1) in ("visitors", "people", "users") and reader.fieldish(end + 1, reader.end_of_list(end + 1))
        if reader.mark(end, ":", "-") and reader.low(end - 1) in VAGUE and not people:
            return end + 1  # "two tables: customers (...)"
        after = reader.introduced(end)
        relative = self._relative(reader, end)
        if after is None and relative != end:
            after = relative
        if after is None and reader.low(end) == "by" and curated and is_plural(reader.low(end - 1)):
            after = end + 1
        if after is None and reader.mark(end, ":", "-") and is_plural(reader.low(end - 1)):
            after = end + 1
        definite = curated and reader.low(start - 1) in ("a", "an")
        if after is not None and (is_plural(reader.low(end - 1)) or every or definite):
            return self._fields(reader, after, self._entity(reader, start, end, every=every, curated=curated))
        if is_plural(reader.low(end - 1)) and reader.low(end - 1) not in VAGUE:
            self._entity(reader, start, end, every=False, curated=curated)
        return end

    def _possessive(self, reader: Reader, at: int, end: int) -> int | None:
        """ "each customer's name, address and email"."""
        last = reader.low(end - 1)
        own = last.endswith(("'s", "s'")) and reader.content(end)
        entered = reader.verb(at - 1) or (reader.low(at - 1) == "the" and reader.verb(at - 2))
        if not own or not (reader.low(at - 1) in _EVERY | {"our", "a", "an"} or last.endswith("s'") or entered):
            return None
        owned = reader.noun_phrase(end)
        if is_plural(reader.low(owned - 1)) and not is_known(reader.text(end, owned)) and not reader.mark(owned, ","):
            return None  # "our lab's samples"
        return self._fields(reader, end, self._entity(reader, at, end, every=True))

    def _bracketed(self, reader: Reader, start: int, end: int, opening: int | None = None) -> int:
        """ "products (name, price)"."""
        opening = end if opening is None else opening
        close = reader.closing(opening)
        inside = Reader(reader.tokens[opening + 1 : close])
        entity = self._entity(reader, start, end, every=True)
        after = inside.introduced(0)
        self._fields(inside, 0 if after is None else after, entity, closed=True)
        return min(close + 1, len(reader))

    def _fields(self, reader: Reader, at: int, entity: EntityDraft, *, closed: bool = False) -> int:
        """Reads fields into `entity` until the list ends or, unless it is `closed`, another entity begins."""
        for _ in range(_MOST_ITEMS):
            while reader.mark(at, ",", ";", ":", "-") or (reader.low(at) in ("and", "plus", "also", "or") and reader.word(at)):
                at += 1
            if at >= len(reader) or reader.mark(at, ")"):
                return at
            if not closed and self._clause_begins(reader, at):
                return at
            if (has := reader.has(at)) is not None and (reader.low(has) in DETERMINERS or reader.low(at) == "have"):
                at = has  # "... and has an owner", "... and have start date"
                continue
            if self._date_and_time(reader, at):
                entity.fields.append(FieldDraft("date and time", "datetime", definite=True))
                at = reader.determiners(at) + 3
                continue
            draft, at = read_item(reader, at)
            if draft is not None:
                entity.fields.append(draft)
        return at

    def _date_and_time(self, reader: Reader, at: int) -> bool:
        """ "date and time" between commas is one field; at the end of a list it is its last two."""
        at = reader.determiners(at)
        return [reader.low(at + i) for i in range(3)] == ["date", "and", "time"] and reader.mark(at + 3, ",", ";")

    def _clause_begins(self, reader: Reader, at: int) -> bool:
        """Whether an entity of its own, or a new clause, begins here within a list."""
        low = reader.low(at)
        if low == "for" and reader.low(at + 1) in _EVERY:
            return True
        verb = at + 1
        while reader.low(verb) in MODALS:
            verb += 1
        if low in PRONOUNS and reader.verb(verb):
            return True
        if reader.verb(at) and reader.lists_things(at + 1):
            return True
        start = reader.determiners(at)
        end = reader.noun_phrase(start)
        if end == start:
            return False
        many = is_plural(reader.low(end - 1))
        every = reader.low(start - 1) in _EVERY and start > at
        if every and reader.low(end - 1).endswith(("'s", "s'")):
            return True
        after = reader.has(end)
        if after is not None and reader.low(end) not in ("that", "which", "who"):
            return many or start > at
        if after is not None and many and reader.low(after) in ("a", "an"):
            return True  # "... and purchases which have a customer and a date"
        if reader.mark(end, "("):
            return many and start == at and reader.fieldish(end + 1, reader.closing(end))
        before = at - 1 if reader.low(at - 1) != "and" else at - 2
        if reader.mark(end, "-") and many and reader.mark(before, "-", ";"):
            return reader.fieldish(end + 1, reader.end_of_list(end + 1))
        if reader.mark(end, ":"):
            listed = reader.end_of_list(end + 1)
            return many and start == at and reader.fieldish(end + 1, listed)
        introduced = reader.introduced(end)
        if introduced is None or reader.low(end) in ("that", "which", "who") or (reader.low(end) == "and"):
            return False
        if reader.mark(end, ",", ";", "-") and reader.low(end + 1) in ("each", "every", "all"):
            return True
        return every or (many and (start == at or reader.low(start - 1) in ("our", "all", "my", "their", "a", "an", "the")))

    def _entity(self, reader: Reader, start: int, end: int, *, every: bool, curated: bool = False) -> EntityDraft:
        """The entity that a noun phrase names: one that is there already, or a new one."""
        name = _entity_name(reader, start, end)
        known = self._known(name)
        if known is not None:
            known.curated = known.curated or curated
            return known
        entity = EntityDraft(name, curated=curated, plural=every or is_plural(name.split(" ")[-1].lower()))
        self.entities.append(entity)
        return entity

    def _known(self, name: str) -> EntityDraft | None:
        wanted = singular_phrase(name.lower())
        return next((entity for entity in self.entities if singular_phrase(entity.name.lower()) == wanted), None)


_PARTICIPLE = re.compile(r"(?:[^e]ed|^(?:made|sold|taken|given|kept|held|lent|bought|sent|hired|out))$")
_PLAIN = lexicon("""small simple little nice basic new modern clean easy quick great good lightweight web mobile desktop online internal tiny minimal
    beautiful pretty full complete responsive custom own full-stack crud straightforward friendly user-friendly useful handy proper
    current existing""")


def _entity_name(reader: Reader, start: int, end: int) -> str:
    words = [reader.tokens[i].text for i in range(start, end)]
    if not words:
        return ""
    for index in range(1, len(words)):  # "parcels handed out"
        if is_plural(words[index - 1].lower()) and _PARTICIPLE.search(words[index].lower()):
            words = words[:index]
            break
    while len(words) > 1 and (words[0].lower() in _PLAIN or words[0].lower() in BUILD):
        words = words[1:]
    words[-1] = re.sub(r"(?:'s|(?<=s)')$", "", words[-1])
    return " ".join(words)
