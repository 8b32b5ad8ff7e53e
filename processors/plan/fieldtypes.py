"""Types of fields: by the words a person may write for a type, and by what a label says."""

from __future__ import annotations

import re

from processors.spec import FieldType

# What people call a type, in written specs and in hints such as "(number)" or "as a date".
TYPE_WORDS: dict[str, FieldType] = {
    **dict.fromkeys(("text", "string", "str", "varchar", "char", "short text", "words", "free text", "line", "name"), "text"),
    **dict.fromkeys(("longtext", "long text", "long", "multiline", "textarea", "text area", "paragraph", "markdown", "rich text"), "longtext"),
    **dict.fromkeys(("email", "e-mail", "mail", "email address"), "email"),
    **dict.fromkeys(("phone", "tel", "telephone", "phone number", "mobile"), "phone"),
    **dict.fromkeys(("url", "link", "uri", "website", "web address", "image", "photo"), "url"),
    **dict.fromkeys(("number", "numeric", "float", "decimal", "double", "real", "num", "percent", "percentage"), "number"),
    **dict.fromkeys(("integer", "int", "whole number", "count", "bigint", "year"), "integer"),
    **dict.fromkeys(("money", "currency", "price", "amount", "euro", "euros", "dollar", "dollars", "usd", "eur", "gbp", "chf"), "money"),
    **dict.fromkeys(("date", "day", "calendar date"), "date"),
    **dict.fromkeys(("datetime", "date-time", "date time", "timestamp", "date and time", "timestamptz", "moment"), "datetime"),
    **dict.fromkeys(("time", "time of day", "clock time"), "time"),
    **dict.fromkeys(
        ("boolean", "bool", "yes/no", "true/false", "y/n", "yes or no", "true or false", "checkbox", "flag", "toggle", "switch", "tick", "check"),
        "boolean",
    ),
    **dict.fromkeys(("enum", "select", "choice", "choices", "dropdown", "options", "one of"), "enum"),
    **dict.fromkeys(("reference", "ref", "relation", "foreign key", "fk", "belongs to", "lookup"), "reference"),
}

CURRENCIES = {
    **dict.fromkeys(("euro", "euros", "eur", "€"), "EUR"),
    **dict.fromkeys(("dollar", "dollars", "usd", "us dollars", "$", "bucks"), "USD"),
    **dict.fromkeys(("pound", "pounds", "gbp", "£", "sterling"), "GBP"),
    **dict.fromkeys(("franc", "francs", "chf"), "CHF"),
    **dict.fromkeys(("yen", "jpy", "¥"), "JPY"),
    **dict.fromkeys(("rupee", "rupees", "inr", "₹"), "INR"),
}
UNITS = frozenset(
    """minute minutes min mins hour hours hr hrs second seconds sec secs day days week weeks month months year years
    kg kilo kilos kilogram kilograms g gram grams mg pound-mass lb lbs ounce ounces oz ton tons tonne tonnes
    km kilometer kilometers kilometre kilometres mile miles m meter meters metre metres cm centimeter centimeters centimetre
    centimetres mm inch inches foot feet ft l liter liters litre litres ml percent percentage % degrees degree celsius
    fahrenheit °c °f kwh watts watt volts kcal calories points stars pieces units persons people cents sqm m2 m² hectares acres
    mph kmh km/h bpm""".split()
)

_PREPOSITION = re.compile(r"\s(?:of|per|for|in|by|at|on|from|to|with|until|since|about)\s")
_EMAIL = re.compile(r"\be-?mails?\b")
_PHONE = re.compile(r"\b(?:tele)?phone\b|\b(?:mobile|cell|fax|whatsapp)\b|\bcontact (?:number|no)\b|\btel\b")
_URL = re.compile(r"\b(?:url|website|web ?site|web ?page|home ?page|hyperlink|web address|link)\b")
_DATETIME = re.compile(r"\bdate ?(?:and|&|/) ?time\b|\bdate-?time\b|\btimestamp\b")
_DATE = re.compile(
    r"\bdates?\b|\bbirthday\b|\bdob\b|\bdeadline\b|\bborn\b|\bexpiry\b|\bexpiration\b|^expires$|^due$|^check-?(?:in|out)$|\banniversary\b"
    r"|\w(?:ed|t|n|ught|ld|de) on$|^(?:last|next) \w+(?:ed|en|ing|ection|ice|it)$|^(?:valid|open|available) (?:until|from|since)$|\bdue on$"
)
_DURATION = re.compile(r"\b(?:cooking|prep|preparation|baking|lead|travel|running|playing|response|processing|turnaround|delivery|screen) time\b")
_TIME = re.compile(r"\btime$|^(?:opens|closes) at$")
_MONEY = re.compile(
    r"^(?:price|cost|costs|amount|total|subtotal|salary|wage|wages|fee|fees|budget|revenue|balance|deposit|fare|rent|income|tax|tip|"
    r"payment|spend|spending|profit|donation|expense|debt|turnover|compensation|pay|charge|bounty|msrp|premium|discount price)$"
)
_INTEGER = re.compile(
    r"^(?:stock|quantity|qty|count|capacity|year|age|population|headcount|seats|beds|bedrooms|bathrooms|pages|copies|bottles|points|calories|"
    r"votes|likes|views|goals|nights|days|weeks|months|laps|doors|passengers|pieces|units|pots|servings|portions|episodes|seasons|"
    r"rounds|wins|losses|reps|sets|steps|stars|spaces|slots|people|persons|bids|downloads|followers|lessons|credits|installments)$"
)
_NUMBER = re.compile(
    r"^(?:weight|height|width|depth|distance|mileage|rating|score|hours|minutes|seconds|temperature|area|volume|percentage|percent|"
    r"discount|latitude|longitude|speed|power|surface|altitude|elevation|kilometers|kilometres|miles|humidity|ph|bmi|gpa|acreage)$"
)
_LONG = re.compile(
    r"^(?:description|notes?|comments?|summary|biography|bio|abstract|instructions|details|message|body|content|remarks|feedback|"
    r"text|ingredients|directions|about|review|observations?|symptoms|requirements|agenda|minutes of meeting|story|terms|preparation|method|steps)$"
)
_BOOLEAN_WORDS = frozenset(
    """active inactive done available public private paid unpaid recurring remote optional mandatory visible hidden online offline
    positive negative present absent vegan vegetarian urgent billable taxable fragile refundable open-source""".split()
)
_BOOLEAN_START = re.compile(r"^(?:is|are|has|have|was|were|can|should|does|did|needs|allows|accepts|in stock$|for sale$|on sale$|sold out$)\b")
# Words in -ed that say how something is, not what it is.
_NOT_DONE = frozenset("speed need seed feed breed bed shed weed sled embed unlimited dated united".split())
# Lengthy nouns that name a thing although their first word says an amount.
_TEXT_HEADS = frozenset(
    """name title type kind category code method model brand level status state id reference colour color size range unit label group
    class center centre policy plan source reason address location format holder owner person manager currency number no""".split()
)


def infer(label: str) -> FieldType:
    """The type that a label suggests; "text" where it suggests none. Text takes anything, so a type is named only on good grounds."""
    words = re.sub(r"[^\w\s&/'-]", " ", label.casefold()).strip()
    words = re.sub(r"\s+", " ", words)
    head = head_of(words)
    if _BOOLEAN_START.search(words):
        return "boolean"
    if _EMAIL.search(words) and not re.search(r"\b(?:subject|text|body|template|type|verified)$", words):
        return "email"
    if _DATETIME.search(words):
        return "datetime"
    if re.match(r"(?:number|no|count|amount|quantity|total number) of \w", words):
        return "integer" if not words.startswith("amount") else "number"
    if _PHONE.search(words) and (head in ("phone", "telephone", "mobile", "cell", "fax", "number", "no", "numbers", "whatsapp", "tel")):
        return "phone"
    if _URL.search(words) and _URL.search(head):
        return "url"
    if _DATE.search(words) and (head not in _TEXT_HEADS or words.startswith("date")):
        return "date"
    if _TIME.search(words) and not _DURATION.search(words):
        return "time"
    return _by_head(words, head)


def _by_head(words: str, head: str) -> FieldType:
    if words == "age rating":
        return "text"
    first = words.split(" ")[0] if words else ""
    spent = re.fullmatch(r"(\w+) (?:spent|worked|left|sold|available|required|needed|used|taken|played|read|logged|remaining|in stock|on hand|ordered)", words)
    for candidate in (head, spent[1] if spent else ""):
        if _MONEY.match(candidate) or re.fullmatch(r"(?:hourly|daily|nightly|monthly|weekly|day|room) rate", words) or re.search(r"\bvalue$", candidate) and len(words) > 5:
            return "money"
        if _INTEGER.match(candidate):
            return "integer"
        if _NUMBER.match(candidate):
            return "number"
    if _LONG.match(head):
        return "longtext"
    if words in _BOOLEAN_WORDS or (" " not in words and words.endswith("ed") and words not in _NOT_DONE and len(words) > 4):
        return "boolean"
    if first in ("in", "on") and words in ("in stock", "on sale", "on offer", "in use"):
        return "boolean"
    return "text"


def head_of(words: str) -> str:
    """The noun a phrase is about: the last word before its first preposition ("price per night": price)."""
    return before_preposition(words).rsplit(" ", 1)[-1]


def before_preposition(words: str) -> str:
    """The part of a phrase that names it: "price per night" -> "price"."""
    return _PREPOSITION.split(f"{words} ", maxsplit=1)[0].strip()


def is_known(label: str) -> bool:
    """Whether a label is one that people give to fields: it has a type of its own, or is a usual name of a text."""
    return infer(label) != "text" or head_of(label.casefold()) in _USUAL


_USUAL = _TEXT_HEADS | frozenset(
    """first-name surname subject headline isbn sku barcode serial street city town country region zip postcode department team role
    position genre author artist publisher company industry species gender language nationality author plate make tag tags room
    customer supplier client venue place destination origin priority medicine dose diagnosis material flavour flavor username
    password nickname topic question answer condition product item grade version vendor manufacturer email phone instructor""".split()
)
