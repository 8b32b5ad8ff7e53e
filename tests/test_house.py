"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CRAFT = sorted(p for p in (ROOT / "processors").rglob("*.py") if p.name != "stage.py")


@pytest.mark.parametrize("path", CRAFT, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_craft_does_not_know_how_records_travel(path):
    """Everything in processors/ but a stage file runs, and is tested, as plain functions."""
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"streams", "sinks", "confluent_kafka", "clickhouse_connect", "chdb", "millrace", "infra"}
