"""What a schema registry knows, kept in the compacted topic ``_schemas`` in the records of Confluent's own registry.

Invariants:

- the topic is the truth: a change is acknowledged by the broker before it is applied here or answered;
- an id never changes its meaning and is never given again: deleting leaves the id readable (softly) or retired (for good);
- the same schema text has one id, whatever subjects it is registered under.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from dataclasses import dataclass, replace
from typing import Any

import avro.compatibility
import avro.errors
import avro.schema
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "_schemas"
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
MODES = ("READWRITE", "READONLY")
_PRIMITIVES = frozenset(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])


class RegistryError(Exception):
    """An error of the registry's API: ``code`` is its number, whose first three digits are the HTTP status."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Registered:
    """One version of one subject."""

    subject: str
    version: int
    id: int
    schema: str
    deleted: bool = False

    @property
    def guid(self) -> str:
        """An id that is the same in every registry."""
        return str(uuid.UUID(bytes=hashlib.md5(self.schema.encode(), usedforsecurity=False).digest()))


class SchemaLog:
    """The topic: read once from its beginning, then appended to. One writer, as the embedded stack has one registry."""

    def __init__(self, bootstrap_servers: str):
        self._servers = bootstrap_servers
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0, "delivery.timeout.ms": 15000}
        )

    def read(self) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Every (key, value) in order, making the topic where there is none. Raises KafkaException."""
        admin = AdminClient({"bootstrap.servers": self._servers})
        new = NewTopic(TOPIC, 1, 1, config={"cleanup.policy": "compact"})
        try:
            admin.create_topics([new])[TOPIC].result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        settings = {
            "bootstrap.servers": self._servers,
            "group.id": "schema-registry",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
        records: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
        try:
            while True:
                message = consumer.poll(30)
                if message is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{TOPIC} could not be read to its end"))
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        return records
                    raise KafkaException(message.error())
                value = message.value()
                records.append((json.loads(message.key()), json.loads(value) if value else None))
        finally:
            consumer.close()

    def append(self, key: dict[str, Any], value: dict[str, Any] | None) -> None:
        """Returns when the broker has it. Raises RegistryError (50001)."""
        problems: list[KafkaError] = []
        self._producer.produce(
            TOPIC,
            key=json.dumps(key, separators=(",", ":")).encode(),
            value=None if value is None else json.dumps(value, separators=(",", ":")).encode(),
            on_delivery=lambda error, _: problems.append(error) if error else None,
        )
        if self._producer.flush(20) or problems:
            raise RegistryError(50001, f"Error in the backend data store: {problems[0] if problems else 'no acknowledgement'}")


class Store:
    """Subjects, versions, ids, levels and modes. Safe to call from many threads."""

    def __init__(self, log: SchemaLog, default_level: str = "FULL_TRANSITIVE"):
        self._log = log
        self._lock = threading.RLock()
        self._subjects: dict[str, dict[int, Registered]] = {}
        self._ids: dict[str, int] = {}  # canonical text -> id
        self._next_id = 1
        self._levels: dict[str | None, str] = {None: default_level}
        self._modes: dict[str | None, str] = {None: "READWRITE"}
        self._default_level = default_level
        for key, value in log.read():
            self._apply(key, value)

    # -- reading -------------------------------------------------------------------------------------------------------------------

    def subjects(self, prefix: str = "", deleted: bool = False) -> list[str]:
        with self._lock:
            return sorted(s for s, versions in self._subjects.items() if s.startswith(prefix) and self._visible(versions, deleted))

    def versions(self, subject: str, deleted: bool = False) -> list[Registered]:
        """In order of version. Raises RegistryError 40401."""
        with self._lock:
            found = self._visible(self._subjects.get(subject, {}), deleted)
        if not found:
            raise RegistryError(40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, wanted: str, deleted: bool = False) -> Registered:
        """``wanted`` is a number, ``latest`` or ``-1``. Raises RegistryError 40401, 40402, 42202."""
        found = self.versions(subject, deleted)
        if wanted in ("latest", "-1"):
            return found[-1]
        if not wanted.isdigit() or not 0 < int(wanted) < 2**31:
            raise RegistryError(
                42202, f"The specified version '{wanted}' is not a valid version id. Allowed values are [1, 2^31-1] and 'latest'"
            )
        for registered in found:
            if registered.version == int(wanted):
                return registered
        raise RegistryError(40402, f"Version {wanted} not found.")

    def by_id(self, number: int) -> list[Registered]:
        """Every version that has this id, deleted ones too. Raises RegistryError 40403."""
        with self._lock:
            found = [r for versions in self._subjects.values() for r in versions.values() if r.id == number]
        if not found:
            raise RegistryError(40403, f"Schema {number} not found")
        return sorted(found, key=lambda r: (r.deleted, r.subject, r.version))

    def by_guid(self, guid: str) -> Registered:
        with self._lock:
            for versions in self._subjects.values():
                for registered in versions.values():
                    if registered.guid == guid:
                        return registered
        raise RegistryError(40403, f"Schema {guid} not found")

    def lookup(self, subject: str, text: str, deleted: bool = False) -> Registered:
        """The version of a subject that has this schema. Raises RegistryError 40401, 40403, 42201."""
        wanted = canonical(text)
        for registered in reversed(self.versions(subject, deleted)):
            if canonical(registered.schema) == wanted:
                return registered
        raise RegistryError(40403, "Schema not found")

    def incompatibilities(self, subject: str, text: str, version: str | None = None) -> list[str]:
        """Why a schema does not fit a subject's versions by its level (one named version, or all that the level asks); empty if it does."""
        candidate = parse(text)
        level = self.level(subject)
        with self._lock:
            others = self._visible(self._subjects.get(subject, {}), False)
        if version is not None:
            others = [self.version(subject, version)]
        elif not level.endswith("_TRANSITIVE"):
            others = others[-1:]
        complaints: list[str] = []
        for other in others:
            existing = parse(other.schema)
            if level.startswith(("BACKWARD", "FULL")):
                complaints += [f"version {other.version} cannot be read with it: {c}" for c in unreadable(candidate, existing)]
            if level.startswith(("FORWARD", "FULL")):
                complaints += [f"it cannot be read with version {other.version}: {c}" for c in unreadable(existing, candidate)]
        return complaints

    def level(self, subject: str | None, or_global: bool = True) -> str:
        """Raises RegistryError 40408 where a subject has none of its own and the global one is not asked for."""
        return self._setting(self._levels, subject, or_global, 40408, "subject-level compatibility configured")

    def mode(self, subject: str | None, or_global: bool = True) -> str:
        return self._setting(self._modes, subject, or_global, 40409, "subject-level mode configured")

    # -- changing ------------------------------------------------------------------------------------------------------------------

    def register(self, subject: str, text: str) -> Registered:
        """The subject's version with this schema: the one there is, or a new one if it is compatible.

        Raises RegistryError 409 with every incompatibility, 42201 for a text that is no schema, 42205 where the mode forbids it.
        """
        parse(text)
        text = json.dumps(json.loads(parse_text(text)), separators=(",", ":"), ensure_ascii=False)
        with self._lock:
            if not subject or len(subject) > 255 or any(ord(c) < 32 for c in subject):
                raise RegistryError(42208, f"The specified subject '{subject[:64]}' is not a valid subject")
            same = [r for r in self._visible(self._subjects.get(subject, {}), False) if canonical(r.schema) == canonical(text)]
            if same:
                return same[-1]
            if self.mode(subject) != "READWRITE":
                raise RegistryError(42205, f"Subject '{subject}' is not in read-write mode")
            complaints = self.incompatibilities(subject, text)
            if complaints:
                reason = "; ".join(complaints)
                raise RegistryError(
                    409, f'Schema being registered is incompatible with an earlier schema for subject "{subject}": {reason}'
                )
            version = max(self._subjects.get(subject, {}), default=0) + 1
            registered = Registered(subject, version, self._ids.get(canonical(text), self._next_id), text)
            self._write_version(registered)
            return registered

    def delete_subject(self, subject: str, permanent: bool) -> list[int]:
        """The versions deleted. For good only after softly. Raises RegistryError 40401, 40405."""
        with self._lock:
            if permanent and self._visible(self._subjects.get(subject, {}), False):
                raise RegistryError(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
            found = self.versions(subject, deleted=permanent)
            for registered in found:
                self._delete(registered, permanent)
            return [registered.version for registered in found]

    def delete_version(self, subject: str, wanted: str, permanent: bool) -> int:
        """Raises RegistryError 40401, 40402, 40407."""
        with self._lock:
            registered = self.version(subject, wanted, deleted=permanent)
            if permanent and not registered.deleted:
                raise RegistryError(40407, f"Subject '{subject}' Version {wanted} was not deleted first before being permanently deleted")
            self._delete(registered, permanent)
            return registered.version

    def set_level(self, subject: str | None, level: str | None) -> None:
        """None takes the subject's own level away, or sets the global one to its default. Raises RegistryError 42203."""
        if level is not None and level not in LEVELS:
            raise RegistryError(42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        self._write({"keytype": "CONFIG", "subject": subject, "magic": 0}, level and {"subject": subject, "compatibilityLevel": level})

    def set_mode(self, subject: str | None, mode: str | None) -> None:
        """Raises RegistryError 42204."""
        if mode is not None and mode not in MODES:
            raise RegistryError(42204, f"Invalid mode. Valid values are {', '.join(MODES)}")
        self._write({"keytype": "MODE", "subject": subject, "magic": 0}, mode and {"subject": subject, "mode": mode})

    # -- the log -------------------------------------------------------------------------------------------------------------------

    def _delete(self, registered: Registered, permanent: bool) -> None:
        if permanent:
            self._write({"keytype": "SCHEMA", "subject": registered.subject, "version": registered.version, "magic": 1}, None)
        else:
            self._write_version(replace(registered, deleted=True))

    def _write_version(self, registered: Registered) -> None:
        key = {"keytype": "SCHEMA", "subject": registered.subject, "version": registered.version, "magic": 1}
        self._write(key, {k: getattr(registered, k) for k in ("subject", "version", "id", "schema", "deleted")})

    def _write(self, key: dict[str, Any], value: Any) -> None:
        with self._lock:
            self._log.append(key, value)
            self._apply(key, value)

    def _apply(self, key: dict[str, Any], value: dict[str, Any] | None) -> None:
        kind, subject = key.get("keytype"), key.get("subject")
        if kind == "SCHEMA":
            assert isinstance(subject, str)
            versions = self._subjects.setdefault(subject, {})
            if value is None:
                versions.pop(key["version"], None)
                if not versions:
                    del self._subjects[subject]
                return
            registered = Registered(subject, value["version"], value["id"], value["schema"], value.get("deleted", False))
            versions[registered.version] = registered
            self._ids.setdefault(canonical(registered.schema), registered.id)
            self._next_id = max(self._next_id, registered.id + 1)
        elif kind in ("CONFIG", "MODE"):
            settings, field, default = (
                (self._levels, "compatibilityLevel", self._default_level) if kind == "CONFIG" else (self._modes, "mode", "READWRITE")
            )
            if value is not None:
                settings[subject] = value[field]
            elif subject is None:
                settings[None] = default
            else:
                settings.pop(subject, None)

    @staticmethod
    def _visible(versions: dict[int, Registered], deleted: bool) -> list[Registered]:
        return [versions[number] for number in sorted(versions) if deleted or not versions[number].deleted]

    def _setting(self, settings: dict[str | None, str], subject: str | None, or_global: bool, code: int, what: str) -> str:
        with self._lock:
            if subject in settings:
                return settings[subject]
            if or_global:
                return settings[None]
        raise RegistryError(code, f"Subject '{subject}' does not have {what}")


def parse_text(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise RegistryError(42201, "Empty schema")
    return text if text.strip()[0] in '{["' else json.dumps(text.strip())  # a bare name of a primitive type is a schema too


def parse(text: object) -> Any:
    """The schema as the avro package's object. Raises RegistryError 42201."""
    try:
        return avro.schema.parse(parse_text(text))
    except (avro.errors.AvroException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(42201, f"Invalid schema: {error}") from error


def canonical(text: str) -> str:
    """A schema's text such that white space, the order of attributes and ``{"type": "string"}`` for ``"string"`` make no difference."""
    parse(text)
    return json.dumps(_plain(json.loads(parse_text(text))), sort_keys=True, separators=(",", ":"))


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if isinstance(node, dict):
        if set(node) == {"type"} and isinstance(node["type"], str) and node["type"] in _PRIMITIVES:
            return node["type"]
        return {key: node[key] if key == "default" else _plain(value) for key, value in node.items()}
    return node


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Why what is written with one schema cannot be read with another; empty if it can. Shapes: avro.schema.Schema."""
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(reader, writer)
    if result.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return []
    places = ", ".join(sorted(result.locations))
    return [f"{kind.value} at {places}: {', '.join(sorted(result.messages))}" for kind in dict.fromkeys(result.incompatibilities)]
