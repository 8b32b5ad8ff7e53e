"""Every kind of bad record ends in the dead letters with its reason and provenance, and the stage goes on with the next one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from schemas import ids
from schemas.avro_codec import encoder, frame
from schemas.names import ObjectRef
from schemas.records import GenerationRequested, PromptSubmitted, Record, Verdict, VideoSubmitted
from streams.admin import ensure_topics
from streams.contract import Context, Retry, Stage
from streams.topics import ARTIFACT_REJECTED, DEAD_LETTERS, GENERATION_REQUESTED, PROMPT_SUBMITTED, VIDEO_SUBMITTED
from tests.streams.world import World, prompt, run, stage, until, video

pytestmark = pytest.mark.kafka
OUT = GENERATION_REQUESTED["normal"]
DAY = 86_400_000


async def accept(record: PromptSubmitted | VideoSubmitted, context: Context) -> Sequence[Record]:
    if isinstance(record, VideoSubmitted):
        context.own(record.media_uri)
    if isinstance(record, PromptSubmitted) and record.prompt == "huge output":
        return [context.make(GenerationRequested, method="compose", spec=os.urandom(2 << 20).hex())]
    return [context.make(GenerationRequested, method="compose", spec="good")]


DECLARED: Stage = stage(accept, reads=(PROMPT_SUBMITTED, VIDEO_SUBMITTED), retry=Retry(1))


def framed(record: Any, world: World, topic: Any = PROMPT_SUBMITTED) -> bytes:
    return world.codec.encode(topic, record)


def raw(value: bytes | None) -> Callable[[World], bytes | None]:
    return lambda _: value


def record(**changes: Any) -> Callable[[World], bytes]:
    return lambda world: framed(prompt(**changes), world)


def media(uri: str) -> Callable[[World], bytes]:
    return lambda world: framed(video(media_uri=uri), world, VIDEO_SUBMITTED)


BAD: dict[str, tuple[Callable[[World], bytes | None], str, str]] = {
    # name: (value, reason in the dead letter, reason of the verdict or "" for none)
    "null value": (raw(None), "bad_record", ""),
    "empty value": (raw(b""), "bad_record", ""),
    "json": (raw(b'{"prompt": "an app"}'), "bad_record", ""),
    "unknown schema": (lambda w: frame(987_654) + encoder(PromptSubmitted)(prompt()), "unknown_schema", ""),
    "body of another schema": (lambda w: framed(prompt(), w)[:5] + b"\x02\xff\xff", "bad_record", ""),
    "truncated": (lambda w: framed(prompt(), w)[:-3], "bad_record", ""),
    "bytes left over": (lambda w: framed(prompt(), w) + b"more", "bad_record", ""),
    "tenant with a slash": (record(tenant="a/b"), "bad_name", ""),
    "tenant that climbs": (record(tenant=".."), "bad_name", ""),
    "tenant of 200 characters": (record(tenant="t" * 200), "bad_name", ""),
    "project with a slash": (record(project="../../etc"), "bad_name", ""),
    "project that is empty": (record(project=""), "bad_name", ""),
    "priority that is none": (record(priority="urgent"), "bad_name", ""),
    "request id that is no UUID": (record(request_id="42"), "bad_id", ""),
    "request id of version 4": (record(request_id="9f0c5b9e-8c5e-4b5e-8a6e-1d0d1a1b1c1d"), "bad_id", ""),
    "request id in capitals": (record(request_id=ids.new_id().upper()), "bad_id", ""),
    "run that is no id": (record(run="../x"), "bad_id", ""),
    "request id a week old": (record(request_id=ids.new_id(int(time.time() * 1000) - 8 * DAY)), "id_time", "dead_letter.id_time"),
    "request id of tomorrow": (record(request_id=ids.new_id(int(time.time() * 1000) + DAY)), "id_time", "dead_letter.id_time"),
    "file reference": (media("file:///etc/passwd"), "bad_name", "dead_letter.bad_name"),
    "http reference": (media("http://169.254.169.254/latest"), "bad_name", "dead_letter.bad_name"),
    "reference that climbs": (media("object:../" + "0" * 64), "bad_name", "dead_letter.bad_name"),
    "another tenant's object": (media(str(ObjectRef("other", "0" * 64))), "foreign_reference", "dead_letter.foreign_reference"),
    "output that no topic takes": (record(prompt="huge output"), "output_too_large", "dead_letter.output_too_large"),
}


def test_each_is_dead_lettered_with_its_reason_and_the_next_record_is_served(world: World) -> None:
    """All in one partition, a good record after each: one that stopped the stage would stop all that follow."""
    world = world.with_settings(partitions=1)
    world.create(DECLARED)
    sent: dict[tuple[str, int, int], tuple[str, bytes | None]] = {}
    good = []
    for name, (value, _, _) in BAD.items():
        topic = VIDEO_SUBMITTED if "reference" in name or "object" in name else PROMPT_SUBMITTED
        body = value(world)
        place = world.send(topic, body, key=b"\xff\x00" + name.encode(), headers=[("mine", b"\xfe\xff"), ("mine", None)])
        sent[topic.name, *place] = (name, body)
        good.append(prompt())
        world.send(PROMPT_SUBMITTED, good[-1])

    async def main() -> None:
        async with world.running(DECLARED) as task:
            await until(lambda: len(world.messages(DEAD_LETTERS)) == len(BAD) and len(world.messages(OUT)) == len(good), task=task)

    run(main())
    assert {o.request_id for o in world.records(OUT)} == {g.request_id for g in good}
    letters = {(letter.topic, letter.partition, letter.offset): letter for letter in world.dead()}
    found = {}
    verdicts: dict[str, Verdict] = {v.request_id: v for v in world.records(ARTIFACT_REJECTED)}
    for place, (name, body) in sent.items():
        letter = letters[place]
        found[name] = (letter.reason, verdicts[letter.request_id].reason if letter.request_id in verdicts else "")
        assert (letter.key, letter.value, letter.stage, letter.tries) == (b"\xff\x00" + name.encode(), body, "plan", 1)
        assert [(h.name, h.value) for h in letter.headers] == [("mine", b"\xfe\xff"), ("mine", b"")]
        assert letter.message and letter.timestamp > 0 and letter.code_version
    assert found == {name: (reason, verdict) for name, (_, reason, verdict) in BAD.items()}
    assert len({letter.event_id for letter in letters.values()}) == len(BAD)


def test_a_request_id_used_twice_harms_only_the_second_use(world: World) -> None:
    world = world.with_settings(partitions=1)
    one_by_one = replace(DECLARED, concurrency=1)  # side by side, any of them may be the first
    world.create(one_by_one)
    first = prompt("first")
    for submission in (
        first,
        first,
        prompt("second", request_id=first.request_id),
        prompt("third", request_id=first.request_id, tenant="other"),
    ):
        world.send(PROMPT_SUBMITTED, submission)

    async def main() -> None:
        async with world.running(one_by_one) as task:
            await until(lambda: world.committed("plan", PROMPT_SUBMITTED) == {0: 4}, task=task)

    run(main())
    assert {letter.reason for letter in world.dead()} == {"id_reused"} and len(world.dead()) == 2
    assert not world.messages(ARTIFACT_REJECTED), "the first one's request must not end for what others did"
    outputs = world.records(OUT)
    assert len(outputs) == 2 and len({o.event_id for o in outputs}) == 1  # a redelivery repeats ids


def test_records_without_key_of_the_future_and_of_ten_megabytes(world: World) -> None:
    """The topic is made to take ten megabytes: such a record fits into no other topic, and still ends as a letter."""
    world = world.with_settings(partitions=1)
    admin = AdminClient({"bootstrap.servers": world.settings.bootstrap_servers, "log_level": 0})
    name = world.settings.topic_prefix + PROMPT_SUBMITTED.name
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": "12000000"})])[name].result(20)
    world.create(DECLARED)
    world.send(PROMPT_SUBMITTED, b"x" * 10_400_000)
    world.send(PROMPT_SUBMITTED, b"y" * 11_500_000)
    world.send(PROMPT_SUBMITTED, framed(prompt("no key"), world), key=None)
    world.send(PROMPT_SUBMITTED, prompt("of the future"), timestamp=int(time.time() * 1000) + 3_000_000)
    world.send(PROMPT_SUBMITTED, prompt("big headers"), headers=[("h", b"z" * 900_000)])

    async def main() -> None:
        async with world.running(DECLARED) as task:
            await until(lambda: world.committed("plan", PROMPT_SUBMITTED) == {0: 5}, task=task)

    run(main())
    assert len(world.messages(OUT)) == 3
    first, second = sorted(world.dead(), key=lambda letter: letter.offset)
    assert (first.reason, first.value) == ("bad_record", b"x" * 10_400_000)
    assert second.value is None and "11,500,000 bytes" in second.message and second.offset == 1


def test_a_forged_origin_is_not_believed(world: World) -> None:
    """The headers by which a retried record tells its place mean nothing on a topic that producers write to."""
    world = world.with_settings(partitions=1)
    world.create(DECLARED)
    forged = [("millrace-origin", b"generation.requested.low 7 99 1"), ("millrace-tries", b"3"), ("millrace-not-before", b"9999999999999")]
    world.send(PROMPT_SUBMITTED, b"no avro", headers=forged)
    world.send(PROMPT_SUBMITTED, prompt(), headers=forged)

    async def main() -> None:
        async with world.running(DECLARED) as task:
            await until(lambda: world.committed("plan", PROMPT_SUBMITTED) == {0: 2}, task=task)

    run(main())
    (letter,) = world.dead()
    assert (letter.topic, letter.partition, letter.offset, letter.tries) == ("prompt.submitted", 0, 0, 1)
    assert len(world.messages(OUT)) == 1


def test_topics_are_made_as_declared_and_making_them_again_changes_nothing(world: World) -> None:
    world.create(DECLARED)
    assert ensure_topics(world.settings, [PROMPT_SUBMITTED, DEAD_LETTERS]) == []
