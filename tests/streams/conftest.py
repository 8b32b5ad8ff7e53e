"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import ids
from sinks.objects import FolderStore
from streams.settings import StreamSettings
from tests.streams.world import World


@pytest.fixture
def world(broker: str, registry: str, tmp_path: Path) -> Iterator[World]:
    unique = ids.new_id().replace("-", "")[-12:]
    settings = StreamSettings(
        bootstrap_servers=broker,
        registry_url=registry,
        topic_prefix=f"t{unique}.",
        group_prefix=f"t{unique}",
        retry_delays_s=(0.2, 0.4, 0.8),
    )
    yield World(settings, FolderStore(tmp_path / "objects", durable=False))
