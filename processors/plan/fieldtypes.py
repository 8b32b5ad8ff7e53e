"""Types of fields: by the words a person may write for a type, and by what a label says."""

from __future__ import annotations

import re

from processors.plan.lexicon import lexicon
from processors.spec import FieldType

# What people call a type, in written specs and in hints such as "(number)" or "as a date".
TYPE_WORDS: dict[str, FieldType] = {
    **dict.fromkeys(("text", "string", "str", "varchar", "char", "short text", "words", "free text", "line", "name"), "text"),
    **dict.fromkeys(
        ("longtext", "long text", "long", "multiline", "textarea", "text area", "paragraph", "markdown", "rich text"), "longtext"
    ),
    **dict.fromkeys(("email", "e-mail", "mail", "email address"), "email"),
    **dict.fromkeys(("phone", "tel", "telephone", "phone number", "mobile"), "phone"),
    **dict.fromkeys(("url", "link", "uri", "website", "web address", "image", "photo"), "url"),
    **dict.fromkeys(("number", "numeric", "float", "decimal", "double", "real", "num", "percent", "percentage"), "number"),
    **dict.fromkeys(("integer", "int", "whole number", "count", "bigint", "year"), "integer"),
    **dict.fromkeys(("money", "currency", "price", "amount", "euro", "euros", "dollar", "dollars", "usd", "eur", "gbp", "chf"), "money"),
    **dict.fromkeys(
        ("date", "day", "calendar date", "yyyy-mm-dd", "dd/mm/yyyy", "mm/dd/yyyy", "dd.mm.yyyy", "dd-mm-yyyy", "iso date"), "date"
    ),
    **dict.fromkeys(
        ("datetime", "date-time", "yyyy-mm-dd hh:mm", "date/time", "date time", "timestamp", "date and time", "timestamptz", "moment"),
        "datetime",
    ),
    **dict.fromkeys(("time", "time of day", "clock time", "hh:mm", "hh : mm"), "time"),
    **dict.fromkeys(
        (
            "boolean",
            "bool",
            "yes/no",
            "true/false",
            "y/n",
            "yes or no",
            "true or false",
            "checkbox",
            "flag",
            "toggle",
            "switch",
            "tick",
            "check",
        ),
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
UNITS = lexicon("""minute minutes min mins hour hours hr hrs second seconds sec secs day days week weeks month months year years
    kg kilo kilos kilogram kilograms g gram grams mg pound-mass lb lbs ounce ounces oz ton tons tonne tonnes
    km kilometer kilometers kilometre kilometres mile miles m meter meters metre metres cm centimeter centimeters centimetre
    centimetres mm inch inches foot feet ft l liter liters litre litres ml percent percentage % degrees degree celsius
    fahrenheit °c °f kwh watts watt volts kcal calories points stars pieces units persons people cents sqm m2 m² hectares acres
    mph kmh km/h bpm kw kwp mw kb mb gb tb""") | {
    f"{kind} {unit}" for kind in ("square", "cubic") for unit in ("meters", "metres", "feet", "kilometers", "kilometres", "miles", "inches")
}

_PREPOSITION = re.compile(r"\s(?:of|per|for|in|by|at|on|from|to|with|until|since|about|against)\s")
_EMAIL = re.compile(r"\be-?mails?\b")
_PHONE = re.compile(r"\b(?:tele)?phone\b|\b(?:mobile|cell|fax|whatsapp)\b|\bcontact (?:number|no)\b|\btel\b")
_URL = re.compile(r"\b(?:url|website|web ?site|web ?page|home ?page|hyperlink|web address|link)\b")
_DATETIME = re.compile(r"\bdate ?(?:and|&|/) ?time\b|\bdate-?time\b|\btimestamp\b")
_DATE = re.compile(
    r"\bdates?\b|\bbirthday\b|\bdob\b|\bdeadline\b|\bborn\b|\bexpiry\b|\bexpiration\b|^expires$|^due$|^check-?(?:in|out)$|\banniversary\b"
    r"|\w(?:ed|t|n|ught|ld|nd|de|id) on$|\b(?:\w+ed|due|sent|given|taken|brought|lent) (?:up|back|out|in|off|over|down) on$|\bdue by$|^(?:last|next) \w+(?:ed|en|ing|ection|ice|it)$|^(?:valid|open|available) (?:until|from|since)$|\bdue on$"
    r"|\buntil$|^(?!(?:front|back|rear|low|high|dead|book|kick|head|quick|week) )\w+ (?:start|end)$|^(?:arrival|departure)$|^best before$|^(?:back|out|away) on$"
    r"|^(?:use|sell|drink|eat|consume|return|pay|needed|wanted|required) by$|^(?:departs|returns|arrives|leaves|starts|ends|begins|opens|closes|falls|expires|lapses|renews) on$"
)
# "opened at" is a moment, "bought at" a place: only of what begins, ends and is noted down do people mean the time.
_MOMENT = re.compile(
    r"^(?:start(?:s|ed)|beg(?:ins|an)|end(?:s|ed)|finishe[sd]|opened|closed|created|updated|reported|logged|recorded|resolved|submitted|received|"
    r"sent|arrive[sd]|depart(?:s|ed)|leaves|(?:checked|clocked|signed) (?:in|out)) at$"
)
_YEAR = re.compile(
    r"^year (?:\w+ed|built|made|found|bought|born|sold|won|begun|of \w+(?: \w+)?)$|^(?:formed|founded|established|built|released|published) in$|\bby year$"
)
_DURATION = re.compile(
    r"\b(?:cooking|prep|preparation|baking|lead|travel|running|playing|response|processing|turnaround|delivery|screen) time\b"
)
_TIME = re.compile(
    r"\btime$|^(?:opens|closes) at$|^time (?:in|out|seen|heard|spotted|observed|noticed|reported|started|finished|arrived|left)$"
)
_MONEY = re.compile(
    r"^(?:price|cost|costs|amount|total|subtotal|salary|wage|wages|fee|fees|budget|revenue|balance|deposit|fare|rent|income|tax|tip|"
    r"spend|spending|profit|donation|expense|debt|bill|turnover|compensation|bounty|msrp)$"
)
_INTEGER = re.compile(
    r"^(?:stock|quantity|qty|count|capacity|year|age|population|headcount|seats|beds|bedrooms|bathrooms|pages|copies|bottles|points|calories|"
    r"votes|likes|views|nights|laps|doors|passengers|pieces|pots|servings|portions|episodes|wins|losses|stars|spaces|bids|downloads|"
    r"followers|credits|installments|sets|reps|repetitions|instalments)$"
)
_NUMBER = re.compile(
    r"^(?:weight|height|width|depth|distance|mileage|rating|hours|minutes|seconds|temperature|percentage|percent|discount|latitude|"
    r"longitude|speed|altitude|elevation|kilometers|kilometres|miles|humidity|ph|bmi|gpa|acreage|probability|kilograms|kilos|litres|liters|grams|tonnes)$"
)
# What would be a number or an amount by its head, and is written as words or a range.
_NO_NUMBER = re.compile(
    r"\b(?:age rating|age group|(?:opening|business|office|working|visiting) hours|(?:school|academic|fiscal|financial) year)$"
)
_VALUE = re.compile(
    r"^(?:estimated|replacement|market|face|insured|purchase|total|book|resale|contract|order|deal|asset|current|appraised|insurance|declared|residual|scrap) value$"
    r"|^(?:price|amount|sum|total|cost) paid$"
)
_SPENT = re.compile(
    r"(\w+) (?:spent|worked|left|sold|available|required|needed|used|taken|played|read|logged|driven|ridden|walked|run|hiked|cycled|billed|slept|caught|collected|harvested|produced|remaining|in stock|on hand|ordered|late|early|lost|saved|waited|counted|flown|sailed|trained|studied|practised|practiced)"
)
_COUNTED = re.compile(r"^(?:days|weeks|months|years) (?:between|since|before|after) \w|^\w+s counted$|^(?:adults|children|kids|infants)$")
_LEVEL = re.compile(
    r"^(?:stock|inventory|reorder|water|fuel|oil|noise|sound|battery|charge) level$|^(?:odometer|meter|gas|water|electricity) reading$"
)
# A score may be "2-1" and a rate "high"; these are numbers.
_SCORE = re.compile(r"^(?:home|away|test|exam|quiz|credit|total|average|max|maximum|min|minimum|passing) score$")
_PERCENTAGE = re.compile(
    r"^(?:vat|tax|interest|discount|commission|growth|exchange|heart|conversion) rate$|^(?:remaining|total|vacation|holiday|sick|leave|available|used) (?:days|weeks)$|^(?:max|maximum|min|minimum) \w+s$"
)
# "breakfast included", "contract signed": a noun and whether something is so.
_STATE = re.compile(
    r"^(?!(?:amount|date|quantity|number|who|person|people|deposit paid)\b)(?:\w+ )?[a-z]*[^s\W] (?:included|signed|received|confirmed|completed|required|sent|approved|returned|checked|verified|cancelled|canceled|allowed|delivered|attached|accepted|activated|enabled|paid|given|granted|obtained|booked|needed|arranged|provided|fitted|filled)$"
)
_RATE = re.compile(r"^(?:hourly|daily|nightly|weekly|monthly|day|room) rate$")
_LONG = re.compile(
    r"^(?:description|notes?|comments?|summary|biography|bio|abstract|instructions|details|message|body|content|remarks|feedback|"
    r"text|ingredients|directions|about|review|observations?|symptoms|requirements|agenda|minutes of meeting|story|terms|steps|definition|explanation)$"
)
_BOOLEAN_WORDS = lexicon("""active inactive done available public private paid unpaid recurring remote optional mandatory visible hidden online offline
    positive negative present absent vegan vegetarian urgent billable indoor outdoor waterproof gluten-free halal kosher perishable overdue archived healthy renewable reusable valid expired passed taxable fragile refundable open-source""")
_BOOLEAN_START = re.compile(
    r"^(?:is|are|has|have|was|were|can|should|does|did|needs|allows|accepts|likes|loves|tolerates|requires|includes|smokes|drives|would) \w|(?:signed|paid|accounted|catered) for$|(?:safe|ready|able|willing|fit|free|eligible) to \w|(?:full|part)[- ]time$|^(?:in stock|in use|for sale|on sale|on offer|sold out)$"
    r"|\w[ -](?:friendly|accessible)$"
)
# Participles that say whether something has happened. Those that as often stand for a date or a year (published, founded) are no type.
_HAPPENED = lexicon(
    """delivered shipped returned completed finished confirmed approved rejected resolved fixed cancelled canceled archived verified enabled
    disabled accepted attended invited insured vaccinated neutered sterilised sterilized certified fulfilled refunded processed reviewed sold
    sent answered submitted solved used damaged broken furnished heated featured starred pinned blocked locked subscribed graded discontinued
    dispatched packed owned claimed watched tested reimbursed repaired cleaned invoiced settled notified contacted carried collected"""
)
# Lengthy nouns that name a thing although their first word says an amount.
_TEXT_HEADS = lexicon("""name title type kind category code method model brand level status state id reference colour color size range unit label group
    class center centre policy plan source reason address location format holder owner person manager currency number no""")


def infer(label: str) -> FieldType:
    """The type that a label suggests; "text" where it suggests none. Text takes anything, so a type is named only on good grounds."""
    words = re.sub(r"[^\w\s&/'-]", " ", label.casefold()).strip()
    words = re.sub(r"\s+", " ", words)
    head = head_of(words)
    if _BOOLEAN_START.search(words):
        return "boolean"
    if re.search(r"\w or \w", words):
        return "text"  # "phone or email" must take both
    if _EMAIL.search(words) and not re.search(r"\b(?:subject|text|body|template|type|verified)$", words):
        return "email"
    if _DATETIME.search(words) or _MOMENT.match(words):
        return "datetime"
    if _YEAR.match(words) or _COUNTED.match(words):
        return "integer"
    if re.match(r"(?:\w+ )?(?:number|no|count|amount|quantity) of \w", words):
        return "number" if "amount of" in words else "integer"
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
    if _NO_NUMBER.search(words):
        return "text"
    if _VALUE.match(words) or _RATE.match(words) or re.search(r"\b(?:salary|price|cost|budget) (?:expectation|estimate|limit)$", words):
        return "money"
    if _SCORE.match(words) or _PERCENTAGE.match(words) or _LEVEL.match(words):
        return "number"
    spent = _SPENT.fullmatch(words)
    for candidate in (head, spent[1] if spent else ""):
        if _MONEY.match(candidate):
            return "money"
        if _INTEGER.match(candidate):
            return "integer"
        if _NUMBER.match(candidate):
            return "number"
    if _LONG.match(head):
        return "longtext"
    if _STATE.match(words):
        return "boolean"
    return "boolean" if words in _BOOLEAN_WORDS or words in _HAPPENED else "text"


def head_of(words: str) -> str:
    """The noun a phrase is about: the last word before its first preposition ("price per night": price)."""
    return before_preposition(words).rsplit(" ", 1)[-1]


def before_preposition(words: str) -> str:
    """The part of a phrase that names it: "price per night" -> "price"."""
    return _PREPOSITION.split(f"{words} ", maxsplit=1)[0].strip()


def is_known(label: str) -> bool:
    """Whether a label is one that people give to fields: it has a type of its own, or is a usual name of a text."""
    return infer(label) != "text" or head_of(label.casefold()) in _USUAL


_USUAL = _TEXT_HEADS | lexicon("""first-name surname subject headline isbn sku barcode serial street city town country region zip postcode department team role
    position genre author artist publisher company industry species gender language nationality author plate make tag tags room
    customer supplier client venue place destination origin priority medicine dose diagnosis material flavour flavor username
    password nickname topic question answer condition product item grade version vendor manufacturer email phone instructor""")
