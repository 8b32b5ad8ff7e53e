"""Fields for things of which a prompt says nothing but that they are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

from processors.plan.drafts import FieldDraft
from processors.plan.words import is_plural, plural_phrase, singular_phrase

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"books?|novels?|publications?", ("title", "author", "year")),
    (r"movies?|films?|shows?|games?", ("title", "year", "rating", "notes")),
    (r"songs?|albums?|tracks?|records?", ("title", "artist", "year")),
    (r"recipes?|meals?|dishes|dish", ("name", "ingredients", "instructions")),
    (r"invoices?|bills?|quotes?", ("number", "date", "amount", "paid")),
    (r"expenses?|payments?|transactions?|donations?|receipts?|incomes?", ("description", "amount", "date", "notes")),
    (r"(?:purchase |sales )?orders?|deliver(?:y|ies)|shipments?", ("number", "date", "total", "notes")),
    (r"tasks?|to-?dos?|chores?|tickets?|issues?|bugs?|jobs?|projects?|goals?", ("name", "description", "due date", "done")),
    (
        r"events?|appointments?|meetings?|bookings?|reservations?|sessions?|class(?:es)?|visits?|trips?|workouts?",
        ("title", "date", "notes"),
    ),
    (r"products?|items?|parts?|goods|articles? for sale|materials?|supplies", ("name", "price", "stock", "description")),
    (r"compan(?:y|ies)|suppliers?|vendors?|organi[sz]ations?|firms?|partners?|agenc(?:y|ies)", ("name", "website", "phone", "address")),
    (r"notes?|posts?|articles?|messages?|documents?", ("title", "text", "date")),
    (r"vehicles?|cars?|bikes?|trucks?|machines?|devices?|assets?|equipment", ("name", "model", "serial number", "notes")),
    (
        r"houses?|apartments?|buildings?|rooms?|stores?|shops?|offices?|warehouses?|venues?|locations?|places?|sites?",
        ("name", "address", "notes"),
    ),
    (
        r"people|persons?|customers?|clients?|contacts?|members?|employees?|students?|teachers?|patients?|users?|staff|tenants?|volunteers?|"
        r"players?|drivers?|guests?|owners?|authors?|agents?|doctors?|leads?|candidates?|subscribers?|donors?|instructors?|children|friends?",
        ("name", "email", "phone", "notes"),
    ),
)


# What an application is called that keeps one kind of thing: "expense tracker".
_KEEPERS = "tracker|manager|catalogu?e|register|directory|database|organi[sz]er|planner|log|logbook|list|collection|inventory|app"


def is_usual(name: str) -> bool:
    """Whether a thing is one whose fields go without saying."""
    return any(re.fullmatch(pattern, name.lower()) for pattern, _ in _KINDS)


def kept_by_name(titles: Sequence[str]) -> str:
    """The usual thing that an application's own name says it keeps, in the plural; empty where it says none."""
    for title in titles:
        if re.search(r"\b(?:address|phone) book$", title.lower()):
            return "contacts"
        alone = re.sub(r"^(?:(?:an?|the|my|our|for|app|application|tool|simple|small|list|website|web) )+", "", title.lower())
        if is_plural(alone) and is_usual(alone):
            return alone  # "notes", "an app for my recipes"
        match = re.search(rf"([\w-]+)(?: (?:{_KEEPERS}))+$", title.lower())
        if match and is_usual(match[1]):
            return plural_phrase(singular_phrase(match[1]))
    return ""


def default_fields(name: str) -> list[FieldDraft]:
    """The usual fields of a thing by its name; name and description where nothing is usual."""
    last = name.lower().split(" ")[-1]
    for pattern, labels in _KINDS:
        if re.fullmatch(pattern, name.lower()) or re.fullmatch(pattern, last):
            return [FieldDraft(label) for label in labels]
    return [FieldDraft("name"), FieldDraft("description")]
