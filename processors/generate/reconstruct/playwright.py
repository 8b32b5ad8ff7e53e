"""The Playwright test: what was done in the recording, done to the application."""

from __future__ import annotations

from collections.abc import Sequence

from .jsx import literal
from .machine import Machine
from .model import Features


def spec(features: Features, flow: Machine, paths: Sequence[str]) -> str:
    """A test file that plays the recorded actions in order and checks where each one leads."""
    lines = [
        'import { expect, test } from "@playwright/test";',
        "",
        f"test.use({{ viewport: {{ width: {features.width}, height: {features.height} }} }});",
        "",
        'test("the recorded actions lead where they led", async ({ page }) => {',
        "  const errors: string[] = [];",
        '  page.on("pageerror", (error) => errors.push(error.message));',
        '  await page.goto("/");',
    ]
    for kind, key, text, target in flow.script:
        control = f"page.locator({literal(f'[data-control={chr(34)}{key}{chr(34)}], [name={chr(34)}{key}{chr(34)}]')}).first()"
        if kind == "wheel":
            lines.append(f"  await page.mouse.wheel(0, {200 if key == 'down' else -200});")
        elif kind == "click":
            lines.append(f"  await {control}.click();")
        elif kind == "type":
            lines.append(f"  await {control}.fill({literal(text)});")
        else:
            lines.append(f'  await {control}.press("Enter");')
        lines.append(f"  await expect(page).toHaveURL({literal(paths[target])});")
    return "\n".join([*lines, "  expect(errors).toEqual([]);", "});", ""])
