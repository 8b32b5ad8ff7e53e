"""The schema registry, held against confluent-kafka's own client and serializers, and against the numbers of its HTTP API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from infra.embedded.kafka import Kafka, KafkaSettings
from infra.embedded.registry import Registry, RegistrySettings

pytestmark = pytest.mark.kafka


def record(*fields: tuple[str, Any, Any], name: str = "Order") -> str:
    """A record schema's text; a field is (name, type, default or ``...`` for none)."""
    return json.dumps(
        {
            "type": "record",
            "name": name,
            "namespace": "test",
            "fields": [{"name": n, "type": t} | ({} if d is ... else {"default": d}) for n, t, d in fields],
        }
    )


V1 = record(("id", "string", ...))
V2 = record(("id", "string", ...), ("note", ["null", "string"], None))
INCOMPATIBLE = record(("id", "string", ...), ("amount", "long", ...))


@pytest.fixture
def client(registry: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": registry})


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-value"


def test_what_one_client_writes_another_reads(registry: str, subject: str) -> None:
    context = SerializationContext(subject.removesuffix("-value"), MessageField.VALUE)
    order = {"id": "o-1", "note": "zwölf"}
    written = AvroSerializer(SchemaRegistryClient({"url": registry}), V2)(order, context)
    assert written is not None and written[0] == 0
    assert AvroDeserializer(SchemaRegistryClient({"url": registry}))(written, context) == order
    # A reader with the older schema, and one with the newer for an older record.
    assert AvroDeserializer(SchemaRegistryClient({"url": registry}), V1)(written, context) == {"id": "o-1"}


def test_ids_are_stable_and_registering_is_idempotent(client: SchemaRegistryClient, registry: str, subject: str) -> None:
    first = client.register_schema(subject, Schema(V1, "AVRO"))
    second = client.register_schema(subject, Schema(V2, "AVRO"))
    assert second != first
    spaced = json.dumps(json.loads(V1), indent=2, sort_keys=True)
    fresh = SchemaRegistryClient({"url": registry})
    assert [fresh.register_schema(subject, Schema(text, "AVRO")) for text in (V1, V2, spaced)] == [first, second, first]
    assert fresh.register_schema(f"other-{subject}", Schema(V1, "AVRO")) == first
    assert fresh.get_versions(subject) == [1, 2]
    assert fresh.get_latest_version(subject).schema_id == second
    assert fresh.lookup_schema(subject, Schema(spaced, "AVRO")).version == 1
    assert json.loads(fresh.get_schema(first).schema_str or "") == json.loads(V1)
    assert subject in fresh.get_subjects()


@pytest.mark.parametrize(
    ("level", "history", "candidate", "fits"),
    [
        ("FULL_TRANSITIVE", [V1], V2, True),
        ("FULL_TRANSITIVE", [V1], INCOMPATIBLE, False),
        ("FULL_TRANSITIVE", [V2], V1, True),
        ("BACKWARD", [INCOMPATIBLE], V1, True),  # a field without default taken away: old records are readable
        ("FORWARD", [INCOMPATIBLE], V1, False),  # but old readers miss it
        ("FORWARD", [V1], INCOMPATIBLE, True),
        ("BACKWARD", [INCOMPATIBLE, V1], V2, True),
        # Transitive: the field comes back with another type, which only the first version knows.
        ("BACKWARD", [INCOMPATIBLE, V1], record(("id", "string", ...), ("amount", "boolean", False)), True),
        ("BACKWARD_TRANSITIVE", [INCOMPATIBLE, V1], record(("id", "string", ...), ("amount", "boolean", False)), False),
        ("NONE", [V1], json.dumps("long"), True),
        ("FULL", [V1], record(("id", "bytes", ...)), True),  # Avro reads a string as bytes and back
        ("FULL", [V1], record(("id", "string", ...), name="Renamed"), False),
    ],
)
def test_compatibility(
    client: SchemaRegistryClient, registry: str, subject: str, level: str, history: list[str], candidate: str, fits: bool
) -> None:
    client.set_compatibility(subject, "NONE")
    for text in history:
        client.register_schema(subject, Schema(text, "AVRO"))
    client.set_compatibility(subject, level)
    assert client.get_compatibility(subject) == level
    url = f"{registry}/compatibility/subjects/{subject}/versions"
    answer = httpx.post(url, json={"schema": candidate}, params={"verbose": "true"}, trust_env=False).json()
    assert answer["is_compatible"] is fits
    assert bool(answer["messages"]) is not fits
    if fits:
        client.register_schema(subject, Schema(candidate, "AVRO"))
    else:
        with pytest.raises(SchemaRegistryError) as caught:
            client.register_schema(subject, Schema(candidate, "AVRO"))
        assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
        assert client.get_versions(subject) == list(range(1, len(history) + 1))


def test_the_default_is_full_transitive(client: SchemaRegistryClient) -> None:
    assert client.get_compatibility() == "FULL_TRANSITIVE"


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/subjects/nobody/versions", None, 40401),
        ("GET", "/subjects/errors-value/versions/7", None, 40402),
        ("GET", "/subjects/errors-value/versions/x", None, 42202),
        ("GET", "/schemas/ids/4711", None, 40403),
        ("GET", "/schemas/ids/x", None, 40403),
        ("POST", "/subjects/errors-value", {"schema": V2}, 40403),
        ("POST", "/subjects/errors-value/versions", {"schema": "{"}, 42201),
        ("POST", "/subjects/errors-value/versions", {"schema": '{"type": "record"}'}, 42201),
        ("POST", "/subjects/errors-value/versions", {"schema": '"nosuchtype"'}, 42201),
        ("POST", "/subjects/errors-value/versions", {}, 42201),
        ("POST", "/subjects/errors-value/versions", {"schema": 7}, 42201),
        ("POST", "/subjects/errors-value/versions", {"schema": "{}", "schemaType": "PROTOBUF"}, 42201),
        ("PUT", "/config/errors-value", {"compatibility": "SOMETIMES"}, 42203),
        ("GET", "/config/errors-value", None, 40408),
        ("PUT", "/mode", {"mode": "SIDEWAYS"}, 42204),
        ("DELETE", "/subjects/errors-value?permanent=true", None, 40405),
        ("GET", "/nothing/here", None, 404),
    ],
)
def test_errors_have_their_numbers(registry: str, method: str, path: str, body: object, code: int) -> None:
    httpx.post(f"{registry}/subjects/errors-value/versions", json={"schema": V1}, trust_env=False).raise_for_status()
    answer = httpx.request(method, registry + path, json=body, trust_env=False)
    assert answer.json()["error_code"] == code, answer.text
    assert answer.status_code == int(str(code)[:3])
    assert answer.json()["message"]


def test_deleting_is_soft_first_and_ids_stay_readable(client: SchemaRegistryClient, registry: str, subject: str) -> None:
    number = client.register_schema(subject, Schema(V1, "AVRO"))
    assert client.delete_subject(subject) == [1]
    fresh = SchemaRegistryClient({"url": registry})
    assert subject not in fresh.get_subjects()
    assert fresh.get_schema(number).schema_str
    # Registered again it is the next version, with the id it had.
    assert fresh.register_schema(subject, Schema(V1, "AVRO")) == number
    assert fresh.get_versions(subject) == [2]
    fresh.delete_subject(subject)
    fresh.delete_subject(subject, permanent=True)
    with pytest.raises(SchemaRegistryError) as caught:
        fresh.get_versions(subject)
    assert caught.value.error_code == 40401


def test_a_subject_can_be_made_read_only(client: SchemaRegistryClient, registry: str, subject: str) -> None:
    client.register_schema(subject, Schema(V1, "AVRO"))
    httpx.put(f"{registry}/mode/{subject}", json={"mode": "READONLY"}, trust_env=False).raise_for_status()
    with pytest.raises(SchemaRegistryError) as caught:
        client.register_schema(subject, Schema(V2, "AVRO"))
    assert caught.value.error_code == 42205
    httpx.delete(f"{registry}/mode/{subject}", trust_env=False).raise_for_status()
    client.register_schema(subject, Schema(V2, "AVRO"))


def test_everything_is_there_after_a_restart_over_a_crashed_broker(tmp_path: Path) -> None:
    broker_settings = KafkaSettings(data=tmp_path / "kafka", log=tmp_path / "kafka.log")

    def with_registry(kill: bool, use: Any) -> Any:
        kafka = Kafka(broker_settings)
        child = kafka.start()
        try:
            kafka.ready()
            registry = Registry(RegistrySettings(bootstrap_servers=kafka.bootstrap_servers, log=tmp_path / "registry.log"))
            registry.start()
            try:
                registry.ready()
                return use(SchemaRegistryClient({"url": registry.url}))
            finally:
                assert registry.stop(), "SIGTERM alone must end it"
        finally:
            child.kill() if kill else kafka.stop()

    def fill(client: SchemaRegistryClient) -> tuple[int, int]:
        client.set_compatibility("b-value", "BACKWARD")
        return client.register_schema("a-value", Schema(V1, "AVRO")), client.register_schema("b-value", Schema(V2, "AVRO"))

    def look(client: SchemaRegistryClient) -> tuple[int, int, str, int]:
        return (
            client.get_latest_version("a-value").schema_id,
            client.get_latest_version("b-value").schema_id,
            client.get_compatibility("b-value"),
            client.register_schema("c-value", Schema(INCOMPATIBLE, "AVRO")),
        )

    first, second = with_registry(True, fill)
    assert with_registry(False, look) == (first, second, "BACKWARD", max(first, second) + 1)
