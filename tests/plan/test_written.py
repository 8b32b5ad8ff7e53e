"""Written specifications: what they may say, and what each mistake gets told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.plan.errors import BadPrompt, PromptError
from processors.plan.understand import understand
from processors.spec import MAX_ENTITIES, MAX_FIELDS, Spec

GOOD = """
title: Shop
description: What we sell.
theme: dark
color: teal
entities:
  - name: product
    fields:
      - name
      - "price: money"
      - stock: integer
      - {name: size, options: [S, M, L]}
      - "colour: red | green | blue"
      - "supplier: reference"
      - "notes: long text optional"
      - sku!
  - name: supplier
    plural: suppliers
    fields: [name, "country: text required", no, "founded: date"]
pages: [suppliers, products, dashboard]
"""


def test_a_written_specification() -> None:
    spec = understand(GOOD)
    assert spec.title == "Shop" and spec.description == "What we sell."
    assert (spec.theme.accent, spec.theme.scheme) == ("#0f766e", "dark")
    product, supplier = spec.entities
    assert [(f.label, f.type) for f in product.fields] == [
        ("Name", "text"),
        ("Price", "money"),
        ("Stock", "integer"),
        ("Size", "enum"),
        ("Colour", "enum"),
        ("Supplier", "reference"),
        ("Notes", "longtext"),
        ("Sku", "text"),
    ]
    assert product.fields[4].options == ("Red", "Green", "Blue")
    assert [f.label for f in product.fields if f.required] == ["Sku"]
    assert [f.label for f in supplier.fields] == ["Name", "Country", "No", "Founded"]
    assert [page.entity for page in spec.pages] == ["supplier", "product"]
    assert "dashboard" in spec.notes[0]
    assert [(r.child, r.field, r.parent) for r in spec.relations] == [("product", "supplier", "supplier")]


@pytest.mark.parametrize(
    "text",
    [
        "entities:\n  product: [name, price]\n",
        "entities:\n  - product: [name, price]\n",
        "entities:\n  - product: name, price\n",
        "entities:\n  product: {name: text, price: money}\n",
        "entities:\n  product:\n    fields: [name, price]\n",
        '{"entities": [{"name": "product", "fields": ["name", "price"]}]}',
        "Please build this:\n```yaml\nentities:\n  - name: Product\n    fields: [name, price: money]\n```\nThanks!",
        "entities: [{name: products, fields: [Name, Price]}]",
    ],
)
def test_ways_to_write_it(text: str) -> None:
    (entity,) = understand(text).entities
    assert (entity.singular, entity.plural) == ("Product", "Products")
    assert [(f.label, f.type) for f in entity.fields] == [("Name", "text"), ("Price", "money")]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("string", "text"),
        ("Boolean", "boolean"),
        ("bool required", "boolean"),
        ("decimal(10,2)", "number"),
        ("int", "integer"),
        ("currency", "money"),
        ("timestamp", "datetime"),
        ("checkbox", "boolean"),
        ("enum(low, medium, high)", "enum"),
        ("low | high", "enum"),
        ("one of low, high", "enum"),
        ("reference to owner", "reference"),
        ("ref(owner)", "reference"),
        ("owner", "reference"),
        ("money in euros", "money"),
        ("varchar(80)", "text"),
    ],
)
def test_types(kind: str, wanted: str) -> None:
    spec = understand(f"entities:\n  - name: pet\n    fields: [name, 'thing: {kind}']\n  - name: owner\n    fields: [name]\n")
    assert spec.entities[0].fields[1].type == wanted


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nentities: *c\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("entities:", "lists no entities"),
        ("entities: []", "lists no entities"),
        ("entities: 7", "a list"),
        ("entities:\n  - fields: [name]", "line 2: an entity has a name"),
        ("entities:\n  - name: [a, b]\n    fields: [x]", "a text, not a list"),
        ("entities:\n  - name: ''\n    fields: [x]", "is empty"),
        ("entities:\n  - name: '!!'\n    fields: [x]", "no letter"),
        ("entities:\n  - name: a\n    feilds: [x]", "no member 'feilds'"),
        ("entities:\n  - name: a\n    fields: [x, X]", "there twice"),
        ("entities:\n  - name: pet\n    fields: [x]\n  - name: Pets\n    fields: [x]", "there twice"),
        ("entities:\n  - name: a\n    fields: ['x: colour of the sky']", "no entity"),
        ("entities:\n  - name: a\n    fields: ['x: <b>']", "unknown type"),
        ("entities:\n  - name: a\n    fields: ['x: enum']", "no options"),
        ("entities:\n  - name: a\n    fields: [{name: x, type: enum}]", "no options"),
        ("entities:\n  - name: a\n    fields: [{name: x, required: maybe}]", "true or false"),
        ("entities:\n  - name: a\n    fields: [{type: text, required: true}]", "has a name"),
        ("entities:\n  - name: a\n    fields: [[x]]", "a list"),
        ("entities:\n  - name: a\n   fields: [x]", "line 3: this is no YAML"),
        ("entities: [", "this is no YAML"),
        ("entities:\n\t- name: '\x01", "this is no YAML"),
        (BOMB, "aliases"),
        ("entities: !!python/object/apply:os.system ['true']", "tags"),
        ("entities: !evil [x]", "tags"),
        ("entities: " + "[" * 500, "deep"),
        ("entities:\n  - name: a\n    fields: [x]\n---\nentities: []", "second document"),
        ("entities:\n  - name: a\n    fields: [x]\nentities: []", "there twice"),
        ("entities:\n  - name: a\n    fields: [x]\npages: [{title: P, entity: nothing}]", "no entity"),
        ("entities:\n  - name: a\n    fields: [x]\ncolor: beautiful", "colour's name"),
        ("entities:\n  - name: " + "a" * 200 + "\n    fields: [x]", "characters long"),
        ("entities:\n" + "".join(f"  - e{i}x: [n]\n" for i in range(MAX_ENTITIES + 1)), f"{MAX_ENTITIES} are possible"),
        ("entities:\n  - name: a\n    fields: [" + ", ".join(f"f{i}x" for i in range(MAX_FIELDS + 1)) + "]", f"{MAX_FIELDS} are possible"),
        ("- entities:\n  - x\nentities:\n  y", "YAML"),
        ('{"entities": "all of them"}', "a list"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    with pytest.raises(BadPrompt) as refused:
        understand(text)
    assert refused.value.reason == "bad_spec"
    assert says in refused.value.message, refused.value.message


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{},&*!|>'\"\n #?%@`", max_size=80))
def test_every_document_ends(text: str) -> None:
    try:
        spec = understand("entities:\n" + text)
    except PromptError as error:
        assert error.reason == "bad_spec"
        return
    assert Spec.from_json(spec.to_json()) == spec
