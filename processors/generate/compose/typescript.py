"""The modules of an application that differ from specification to specification: entities, tables with their seed, the browser test."""

from __future__ import annotations

import json
from typing import Any

from processors.generate.compose.naming import Names
from processors.generate.compose.samples import ROWS, sample
from processors.spec import Entity, Field, Spec

_VALUE_TYPES = {"number": "number", "integer": "number", "money": "number", "boolean": "boolean"}
# Types whose columns a search looks into, by how.
_SEARCHED = {
    "texts": ("text", "longtext", "email", "phone", "url", "enum"),
    "numbers": ("number", "integer", "money"),
    "dates": ("date",),
}
_TITLES = ("text", "email", "phone", "url", "enum", "longtext", "date", "datetime", "time", "integer", "number", "money")


def literal(value: Any) -> str:
    """A value as a TypeScript literal. JSON is one, and since ES2019 also where a string holds U+2028."""
    return json.dumps(value, ensure_ascii=False)


def title_field(entity: Entity) -> Field | None:
    """The field that stands for a record, the best type first; None where there are only references and checks."""
    ranked = [f for f in entity.fields if f.type in _TITLES]
    return min(ranked, key=lambda f: _TITLES.index(f.type), default=None)


def entity_module(entity: Entity, names: Names) -> str:
    title = title_field(entity)
    lines = [
        'import type { EntityDefinition, Row } from "../model";',
        "",
        f"export interface {names.type} extends Row {{",
        *(f"  {f.key}: {_value_type(f)};" for f in entity.fields),
        "}",
        "",
        f"export const {names.value}Entity: EntityDefinition<{literal(entity.key)}> = {{",
        f"  key: {literal(entity.key)},",
        f"  path: {literal(names.path)},",
        f"  singular: {literal(entity.singular)},",
        f"  plural: {literal(entity.plural)},",
        f"  titleField: {literal(title.key if title else None)},",
        "  fields: [",
        *(f"    {_definition(f)}," for f in entity.fields),
        "  ],",
        "};",
    ]
    return _text(lines)


def entities_index(spec: Spec, names: dict[str, Names]) -> str:
    pages = spec.pages
    lines = [
        'import type { EntityDefinition } from "../model";',
        *(f'import {{ {n.value}Entity, type {n.type} }} from "./{n.file}";' for n in names.values()),
        "",
        f"export const APP_TITLE = {literal(spec.title)};",
        f"export const APP_DESCRIPTION: string = {literal(spec.description)};",
        "",
        "export interface Entities {",
        *(f"  {entity.key}: {names[entity.key].type};" for entity in spec.entities),
        "}",
        "",
        "export type EntityKey = keyof Entities;",
        "",
        "const definitions: { [K in EntityKey]: EntityDefinition<K> } = {",
        *(f"  {entity.key}: {names[entity.key].value}Entity," for entity in spec.entities),
        "};",
        "",
        "export const entities: readonly EntityDefinition<EntityKey>[] = Object.values(definitions);",
        "",
        "/** The navigation, in this order. */",
        "export const pages: readonly { title: string; entity: EntityKey }[] = [",
        *(f"  {{ title: {literal(page.title)}, entity: {literal(page.entity)} }}," for page in pages),
        "];",
        "",
        "export function definitionOf<K extends EntityKey>(key: K): EntityDefinition<K> {",
        "  return definitions[key];",
        "}",
        "",
        "export function isEntityKey(key: string): key is EntityKey {",
        "  return Object.hasOwn(definitions, key);",
        "}",
    ]
    return _text(lines)


def table_module(entity: Entity, names: dict[str, Names]) -> str:
    own = names[entity.key]
    tables = {key: n.table for key, n in names.items()}
    columns = ["id", "created_at", *(f.key for f in entity.fields)]
    seed = [
        {
            "id": f"{own.table}-{index + 1}",
            "created_at": f"2026-01-{index + 1:02}T09:00:00.000Z",
            **{f.key: sample(entity, f, index, tables) for f in entity.fields},
        }
        for index in range(ROWS)
    ]
    lines = [
        f'import type {{ {own.type} }} from "../../entities/{own.file}";',
        'import { repository, type Repository } from "../repository";',
        "",
        f"export const {own.value}Table: Repository<{own.type}> = repository<{own.type}>({{",
        f"  name: {literal(own.table)},",
        f"  columns: {literal(columns)},",
        f"  search: {_object({how: [f.key for f in entity.fields if f.type in types] for how, types in _SEARCHED.items()})},",
        "  seed: [",
        *(f"    {_object(row)}," for row in seed),
        "  ],",
        "});",
    ]
    return _text(lines)


def tables_index(spec: Spec, names: dict[str, Names]) -> str:
    lines = [
        'import type { Entities, EntityKey } from "../entities";',
        *(f'import {{ {n.value}Table }} from "./tables/{n.file}";' for n in names.values()),
        'import type { Repository } from "./repository";',
        "",
        "export const repositories: { [K in EntityKey]: Repository<Entities[K]> } = {",
        *(f"  {entity.key}: {names[entity.key].value}Table," for entity in spec.entities),
        "};",
    ]
    return _text(lines)


def browser_test(spec: Spec, names: dict[str, Names]) -> str:
    """A Playwright test that makes, finds, changes and deletes a record of every entity whose record has a name to go by."""
    lines = ['import { expect, test } from "@playwright/test";', ""]
    titles = {page.entity: page.title for page in spec.pages}
    for entity in spec.entities:
        title = title_field(entity)
        if title is None or title.type not in ("text", "longtext"):
            continue
        value = f"Specimen {entity.key.replace('_', ' ')}"
        heading = titles.get(entity.key, entity.plural)
        lines += [
            f"test({literal(f'{entity.plural}: create, search, edit, delete')}, async ({{ page }}) => {{",
            f"  await page.goto({literal(names[entity.key].path)});",
            f'  await expect(page.getByRole("heading", {{ level: 1, name: {literal(heading)}, exact: true }})).toBeVisible();',
            f'  await page.getByRole("button", {{ name: {literal("New " + entity.singular.lower())}, exact: true }}).first().click();',
            '  await page.getByRole("button", { name: "Save" }).click();',
            *(['  await expect(page.getByRole("alert").first()).toBeVisible();'] if any(f.required for f in entity.fields) else []),
            *(f"  {_fill(entity, f, value if f is title else None)}" for f in entity.fields if f is title or f.required),
            '  await page.getByRole("button", { name: "Save" }).click();',
            f'  await page.getByRole("searchbox").fill({literal(value)});',
            f'  const row = page.getByRole("row").filter({{ hasText: {literal(value)} }});',
            "  await expect(row).toHaveCount(1);",
            '  await row.getByRole("link", { name: /^Edit / }).click();',
            f"  {_fill(entity, title, f'{value} B')}",
            '  await page.getByRole("button", { name: "Save" }).click();',
            f'  const changed = page.getByRole("row").filter({{ hasText: {literal(f"{value} B")} }});',
            '  await changed.getByRole("button", { name: /^Delete / }).click();',
            '  await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();',
            "  await expect(changed).toHaveCount(0);",
            "});",
            "",
        ]
    if len(lines) == 2:
        first = names[spec.entities[0].key]
        lines += [
            'test("opens", async ({ page }) => {',
            f"  await page.goto({literal(first.path)});",
            '  await expect(page.getByRole("table")).toBeVisible();',
            "});",
            "",
        ]
    return _text(lines[:-1])


def _fill(entity: Entity, field: Field, value: str | None) -> str:
    control = f"page.locator({literal(f'[name={field.key}]')})"
    match field.type:
        case "boolean":
            return f"await {control}.check();"
        case "enum" | "reference":
            return f"await {control}.selectOption({{ index: 1 }});"
        case _:
            return f"await {control}.fill({literal(value or str(sample(entity, field, 0, {})))});"


def _value_type(field: Field) -> str:
    if field.type == "boolean":
        return "boolean"
    name = _VALUE_TYPES.get(field.type, "string")
    return name if field.required else f"{name} | null"


def _definition(field: Field) -> str:
    document: dict[str, Any] = {"key": field.key, "label": field.label, "type": field.type, "required": field.required}
    if field.options:
        document["options"] = list(field.options)
    if field.target is not None:
        document["target"] = field.target
    if field.unit:
        document["unit"] = field.unit
    return _object(document)


def _object(document: dict[str, Any]) -> str:
    """An object literal on one line; every key is an identifier by the specification's rules."""
    return "{ " + ", ".join(f"{key}: {literal(value)}" for key, value in document.items()) + " }"


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
