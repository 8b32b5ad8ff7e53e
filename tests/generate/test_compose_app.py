"""Composed applications with the real compiler, bundler and browser."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from processors.generate.compose import compose
from processors.plan.understand import understand
from processors.toolchain import project
from processors.toolchain.build import build_sync
from processors.toolchain.node import Toolchain

pytestmark = pytest.mark.browser

SCORER = Path(__file__).parents[2] / "bench" / "scorers" / "score_prompt.py"
HOSTILE = r"""
title: "<script>alert(1)</script> ${x} `y` */"
entities:
  - name: order
    fields: ["select", "\"><script>alert(1)</script>", "${process.env}: number", "it's `back`\\tick: enum(a'b | c\"d)", "id",
      "created_at: datetime", "constructor", "__proto__", "toString: boolean"]
  - name: class
    fields: [new, "default: reference to order", "table: date"]
  - name: Дом
    fields: [имя, "цена: money", 名前]
  - name: index
    fields: [name, "x*/ y: longtext", "a-b", "a_b +", "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f: time"]
  - name: client
    fields: ["a: boolean", "order", "class"]
  - name: asset
    fields: [name]
"""
HELP_DESK = {
    "id": "tickets",
    "entities": [
        {
            "name": "ticket",
            "plural": "tickets",
            "fields": [
                {"name": "subject", "value": "Printer on fire"},
                {"name": "priority", "value": "high"},
                {"name": "opened on", "value": "2027-05-18", "type": "date"},
                {"name": "hours", "value": "3", "type": "number"},
                {"name": "urgent", "value": "yes", "type": "boolean"},
            ],
        },
    ],
}


def built(prompt: str, folder: Path) -> Path:
    files = compose(understand(prompt))
    result = build_sync(files, Toolchain())
    assert result.ok, result.findings
    project.write({**files, **result.dist}, folder)
    return folder


def score(folder: Path, prompt: dict[str, Any]) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("score_prompt", SCORER)
    assert spec is not None and spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    (result,) = asyncio.run(scorer.main({prompt["id"]: prompt}, [(folder, prompt["id"])]))
    return dict(result)


def test_everything_one_does_with_it_works(tmp_path: Path) -> None:
    text = "A help desk. Agents have a name. Tickets have a subject, a priority (low, high), the agent, opened on, hours spent and if it is urgent."
    result = score(built(text, tmp_path), HELP_DESK)
    assert all(result["entities"]["ticket"].values()), result
    assert result["console"] == 0 and result["external"] == 0


def test_hostile_names_build_and_render(tmp_path: Path) -> None:
    prompt = {
        "id": "hostile",
        "entities": [{"name": "index", "plural": "indices", "fields": [{"name": "name", "value": "Qq <b>${1}</b>"}]}],
    }
    result = score(built(HOSTILE, tmp_path), prompt)
    assert all(result["entities"]["index"].values()), result
    assert result["console"] == 0
