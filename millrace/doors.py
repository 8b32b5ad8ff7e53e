"""Where requests come in: checked, given an id, put down for good. What is wrong is said here, before anything travels."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import Producer

from schemas import ids
from schemas.names import MAX_MEDIA_BYTES, MAX_PROMPT_BYTES, BadName, check_name, check_priority
from schemas.records import AuditRecorded, PromptSubmitted, Record, VideoSubmitted
from streams import steps
from streams.admin import BrokerUnreachable
from streams.codec import Codec
from streams.contract import Writer
from streams.objects import ObjectStore, claim, claimed, put_content_file
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import AUDIT_RECORDED, PROMPT_SUBMITTED, VIDEO_SUBMITTED, Topic

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}


class RefusedAtDoor(ValueError):
    """Nothing was accepted. ``reason`` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that will not be lost."""

    request_id: str
    again: bool = False
    """Whether an idempotency key brought back an earlier request."""


@dataclass(frozen=True, slots=True)
class Sender:
    """On whose behalf, and how urgently."""

    tenant: str = "default"
    project: str = "default"
    priority: str = "normal"

    def checked(self) -> Sender:
        try:
            check_name(self.tenant, "tenant")
            check_name(self.project, "project")
            check_priority(self.priority)
        except BadName as error:
            raise RefusedAtDoor("bad_name", str(error)) from error
        return self


class Door:
    """Accepts requests into one stack. Blocking; used by the command line."""

    def __init__(self, settings: StreamSettings, objects: ObjectStore) -> None:
        self._objects = objects
        self._settings = settings
        self._codec = Codec(Registry(settings.registry_url))
        self._producer = Producer(
            {"bootstrap.servers": settings.bootstrap_servers, "acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random", "compression.type": "lz4",
             "message.timeout.ms": 20_000, "log_level": 0}
        )  # fmt: skip
        self._failed: list[str] = []
        self.writer = Writer()

    def video(self, path: Path, sender: Sender, idempotency_key: str | None = None) -> Accepted:
        """Hand over a recording. Raises :class:`RefusedAtDoor`; the file is only looked at by the extract stage."""
        sender.checked()
        try:
            if not path.is_file():
                raise RefusedAtDoor("not_found", f"{path} is not a file")
            size = path.stat().st_size
            if size == 0:
                raise RefusedAtDoor("empty_file", f"{path} is empty")
            if size > MAX_MEDIA_BYTES:
                raise RefusedAtDoor("too_large", f"{path} has {size:,} bytes; at most {MAX_MEDIA_BYTES:,} are taken")
            path.open("rb").close()
        except OSError as error:
            raise RefusedAtDoor("not_readable", f"{path}: {error.strerror or error}") from error
        ref, size = put_content_file(self._objects, sender.tenant, path)
        record = VideoSubmitted(
            request_id=ids.new_id(), tenant=sender.tenant, project=sender.project, priority=sender.priority, media_uri=str(ref), media_size=size,
            media_type=MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"), file_name=path.name[:200],
        )  # fmt: skip
        return self._accept(VIDEO_SUBMITTED, record, idempotency_key)

    def prompt(self, text: str, sender: Sender, idempotency_key: str | None = None) -> Accepted:
        """Hand over a prompt or a written spec. Raises :class:`RefusedAtDoor`."""
        sender.checked()
        if not text.strip():
            raise RefusedAtDoor("empty_prompt", "the prompt is empty")
        size = len(text.encode(errors="replace"))
        if size > MAX_PROMPT_BYTES:
            raise RefusedAtDoor("prompt_too_large", f"the prompt has {size:,} bytes; at most {MAX_PROMPT_BYTES:,} are taken")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RefusedAtDoor("bad_text", f"the prompt is not text: {error.reason} at character {error.start}") from error
        record = PromptSubmitted(
            request_id=ids.new_id(), tenant=sender.tenant, project=sender.project, priority=sender.priority, prompt=text
        )
        return self._accept(PROMPT_SUBMITTED, record, idempotency_key)

    def _accept(self, topic: Topic, record: VideoSubmitted | PromptSubmitted, key: str | None) -> Accepted:
        again = False
        if key is not None:
            record, again = self._first_under(topic, record, key)
        value = self._codec.encode(topic, record)
        # Known from here on, so that its status can be asked before any stage has seen it.
        steps.register(self._objects, topic, record, value, int(time.time() * 1000))
        if not again or steps.verdict_of(self._objects, self._codec, record.tenant, "", record.request_id) is None:
            self._send(topic, record.request_id.encode(), value, record.request_id, record.tenant)
        return Accepted(record.request_id, again)

    def _first_under(
        self, topic: Topic, record: VideoSubmitted | PromptSubmitted, key: str
    ) -> tuple[VideoSubmitted | PromptSubmitted, bool]:
        """The submission that holds the idempotency key: this one, or the earlier one if it says the same."""
        if not key or len(key) > 256:
            raise RefusedAtDoor("bad_idempotency_key", "an idempotency key has 1 to 256 characters")
        name = f"idempotency/{record.tenant}/{hashlib.sha256(key.encode()).hexdigest()}"
        mine = {"topic": topic.name, **asdict(record)}
        won, body = claim(self._objects, name, json.dumps(mine, sort_keys=True).encode())
        first = json.loads(body)
        if not won and {**first, "request_id": ""} != {**mine, "request_id": ""}:
            raise RefusedAtDoor(
                "idempotency_conflict", f"the idempotency key was used before for another submission (request {first['request_id']})"
            )
        first.pop("topic")
        return type(record)(**first), not won

    def known(self, request_id: str) -> bool:
        """Whether a request of that id was ever accepted."""
        return claimed(self._objects, f"requests/{request_id}") is not None

    def audit(self, actor: str, action: str, *, target: str = "", tenant: str = "", run: str = "", **details: str) -> None:
        """Put what a person did on the record."""
        now = int(time.time() * 1000)
        event = AuditRecorded(
            event_id=self.writer.next_id(now),
            actor=actor,
            action=action,
            target=target,
            tenant=tenant,
            run=run,
            details=details,
            occurred_at=now,
        )
        self._send(AUDIT_RECORDED, actor.encode(), self._codec.encode(AUDIT_RECORDED, event), event.event_id, tenant)

    def publish(self, topic: Topic, record: Record, key: bytes | None) -> None:
        """Publish a record as it is: for replays."""
        event = getattr(record, "event_id", None) or record.request_id  # type: ignore[union-attr]
        self._send(topic, key, self._codec.encode(topic, record), event, getattr(record, "tenant", ""))

    def _send(self, topic: Topic, key: bytes | None, value: bytes, event_id: str, tenant: str) -> None:
        def report(error: object, _: object) -> None:
            if error:
                self._failed.append(str(error))

        headers = [("millrace-event-id", event_id.encode()), ("millrace-tenant", tenant.encode())]
        self._producer.produce(self._settings.topic_prefix + topic.name, value, key, headers=headers, on_delivery=report)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when the broker has all that was accepted. Raises :class:`~streams.admin.BrokerUnreachable`."""
        left = self._producer.flush(25)
        if left or self._failed:
            why = self._failed[0] if self._failed else "no answer"
            raise BrokerUnreachable(
                f"{left + len(self._failed)} records were not taken by the broker at {self._settings.bootstrap_servers}: {why}"
            )
