"""Schemas stay FULL_TRANSITIVE: each reads what every released version wrote, and each released version reads what it writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.avro_codec import SCHEMA_NAMES

ROOT = Path(__file__).parents[2] / "schemas"
NOW = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "avro").glob("*.avsc"))}
RELEASED = [(path.parent.name, path.stem, json.loads(path.read_text())) for path in sorted((ROOT / "released").glob("*/*.avsc"))]


def reads(reader: Any, writer: Any) -> bool:
    parse = lambda schema: avro.schema.parse(json.dumps(schema))  # noqa: E731
    result = ReaderWriterCompatibilityChecker().get_compatibility(parse(reader), parse(writer))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def fully(one: Any, other: Any) -> bool:
    return reads(one, other) and reads(other, one)


@pytest.mark.parametrize(("version", "name", "schema"), RELEASED, ids=lambda v: v if isinstance(v, str) else "")
def test_every_schema_and_every_released_version_of_it_read_each_other(version: str, name: str, schema: Any) -> None:
    assert name in NOW, f"{name} was released in {version} and is gone: topics still hold its records"
    assert fully(NOW[name], schema)


def test_something_was_released_and_every_schema_of_now_is_among_it() -> None:
    assert {name for _, name, _ in RELEASED} == set(NOW) == set(SCHEMA_NAMES.values())


def _without_default(schema: Any) -> None:
    schema["fields"].append({"name": "added", "type": "string"})


def _removed(schema: Any) -> None:
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "request_id"]


def _retyped(schema: Any) -> None:
    next(f for f in schema["fields"] if f["name"] == "tenant")["type"] = "long"


def _widened(schema: Any) -> None:
    """int to long is readable one way only: an old reader cannot read what is written now."""
    next(f for f in schema["fields"] if f["name"] == "round")["type"] = "long"


def _renamed(schema: Any) -> None:
    schema["name"] = "Another"


@pytest.mark.parametrize("breaks", [_without_default, _removed, _retyped, _widened, _renamed])
def test_the_check_catches_a_break(breaks: Callable[[Any], None]) -> None:
    changed = copy.deepcopy(NOW["usage.recorded"])
    breaks(changed)
    assert not fully(changed, NOW["usage.recorded"])


def test_a_field_with_a_default_may_come() -> None:
    changed = copy.deepcopy(NOW["usage.recorded"])
    changed["fields"].append({"name": "added", "type": "string", "default": ""})
    assert fully(changed, NOW["usage.recorded"])
