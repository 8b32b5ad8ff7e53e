"""Declarations that contradict themselves are refused, all of them at once; ids and totals of outputs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from schemas.avro_codec import SCHEMA_NAMES
from schemas.names import BadName
from schemas.records import ArtifactGenerated, GenerationRequested, Record, UsageRecorded
from sinks.objects import FolderStore
from streams.contract import Context, Delivery, Effect, Retry, Stage, Writer, problems
from streams.failures import Refused
from streams.runner import UnsafeStage
from streams.settings import StreamSettings
from streams.topics import CATALOGUE, FEATURES_EXTRACTED, RETRY, USAGE_RECORDED, key_of, route
from streams.worker import run_worker
from tests.streams.world import features


async def handler(record: Any, context: Context) -> list[Record]:
    return []


def stage(**changes: Any) -> Stage:
    base: dict[str, Any] = {
        "name": "plan",
        "reads": (FEATURES_EXTRACTED,),
        "writes": (),
        "handler": handler,
        "effect": Effect.PURE,
        "time_limit_s": 1,
    }
    return Stage(**(base | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"reads": ()},
        {"order": "time"},
        {"concurrency": 0},
        {"time_limit_s": 0},
        {"order": "key", "effect": Effect.PAID, "writes": (USAGE_RECORDED,)},
        {"effect": Effect.PAID},
        {"retry": Retry(0)},
        {"writes": (RETRY["plan"]["5s"],)},
        {"reads": (RETRY["plan"]["5s"],)},
        {"name": "no/name"},
        {"reads": (FEATURES_EXTRACTED, FEATURES_EXTRACTED)},
    ],
)
def test_each_contradiction_is_said(changes: dict[str, Any]) -> None:
    assert not problems(stage())
    (said,) = problems(stage(**changes))
    assert changes.get("name", "plan") in said


def test_start_up_refuses_all_that_is_wrong_at_once(tmp_path: Any) -> None:
    settings = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
    bad = [stage(reads=(), concurrency=0), stage(name="other", time_limit_s=-1)]
    with pytest.raises(UnsafeStage) as refused:
        asyncio.run(run_worker([*bad, stage(name="other")], settings, FolderStore(tmp_path), name="w"))
    for part in ("reads no topic", "concurrency", "stage other: needs a time limit", "declared twice"):
        assert part in str(refused.value)


class Services:
    def __init__(self, store: Any = None) -> None:
        self.objects, self.writer, self.progress = store, Writer("w"), []

    def publish_progress(self, record: Any) -> None:
        self.progress.append(record)


def context(source: Any, services: Any = None) -> Context:
    return Context("generate", source, Delivery("t", 0, 0, 0, 1), services or Services())


def produce(source: Any) -> list[Record]:
    made = context(source)
    made.meter("compose", quantity=1, unit="project", cost_usd=Decimal(1))
    made.meter("compose", quantity=1, unit="project", cost_usd=None, call=1)
    outputs = [
        made.make(ArtifactGenerated, method="compose", artifact_uri="u", artifact_size=1, artifact_digest="d"),
        made.make(ArtifactGenerated, method="compose", artifact_uri="v", artifact_size=1, artifact_digest="d"),
        made.make(GenerationRequested, method="compose"),
    ]
    return made.finish(outputs)


def test_doing_a_step_again_makes_the_same_records() -> None:
    source = features(3)
    assert produce(source) == produce(source)


def test_every_output_has_an_id_of_its_own_and_other_runs_have_others() -> None:
    source = features(3)
    ids_of = [r.event_id for r in produce(source)]
    assert len(set(ids_of)) == len(ids_of) == 5
    from dataclasses import replace

    other = [r.event_id for r in produce(replace(source, run=features().request_id))]
    assert not set(ids_of) & set(other)


def test_outputs_tell_how_much_usage_there_was_so_far() -> None:
    records = produce(features(3, usage_events=5))
    assert [r.usage_events for r in records if not isinstance(r, UsageRecorded)] == [7, 7, 7]


def test_another_tenants_object_and_other_schemes_are_refused() -> None:
    made = context(features())
    assert made.own("object:acme/" + "0" * 64).tenant == "acme"
    with pytest.raises(Refused) as refused:
        made.own("object:other/" + "0" * 64)
    assert refused.value.reason == "foreign_reference"
    for uri in ("file:///etc/passwd", "http://169.254.169.254/", "object:acme/../x", ""):
        with pytest.raises(BadName):
            made.own(uri)


def test_content_goes_and_comes_by_claim_check(tmp_path: Any) -> None:
    made = context(features(), Services(FolderStore(tmp_path)))

    async def main() -> bytes:
        return await made.get(await made.put(b"body"))

    assert asyncio.run(main()) == b"body"


def test_progress_has_ids_of_its_writer() -> None:
    services = Services()
    made = context(features(), services)
    made.progress(0.5, "half")
    made.progress(0.5, "half")
    assert len({p.event_id for p in services.progress}) == 2


def test_every_record_type_has_its_topic_and_every_topic_its_schema() -> None:
    for topic in CATALOGUE.values():
        assert topic.record is None or topic.schema in SCHEMA_NAMES.values()
    assert route(features()) is FEATURES_EXTRACTED
    assert key_of(features(request_id="0192f000-0000-7000-8000-000000000000")) == b"0192f000-0000-7000-8000-000000000000"
