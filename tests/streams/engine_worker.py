"""A worker process for kill tests: ``python engine_worker.py SETTINGS_JSON FOLDER NAME [READY_FILE]``.

Its stage is recorded: it makes one usage event and one output that differ each time they are made, so that a doubled call shows.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas import ids
from schemas.records import FeaturesExtracted, GenerationRequested, Record
from sinks.objects import FolderStore
from streams.contract import Context, Effect, Stage
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from streams.worker import run_worker


async def work(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
    await asyncio.sleep(0.002 * (record.frames % 10))
    context.meter("plan", quantity=1, unit="call", cost_usd=None, dims={"made": ids.new_id()})
    return [context.make(GenerationRequested, method="m", spec=f"{record.frames} {ids.new_id()} {os.getpid()}")]


STAGE = Stage(
    name="plan", reads=(FEATURES_EXTRACTED,), writes=(GENERATION_REQUESTED["normal"], ARTIFACT_REJECTED, USAGE_RECORDED), handler=work,
    effect=Effect.IDEMPOTENT, recorded=True, time_limit_s=30, concurrency=8,
)  # fmt: skip


def main() -> None:
    settings = StreamSettings(**json.loads(sys.argv[1]))
    store = FolderStore(Path(sys.argv[2]), durable=False)
    asyncio.run(run_worker([STAGE], settings, store, name=sys.argv[3]))


if __name__ == "__main__":
    main()
