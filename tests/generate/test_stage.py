"""How the generate stage is declared."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.in_process import InProcess
from processors.generate.stage import GenerateSettings, stage
from processors.plan.stage import stage as plan_stage
from processors.toolchain import project
from processors.toolchain.node import Toolchain
from schemas.records import ArtifactGenerated
from sinks.objects import FolderStore
from streams.contract import problems
from streams.objects import get_content


def test_it_reads_its_topics_as_the_queues_of_priority_classes() -> None:
    """Without an admission all four classes would be one, first come first served, and nothing would be shed or late."""
    declared = stage(GenerateSettings(), Toolchain())
    assert declared.admission is not None and {t.priority for t in declared.reads} == {"critical", "high", "normal", "low"}
    assert not problems(declared)


def test_what_was_assumed_is_told_to_the_producer_and_stands_in_the_project(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects", durable=False)

    async def made() -> tuple[list[str], bytes]:
        async with InProcess.running(store, GenerateSettings(), validating=plan_stage()) as pipeline:
            course = await pipeline.prompt("an app to manage cars (plate) and drivers", until=ArtifactGenerated)
            (artifact,) = course.artifacts
            return [p.message for p in pipeline.progress], get_content(store, artifact.artifact_uri)

    messages, packed = asyncio.run(made())
    said = "Nothing is said of the fields of drivers; assumed: name, email, phone, notes."
    assert f"note: {said}" in messages
    assert "What was assumed" in project.unpack(packed)["README.md"].decode() and said in project.unpack(packed)["README.md"].decode()
