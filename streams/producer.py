"""A producer whose every send tells when the broker has the record for good."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.settings import StreamSettings

Headers = Sequence[tuple[str, bytes]]
Report = Callable[[KafkaError | None], None]
_SERVE_EVERY_S = 0.001


class DeliveryFailed(RuntimeError):
    """The broker did not take a record for good."""


class OutputTooLarge(DeliveryFailed):
    """A record is larger than its topic takes: trying again cannot help."""

    reason = "output_too_large"


def delivery_error(topic: str, error: KafkaError) -> DeliveryFailed:
    kind = OutputTooLarge if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else DeliveryFailed
    return kind(f"{topic}: {error.str()}")


class AckedProducer:
    """Idempotent, ``acks=all``. One for each worker process; used from its event loop.

    Delivery reports are served by the loop itself, every millisecond while something is under way. A thread would be the obvious choice, and is
    ten times slower: librdkafka's Python binding takes the interpreter's lock anew for every report, which a busy loop gives up every 5 ms.
    """

    def __init__(self, settings: StreamSettings) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": settings.linger_ms,
                "compression.type": "lz4",
                # Faust reads keyed topics too, and places keys as the Java client does.
                "partitioner": "murmur2_random",
                "message.max.bytes": settings.max_record_bytes * 10 + (128 << 10),
                "queue.buffering.max.messages": 1_000_000,
                "delivery.timeout.ms": 120_000,
                "log_level": 0,
            }
        )
        self._prefix = settings.topic_prefix
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reports: deque[tuple[Report, KafkaError | None]] = deque()

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], report: Report) -> None:
        """Hand over a record for a topic of the catalogue. ``report`` is called in the event loop, later and once, with None or the error."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._reports.append((report, error))

        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key, headers=headers, on_delivery=delivered)
                self._under_way += 1
                if self._timer is None:
                    self._timer = self._loop.call_later(_SERVE_EVERY_S, self._serve)
                return
            except BufferError:
                # A million records wait for the broker. Serving reports is what makes room; the stage's own bound keeps this from lasting.
                self._producer.poll(0.05)
            except KafkaException as error:
                self._loop.call_soon(report, error.args[0])
                return

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> asyncio.Future[None]:
        """As :meth:`produce`, with a future that ends when the broker has the record, or with :class:`DeliveryFailed`."""
        future: asyncio.Future[None] = self._loop.create_future()

        def report(error: KafkaError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(delivery_error(topic, error))

        self.produce(topic, key, value, list(headers), report)
        return future

    def _serve(self) -> None:
        self._producer.poll(0)
        self._settle()
        self._timer = self._loop.call_later(_SERVE_EVERY_S, self._serve) if self._under_way else None

    def _settle(self) -> None:
        reports = self._reports
        while reports:
            report, error = reports.popleft()
            self._under_way -= 1
            report(error)

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait until all is delivered or the time is over; returns how many records were not."""
        end = self._loop.time() + timeout_s
        while self._under_way and self._loop.time() < end:  # noqa: ASYNC110 - librdkafka tells only those who ask
            await asyncio.sleep(_SERVE_EVERY_S)
        left = self._under_way
        if self._timer:
            self._timer.cancel()
        return left
