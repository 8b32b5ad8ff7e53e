"""What a dead letter is when it is tried again."""

from __future__ import annotations

from typing import Any

from streams.replay.scan import of_run
from streams.topics import CATALOGUE, PIPELINE

REPLAYED = "millrace-replayed-letter"
"""Header of a record that came out of a dead letter: the letter's id. If it is given up again, the next letter carries it on."""


class NotReplayable(ValueError):
    """Trying the letter again would help nobody; the message says why and what would."""


def goes_as_it_was(stage: str) -> bool:
    """Whether a letter's record is published again byte for byte, in no run of its own.

    What a sink gave up changes no request, and whatever else reads the topic takes it for the redelivery that it is: ids and claims count it once.
    What a stage of the pipeline gave up ended its request, so it is tried again in a run.
    """
    return stage not in PIPELINE


def check(stage: str, reason: str, topic: str, value: bytes | None, record: Any) -> None:
    """Raises :class:`NotReplayable`. ``record`` is None where the value does not decode."""
    if topic not in CATALOGUE:
        raise NotReplayable(f"its topic {topic[:200]!r} is not one of ours")
    if value is None:
        raise NotReplayable(
            "the letter holds no value: it had none, or was too large for dead.letters and lies in its original topic alone"
        )
    if goes_as_it_was(stage):
        return
    if record is None:
        raise NotReplayable("its value is no record of the topic; drop it, and have its producer send a good one")
    if reason == "id_reused":
        raise NotReplayable("its request id belongs to another submission; hand it over again under an id of its own")


def again(topic: str, record: Any, run: str) -> Any:
    """The record of a letter as a record of a run."""
    return of_run(topic, record, run)
