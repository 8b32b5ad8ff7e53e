"""Topics that together hold the state of one reader: made together, and all anew where one is missing, so that state is whole or empty."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from streams.admin import admin
from streams.offsets import patiently
from streams.settings import StreamSettings


def partitions_of(settings: StreamSettings, topic: str) -> int:
    """Partitions of a topic of the catalogue that is there. Raises :class:`~streams.admin.BrokerUnreachable`."""
    name = settings.topic_prefix + topic
    return len(admin(settings).list_topics(name, timeout=30).topics[name].partitions)


def make_together(
    settings: StreamSettings, topics: Mapping[str, int], config: Mapping[str, Mapping[str, str]], timeout_s: float = 60.0
) -> str:
    """See to it that the topics (name without prefix: partitions) are all there, or make all of them anew; returns a name for this state.

    The name changes whenever they were made anew. A consumer group called by it starts where nothing was read yet, which is what rebuilds the state.
    """
    client = admin(settings)
    names = {settings.topic_prefix + name: partitions for name, partitions in topics.items()}
    there = client.list_topics(timeout=30).topics
    whole = all(name in there and len(there[name].partitions) == partitions for name, partitions in names.items())
    if not whole:
        old = [name for name in names if name in there]
        if old:
            for future in client.delete_topics(old, operation_timeout=30).values():
                future.result(60)
        _create(
            client,
            [
                NewTopic(
                    name, partitions, settings.replication_factor, config=dict(config.get(name.removeprefix(settings.topic_prefix), {}))
                )
                for name, partitions in names.items()
            ],
            timeout_s if old else 0.0,
        )

    def ids() -> list[str]:
        found = client.describe_topics(TopicCollection(sorted(names)))
        return [str(found[name].result(30).topic_id) for name in sorted(names)]

    return hashlib.sha256(" ".join(patiently(ids)).encode()).hexdigest()[:12]


def _create(client: AdminClient, wanted: Sequence[NewTopic], deleted_for_s: float) -> None:
    """Create topics. Where they were deleted just now, the broker says for a while (``deleted_for_s`` at most) that they are there."""
    end = time.monotonic() + deleted_for_s
    left = {new.topic: new for new in wanted}
    while left:
        for name, future in client.create_topics(list(left.values()), operation_timeout=30).items():
            try:
                future.result(60)
                del left[name]
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or (deleted_for_s and time.monotonic() > end):
                    raise
                if not deleted_for_s:  # nothing was deleted: another worker was quicker
                    del left[name]
        if left:
            time.sleep(0.1)
