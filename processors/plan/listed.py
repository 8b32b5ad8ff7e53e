"""Lists in a clause: things to keep, each perhaps with its fields, and fields item by item until another entity begins."""

from __future__ import annotations

from processors.plan.drafts import EntityDraft, FieldDraft
from processors.plan.fieldtypes import is_known
from processors.plan.found import EVERY, Found, entity_name
from processors.plan.items import read_item
from processors.plan.lexicon import lexicon
from processors.plan.phrases import Reader
from processors.plan.vocabulary import APPS, DETERMINERS, MODALS, PRONOUNS, VAGUE
from processors.plan.words import is_plural

MOST_ITEMS = 400
_PEOPLE = lexicon("people customers clients users members students pupils guests visitors everyone")
LISTINGS = lexicon("list record database register catalogue catalog log overview inventory collection")
_SHOWN = lexicon("sorted sortable ordered searchable filtered filterable grouped")


class Lists(Found):
    """Reads lists. Every method takes a position in a clause and returns the one after what it read."""

    def noun(self, reader: Reader, at: int) -> int:
        """A noun phrase outside any list; the grammar of clauses says what it means."""
        raise NotImplementedError

    def things(self, reader: Reader, at: int, *, curated: bool) -> int:
        """A list of things to keep, each perhaps with its fields. Ends before what is no thing."""
        if (turned := self._fields_of(reader, at)) is not None:
            return turned
        for _ in range(MOST_ITEMS):
            at = self._to_noun(reader, at)
            start = reader.determiners(at)
            end = reader.noun_phrase(start)
            if end == start:
                return at
            last = reader.low(end - 1)
            if last in APPS and not is_plural(last):
                return start if start > at or at == 0 else self.noun(reader, start)
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
                    entity = self.entity(reader, start, stop, every=True)
                    self.fields(Reader(reader.tokens[:index]), at + 1 if reader.verb(at) else at, entity)
                    return stop
        return None

    def _to_noun(self, reader: Reader, at: int) -> int:
        """Skips verbs and what goes with them: "keep track of", "create, edit and delete", "also", "a list of"."""
        while at < len(reader):
            low = reader.low(at)
            listing = low in ("a", "an", "the") and reader.low(at + 1) in LISTINGS and reader.low(at + 2) == "of"
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
        every = start > 0 and reader.low(start - 1) in EVERY
        possessive = self.possessive(reader, start, end)
        if possessive is not None:
            return possessive
        if reader.mark(end, "("):
            return self.bracketed(reader, start, end)
        if is_plural(reader.low(end - 1)) and (opening := self.said_of(reader, end)) is not None:
            return self.bracketed(reader, start, end, opening)
        for who in (end - 1, end - 2):
            if who > start and reader.low(who) in _PEOPLE and is_plural(reader.low(who - 1)) and reader.mark(who + 2, "("):
                return self.bracketed(reader, start, who, who + 2)  # "orders people make (customer, date)"
        people = reader.low(end - 1) in ("visitors", "people", "users") and reader.fieldish(end + 1, reader.end_of_list(end + 1))
        if reader.mark(end, ":", "-") and reader.low(end - 1) in VAGUE and not people:
            return end + 1  # "two tables: customers (...)"
        if (
            reader.mark(end, ":")
            and reader.mark(reader.noun_phrase(reader.determiners(end + 1)), "(")
            and self.groups(reader, end + 1) >= 2
        ):
            return end + 1  # "to administer apartments: apartment (street, rent, deposit), tenant (name, phone, email)"
        after = reader.introduced(end)
        relative = self.relative(reader, end)
        if after is None and relative != end:
            after = relative
        if after is None and reader.low(end) == "by" and curated and is_plural(reader.low(end - 1)):
            after = end + 1
        if after is None and ((reader.mark(end, ":", "-") and is_plural(reader.low(end - 1))) or (every and reader.mark(end, ":"))):
            after = end + 1
        definite = curated and reader.low(start - 1) in ("a", "an")
        if after is not None and (is_plural(reader.low(end - 1)) or every or definite):
            return self.fields(reader, after, self.entity(reader, start, end, every=every, curated=curated))
        if is_plural(reader.low(end - 1)) and reader.low(end - 1) not in VAGUE:
            self.entity(reader, start, end, every=False, curated=curated)
        return end

    def possessive(self, reader: Reader, at: int, end: int) -> int | None:
        """ "each customer's name, address and email"."""
        last = reader.low(end - 1)
        own = last.endswith(("'s", "s'")) and reader.content(end)
        entered = reader.verb(at - 1) or (reader.low(at - 1) == "the" and reader.verb(at - 2))
        if not own or not (reader.low(at - 1) in EVERY | {"our", "a", "an"} or last.endswith("s'") or entered):
            return None
        owned = reader.noun_phrase(end)
        if is_plural(reader.low(owned - 1)) and not is_known(reader.text(end, owned)) and not reader.mark(owned, ","):
            return None  # "our lab's samples"
        return self.fields(reader, end, self.entity(reader, at, end, every=True))

    def bracketed(self, reader: Reader, start: int, end: int, opening: int | None = None) -> int:
        """ "products (name, price)"."""
        opening = end if opening is None else opening
        close = reader.closing(opening)
        inside = Reader(reader.tokens[opening + 1 : close])
        entity = self.entity(reader, start, end, every=True)
        after = inside.introduced(0)
        self.fields(inside, 0 if after is None else after, entity, closed=True)
        return min(close + 1, len(reader))

    def fields(self, reader: Reader, at: int, entity: EntityDraft, *, closed: bool = False) -> int:
        """Reads fields into `entity` until the list ends or, unless it is `closed`, another entity begins."""
        for _ in range(MOST_ITEMS):
            while reader.mark(at, ",", ";", ":", "-") or (reader.low(at) in ("and", "plus", "also", "or") and reader.word(at)):
                at += 1
            if at >= len(reader) or reader.mark(at, ")"):
                return at
            if not closed and self._clause_begins(reader, at):
                return at
            if (has := reader.has(at)) is not None and (reader.low(has) in DETERMINERS or reader.low(at) == "have"):
                at = has  # "... and has an owner", "... and have start date"
                continue
            if reader.low(at) in _SHOWN and reader.low(at + 1) == "by":
                return len(reader)  # "sorted by date": how the list is shown, no field
            if not closed and reader.low(at) in ("is", "are") and (state := self.can_be(reader, at, entity)) is not None:
                at = state  # "... and are accepted or rejected"
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
        if low == "for" and reader.low(at + 1) in EVERY:
            return True
        if low in ("a", "an", "the") and reader.low(at + 1) in LISTINGS and reader.low(at + 2) == "of" and is_plural(reader.low(at + 3)):
            return True  # "... and a register of graves, with"
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
        every = reader.low(start - 1) in EVERY and start > at
        if every and reader.low(end - 1).endswith(("'s", "s'")):
            return True
        if every and reader.low(end) in ("can", "may") and self.known(entity_name(reader, start, end)) is not None:
            return True  # "... and each idea can be planned or shipped"
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

    def groups(self, reader: Reader, at: int) -> int:
        """How many of the brackets from `at` on hold lists of three and more fields."""
        found = 0
        while at < len(reader):
            close = reader.closing(at) if reader.mark(at, "(") else at
            found += reader.fieldish(at + 1, close) and sum(reader.mark(i, ",") for i in range(at, close)) >= 2
            at = close + 1
        return found

    def said_of(self, reader: Reader, end: int) -> int | None:
        """The bracket behind "(the books) we read (", "(the lessons) I gave them ("; None where no such words stand before one."""
        if reader.low(end) not in ("we", "i", "you", "they"):
            return None
        at = next((i for i in range(end + 1, end + 6) if not reader.word(i)), end)
        return at if at > end + 1 and reader.mark(at, "(") else None

    def relative(self, reader: Reader, end: int) -> int:
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
