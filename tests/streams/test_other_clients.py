"""confluent-kafka's own registry client and Avro serializers read what we write and write what we read."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas import ids
from schemas.records import DeadLetter, Finding, GenerationRequested, Header, PromptSubmitted, UsageRecorded, Verdict
from streams.topics import CATALOGUE, GENERATION_REQUESTED, PROMPT_SUBMITTED, Topic, route
from tests.streams.world import World, prompt, run, stage, until

pytestmark = pytest.mark.kafka
ID = ids.new_id()
STEP: dict[str, Any] = {"event_id": ID, "request_id": ID, "tenant": "t", "project": "p", "occurred_at": 1_700_000_000_000}

RECORDS = [
    prompt("ä 漢字 🎈"),
    UsageRecorded(event_id=ID, request_id=ID, tenant="t", project="p", stage="plan", kind="x", occurred_at=1, cost_usd=Decimal("-1.2500000001")),
    Verdict(**STEP, state="validated", stage="validate", findings=(Finding(gate="g", rule="r", severity="error", message="m"),), scores={"a": 0.5}),
    DeadLetter(event_id=ID, stage="s", reason="r", topic="t", partition=0, offset=2**40, timestamp=3, occurred_at=4, value=b"\xff", headers=(Header(name="h", value=b"\0"),)),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_their_deserializer_reads_ours_and_ours_reads_their_serializers(world: World, record: Any) -> None:
    topic: Topic = route(record)
    client = SchemaRegistryClient({"url": world.settings.registry_url})
    context = SerializationContext(topic.name, MessageField.VALUE)
    value = world.codec.encode(topic, record)
    found = AvroDeserializer(client)(value, context)
    assert set(found) == set(asdict(record))
    assert str(found.get("event_id") or found["request_id"]) == ID or isinstance(record, PromptSubmitted)
    if "cost_usd" in found:
        assert found["cost_usd"] == Decimal("-1.2500000001")
    # The latest registered schema is what a producer in any language uses.
    serializer = AvroSerializer(client, None, conf={"auto.register.schemas": False, "use.latest.version": True})
    theirs = serializer(found, context)
    assert world.codec.decode(type(record), theirs) == record
    assert theirs == value


def test_a_producer_that_knows_only_confluent_kafka_is_served(world: World) -> None:
    """What ``docs/EVENTS.md`` tells producers to do: their serializer in, their deserializer out."""

    async def compose(record: PromptSubmitted, context: Any) -> list[Any]:
        return [context.make(GenerationRequested, method="compose", spec=record.prompt)]

    declared = stage(compose, reads=(PROMPT_SUBMITTED,))
    world.create(declared)
    world.codec.registry.register([PROMPT_SUBMITTED])
    client = SchemaRegistryClient({"url": world.settings.registry_url})
    serializer = AvroSerializer(client, None, conf={"auto.register.schemas": False, "use.latest.version": True})
    request = ids.new_id()
    value = {"request_id": request, "tenant": "acme", "project": "demo", "run": "", "priority": "normal", "prompt": "an inventory app"}
    producer = Producer({"bootstrap.servers": world.settings.bootstrap_servers})
    name = world.settings.topic_prefix + PROMPT_SUBMITTED.name
    producer.produce(name, key=request, value=serializer(value, SerializationContext(PROMPT_SUBMITTED.name, MessageField.VALUE)))
    assert producer.flush(20) == 0
    out = GENERATION_REQUESTED["normal"]

    async def main() -> None:
        async with world.running(declared) as task:
            await until(lambda: world.messages(out), task=task)

    run(main())
    consumer = Consumer({"bootstrap.servers": world.settings.bootstrap_servers, "group.id": "theirs", "auto.offset.reset": "earliest"})
    consumer.subscribe([world.settings.topic_prefix + out.name])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None and not message.error()
    found = AvroDeserializer(client)(message.value(), SerializationContext(out.name, MessageField.VALUE))
    assert (str(found["request_id"]), found["spec"]) == (request, "an inventory app")
    assert dict(message.headers())["millrace-event-id"].decode() == str(found["event_id"])
    assert out.name in CATALOGUE
