"""What the runner's own headers may say, and letters that fit into their topic whatever they are about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streams import fitting, provenance
from streams.admin import largest_record
from streams.codec import Codec
from streams.contract import Delivery
from streams.failures import Failure
from streams.settings import StreamSettings
from streams.topics import DEAD_LETTERS

SETTINGS = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
CODEC = Codec(SimpleNamespace(id_for=lambda _: 7))  # type: ignore[arg-type]


def message(key: bytes = b"k", value: bytes = b"v", **headers: str) -> Any:
    named = [("millrace-" + name.replace("_", "-"), said.encode()) for name, said in headers.items()]
    return SimpleNamespace(
        key=lambda: key, value=lambda: value, headers=lambda: named, topic=lambda: "retry.plan.5s", partition=lambda: 0, offset=lambda: 5,
        timestamp=lambda: (1, 1_800_000_000_000),
    )  # fmt: skip


def letter(message: Any, delivery: Delivery, record: Any = None) -> bytes:
    failure = Failure("bad_record", "x", "", retry=False)
    made = fitting.letter(provenance.dead_letter("plan", message, delivery, failure, record, "0"), CODEC, SETTINGS)
    return (made.key or b"") + CODEC.encode(DEAD_LETTERS, made)


@pytest.mark.parametrize(
    ("origin", "tries"),
    [
        ("t -1 5 1", "0"),
        ("t 9999999999 5 1", "0"),
        (f"t 0 {10**30} 1", "0"),
        (f"t 0 5 {10**30}", "0"),
        ("t 0 5 1", "-10"),
        ("t 0 5 1", "9" * 12),
    ],
)
def test_a_place_that_cannot_be_is_as_if_it_were_not_said(origin: str, tries: str) -> None:
    forged = message(origin=origin, tries=tries)
    assert provenance.origin_of(forged, SETTINGS) == Delivery("retry.plan.5s", 0, 5, 1_800_000_000_000, 1)
    assert letter(forged, provenance.origin_of(forged, SETTINGS))


def test_a_place_that_can_be_is_believed() -> None:
    assert provenance.origin_of(message(origin="prompt.submitted 3 7 9", tries="2"), SETTINGS) == Delivery("prompt.submitted", 3, 7, 9, 3)


@pytest.mark.parametrize("said", ["-1", "9" * 400, "soon"])
def test_a_time_that_cannot_be_is_as_if_it_were_not_said(said: str) -> None:
    assert provenance.due_ms(message(not_before=said)) == 0


@pytest.mark.parametrize(
    "bad", [message(key=b"k" * 6_000_000), message(value=b"v" * 11_000_000), message(key=b"k" * 1_000_000, value=b"v" * 9_500_000)]
)
def test_a_letter_fits_with_its_key(bad: Any) -> None:
    """Compressed, a topic takes records that are much larger than it says, and the letter's key is the record's."""
    assert len(letter(bad, provenance.place_of(bad, SETTINGS))) < largest_record(DEAD_LETTERS, SETTINGS)


def test_a_letter_fits_whatever_its_record_calls_itself() -> None:
    record = SimpleNamespace(tenant="t" * 11_000_000, request_id="r" * 11_000_000, run="")
    assert len(letter(message(), provenance.place_of(message(), SETTINGS), record)) < 2000
