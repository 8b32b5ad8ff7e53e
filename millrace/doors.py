"""Where requests come in: checked, given an id, put down for good. What is wrong is said here, before anything travels."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer

from schemas import ids
from schemas.names import MAX_MEDIA_BYTES, MAX_PROMPT_BYTES, BadName, check_name, check_priority
from schemas.records import AuditRecorded, PromptSubmitted, Record, VideoSubmitted
from streams import steps
from streams.admin import BrokerUnreachable
from streams.admission import TIMED
from streams.codec import Codec
from streams.contract import Writer
from streams.objects import ObjectStore, claim, claimed, put_content_file
from streams.queues import Queues
from streams.registry import Registry
from streams.settings import StreamSettings
from streams.topics import AUDIT_RECORDED, GENERATION_REQUESTED, PROMPT_SUBMITTED, VIDEO_SUBMITTED, Topic
from streams.tracing import Tracing, minted

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}


class RefusedAtDoor(ValueError):
    """Nothing was accepted. ``reason`` is a stable code; ``retry_after_s`` says when to come again, 0 where that is no use."""

    def __init__(self, reason: str, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


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
    deadline: int | None = None
    """When the request must be done, ms since 1970."""

    def checked(self) -> Sender:
        try:
            check_name(self.tenant, "tenant")
            check_name(self.project, "project")
            check_priority(self.priority)
        except BadName as error:
            raise RefusedAtDoor("bad_name", str(error)) from error
        if self.deadline is not None and self.deadline <= ids.now_ms():
            raise RefusedAtDoor("deadline", "the deadline has passed already")
        return self


def _said(submission: dict[str, Any]) -> dict[str, Any]:
    """What makes two submissions the same: who tries again has another id, and may give it longer. The first one's deadline stands."""
    return {name: value for name, value in submission.items() if name not in ("request_id", "deadline")}


def _idempotency(tenant: str, key: str) -> str:
    return f"idempotency/{tenant}/{hashlib.sha256(key.encode()).hexdigest()}"


class Crowds:
    """Which priority classes are over their limit, asked from the broker: no worker need run for a door to know."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._queues: Queues | None = None
        self._waiting: dict[str, int] = {}
        self._asked_at = float("-inf")

    def check(self, priority: str) -> None:
        """Raises :class:`RefusedAtDoor` where the class's queue is over its limit, and ``BrokerUnreachable``."""
        limits = self._settings.admission
        if not limits.queued:
            return
        if time.monotonic() > self._asked_at + 1:
            self._ask()
        if (waiting := self._waiting.get(priority, 0)) > limits.queued:
            raise RefusedAtDoor(
                "overloaded",
                f"{waiting:,} requests of class {priority} wait already, over the limit of {limits.queued:,}",
                retry_after_s=math.ceil(limits.wait_s or 30.0),
            )

    def _ask(self) -> None:
        try:
            if self._queues is None:
                self._queues = Queues(self._settings, "generate", [GENERATION_REQUESTED[p] for p in TIMED])
            found = self._queues.read()
        except (KafkaException, TimeoutError) as error:
            raise BrokerUnreachable(
                f"the broker at {self._settings.bootstrap_servers} does not tell how long the queues are: {error}"
            ) from error
        names = {self._settings.topic_prefix + GENERATION_REQUESTED[p].name: p for p in TIMED}
        self._waiting = dict.fromkeys(TIMED, 0)
        for (topic, _), queue in found.items():
            self._waiting[names[topic]] += queue.end - queue.next
        self._asked_at = time.monotonic()


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
        self._tracing = Tracing.of(settings, service="millrace", instance="door")
        self._crowds = Crowds(settings)
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
        self._admit(sender, idempotency_key)
        ref, size = put_content_file(self._objects, sender.tenant, path)
        record = VideoSubmitted(
            request_id=ids.new_id(), tenant=sender.tenant, project=sender.project, priority=sender.priority, deadline=sender.deadline,
            media_uri=str(ref), media_size=size,
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
        self._admit(sender, idempotency_key)
        record = PromptSubmitted(
            request_id=ids.new_id(),
            tenant=sender.tenant,
            project=sender.project,
            priority=sender.priority,
            deadline=sender.deadline,
            prompt=text,
        )
        return self._accept(PROMPT_SUBMITTED, record, idempotency_key)

    def _admit(self, sender: Sender, key: str | None) -> None:
        """Refuse what would only wait in vain. What was accepted before under its idempotency key is not asked again."""
        if sender.priority in TIMED and (key is None or claimed(self._objects, _idempotency(sender.tenant, key)) is None):
            self._crowds.check(sender.priority)

    def _accept(self, topic: Topic, record: VideoSubmitted | PromptSubmitted, key: str | None) -> Accepted:
        again = False
        if key is not None:
            record, again = self._first_under(topic, record, key)
        value = self._codec.encode(topic, record)
        # Known from here on, so that its status can be asked before any stage has seen it.
        steps.register(self._objects, topic, record, value, ids.now_ms())
        if not again or steps.verdict_of(self._objects, self._codec, record.tenant, "", record.request_id) is None:
            self._send(topic, record.request_id.encode(), value, record.request_id, record.tenant, self._traced(topic, record))
        return Accepted(record.request_id, again)

    def _first_under(
        self, topic: Topic, record: VideoSubmitted | PromptSubmitted, key: str
    ) -> tuple[VideoSubmitted | PromptSubmitted, bool]:
        """The submission that holds the idempotency key: this one, or the earlier one if it says the same."""
        if not key or len(key) > 256:
            raise RefusedAtDoor("bad_idempotency_key", "an idempotency key has 1 to 256 characters")
        name = _idempotency(record.tenant, key)
        mine = {"topic": topic.name, **asdict(record)}
        won, body = claim(self._objects, name, json.dumps(mine, sort_keys=True).encode())
        first = json.loads(body)
        if not won and _said(first) != _said(mine):
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
        now = ids.now_ms()
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

    def publish(self, topic: Topic, record: Record, key: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Publish a record as it is, with headers more: for replays."""
        event = getattr(record, "event_id", None) or record.request_id  # type: ignore[union-attr]
        more = (*self._traced(topic, record), *headers)
        self._send(topic, key, self._codec.encode(topic, record), event, getattr(record, "tenant", ""), more)

    def name(self, topic: str) -> str:
        """A topic of the catalogue as Kafka calls it here."""
        return self._settings.topic_prefix + topic

    def republish(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
        """Publish bytes as they were, into a topic named as in Kafka: for restoring."""
        self._produce(topic, key, value, list(headers))

    def _traced(self, topic: Topic, record: Any) -> Sequence[tuple[str, bytes]]:
        """A request's trace begins here; a run's, too."""
        if not hasattr(record, "request_id"):
            return ()
        if self._tracing is None:
            return minted(record.request_id, record.run)
        return self._tracing.submitted(topic.name, record.request_id, record.tenant, record.run)

    def _send(
        self, topic: Topic, key: bytes | None, value: bytes, event_id: str, tenant: str, more: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        headers = [("millrace-event-id", event_id.encode()), ("millrace-tenant", tenant.encode()), *more]
        self._produce(self._settings.topic_prefix + topic.name, key, value, headers)

    def _produce(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, Any]]) -> None:
        def report(error: object, _: object) -> None:
            if error:
                self._failed.append(str(error))

        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=report)
                break
            except BufferError:  # a replay is quicker than the broker: room comes with its reports
                self._producer.poll(0.1)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when the broker has all that was accepted. Raises :class:`~streams.admin.BrokerUnreachable`."""
        left = self._producer.flush(25)
        if self._tracing:
            self._tracing.flush()
        if left or self._failed:
            why = self._failed[0] if self._failed else "no answer"
            raise BrokerUnreachable(
                f"{left + len(self._failed)} records were not taken by the broker at {self._settings.bootstrap_servers}: {why}"
            )
