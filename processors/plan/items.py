"""One item of a list of fields: its label, and what is said of it in brackets, behind "of", "in", "as" or in a relative clause."""

from __future__ import annotations

import re

from processors.plan.drafts import FieldDraft
from processors.plan.fieldtypes import CURRENCIES, TYPE_WORDS, UNITS, head_of, infer, is_known
from processors.plan.lexicon import lexicon
from processors.plan.phrases import Reader
from processors.plan.vocabulary import DETERMINERS, FUNCTION, MODIFIERS
from processors.plan.words import singular

_STOPS = frozenset({"and", "plus"})
_AUXILIARIES = lexicon(
    "is are was were be been being has have had can could will would should does do did get gets got already still currently yet really actually to"
)
_CLAUSES = lexicon(
    "that which who whom whose where when if they we it you i he she is are was were can may must should either being one ranging called"
)
RELATION_VERBS = {
    "belongs": "to", "belong": "to", "belonging": "to", "linked": "to", "related": "to", "assigned": "to", "connected": "to", "attached": "to",
    "refers": "to", "associated": "with", "placed": "by", "made": "by", "written": "by", "taught": "by", "created": "by", "owned": "by",
    "led": "by", "run": "by", "supplied": "by", "borrowed": "by", "booked": "by", "given": "by", "held": "by", "reported": "by",
}  # fmt: skip
_MARKS_OF_STATE = lexicon("checkbox flag toggle tickbox switch tick")
# Labels whose brackets hold parts, not choices: "address (street, city)".
_COMPOUND = lexicon("address name contact details date dimensions location price period info information duration")
_SHARED = lexicon("""first last middle start end home away pickup return arrival departure min max minimum maximum beginning opening closing check-in
    check-out purchase sale buying selling issue due delivery billing shipping given family maiden begin finish contact postal street
    width height net gross planned actual estimated""")
# Labels behind which choices may follow without any mark: "priority low|medium|high", "size S, M or L".
_CHOSEN = lexicon("""status state type kind category priority level size gender sex severity stage method role condition phase urgency difficulty color colour
    shift season plan tier class result outcome verdict frequency mood visibility format currency""")
_FILLERS = lexicon(
    "that which is are can be may must should choose chosen pick picked selected either one of being the following values options choices such as like from for example a an called it they only always usually"
)


def read_item(reader: Reader, at: int) -> tuple[FieldDraft | None, int]:
    """The field at `at` and the position after it; None for words that name no field. Always moves on."""
    draft = FieldDraft("")
    start = at
    at = _opening(reader, at, draft)
    special = _special(reader, at, draft)
    if special is not None:
        return (draft if draft.label else None), max(special, start + 1)
    if reader.low(at) in ("list", "set") and reader.low(at + 1) == "of" and reader.content(at + 2):
        at += 2
    words, at = _words(reader, at, draft)
    if len(words) == 1 and (head := _shared_head(reader, at, words[0])):
        words.append(head)
    if len(words) == 2 and words[0].lower() == "long" and words[1].lower() in ("description", "text", "notes", "comment", "comments"):
        words = words[1:]  # "a long description" says how much is written, as "a short name" does
    if len(words) > 2 and words[-1].isdigit() and words[-2].isdigit():  # "stars 1-5"
        words, draft.type = words[:-2], draft.type or "number"
    draft.label = _trimmed(words, draft)
    at = _hints(reader, at, draft)
    if not draft.label:
        return None, max(at, start + 1)
    _either(draft)
    if not draft.options and reader.mark(at, ",") and reader.low(at + 1) in ("such", "either", "which", "like"):
        after = _relative(reader, at + 1, draft)
        at = after if draft.options else at
    return draft, max(at, start + 1)


def _either(draft: FieldDraft) -> None:
    """ "fell or found": a field with no name but its two values. "phone or email" is one of two fields, and stays a text."""
    pair = draft.label.lower().split(" or ")
    if (
        len(pair) == 2
        and not draft.options
        and not draft.type
        and all(w.isalpha() and (not is_known(w) or infer(w) == "boolean") for w in pair)
    ):
        draft.options = (pair[0], pair[1])


def _opening(reader: Reader, at: int, draft: FieldDraft) -> int:
    """Determiners and modifiers before the label: "an optional"."""
    while reader.word(at) and (reader.low(at) in DETERMINERS or reader.low(at) in MODIFIERS):
        low = reader.low(at)
        after = reader.low(at + 1)
        if low in MODIFIERS and (not reader.word(at + 1) or after in _STOPS):
            break  # "optional" and "no" alone are labels
        if low in ("optional", "optionally", "possibly", "maybe"):
            draft.required = False
        elif low in ("required", "mandatory"):
            draft.required = True
        draft.definite = draft.definite or low in DETERMINERS
        at += 1
    if reader.low(at).isdigit() and reader.low(at + 1) == "to" and reader.low(at + 2).isdigit() and reader.content(at + 3):
        draft.type, at = "number", at + 3  # "a 1 to 5 rating"
    return at


def _special(reader: Reader, at: int, draft: FieldDraft) -> int | None:
    """Clauses that stand for a field: "whether it is paid", "how many there are", "when it was bought", "belongs to a customer"."""
    low = reader.low(at)
    if low in ("whether", "if"):
        words, end = _clause(reader, at + 1)
        draft.label, draft.type, draft.definite = _state(words), "boolean", True
        return end
    if low == "how" and reader.low(at + 1) in ("many", "much", "long", "old", "often", "far", "big", "tall", "heavy"):
        return _amount(reader, at, draft)
    if low == "when":
        words, end = _clause(reader, at + 1)
        draft.label, draft.type, draft.definite = _state(words), "date", True
        return end
    if low in ("where", "who", "what") and reader.word(at + 1):
        words, end = _clause(reader, at + 1)
        known = {"where": "location", "what": _state(words)}
        draft.label, draft.definite = known.get(low, " ".join([low, *words])), True
        if low == "what" and re.match(r"costs?\b", draft.label):
            draft.label = "cost"
        if low == "what" and infer(draft.label) == "boolean":
            draft.type = "text"  # "what was done" asks for words
        return end
    if low in _MARKS_OF_STATE and reader.low(at + 1) in ("for", "if", "whether", "that", "saying", "when") and reader.word(at + 2):
        after = at + 3 if reader.low(at + 2) in ("whether", "if") else at + 2
        words, end = _clause(reader, after)
        draft.label, draft.type, draft.definite = _state(words), "boolean", True
        return end
    relation = at + 1 if low in ("is", "are", "be") else at
    wanted = RELATION_VERBS.get(reader.low(relation))
    pointed = reader.determiners(relation + 2)
    if wanted and reader.low(relation + 1) == wanted and reader.word(pointed) and reader.low(pointed) not in _STOPS:
        return _target(reader, relation + 2, draft)
    if (
        low in ("is", "are", "be")
        and reader.low(at + 1).endswith(("ed", "en", "ught"))
        and reader.low(at + 2) in ("in", "to", "by", "with", "at", "for", "on", "from")
        and reader.low(at + 3) in DETERMINERS
    ):
        return _target(reader, at + 3, draft)
    if low in ("is", "are") and reader.low(at + 1) in ("for", "by", "from", "with") and reader.low(at + 2) in DETERMINERS:
        return _target(reader, at + 2, draft)
    if low in ("references", "by", "for", "from") and reader.low(at + 1) in DETERMINERS:
        return _target(reader, at + 1, draft)
    if low in ("can", "may") and reader.low(at + 1) == "be" and (found := reader.choices(at + 2 + (reader.low(at + 2) == "either"))):
        draft.label, draft.options, draft.definite = "status", found[0], True
        if "not" not in found[0]:
            return found[1]
        draft.options = ()
    if low in ("is", "are", "can", "was", "has") and reader.word(at + 1) and reader.low(at + 1) not in DETERMINERS | _STOPS:
        if low in ("is", "are") and reader.low(at + 1) == "either" and (found := reader.choices(at + 2)):
            draft.label, draft.options, draft.definite = "status", found[0], True
            return found[1]
        words, end = _clause(reader, at + 1)
        if words[-2:] == ["or", "not"] or words[0].lower() in ("it", "they"):  # "is it paid or not", "is it paid"
            draft.label = _state([w for w in words if w.lower() not in ("or", "not")])
        else:
            draft.label = " ".join([low, *words])
        draft.type, draft.definite = "boolean", True
        return _hints(reader, end, draft)
    return None


def _amount(reader: Reader, at: int, draft: FieldDraft) -> int:
    kind = reader.low(at + 1)
    words, end = _clause(reader, at + 2)
    words = [w for w in words if w.lower() not in ("there", "it", "they", "we", "i", "are", "is", "has", "have", "of", "each", "you")]
    draft.definite = True
    if kind == "many":
        draft.label, draft.type = " ".join(words) or "quantity", "integer"
    elif kind == "much" and (not words or words[0].lower().startswith(("cost", "paid", "price"))):
        draft.label, draft.type = ("cost" if words else "amount"), "money"
    elif kind == "much":
        draft.label, draft.type = " ".join(words), "number"
    else:
        draft.label = {
            "long": "duration",
            "old": "age",
            "often": "frequency",
            "far": "distance",
            "big": "size",
            "tall": "height",
            "heavy": "weight",
        }[kind]
    return end


def _target(reader: Reader, at: int, draft: FieldDraft) -> int:
    """A reference by its verb: the label is what it points to."""
    start = reader.determiners(at)
    end = start
    while reader.content(end):
        end += 1
    draft.label = draft.target = reader.text(start, end)
    draft.definite = True
    return _clause(reader, end)[1]


def _clause(reader: Reader, at: int) -> tuple[list[str], int]:
    """The words up to the next separator."""
    words: list[str] = []
    while reader.word(at) and reader.low(at) not in _STOPS:
        words.append(reader.tokens[at].text)
        at += 1
    if reader.mark(at, "?"):
        at += 1
    return words, at


def _state(words: list[str]) -> str:
    """What a clause says of its subject: "it has been returned" -> "returned", "breakfast is included" -> "breakfast included"."""
    if [w.lower() for w in words[:2]] == ["or", "not"]:
        words = words[2:]
    if [w.lower() for w in words[-2:]] == ["or", "not"]:
        words = words[:-2]
    while len(words) > 1 and words[-1].lower() in ("it", "them", "him", "her", "me", "us", "yet", "already"):
        words = words[:-1]
    low = [w.lower() for w in words]
    verb = next((i for i, w in enumerate(low) if w in _AUXILIARIES), None)
    if low and (low[0] in ("it", "they", "he", "she", "this", "that", "we", "you", "i", "there") or low[0] in DETERMINERS):
        # "the book is returned" says it of the record itself, "a deposit was paid" of something else.
        words = words[1:] if verb is None or low[0] not in DETERMINERS - {"a", "an"} else words[verb:]
    while words and words[0].lower() in _AUXILIARIES | {"a", "an", "the", "been"}:
        words = words[1:]
    return " ".join(w for w in words if w.lower() not in _AUXILIARIES - {"to"})


def _words(reader: Reader, at: int, draft: FieldDraft) -> tuple[list[str], int]:
    """The label's words, and what follows them without a mark: units, types, choices, relative clauses."""
    words: list[str] = []
    while reader.word(at) and reader.low(at) not in _STOPS:
        low = reader.low(at)
        if low == "or" and words:
            if reader.low(at + 1) == "not":
                draft.type = "boolean"
                at += 2
                continue
        elif words and low == "of":
            found = reader.choices(at + 1)
            if found and not any(w in DETERMINERS for o in found[0] for w in o.lower().split()):
                draft.options, at = found
                break
        elif words and low in ("in", "as", "from", "between", "out", "on", "per"):
            after = _qualified(reader, at, draft)
            if after is not None:
                at = after
                continue
        elif words and low in ("where", "by") and (not reader.word(at + 1) or reader.low(at + 1) in _STOPS):
            pass  # "found where", "owned by"
        elif words and low in (*_CLAUSES, "such", "like"):
            at = _relative(reader, at, draft)
            break
        elif words and low in ("with", "having"):
            named = reader.determiners(at + 1)
            named += reader.low(named) in ("possible", "following", "allowed")
            found = (
                reader.choices(named + 1 + reader.mark(named + 1, ":"), anyway=True)
                if reader.low(named) in ("options", "values", "choices", "states")
                else None
            )
            if found:
                draft.options, at = found
            else:
                _, at = _clause(reader, at)
            break
        if words and (found := _unmarked(reader, at, words[-1])):
            draft.options, at = found
            break
        words.append(reader.tokens[at].text)
        at += 1
        if reader.mark(at, "/") and reader.word(at + 1) and not _yes_no(reader, at - 1) and not _shared_head(reader, at, words[-1]):
            words[-1] += f"/{reader.tokens[at + 1].text}"
            at += 2
    return words, at


def _unmarked(reader: Reader, at: int, head: str) -> tuple[tuple[str, ...], int] | None:
    """Choices directly behind the label: after some labels any, after others only words between at least two slashes."""
    slashed = reader.mark(at + 1, "/") and reader.mark(at + 3, "/") and not _yes_no(reader, at)
    pair = (
        reader.word(at)
        and reader.mark(at + 1, "/")
        and reader.word(at + 2)
        and not reader.word(at + 3)
        and not reader.mark(at + 3, "/", "(")
    )
    if pair and not _yes_no(reader, at):  # "direction in/out"
        sides = [reader.low(at), reader.low(at + 2)]
        if not any(_is_field(s) or s in TYPE_WORDS or (s in FUNCTION and s not in ("in", "out", "on", "off")) for s in sides):
            return (reader.tokens[at].text, reader.tokens[at + 2].text), at + 3
    if not slashed and head.lower() not in _CHOSEN:
        return None
    found = reader.choices(at)
    if found is None or (not slashed and any(map(_is_field, found[0]))):
        return None
    return found


def _shared_head(reader: Reader, at: int, word: str) -> str:
    """The noun that "first" shares in "first and last name"; empty where it shares none."""
    if word.lower() not in _SHARED or not (reader.low(at) in ("and", "or") or reader.mark(at, "/", ",")):
        return ""
    start = at + 1
    while reader.low(start) in _SHARED and (reader.low(start + 1) in ("and", "or") or reader.mark(start + 1, ",")):
        start += 2
    ends = not reader.word(start + 2) or reader.low(start + 2) in _STOPS | {"in", "of", "for"}
    if reader.low(start) in _SHARED and reader.content(start + 1) and ends:
        return singular(reader.low(start + 1))
    return ""


def _yes_no(reader: Reader, at: int) -> bool:
    return f"{reader.low(at)}/{reader.low(at + 2)}" in ("yes/no", "y/n", "true/false", "on/off")


def _qualified(reader: Reader, at: int, draft: FieldDraft) -> int | None:
    """ "in euros", "as a date", "from 1 to 5": the position after it, else None."""
    low = reader.low(at)
    after = reader.determiners(at + 1)
    if low == "in":
        return _unit(reader, after, draft)
    if low == "as":
        for end in (after + 2, after + 1):
            kind = TYPE_WORDS.get(" ".join(reader.low(i) for i in range(after, end)))
            if kind and all(reader.word(i) for i in range(after, end)):
                draft.type = draft.type or kind
                return end
        return None
    if low in ("from", "between") and reader.low(at + 1).isdigit():
        end = at + 2
        if reader.low(end) in ("to", "and") and reader.low(end + 1).isdigit():
            draft.type = "number"
            return end + 2
    if low == "out" and reader.low(at + 1) == "of" and reader.low(at + 2).isdigit():
        draft.type = "number"
        return at + 3
    if low == "on" and reader.low(after) == "scale":
        draft.type = "number"
        return _clause(reader, at)[1]
    return None


def _unit(reader: Reader, at: int, draft: FieldDraft) -> int | None:
    low = reader.low(at)
    pair = f"{low} {reader.low(at + 1)}"
    for unit, end in ((pair, at + 2), (low, at + 1)):
        if unit in CURRENCIES:
            draft.type, draft.unit = draft.type or "money", CURRENCIES[unit]
            return end
        if unit in UNITS:
            draft.type, draft.unit = draft.type or "number", unit
            # "degrees celsius": the unit's own words belong to it
            return end + 1 if reader.low(end) in UNITS and reader.word(end) else end
    return None


def _relative(reader: Reader, at: int, draft: FieldDraft) -> int:
    """ "that can be a, b or c", "which is required", "they applied for"."""
    start = at
    explicit = False
    while reader.low(at) in _FILLERS and reader.word(at):
        explicit = explicit or reader.low(at) in ("one", "either")
        at += 1
    if reader.mark(at, ":"):
        at += 1
    found = reader.choices(at, anyway=explicit)
    if found and at > start:
        draft.options = found[0]
        return found[1]
    words, end = _clause(reader, start)
    low = [w.lower() for w in words]
    if "optional" in low:
        draft.required = False
    elif "required" in low or "mandatory" in low:
        draft.required = True
    elif any(w in CURRENCIES for w in low):
        draft.unit = next(CURRENCIES[w] for w in low if w in CURRENCIES)
    return end


def _hints(reader: Reader, at: int, draft: FieldDraft) -> int:
    """Marks behind the label: brackets, a question mark, a colon or a dash with choices or a type."""
    if reader.mark(at, "?"):
        draft.type = "boolean"
        at += 1
    if reader.mark(at, "/") and _yes_no(reader, at - 1):
        draft.type = "boolean"
        draft.label = re.sub(r"\s*\b(yes|y|true|on)$", "", draft.label, flags=re.I)
        at += 2
    if reader.mark(at, "("):
        end = reader.closing(at)
        bracket(reader, at + 1, end, draft)
        at = min(end + 1, len(reader))
    if reader.low(at) == "->" and reader.content(at + 1) and draft.label:
        end = reader.noun_phrase(at + 1)
        draft.target = reader.text(at + 1, end)
        return end
    if reader.mark(at, "-") and head_of(draft.label.lower()) in _CHOSEN:
        close = next(
            (i for i in range(at + 1, min(at + 24, len(reader))) if reader.tokens[i].mark and reader.tokens[i].text != ","), len(reader)
        )
        if reader.mark(close, "-"):  # "stage - prospect, won, lost - and"
            bracket(reader, at + 1, close, draft)
            if draft.options:
                return close + 1
    if reader.mark(at, ":", "-") and draft.label:
        after = at + 1
        while reader.low(after) in _FILLERS and reader.word(after):
            after += 1
        for end in (after + 2, after + 1):
            kind = TYPE_WORDS.get(" ".join(reader.low(i) for i in range(after, end)))
            if (
                kind
                and kind not in ("enum", "reference")
                and (end >= len(reader) or reader.mark(end, ",", ";", ")") or reader.low(end) == "and")
            ):
                draft.type = kind
                return end
        found = reader.choices(after) or _rest(reader, after, draft.label)
        if found:
            draft.options, at = found
            if {o.lower() for o in draft.options} in ({"yes", "no"}, {"true", "false"}):
                draft.options, draft.type = (), "boolean"
    return at


def _rest(reader: Reader, at: int, label: str) -> tuple[tuple[str, ...], int] | None:
    """ "status: draft, sent, paid" where nothing else follows in the brackets or the clause, and no other field is among them."""
    if head_of(label.lower()) not in _CHOSEN:
        return None
    found = reader.choices(at, closed=True)
    if found is None or found[1] < len(reader) or any(_is_field(option) or len(option.split()) > 3 for option in found[0]):
        return None
    return found


def _is_field(option: str) -> bool:
    """Whether a word among choices is rather a field: "paid" may be a state, "price" is none."""
    return is_known(option) and infer(option) != "boolean"


def bracket(reader: Reader, start: int, end: int, draft: FieldDraft) -> None:
    """What brackets behind a label say: a type, a unit, choices, optional or required."""
    draft.definite = True
    low = [reader.low(i) for i in range(start, end)]
    text = " ".join(low).replace(" / ", "/")
    if "optional" in low or "not required" in text:
        draft.required = False
    elif "required" in low or "mandatory" in low:
        draft.required = True
    rest = re.sub(
        r"\b(?:optional|not required|required|mandatory|unique)\b|^\W+|\W+$", "", re.sub(r"^(?:an?|the|in|as an?|as|type) ", "", text)
    ).strip(" ,;")
    if rest in TYPE_WORDS and TYPE_WORDS[rest] != "reference":
        if TYPE_WORDS[rest] == "money":
            draft.unit = CURRENCIES.get(rest, "")
        if TYPE_WORDS[rest] != "enum":
            draft.type = TYPE_WORDS[rest]
        return
    if refers := re.fullmatch(
        r"(?:references?|refers|ref|fk|foreign key|link|links|linked|relation|belongs|lookup|->) (?:to )?(?:an? |the )?(\w[\w ]{0,60})",
        rest,
    ):
        draft.target = refers[1]
        return
    amount = rest.split("/")[0].split(" per ")[0]
    if amount in CURRENCIES:
        draft.type, draft.unit = "money", CURRENCIES[amount]
        return
    if rest in UNITS or (amount in UNITS and amount != rest):
        draft.type, draft.unit = "number", rest
        return
    if re.fullmatch(r"\d+ ?(?:-|to|/|and)? ?\d+(?: stars| points)?", rest):
        draft.type = "number"
        return
    while start < end and reader.low(start) in _FILLERS and reader.word(start + 1):
        start += 1
    if reader.mark(start, ":"):
        start += 1
    sub = Reader(reader.tokens[start:end])
    found = sub.choices(0, closed=True)
    if found and found[1] >= len(sub):
        options = tuple(o for o in found[0] if o.lower() not in ("optional", "required"))
        if {o.lower() for o in options} in ({"yes", "no"}, {"true", "false"}, {"y", "n"}):
            draft.type = "boolean"
        elif len(options) >= 2 and not (sum(map(is_known, options)) * 2 >= len(options) and head_of(draft.label.lower()) in _COMPOUND):
            draft.options = options


def _trimmed(words: list[str], draft: FieldDraft) -> str:
    """The label without words that only say it is a field: "name field", "paid flag"."""
    while len(words) > 1 and words[-1].lower() in (
        "field",
        "column",
        "attribute",
        "dropdown",
        "drop-down",
        "select",
        "picker",
        "flag",
        "checkbox",
        "toggle",
        "tickbox",
        "switch",
        "each",
        "too",
        "yes",
        "boolean",
    ):
        if words[-1].lower() in ("flag", "checkbox", "toggle", "tickbox", "switch", "boolean"):
            draft.type = "boolean"
        elif words[-1].lower() == "yes":
            break
        words = words[:-1]
    return " ".join(words)
