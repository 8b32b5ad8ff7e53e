from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.offsets import patiently


def asked(*answers: int | None, seconds: float = 30.0) -> int:
    """How often it is asked where the broker, or the client, answers with these errors in turn; None: an answer."""
    coming, count = list(answers), 0

    def call() -> int:
        nonlocal count
        count += 1
        if (code := coming.pop(0)) is not None:
            raise KafkaException(KafkaError(code))
        return count

    return patiently(call, seconds)


def test_what_holds_for_a_moment_is_asked_again() -> None:
    """A request may also run out of time before it was sent: the client waits for the coordinator's address, on a machine that stood still."""
    of_the_moment = (KafkaError._TIMED_OUT_QUEUE, KafkaError._TIMED_OUT, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    assert asked(*of_the_moment, None) == 4


def test_what_stays_wrong_is_raised_at_once_and_what_does_not_end_in_its_time() -> None:
    with pytest.raises(KafkaException):
        asked(KafkaError.GROUP_AUTHORIZATION_FAILED, None)
    with pytest.raises(KafkaException):
        asked(KafkaError._TIMED_OUT_QUEUE, None, seconds=-1.0)
