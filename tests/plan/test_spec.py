from __future__ import annotations

import dataclasses

import pytest

from processors.spec import Entity, Field, InvalidSpec, Page, Spec

NAME = Field("name", "Name", required=True)
SHOP = Spec(title="Shop", entities=(Entity("product", "Product", "Products", (NAME,)),), pages=(Page("Products", "product"),))


def test_json_round_trip() -> None:
    data = SHOP.to_json()
    assert Spec.from_json(data) == SHOP
    assert Spec.from_json(data).to_json() == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": "millrace.spec/2"}',
        b'{"schema": "millrace.spec/1"}',
        SHOP.to_json().replace(b'"title"', b'"titel"'),
        b"[" * 100_000,
    ],
)
def test_other_json(data: bytes) -> None:
    with pytest.raises(InvalidSpec):
        Spec.from_json(data)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (Field("Name", "Name"),),
        (Field("name; drop table", "Name"),),
        (Field("id", "Id"),),
        (NAME, NAME),
        (Field("name", ""),),
        (Field("name", "a\nb"),),
        (Field("name", "x" * 81),),
        (Field("name", "Name", "enum"),),
        (Field("name", "Name", "text", options=("a",)),),
        (Field("name", "Name", "enum", options=("a", "A")),),
        (Field("name", "Name", "reference"),),
        (Field("name", "Name", "reference", target="nothing"),),
        (Field("name", "Name", "magic"),),  # type: ignore[arg-type]
    ],
)
def test_rules_of_fields(fields: tuple[Field, ...]) -> None:
    with pytest.raises(InvalidSpec):
        dataclasses.replace(SHOP, entities=(Entity("product", "Product", "Products", fields),))


def test_rules_of_entities() -> None:
    with pytest.raises(InvalidSpec):
        dataclasses.replace(SHOP, entities=())
    with pytest.raises(InvalidSpec):
        dataclasses.replace(SHOP, entities=SHOP.entities * 2)
    with pytest.raises(InvalidSpec):
        dataclasses.replace(SHOP, pages=(Page("Orders", "order"),))
