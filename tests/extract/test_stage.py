"""The stage keeps the finished parts of a long recording, so that another delivery does not read them again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from processors.extract.settings import ExtractSettings
from processors.extract.stage import Extractor, ExtractStageSettings
from schemas.names import ObjectRef
from sinks.objects.folder import FolderStore
from streams.objects import get_content, put_content, put_content_file
from tests.extract import made


class Around:
    """What the handler asks of its context."""

    occurred_at = 0

    def __init__(self, store: FolderStore) -> None:
        self.objects = store
        self.told: list[float] = []
        self.metered: list[dict[str, Any]] = []

    def own(self, uri: str) -> ObjectRef:
        return ObjectRef.parse(uri)

    async def get(self, uri: str) -> bytes:
        return get_content(self.objects, uri)

    async def put(self, body: bytes) -> str:
        return str(put_content(self.objects, "acme", body))

    def progress(self, fraction: float, message: str = "") -> None:
        self.told.append(fraction)

    def meter(self, kind: str, **values: Any) -> None:
        self.metered.append(values)

    def make(self, record: type, **values: Any) -> Any:
        return SimpleNamespace(**values)


def test_a_second_delivery_reads_only_what_the_first_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "objects")
    video = made.recording(tmp_path)
    ref, size = put_content_file(store, "acme", video)
    record: Any = SimpleNamespace(media_uri=str(ref), media_size=size, deadline=None)
    settings = ExtractStageSettings(processes=1, craft=ExtractSettings(workers=1, part_s=5))

    async def deliver() -> tuple[Any, Around, list[str]]:
        around: Any = Around(store)
        extractor = Extractor(settings)
        called: list[str] = []
        async with extractor.lifespan():
            pool: Any = extractor._cpu
            run = pool.run

            async def noted(function: Any, *args: Any, **kwargs: Any) -> Any:
                called.append(function.__name__)
                return await run(function, *args, **kwargs)

            monkeypatch.setattr(pool, "run", noted)
            (out,) = await extractor.extract(record, around)
        return out, around, called

    first, around, called = asyncio.run(deliver())
    assert called == ["plan_job", *["part_job"] * 4, "assemble_job"]
    assert around.told and max(around.told) <= 1 and around.metered
    kept = sorted((tmp_path / "objects").rglob("parts/**/*"))
    assert kept
    second, _, again = asyncio.run(deliver())
    assert again == ["plan_job", "assemble_job"]
    assert vars(second) == vars(first)
