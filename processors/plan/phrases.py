"""Reading phrases off a clause: noun phrases, verbs that introduce fields, lists of choices. Positions are indices into the clause."""

from __future__ import annotations

import re

from processors.plan.fieldtypes import TYPE_WORDS, is_known
from processors.plan.lexicon import lexicon
from processors.plan.tokens import Clause, Token
from processors.plan.vocabulary import AMBIGUOUS, BUILD, DETERMINERS, FUNCTION, HAS, KEEP, MODALS, PRONOUNS
from processors.plan.words import is_plural

_PARTICIPLES = lexicon(
    "described defined identified characterised characterized stored tracked recorded listed registered represented kept saved specified given"
)
_FIELD_NOUNS = lexicon(
    "following fields field attributes attribute properties property columns column details data info information things values entities tables lists objects models collections kinds"
)
_FLAGS = lexicon("required optional mandatory unique nullable")
_JOINS = lexicon("links link connects connect joins join combines")
_MOST_WORDS = 6
_MOST_TOKENS = 200


def _said_of_one(parts: list[str]) -> bool:
    """Whether this is what is said of one field, a type and flags."""
    return any(part in _FLAGS for part in parts) and all(part in _FLAGS or part in TYPE_WORDS for part in parts)


class Reader:
    """A clause and what can be read at a position of it. Nothing here changes the clause."""

    def __init__(self, clause: Clause) -> None:
        self.tokens = clause
        self._closings: dict[int, int] | None = None
        self._list_ends: list[int] | None = None
        self._fieldish: dict[tuple[int, int], bool] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def low(self, at: int) -> str:
        """The word or mark at a position, in lower case; empty outside the clause."""
        return self.tokens[at].low if 0 <= at < len(self.tokens) else ""

    def word(self, at: int) -> bool:
        return 0 <= at < len(self.tokens) and not self.tokens[at].mark

    def mark(self, at: int, *marks: str) -> bool:
        return 0 <= at < len(self.tokens) and self.tokens[at].mark and self.tokens[at].text in marks

    def text(self, start: int, end: int) -> str:
        return " ".join(token.text for token in self.tokens[start:end])

    def closing(self, at: int) -> int:
        """The position of the bracket that closes the one at `at`."""
        if self._closings is None:
            self._closings = {}
            opened: list[int] = []
            for index, token in enumerate(self.tokens):
                if token.mark and token.text == "(":
                    opened.append(index)
                elif token.mark and token.text == ")" and opened:
                    self._closings[opened.pop()] = index
        return self._closings.get(at, len(self.tokens) if self.mark(at, "(") else at)

    def content(self, at: int) -> bool:
        """Whether a word that can stand in a noun phrase is here."""
        if self.low(at) in ("need", "needs") and self.low(at + 1) in ("to", "a", "an", "the", "something"):
            return False
        if self.low(at) in _JOINS and self.low(at + 1) in ("a", "an", "one"):
            return False
        if self.low(at) in HAS and self.low(at).endswith("s") and self.low(at + 1) in ("a", "an", "its", "their"):
            return False  # "each listing shows an address"
        return self.word(at) and self.low(at) not in FUNCTION and not self.verb(at)

    def verb(self, at: int) -> bool:
        """Whether a verb of keeping is here: always for some words, for others only where a verb can stand."""
        low = self.low(at)
        if low not in KEEP or not self.word(at):
            return False
        follows = self.word(at + 1) and (
            self.low(at + 1) in DETERMINERS or self.low(at + 1) not in FUNCTION or self.low(at + 1) in ("track", "of")
        )
        if low not in AMBIGUOUS:
            return follows or ((self.mark(at + 1, ",") or self.low(at + 1) in ("and", "or")) and self.low(at + 2) in KEEP)
        before = self.low(at - 1)
        if not follows:
            return False
        if self.low(at + 1) in ("a", "an", "the", "its", "their", "our", "my"):
            return True
        if at == 0:
            return not low.endswith("s")
        if before in PRONOUNS or before in MODALS or before in ("to", "please", "and", "where", "or", "not"):
            return True
        if self.tokens[at - 1].mark or before in FUNCTION or not is_plural(self.low(at + 1)):
            return False
        # "the shop tracks orders", "staff register parcels": the verb agrees with the noun before it
        return low.endswith("s") != is_plural(before)

    def determiners(self, at: int) -> int:
        """The position after determiners and the like."""
        while self.word(at) and self.low(at) in DETERMINERS:
            at += 1
        return at

    def noun_phrase(self, at: int) -> int:
        """The end of the run of content words that begins at `at` (equal to `at` where none does)."""
        end = at
        while end - at < _MOST_WORDS and self.content(end):
            end += 1
            if self.tokens[end - 1].low.endswith(("'s", "s'")):
                break
        return end

    def has(self, at: int) -> int | None:
        """The position after a verb that introduces fields ("should have", "consists of", "are described by"), else None."""
        if self.low(at) == "to":
            return None  # "a place to store guitars" has no guitars
        limit = at + 8
        while at < limit and (self.low(at) in MODALS or self.low(at) in ("that", "which", "who")):
            at += 1
        low, after = self.low(at), self.low(at + 1)
        if low in ("keep", "keeps") and after in ("track", "tabs"):
            return None  # of what is kept, not of who keeps it
        if low in HAS and self.word(at):
            if after == "to":
                return self.has(at + 2) if self.low(at + 2) in HAS else None
            return self._list_start(at + 1)
        if low in ("consist", "consists", "consisting", "made", "composed") and after in ("of", "up"):
            return self._list_start(at + (3 if after == "up" else 2))
        if low in _JOINS and self.low(at + 1) in ("a", "an", "one"):
            return at + 1
        if low in ("come", "comes") and after == "with":
            return self._list_start(at + 2)
        if low in ("is", "are"):
            if after in _PARTICIPLES and self.low(at + 2) in ("by", "with", "through", "via"):
                return self._list_start(at + 3)
            if after in ("made", "composed"):
                return self.has(at + 1)
        return None

    def _list_start(self, at: int) -> int:
        """Skips "the following fields:", "at least", "both" and the like."""
        if self.low(at) == "at" and self.low(at + 1) == "least":
            at += 2
        start = at
        while self.low(at) in ("the", "these", "following", "some", "basic", "both", "different", "two", "three", "four", "five", "six"):
            at += 1
        named = at
        while self.low(at) in _FIELD_NOUNS:
            at += 1
        if self.low(at) in ("such", "like", "including", "about") and at > named:
            at += 2 if self.low(at) == "such" else 1
        if self.mark(at, ":", "-"):
            return at + 1
        return at if at > named and (named > start or (not self.mark(at, "(", ",") and self.low(at) not in ("and", "with"))) else start

    def introduced(self, at: int) -> int | None:
        """The position after "with", ", each with", "having" and the like, else None."""
        if self.mark(at, ",", ";", "-"):
            at += 1
            if self.low(at) not in ("with", "each", "having", "including", "all", "every", "both", "which", "that", "who"):
                return None
            if self.low(at) in ("which", "that", "who"):
                return self.has(at)
        if self.low(at) in ("each", "all") and self.low(at + 1) in ("of", "one"):
            at += 3 if self.low(at + 1) == "of" else 2
        elif self.low(at) in ("each", "all", "every"):
            at += 1
        if self.low(at) in ("with", "having", "including", "containing"):
            return self._list_start(at + 1)
        if self.low(at) in ("that", "which", "who", "have", "has"):
            return self.has(at)
        if self.low(at) == "and" and self.low(at + 1) in ("their", "its") and self.word(at + 2):
            phrase = self.noun_phrase(at + 2)
            things = self.low(at + 1) == "its" and is_plural(self.low(phrase - 1)) and not is_known(self.text(at + 2, phrase))
            return None if things else at + 1
        return None

    def fieldish(self, start: int, end: int) -> bool:
        """Whether the list in `[start, end)` reads like fields and not like choices: at least two items, one of them a usual field.

        The beginning of a very long list tells: it is asked at every colon, and each time to the end would be slow.
        """
        end = min(end, start + _MOST_TOKENS)
        if (start, end) not in self._fieldish:
            self._fieldish[start, end] = self._reads_like_fields(start, end)
        return self._fieldish[start, end]

    def _reads_like_fields(self, start: int, end: int) -> bool:
        items: list[list[Token]] = [[]]
        depth = typed = 0
        chosen = False
        for index in range(start, end):
            typed += depth == 0 and self.typed(index)
            depth += self.mark(index, "(") - self.mark(index, ")")
            # "a, b or c" is a choice; a field among others may have one of its own: "rhesus positive or negative, volume".
            chosen = (chosen and not (depth == 0 and self.mark(index, ",", ";"))) or (depth == 0 and self.low(index) == "or")
            if depth == 0 and (self.mark(index, ",", ";", "/") or self.low(index) in ("and", "or")):
                items.append([])
            elif depth == 0 and not self.mark(index, ")"):
                items[-1].append(self.tokens[index])
        labels = [" ".join(t.text for t in item if not t.mark and t.low not in DETERMINERS) for item in items if item]
        known = sum(is_known(label.split(" in ")[0]) for label in labels)  # "time in seconds"
        if _said_of_one([label.lower() for label in labels]):
            return False  # "(integer, required)" is said of one field
        return len(labels) >= 2 and known + typed >= 1 and not (chosen and known * 2 < len(labels))

    def typed(self, at: int) -> bool:
        """Whether brackets are here that hold a type and nothing else: "starts (date and time)"."""
        said = re.sub(r" ?/ ?", "/", self.text(at + 1, self.closing(at)).lower()) if self.mark(at, "(") else ""
        return said in TYPE_WORDS or _said_of_one([part.strip() for part in said.split(",")])

    def end_of_list(self, at: int) -> int:
        """Where the list that begins at `at` ends at the latest: before a semicolon or at the clause's end, outside brackets."""
        if self._list_ends is None:
            last = len(self.tokens)
            self._list_ends = [last] * (last + 1)
            for index in range(last - 1, -1, -1):
                after = self.closing(index) + 1 if self.mark(index, "(") else index + 1
                self._list_ends[index] = index if self.mark(index, ";") else self._list_ends[min(after, last)]
        return self._list_ends[min(at, len(self.tokens))]

    def choices(self, at: int, *, closed: bool = False, anyway: bool = False) -> tuple[tuple[str, ...], int] | None:
        """The choices that begin at `at` ("low, medium or high", "S/M/L") and the position after them, else None.

        A list without "or" or a slash counts only where it is `closed` by a bracket; `anyway` takes "and" for "or".
        """
        options: list[str] = []
        joined = False
        final = False
        slashes = commas = False
        while at < len(self.tokens):
            start = at
            while self.word(at) and at - start < 5 and self._chosen(at, first=at == start, closed=closed):
                at += 1
            if at == start:
                break
            options.append(self.text(start, at))
            if final:
                break
            if self.mark(at, ",") and self.low(at + 1) in ("or", "and"):
                at += 1
            if self.low(at) == "or" or (self.low(at) == "and" and (anyway or closed)):
                joined = final = True
                if self.low(at) == "or" and self._or_again(at):
                    final = False
                at += 1
            elif self.mark(at, "/") and not commas:
                joined = slashes = True
                at += 1
            elif self.mark(at, ",", ";") and not slashes and not (self.mark(at, ";") and commas):
                commas = commas or self.mark(at, ",")
                at += 1
            else:
                break
        if len(options) < 2 or not (joined or closed):
            return None
        return tuple(dict.fromkeys(options)), at

    def _chosen(self, at: int, *, first: bool, closed: bool) -> bool:
        """Whether a word can be part of a choice: nearly any in brackets, no small words in running text."""
        low = self.low(at)
        if low in ("and", "or"):
            return False
        if closed or low not in FUNCTION or low in BUILD:
            return True
        if len(low) == 1 and (self.mark(at + 1, "/") or self.mark(at - 1, "/")):
            return True  # "A/B/AB/0"
        if not first and low in ("the", "a", "an"):
            return self.low(at - 1) in ("on", "in", "at", "to", "for")
        return low in (
            ("not", "no", "other", "others", "none", "on", "off", "in", "out", "most", "very")
            if first
            else ("of", "to", "in", "not", "on", "for")
        )

    def _or_again(self, at: int) -> bool:
        """Whether "a or b or c" goes on behind the "or" at `at`."""
        end = at + 1
        while self.word(end) and self.low(end) not in FUNCTION:
            end += 1
        return self.low(end) == "or"

    def lists_things(self, at: int) -> bool:
        """Whether things with fields of their own are listed here: "products (name, price)", "patients with a name"."""
        start = self.determiners(at)
        end = self.noun_phrase(start)
        if end == start or not is_plural(self.low(end - 1)):
            return False
        if self.mark(end, "("):
            return self.fieldish(end + 1, self.closing(end))
        return self.introduced(end) is not None
