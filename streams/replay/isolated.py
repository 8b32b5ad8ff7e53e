"""The surroundings of an isolated run: topics and groups under names of its own, made for it and removed after it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.admin import admin
from streams.offsets import patiently
from streams.settings import StreamSettings

_LEAVING_S = 30.0


def settings_of(settings: StreamSettings, run: str) -> StreamSettings:
    """The stack's settings with the run's own topics and groups. Raises ``ValidationError`` where the prefix gets too long."""
    values = settings.model_dump() | {
        "topic_prefix": f"{settings.topic_prefix}replay-{run[-12:]}.",
        "group_prefix": f"{settings.group_prefix}.replay-{run[-12:]}",
    }
    return StreamSettings(**values)


def remove(settings: StreamSettings, stages: Iterable[str]) -> list[str]:
    """Delete an isolated run's topics and groups; ``settings`` are those of :func:`settings_of`. Returns the topics. Doing it again does nothing."""
    prefix = settings.topic_prefix
    if "replay-" not in prefix:
        raise ValueError(f"{prefix!r} is not the prefix of an isolated run")
    client = admin(settings)
    topics = sorted(name for name in client.list_topics(timeout=30).topics if name.startswith(prefix))
    for future in client.delete_topics(topics, operation_timeout=30).values() if topics else ():
        try:
            future.result(60)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    for stage in stages:
        patiently(partial(_delete_group, client, f"{settings.group_prefix}.{stage}"))
    return topics


def _delete_group(client: AdminClient, group: str) -> None:
    end = time.monotonic() + _LEAVING_S
    while True:
        try:
            client.delete_consumer_groups([group])[group].result(20)
            return
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.GROUP_ID_NOT_FOUND:
                return
            if code != KafkaError.NON_EMPTY_GROUP or time.monotonic() > end:
                raise
            time.sleep(0.2)  # a member that was killed is missed by the broker after some seconds only
