"""What an exception means, and how often a record is tried."""

from __future__ import annotations

import pytest

from schemas.avro_codec import BadRecord
from schemas.ids import BadId
from schemas.names import BadName
from sinks.objects import StoreUnreachable
from streams.contract import Retry
from streams.cpu import ProcessDied
from streams.failures import ProviderFailed, Refused, Rejected, Transient, Waiting, classify
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
        (ProviderFailed("x"), "provider_failed", False),
        (ProcessDied("x"), "process_died", True),
        (ZeroDivisionError("x"), "handler_error", True),
    ],
)
def test_the_class_decides(error: Exception, reason: str, retry: bool) -> None:
    failure = classify(error)
    assert (failure.reason, failure.retry) == (reason, retry)
    assert type(error).__name__ in failure.exception


def test_waiting_is_no_try() -> None:
    failure = classify(Waiting("breaker_open", "x", seconds=7))
    assert (failure.reason, failure.retry, failure.wait_s) == ("breaker_open", True, 7)
    assert classify(Transient("x")).wait_s is None


def test_what_every_record_needs_is_waited_for_without_a_try() -> None:
    failure = classify(StoreUnreachable("x"))
    assert (failure.reason, failure.retry, failure.wait_s) == ("store_unavailable", True, 5.0)
    assert isinstance(StoreUnreachable("x"), Transient), "those who wait for anything of the moment wait for it, too"


def test_texts_are_bounded() -> None:
    failure = classify(RuntimeError("x" * 100_000))
    assert len(failure.message) < 3000 and len(failure.exception) <= 8000


def test_texts_fit_into_a_record_whatever_was_quoted() -> None:
    """Half a character, as a provider's JSON may hold: a letter that quotes it, or the error before it, must still be written."""
    try:
        try:
            raise ValueError("half \ud83d")
        except ValueError:
            raise Rejected("no", "half \ud83d")  # noqa: B904 - the chain is the point
    except Rejected as error:
        failure = classify(error)
    for text in (failure.message, failure.exception):
        assert "half \\ud83d" in text.encode().decode()


@pytest.mark.parametrize("tries", [1, 2, 4, 7])
def test_each_tier_in_turn_then_the_last_again_then_given_up(tries: int) -> None:
    got = [Retry(tries).tier(failed) for failed in range(1, tries + 2)]
    waits = [t for t in got if t]
    assert len(waits) == tries - 1 and waits == [*TIERS, *[TIERS[-1]] * tries][: tries - 1]
    assert got[tries - 1 :] == [None, None]
