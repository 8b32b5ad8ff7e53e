"""A producer whose every send tells when the broker has the record for good."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.settings import StreamSettings

Headers = Sequence[tuple[str, bytes]]
Report = Callable[[KafkaError | None], None]


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

    librdkafka's delivery reports are served in a thread of their own and handed to the loop in batches: one wake-up of the loop
    serves all reports that came together, which is what keeps a fast stage fast.
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
        # Appended to by the thread, emptied by the loop: a deque, since swapping a list could lose a report between the two.
        self._reports: deque[tuple[Report, KafkaError | None]] = deque()
        self._settling = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="delivery-reports", daemon=True)
        self._thread.start()

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], report: Report) -> None:
        """Hand over a record for a topic of the catalogue. ``report`` is called in the event loop, later and once, with None or the error."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._reports.append((report, error))

        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key, headers=headers, on_delivery=delivered)
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
        while not self._stop.is_set():
            self._producer.poll(0.1)
            if self._reports and not self._settling:
                self._settling = True
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._settling = False  # before the reports are taken: one that comes from now on wakes the loop again
        reports = self._reports
        while reports:
            report, error = reports.popleft()
            report(error)

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait until all is delivered or the time is over; returns how many records were not."""
        left = await asyncio.to_thread(self._producer.flush, timeout_s)
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        self._settle()
        return int(left)
