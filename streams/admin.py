"""Topics created as the catalogue declares them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic, TopicMetadata

from streams.settings import StreamSettings
from streams.topics import Topic

log = structlog.get_logger()


class BrokerUnreachable(ConnectionError):
    """No broker answers at the given address."""


class TopicsMissing(LookupError):
    """Topics that a stage needs are not there; the message lists all."""


def admin(settings: StreamSettings, timeout_s: float = 10.0) -> AdminClient:
    """A client that has reached a broker. Raises :class:`BrokerUnreachable` saying where it looked."""
    client = AdminClient({"bootstrap.servers": settings.bootstrap_servers, "log_level": 0})
    try:
        client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise BrokerUnreachable(
            f"no Kafka broker answers at {settings.bootstrap_servers} within {timeout_s:.0f} s ({error.args[0].str()})"
        ) from error
    return client


def largest_record(topic: Topic, settings: StreamSettings) -> int:
    """Bytes of a record that the topic takes, its key and headers included."""
    return settings.max_record_bytes * (10 if topic.large else 1) + (64 << 10)


def topic_config(topic: Topic, settings: StreamSettings) -> dict[str, str]:
    config = {
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(largest_record(topic, settings)),
        "cleanup.policy": "delete",
    }
    if topic.log_append_time:
        config["message.timestamp.type"] = "LogAppendTime"
    return config


def ensure_topics(settings: StreamSettings, topics: Iterable[Topic], timeout_s: float = 30.0) -> list[str]:
    """Create what is missing; returns the names created. What is there is left as it is, whoever made it."""
    client = admin(settings)
    there = set(client.list_topics(timeout=timeout_s).topics)
    new = [
        NewTopic(
            settings.topic_prefix + t.name,
            num_partitions=t.partitions or settings.partitions,
            replication_factor=settings.replication_factor,
            config=topic_config(t, settings),
        )
        for t in topics
        if settings.topic_prefix + t.name not in there
    ]
    created = []
    for name, future in client.create_topics(new, operation_timeout=timeout_s).items() if new else ():
        try:
            future.result(timeout_s)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was quicker
                raise
    return created


def topic_ids(settings: StreamSettings, names: Collection[str]) -> dict[str, str]:
    """Kafka's ids of topics, named as in Kafka; without those that it cannot tell just now."""
    try:
        client = admin(settings)  # held: the answers come only while it lives
        answers = client.describe_topics(TopicCollection(list(names))) if names else {}
    except BrokerUnreachable:
        return {}
    found = {}
    for name, answer in answers.items():
        with contextlib.suppress(KafkaException):
            found[name] = str(answer.result(30).topic_id)
    return found


def topic_id(settings: StreamSettings, topic: str) -> str:
    """Kafka's id of a topic of the catalogue: another one when the topic is made anew. Raises :class:`BrokerUnreachable`, :class:`TopicsMissing`."""
    name = settings.topic_prefix + topic
    client = admin(settings)  # held: the answer comes only while it lives
    try:
        found = client.describe_topics(TopicCollection([name]))[name].result(30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        raise TopicsMissing(f"{name} is not there on {settings.bootstrap_servers}") from error
    return str(found.topic_id).replace("+", "-").replace("/", "_")  # as Kafka's own tools write it


def check_topics(settings: StreamSettings, topics: Iterable[Topic]) -> None:
    """Raises :class:`TopicsMissing` with all that is not there, or :class:`BrokerUnreachable`. What else is not as declared is said and lived with."""
    wanted = list(topics)
    there = admin(settings).list_topics(timeout=30).topics
    missing = sorted({name for t in wanted if (name := settings.topic_prefix + t.name) not in there})
    if missing:
        raise TopicsMissing(f"{', '.join(missing)}: not there on {settings.bootstrap_servers}; they are created where the stack is set up")
    for topic in wanted:
        for found in otherwise(topic, settings, there[settings.topic_prefix + topic.name]):
            log.warning("topic is not as declared", topic=topic.name, found=found)


def otherwise(topic: Topic, settings: StreamSettings, there: TopicMetadata) -> list[str]:
    """What about a topic that is there is not as declared, each with what it means and what to do.

    None of it makes results wrong, so none of it stops a stage: fewer partitions are less work side by side, one without a leader is read when it
    has one again.
    """
    found = []
    declared, count = topic.partitions or settings.partitions, len(there.partitions)
    if count < declared:
        found.append(
            f"it has {count} of {declared} partitions: no more than {count} workers can share it. Add them with Kafka's own tools "
            f"(kafka-topics --alter --topic {settings.topic_prefix}{topic.name} --partitions {declared}) while nothing waits in it, since keys "
            f"then move; or declare {count}"
        )
    if headless := sorted(n for n, p in there.partitions.items() if p.leader < 0):
        found.append(
            f"partitions {', '.join(map(str, headless))} have no leader: what they hold is read when the broker that has it is back"
        )
    return found
