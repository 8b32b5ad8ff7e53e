"""The producer without a broker."""

from __future__ import annotations

import asyncio

import pytest

from streams.producer import AckedProducer, OutputTooLarge
from streams.settings import StreamSettings


def test_what_is_refused_at_once_is_told_though_reports_are_served_in_the_same_turn() -> None:
    """Nothing else is under way, so nobody would serve again."""

    async def main() -> None:
        producer = AckedProducer(StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1"))
        producer._timer = asyncio.get_running_loop().call_soon(producer._serve)  # type: ignore[assignment]
        sent = producer.send("t", b"k", b"x" * 12_000_000)
        with pytest.raises(OutputTooLarge):
            await asyncio.wait_for(sent, 2)

    asyncio.run(main())
