"""What the windows give up fits into the dead letters, whatever it is: a letter that does not would end the app again and again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from processors.windows.stage import WindowsApp
from schemas.records import DeadLetter
from streams.admin import largest_record
from streams.codec import Codec
from streams.settings import StreamSettings
from streams.topics import DEAD_LETTERS

SETTINGS = StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")


@pytest.mark.parametrize(("value", "kept"), [(b"v" * 1000, True), (b"v" * 11_500_000, False)])
def test_a_letter_fits_and_says_what_went_wrong(value: bytes, kept: bool) -> None:
    app = WindowsApp(SETTINGS, lambda _: True)
    codec = app._codec = Codec(SimpleNamespace(id_for=lambda _: 7))  # type: ignore[arg-type]
    letters: list[DeadLetter] = []

    async def publish(to: Any, topic: Any, record: DeadLetter, event_id: str) -> None:
        assert len(codec.encode(topic, record)) < largest_record(DEAD_LETTERS, SETTINGS)
        letters.append(record)

    app._publish, app._letters = publish, None  # type: ignore[method-assign, assignment]
    message = SimpleNamespace(
        topic="usage.recorded", partition=2, offset=9, timestamp=1_800_000_000.5, key=b"acme", value=value, headers=[("h", None)]
    )
    asyncio.run(app._give_up(SimpleNamespace(message=message), ValueError("half \ud83d " + "x" * 9000)))
    (letter,) = letters
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp) == ("usage.recorded", 2, 9, 1_800_000_000_500)
    assert (letter.stage, letter.reason, letter.tries) == ("windows", "handler_error", 1)
    assert "half \\ud83d" in letter.message and (letter.value == value) is kept
