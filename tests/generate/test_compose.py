"""What compose writes, as text; that it builds and works is tested with the real tools in test_compose_app.py."""

from __future__ import annotations

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.generate.compose import compose
from processors.generate.compose.naming import names, sql_name, sql_object_name
from processors.generate.compose.sql import migration
from processors.generate.compose.theme import contrast, stylesheet
from processors.spec import Entity, Field, Page, Spec, Theme

SHOP = Spec(
    title="Shop",
    entities=(
        Entity(
            "product",
            "Product",
            "Products",
            (
                Field("name", "Name", required=True),
                Field("price", "Price", "money", unit="EUR"),
                Field("size", "Size", "enum", options=("S", "it's big")),
                Field("supplier", "Supplier", "reference", target="supplier"),
            ),
        ),
        Entity("supplier", "Supplier", "Suppliers", (Field("name", "Name", required=True), Field("founded", "Founded", "date"))),
    ),
    pages=(Page("Products", "product"), Page("Suppliers", "supplier")),
)
HOSTILE = "</script><script>alert(1)</script> ${process.env} `x` ' \" \\ */ -- é"


def test_the_same_bytes() -> None:
    assert compose(SHOP) == compose(Spec.from_json(SHOP.to_json()))
    assert list(compose(SHOP)) == sorted(compose(SHOP))


def test_parts_of_a_project() -> None:
    files = compose(SHOP)
    assert {
        "README.md",
        "index.html",
        "package.json",
        "src/App.tsx",
        "src/api/index.ts",
        "src/data/tables/product.ts",
        "src/entities/product.ts",
        "supabase/migrations/0001_init.sql",
        "tests/app.spec.ts",
    } <= set(files)
    assert not any(name.startswith("dist/") for name in files)
    assert b"export interface Product extends Row {\n  name: string;\n  price: number | null;" in files["src/entities/product.ts"]


def test_the_seed_points_to_rows_that_are_there() -> None:
    files = compose(SHOP)
    ids = set(re.findall(r'\{ id: "(suppliers-\d+)"', files["src/data/tables/supplier.ts"].decode()))
    used = set(re.findall(r'supplier: "([^"]+)"', files["src/data/tables/product.ts"].decode()))
    assert used and used <= ids


def test_sql() -> None:
    sql = migration(SHOP, names(SHOP))
    assert "create table if not exists public.products" in sql
    assert "check (size in ('S', 'it''s big'))" in sql
    assert sql.count("enable row level security") == 2
    assert "references public.suppliers (owner_id, id)" in sql


def test_reserved_words_and_long_names() -> None:
    assert sql_name("order") == '"order"' and sql_name("product") == "product"
    one, other = sql_object_name("t" * 48, "f" * 40, "fkey"), sql_object_name("t" * 48, "f" * 39 + "g", "fkey")
    assert len(one) <= 63 and one != other


def test_names_never_collide() -> None:
    keys = ("index", "client", "asset", "date", "record", "row", "a_b", "ab", "a_1", "a1", "class", "default", "string")
    entities = tuple(Entity(key, key.title(), f"{key}s", (Field("name", "Name"),)) for key in keys)
    found = names(Spec(title="x", entities=entities)).values()
    for attribute in ("type", "value", "file", "table", "path"):
        values = [getattr(n, attribute).casefold() for n in found]
        assert len(set(values)) == len(values), attribute
    assert "/assets" not in {n.path for n in found}


def test_hostile_text_stays_text() -> None:
    entity = Entity("thing", HOSTILE, HOSTILE, (Field("x", HOSTILE, required=True), Field("y", "Y", "enum", options=(HOSTILE, "b"))))
    files = compose(Spec(title=HOSTILE, description=HOSTILE, entities=(entity,), pages=(Page(HOSTILE, "thing"),)))
    quoted = json.dumps(HOSTILE, ensure_ascii=False)
    for path in ("src/entities/thing.ts", "src/entities/index.ts"):
        code = files[path].decode()
        assert quoted in code and HOSTILE not in code.replace(quoted, "")
    assert "<script>alert" not in files["index.html"].decode()
    assert "<script>alert" not in files["README.md"].decode()
    sql = files["supabase/migrations/0001_init.sql"].decode()
    assert HOSTILE.replace("'", "''") in sql and HOSTILE not in sql


TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_any_text_composes(title: str, label: str) -> None:
    entity = Entity("thing", label, label, (Field("x", label),))
    files = compose(Spec(title=title, entities=(entity,), pages=(Page(label, "thing"),)))
    assert json.dumps(label, ensure_ascii=False) in files["src/entities/thing.ts"].decode()
    assert json.loads(files["package.json"])["name"]


def test_colours_can_be_read() -> None:
    for accent in ("#e3b505", "#20242c", "#ffffff", "#000000", "#ff8800", "#2459c9"):
        spec = Spec(title="x", entities=SHOP.entities, theme=Theme(accent))
        css = stylesheet(spec, "@@ACCENT@@ @@ON_ACCENT@@ @@ACCENT_TEXT_LIGHT@@ @@ACCENT_TEXT_DARK@@")
        own, on_accent, light, dark = css.split()
        assert contrast(own, on_accent) >= 4.5
        assert contrast(light, "#ffffff") >= 4.5 and contrast(dark, "#181c25") >= 4.5


def test_schemes() -> None:
    def css(scheme: str) -> str:
        theme = Theme("", scheme)  # type: ignore[arg-type]
        return compose(Spec(title="x", entities=SHOP.entities, theme=theme))["src/styles.css"].decode()

    assert "prefers-color-scheme: dark" in css("") and "prefers-color-scheme" not in css("dark") + css("light")
    assert "--page: #10131a" in css("dark") and "--page: #10131a" not in css("light")
    assert "@@" not in css("")
