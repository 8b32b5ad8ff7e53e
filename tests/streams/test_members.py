"""Asking who is in a group, by somebody who may die of it; and that nobody else asks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from streams.members import Members, Unknown
from streams.topics import FEATURES_EXTRACTED
from tests.streams.world import World, stage

ROOT = Path(__file__).parents[2]
_ENDS_ITS_PROCESS = re.compile(r"\.(describe_consumer_groups|list_consumer_group_offsets|list_offsets|alter_consumer_group_offsets)\(")


def test_only_who_may_die_of_it_asks_what_ends_a_process_now_and_then() -> None:
    """By librdkafka's assertion, where the broker is killed and comes back meanwhile (``streams.offsets``)."""
    asks = {
        str(path.relative_to(ROOT))
        for layer in ("streams", "processors", "sinks", "infra", "millrace")
        for path in (ROOT / layer).rglob("*.py")
        if _ENDS_ITS_PROCESS.search(path.read_text())
    }
    assert asks == {"streams/members.py"}


@pytest.mark.kafka
def test_members_are_told_and_the_death_of_who_asks_is_only_an_unknown_answer(world: World) -> None:
    world.create(stage())
    group = f"{world.settings.group_prefix}.plan"
    member = Consumer(
        {"bootstrap.servers": world.settings.bootstrap_servers, "group.id": group, "client.id": "me", "group.protocol": world.settings.group_protocol}
    )  # fmt: skip
    members = Members(world.settings.bootstrap_servers)
    assert members.read([group, "nobody"]) == {group: [], "nobody": []}
    member.subscribe([world.settings.topic_prefix + FEATURES_EXTRACTED.name])
    while not members.read([group])[group]:
        member.poll(0.1)
    assert members.read([group, "nobody"]) == {group: ["me"], "nobody": []}
    members.close()
    # As it dies of the assertion: with the question in hand.
    dies = "import os, sys; sys.stdin.readline(); os.abort()"
    members._child = subprocess.Popen([sys.executable, "-c", dies], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(Unknown, match="ended before"):
        members.read([group])
    assert members.read([group])[group] == ["me"]
    members.close()
    member.close()


def test_a_broker_that_is_away_is_not_an_empty_group() -> None:
    members = Members("127.0.0.1:1")
    with pytest.raises(Unknown, match="broker"):
        members.read(["g"], timeout_s=0.3)
    members.close()
