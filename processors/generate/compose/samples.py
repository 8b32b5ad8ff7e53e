"""Sample values: what the seed rows and the browser test put into a field. Made from its type and label alone, so always the same."""

from __future__ import annotations

import re
from datetime import date, timedelta

from processors.spec import Entity, Field

Sample = str | int | float | bool | None

ROWS = 4

_PEOPLE = ("Noor Haddad", "Tomas Lindqvist", "Mei Castellanos", "Jonah Okafor", "Priya Raman")
_COMPANIES = ("Northgate Supply", "Harbour & Sons", "Blue Fern Trading", "Quarry Lane", "Meridian Works")
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\b(country|nation|nationality|origin)\b", ("Norway", "Portugal", "Japan", "Chile", "Ghana")),
    (r"\b(city|town|location|venue|place|destination)\b", ("Bergen", "Porto", "Osaka", "Valparaíso", "Accra")),
    (r"\b(address|street)\b", ("12 Mill Lane", "48 Harbour Street", "7 Orchard Row", "221 North Road", "5 Station Square")),
    (r"\b(post ?code|zip( code)?|postal code)\b", ("5003", "4050", "53000", "2340", "00233")),
    (r"\b(colou?r)\b", ("Slate", "Amber", "Forest", "Ivory", "Crimson")),
    (r"\b(category|genre|kind|type|group|tag|tags|topic)\b", ("General", "Seasonal", "Premium", "Standard", "Special")),
    (r"\b(department|team|unit)\b", ("Operations", "Research", "Support", "Finance", "Design")),
    (r"\b(position|job|role|profession|occupation)\b", ("Engineer", "Analyst", "Coordinator", "Manager", "Assistant")),
    (r"\b(isbn)\b", ("978-0-14-044913-6", "978-0-19-953556-9", "978-0-06-112008-4", "978-0-7432-7356-5", "978-1-85326-000-1")),
    (r"\b(language)\b", ("English", "Norwegian", "Portuguese", "Japanese", "Spanish")),
    (r"\b(author|owner|assignee|director|artist|contact|teacher|doctor|guest|host|reporter|organi[sz]er|manager)\b", _PEOPLE),
    (r"\b(company|employer|supplier|vendor|manufacturer|brand|publisher)\b", _COMPANIES),
    (r"\b(sku|code|reference|number|no|id|plate|barcode)\b", ("A-1001", "A-1002", "B-2040", "C-3300", "D-4125")),
)
_PERSON = re.compile(
    r"\b(person|patient|customer|client|member|agent|employee|student|teacher|author|user|contact|guest|tenant|driver|player|"
    r"volunteer|doctor|nurse|owner|instructor|candidate|applicant|participant|attendee|lead|staff|artist|donor|coach|visitor|"
    r"resident|borrower|reader|trainer|speaker|technician|worker|child|parent|friend|manager|engineer|lawyer|barber|stylist)\b",
    re.I,
)
_COMPANY = re.compile(
    r"\b(supplier|vendor|company|organi[sz]ation|brand|manufacturer|publisher|sponsor|partner|firm|agency|carrier)\b", re.I
)
_FIRST_DAY = date(2026, 1, 12)


def sample(entity: Entity, field: Field, index: int, entities: dict[str, str]) -> Sample:
    """The value of `field` in sample row `index` (from 0). `entities` maps an entity's key to its table, for references.

    Text in list order: seeds never repeat within the first five rows of a lexicon.
    """
    match field.type:
        case "text":
            return _text(entity, field, index)
        case "longtext":
            return f"{field.label} of {entity.singular.lower()} {index + 1}."
        case "email":
            return f"{_PEOPLE[index % len(_PEOPLE)].split()[0].lower()}@example.com"
        case "phone":
            return f"555 01{23 + 11 * index}"
        case "url":
            return f"https://example.com/{entity.key.replace('_', '-')}/{index + 1}"
        case "integer":
            return 1998 + 7 * index if re.search(r"\byear\b", field.label, re.I) else 4 + 9 * index
        case "number":
            return 1.5 + 2 * index
        case "money":
            return 19.5 + 42.25 * index
        case "date":
            return str(_day(field, index))
        case "datetime":
            return f"{_day(field, index)}T{9 + index:02}:30"
        case "time":
            return f"{9 + 2 * index:02}:30"
        case "boolean":
            return index % 2 == 0
        case "enum":
            return field.options[index % len(field.options)]
        case "reference":
            return f"{entities[field.target or '']}-{(index * 2 + 1) % ROWS + 1}"


def _text(entity: Entity, field: Field, index: int) -> str:
    label = field.label.lower()
    for pattern, values in _TEXTS:
        if re.search(pattern, label):
            return values[index % len(values)]
    if re.search(r"\bname\b", label):
        if _PERSON.search(entity.singular) or re.search(r"\b(first|last|full|family|sur|given)", label):
            person = _PEOPLE[index % len(_PEOPLE)]
            return person.split()[0] if "first" in label else person.split()[-1] if "last" in label else person
        if _COMPANY.search(entity.singular):
            return _COMPANIES[index % len(_COMPANIES)]
        return f"{entity.singular} {index + 1}"
    if re.search(r"\b(title|subject|headline)\b", label):
        return f"{entity.singular} {index + 1}"
    return f"{field.label} {index + 1}"


def _day(field: Field, index: int) -> date:
    if re.search(r"\b(birth|born|birthday)", field.label, re.I):
        return date(1962 + 9 * index, 3 + index, 4 + 5 * index)
    return _FIRST_DAY + timedelta(days=9 * index)
