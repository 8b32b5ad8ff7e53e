"""The embedded broker is a real one: it keeps what was written over a stop and over a crash, and takes the groups we use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from infra.embedded.kafka import LARGEST_RECORD, Kafka, KafkaSettings
from infra.embedded.process import ProcessError

pytestmark = pytest.mark.kafka


def produce(servers: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "message.max.bytes": LARGEST_RECORD})
    failures: list[object] = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failures == []


def consume(servers: str, topic: str, count: int, group: str = "readers") -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "group.protocol": "consumer", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values: list[bytes] = []
    try:
        while len(values) < count:
            message = consumer.poll(20)
            assert message is not None, f"only {len(values)} of {count} records came"
            assert message.error() is None, message.error()
            values.append(message.value())
        return values
    finally:
        consumer.close()


def test_records_travel_through_a_group_of_the_new_protocol(broker: str, topic: Callable[..., str]) -> None:
    name = topic("travel", partitions=2)
    sent = [b"%d" % i for i in range(500)]
    produce(broker, name, sent)
    assert sorted(consume(broker, name, 500, group=name), key=int) == sent


def test_a_misspelt_topic_is_an_error_not_a_topic(broker: str) -> None:
    errors: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": broker, "message.timeout.ms": 3000, "topic.metadata.propagation.max.ms": 0})
    producer.produce("nobody-declared-me", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(30)
    assert [e.code() for e in errors] == [KafkaError.UNKNOWN_TOPIC_OR_PART]


def test_a_large_dead_letter_fits(broker: str, topic: Callable[..., str]) -> None:
    name = topic("large", **{"max.message.bytes": LARGEST_RECORD})
    record = os.urandom(LARGEST_RECORD - 4096)
    produce(broker, name, [record])
    assert consume(broker, name, 1, group=name) == [record]


def test_it_listens_on_loopback_only(broker: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker})
    described = admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")])
    listeners = next(iter(described.values())).result(20)["listeners"].value
    assert all("://127.0.0.1:" in listener for listener in listeners.split(","))


def test_data_survives_a_stop_a_crash_and_other_ports(tmp_path: Path) -> None:
    settings = KafkaSettings(data=tmp_path / "data", log=tmp_path / "kafka.log")

    first = Kafka(settings)
    first.start()
    try:
        first.ready()
        admin = AdminClient({"bootstrap.servers": first.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(20)
        produce(first.bootstrap_servers, "kept", [b"before the stop"])
        assert consume(first.bootstrap_servers, "kept", 1) == [b"before the stop"]
    finally:
        assert first.stop(), "SIGTERM alone must end it"

    second = Kafka(settings)
    child = second.start()
    try:
        second.ready()
        produce(second.bootstrap_servers, "kept", [b"before the crash"])
        child.signal(signal.SIGKILL)
    finally:
        second.stop()

    third = Kafka(settings)
    third.start()
    try:
        third.ready()
        # The group's place survived the stop, the acknowledged record the crash.
        assert consume(third.bootstrap_servers, "kept", 1) == [b"before the crash"]
    finally:
        third.stop()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    kafka = Kafka(KafkaSettings(data=tmp_path / "data", log=tmp_path / "kafka.log"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log").write_text("in the way")
    with pytest.raises((ProcessError, KafkaException), match="log"):
        try:
            kafka.start()
            kafka.ready(30)
        finally:
            kafka.stop()
