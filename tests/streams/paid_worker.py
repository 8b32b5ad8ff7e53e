"""A worker process with one paid stage, for kill tests: ``python paid_worker.py SETTINGS_JSON FOLDER NAME PROVIDER_PORT READY_FILE``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas import ids
from schemas.records import FeaturesExtracted, GenerationRequested, Record
from sinks.objects import FolderStore
from streams.contract import Context, Effect, Retry, Stage
from streams.ledger import Answer
from streams.settings import StreamSettings
from streams.topics import ARTIFACT_REJECTED, FEATURES_EXTRACTED, GENERATION_REQUESTED, USAGE_RECORDED
from streams.worker import run_worker
from tests.streams import provider

LIMIT_S = 3.0
"""Of a call; the provider takes 50 to 150 ms."""


def paid_stage(port: int) -> Stage:
    async def work(record: FeaturesExtracted, context: Context) -> Sequence[Record]:
        async def ask(call: int) -> Answer:
            return await provider.ask(port, record.request_id, call)

        answer = await context.paid(ask, input_hash=record.features_uri, time_limit_s=LIMIT_S, bill=provider.BILL, calls=4)
        return [context.make(GenerationRequested, method="m", spec=f"{answer.body.decode()} {ids.new_id()}")]

    return Stage(
        name="plan", reads=(FEATURES_EXTRACTED,), writes=(GENERATION_REQUESTED["normal"], ARTIFACT_REJECTED, USAGE_RECORDED), handler=work,
        effect=Effect.PAID, time_limit_s=10, concurrency=8, retry=Retry(4),
    )  # fmt: skip


def main() -> None:
    settings = StreamSettings(**json.loads(sys.argv[1]))
    store = FolderStore(Path(sys.argv[2]), durable=False)
    asyncio.run(run_worker([paid_stage(int(sys.argv[4]))], settings, store, name=sys.argv[3], ready=Path(sys.argv[5]).touch))


if __name__ == "__main__":
    main()
