"""A producer whose every send tells when the broker has the record for good."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.settings import StreamSettings

Headers = Sequence[tuple[str, bytes]]
Report = Callable[[KafkaError | None], None]
Receipt = Callable[[KafkaError | None, Message | None], None]
Output = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Topic of the catalogue, key, value, headers."""
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
        self._timer: asyncio.TimerHandle | None = None
        self._reports: deque[tuple[Report, KafkaError | None]] = deque()
        self._refused: deque[tuple[Receipt, KafkaError]] = deque()
        self._after: list[Callable[[], None]] = []

    @property
    def under_way(self) -> int:
        """Records handed over whose report has not come yet."""
        return len(self._producer)

    def publish(self, outputs: Iterable[Output], headers: list[tuple[str, bytes]], receipt: Receipt) -> None:
        """Hand over a step's outputs, each with ``headers`` beside its own.

        ``receipt`` is called for each of them later, with None or the error, while reports are being served: it may take note and nothing
        else. What follows from it belongs into a function given to :meth:`after_reports`.
        """
        for topic, key, value, own in outputs:
            self._hand_over(topic, value, key, own + headers if headers else own, receipt)

    def after_reports(self, call: Callable[[], None]) -> None:
        """Have a function called in the event loop whenever reports were served."""
        self._after.append(call)

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], report: Report) -> None:
        """Hand over one record. ``report`` is called in the event loop, later and once, with None or the error."""
        self._hand_over(topic, value, key, headers, lambda error, _: self._reports.append((report, error)))

    def _hand_over(self, topic: str, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], receipt: Receipt) -> None:
        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key, on_delivery=receipt, headers=headers)
                break
            except BufferError:
                # A million records wait for the broker. Serving reports is what makes room; the stage's own bound keeps this from lasting.
                self._producer.poll(0.05)
            except KafkaException as error:
                self._refused.append((receipt, error.args[0]))  # told when reports are served: the caller is not done yet
                break
        if self._timer is None:
            self._timer = self._loop.call_later(_SERVE_EVERY_S, self._serve)

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
        self._timer = self._loop.call_later(_SERVE_EVERY_S, self._serve) if len(self._producer) else None
        while self._refused:
            receipt, refusal = self._refused.popleft()
            receipt(refusal, None)
        while self._reports:
            report, error = self._reports.popleft()
            report(error)
        for call in self._after:
            call()

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait until all is delivered or the time is over; returns how many records were not."""
        end = self._loop.time() + timeout_s
        while self._timer is not None and self._loop.time() < end:  # noqa: ASYNC110 - librdkafka tells only those who ask
            await asyncio.sleep(_SERVE_EVERY_S)
        left = len(self._producer)
        if self._timer:
            self._timer.cancel()
        return left
