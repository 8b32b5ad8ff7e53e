"""Claims under races: one registration, one recorded output, one verdict; and runs that reuse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import ids
from schemas.records import FeaturesExtracted, GenerationRequested, UsageRecorded, Verdict
from sinks.objects import FolderStore
from streams import runs, steps
from streams.codec import Codec
from streams.contract import Context, Delivery, Writer
from streams.failures import Refused
from streams.ledger import Ledger
from streams.paid import Calls
from streams.replay.scan import of_run
from streams.topics import PROMPT_SUBMITTED, VIDEO_SUBMITTED
from tests.streams.world import features, prompt


class Registry:
    """Ids without a server: the codec asks for nothing else."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def id_for(self, topic: Any) -> int:
        from schemas.avro_codec import schema_text

        text = schema_text(topic.schema)
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)

    def text(self, schema_id: int) -> str:
        return self._texts[schema_id]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, durable=False)


@pytest.fixture
def codec() -> Codec:
    return Codec(Registry())  # type: ignore[arg-type]


def racing(call: Callable[[int], Any], n: int = 8) -> list[Any]:
    barrier = threading.Barrier(n)

    def one(number: int) -> Any:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


NOW = 1_790_000_000_000


def submission(**changes: Any) -> Any:
    return prompt(**({"request_id": ids.new_id(NOW)} | changes))


def register(store: FolderStore, record: Any, *, topic: Any = PROMPT_SUBMITTED, at: int = NOW) -> None:
    steps.register(store, topic, record, b"\0\0\0\0\1" + repr(record).encode(), at)


def test_the_same_submission_again_is_a_redelivery(store: FolderStore) -> None:
    record = submission()
    racing(lambda _: register(store, record))


@pytest.mark.parametrize("changes", [{"prompt": "another"}, {"tenant": "other"}, {"topic": VIDEO_SUBMITTED}])
def test_an_id_that_stands_for_something_else_is_refused(store: FolderStore, changes: dict[str, Any]) -> None:
    record = submission()
    register(store, record)
    topic = changes.pop("topic", PROMPT_SUBMITTED)
    with pytest.raises(Refused) as refused:
        register(store, submission(**({"request_id": record.request_id, "prompt": record.prompt} | changes)), topic=topic)
    assert refused.value.reason == "id_reused" and not refused.value.ends_request


def test_of_many_that_race_for_an_id_one_wins(store: FolderStore) -> None:
    request = ids.new_id(NOW)

    def one(number: int) -> bool:
        try:
            register(store, submission(request_id=request, prompt=str(number)))
        except Refused:
            return False
        return True

    assert sum(racing(one)) == 1


@pytest.mark.parametrize(("off_s", "fits"), [(-7 * 86400, True), (-7 * 86400 - 1, False), (300, True), (301, False)])
def test_an_ids_time_lies_in_the_window_of_the_broker_time(store: FolderStore, off_s: int, fits: bool) -> None:
    record = submission(request_id=ids.new_id(NOW + off_s * 1000))
    if fits:
        register(store, record)
    else:
        with pytest.raises(Refused) as refused:
            register(store, record)
        assert refused.value.reason == "id_time"


def test_a_replay_belongs_to_a_run_that_was_opened_and_to_its_own_tenants_request(store: FolderStore) -> None:
    original, run = submission(), ids.new_id()
    replayed = partial(submission, request_id=original.request_id, run=run)
    register(store, original)
    with pytest.raises(Refused) as refused:
        register(store, replayed())
    assert refused.value.reason == "unknown_run" and not refused.value.ends_request
    runs.open_run(store, run, kind="replay", parent="", mode="reuse")
    register(store, replayed(), at=NOW + 90 * 86_400_000)  # a replay is not held to the window
    for foreign in (replayed(tenant="thief"), submission(run=run)):
        with pytest.raises(Refused) as refused:
            register(store, foreign)
        assert refused.value.reason == "unknown_run"


def test_the_same_submission_again_is_a_redelivery_however_late(store: FolderStore) -> None:
    record = submission()
    register(store, record)
    register(store, record, at=NOW + 90 * 86_400_000)


class Services:
    def __init__(self, store: Any) -> None:
        self.objects, self.writer = store, Writer("w")

    def publish_progress(self, record: Any) -> None: ...


def done(codec: Codec, source: FeaturesExtracted, store: Any, spec: str = "{}", usage: bool = True) -> list[steps.Output]:
    context = Context("plan", source, Delivery("t", 0, 0, 0, 1), Services(store))
    if usage:
        context.meter("plan", quantity=1, unit="x", cost_usd=Decimal("0.1"))
    return steps.encode(codec, context.finish([context.make(GenerationRequested, method="compose", spec=spec, deadline=source.deadline)]))


def test_outputs_are_recorded_once_whoever_races(store: FolderStore, codec: Codec) -> None:
    source = features()
    assert steps.recorded(store, codec, source, "plan", 0) is None
    results = racing(lambda n: steps.record(store, source, "plan", 0, done(codec, source, store, spec=str(n)), "v1"))
    first = steps.recorded(store, codec, source, "plan", 0)
    assert all(r == first for r in results) and first is not None
    assert steps.recorded(store, codec, source, "plan", 1) is None
    assert steps.recorded(store, codec, source, "validate", 0) is None


@pytest.mark.parametrize(("mode", "reuses"), [("reuse", True), ("regenerate", False)])
def test_a_run_that_reuses_takes_its_parents_outputs_as_its_own_without_the_bill(
    store: FolderStore, codec: Codec, mode: str, reuses: bool
) -> None:
    source = features(deadline=5)
    original = steps.record(store, source, "plan", 0, done(codec, source, store, spec="original"), "v1")
    run = ids.new_id()
    runs.open_run(store, run, kind="replay", parent="", mode=mode)
    replayed = of_run("features.extracted", source, run)
    assert replayed.run == run and replayed.deadline is None, "nobody waits for a replay until the original's deadline"
    found = steps.recorded(store, codec, replayed, "plan", 0)
    assert (found is not None) is reuses
    if not found:
        return
    records = [codec.decode(kind, o.value) for o in found for kind in [GenerationRequested]]
    assert len(records) == 1 and records[0].spec == "original" and (records[0].run, records[0].deadline) == (run, None)
    assert records[0].event_id not in {o.header("millrace-event-id") for o in original}
    assert steps.recorded(store, codec, replayed, "plan", 0) == found
    assert any(codec.decode(UsageRecorded, o.value) for o in original if o.topic == "usage.recorded")


def verdict(codec: Codec, source: Any, store: Any, **values: Any) -> tuple[list[Any], list[steps.Output]]:
    context = Context("validate", source, Delivery("t", 0, 0, 0, 1), Services(store))
    records = context.finish([context.make(Verdict, stage="validate", **values)])
    return records, steps.encode(codec, records)


def test_a_request_has_one_verdict_in_a_run_whoever_ends_it(store: FolderStore, codec: Codec) -> None:
    source = features()

    def end(number: int) -> steps.Output:
        state = "validated" if number % 2 else "rejected"
        _, outputs = verdict(codec, source, store, state=state, message=str(number))
        return steps.settle(store, source, outputs)[0]

    published = racing(end)
    assert len({(o.topic, o.value) for o in published}) == 1
    found = steps.verdict_of(store, codec, "acme", "", source.request_id)
    assert found and ("artifact.validated" if found.state == "validated" else "artifact.rejected") == published[0].topic
    assert steps.verdict_of(store, codec, "acme", ids.new_id(), source.request_id) is None


def test_a_step_has_one_name_wherever_it_is_claimed_billed_or_reserved(tmp_path: Any) -> None:
    """A reservation under another name than its ledger's would be settled for somebody else."""
    source = features()
    services: Any = SimpleNamespace(objects=FolderStore(tmp_path), settings=None, writer=None)
    calls = Calls(source, Context("plan", source, Delivery("t", 0, 0, 0, 1), services), services)
    name = ids.step_name(source.request_id, "plan", 0)
    assert calls.payer.step == name
    assert steps.recorded_key(source, "plan", 0) == f"recorded/acme/original/{name}"
    assert Ledger(services.objects, source, "plan", 0)._prefix == f"ledger/acme/original/{name}"
    assert Ledger(services.objects, source, "plan", 0).of_run("r")._prefix == f"ledger/acme/r/{name}"
