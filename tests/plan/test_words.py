from __future__ import annotations

import pytest

from processors.plan.fieldtypes import infer
from processors.plan.words import key, label, plural, plural_phrase, singular, singular_phrase


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("product", "products"),
        ("category", "categories"),
        ("person", "people"),
        ("child", "children"),
        ("address", "addresses"),
        ("class", "classes"),
        ("status", "statuses"),
        ("box", "boxes"),
        ("dish", "dishes"),
        ("bus", "buses"),
        ("day", "days"),
        ("movie", "movies"),
        ("shelf", "shelves"),
        ("hero", "heroes"),
        ("photo", "photos"),
        ("house", "houses"),
        ("warehouse", "warehouses"),
        ("nurse", "nurses"),
        ("size", "sizes"),
        ("quiz", "quizzes"),
        ("analysis", "analyses"),
        ("course", "courses"),
        ("expense", "expenses"),
        ("invoice", "invoices"),
        ("match", "matches"),
        ("staff", "staff"),
        ("equipment", "equipment"),
        ("series", "series"),
    ],
)
def test_numbers(one: str, many: str) -> None:
    assert plural(one) == many
    assert singular(many) == one
    assert singular(one) == one


def test_phrases() -> None:
    assert singular_phrase("purchase orders") == "purchase order"
    assert singular_phrase("points of sale") == "point of sale"
    assert plural_phrase("bill of material") == "bills of material"
    assert plural_phrase("CV") == "CVs"


def test_keys() -> None:
    assert key("Birth date") == "birth_date"
    assert key("Name", {"name"}) == "name_2"
    assert key("7 wonders") == "field_7_wonders"
    assert key("名前") == "field"
    assert key("Größe") == "groe"
    assert key("ID") == "id_value"
    assert key("x" * 300) == "x" * 40


def test_labels() -> None:
    assert label("  birth\u00a0 date\n") == "Birth date"
    assert label("zero\u200bwidth\u202e") == "Zerowidth"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("name", "text"),
        ("email address", "email"),
        ("phone number", "phone"),
        ("phone model", "text"),
        ("website", "url"),
        ("price per night", "money"),
        ("price category", "text"),
        ("payment method", "text"),
        ("number of seats", "integer"),
        ("invoice number", "text"),
        ("hours spent", "number"),
        ("opening hours", "text"),
        ("date of birth", "date"),
        ("due date", "date"),
        ("hired on", "date"),
        ("update", "text"),
        ("start time", "time"),
        ("cooking time", "text"),
        ("date and time", "datetime"),
        ("is active", "boolean"),
        ("delivered", "boolean"),
        ("founded", "text"),
        ("needs", "text"),
        ("speed", "number"),
        ("description", "longtext"),
        ("status", "text"),
        ("year", "integer"),
        ("release year", "integer"),
        ("estimated value", "money"),
    ],
)
def test_types_by_label(name: str, kind: str) -> None:
    assert infer(name) == kind
