"""``bench.priority`` in short: at twice the capacity every record ends once, no class starves, and only low is shed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.priority import MIX, SLOTS, STEP_S, World, one

pytestmark = pytest.mark.kafka


def test_at_twice_the_capacity_nothing_is_lost_and_no_class_starves(broker: str, registry: str, tmp_path: Path):
    found = asyncio.run(one(World(broker, registry, tmp_path), "ours", 2.0, SLOTS / STEP_S, 4.0, seed=1))
    assert found["lost"] == 0 and found["ended_twice"] == 0
    classes = found["classes"]
    for priority in MIX:
        assert classes[priority]["done"] > 0
        assert classes[priority]["done"] + sum(classes[priority]["refused"].values()) == classes[priority]["sent"]
        assert ("shed" in classes[priority]["refused"]) == (priority == "low")
