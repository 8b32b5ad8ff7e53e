"""What an exception means, and how often a record is tried."""

from __future__ import annotations

import pytest

from schemas.avro_codec import BadRecord
from schemas.ids import BadId
from schemas.names import BadName
from streams.contract import Retry
from streams.cpu import ProcessDied
from streams.failures import Refused, Transient, classify
from streams.objects import ObjectDamaged, ObjectMissing
from streams.registry import UnknownSchema
from streams.topics import TIERS


@pytest.mark.parametrize(
    ("error", "reason", "retry"),
    [
        (Refused("no_sense", "x"), "no_sense", False),
        (BadRecord("x"), "bad_record", False),
        (UnknownSchema("x"), "unknown_schema", False),
        (BadName("x"), "bad_name", False),
        (BadId("x"), "bad_id", False),
        (ObjectDamaged("x"), "object_damaged", False),
        (ObjectMissing("x"), "object_missing", True),
        (TimeoutError("x"), "timeout", True),
        (Transient("x"), "transient", True),
        (ProcessDied("x"), "process_died", True),
        (ZeroDivisionError("x"), "handler_error", True),
    ],
)
def test_the_class_decides(error: Exception, reason: str, retry: bool) -> None:
    failure = classify(error)
    assert (failure.reason, failure.retry) == (reason, retry)
    assert type(error).__name__ in failure.exception


def test_texts_are_bounded() -> None:
    failure = classify(RuntimeError("x" * 100_000))
    assert len(failure.message) < 3000 and len(failure.exception) <= 8000


@pytest.mark.parametrize("tries", [1, 2, 4, 7])
def test_each_tier_in_turn_then_the_last_again_then_given_up(tries: int) -> None:
    got = [Retry(tries).tier(failed) for failed in range(1, tries + 2)]
    waits = [t for t in got if t]
    assert len(waits) == tries - 1 and waits == [*TIERS, *[TIERS[-1]] * tries][: tries - 1]
    assert got[tries - 1 :] == [None, None]
