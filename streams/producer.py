"""A producer whose every send tells when the broker has the record for good."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.settings import StreamSettings

Headers = Sequence[tuple[str, bytes]]


class DeliveryFailed(RuntimeError):
    """The broker did not take a record for good."""


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
                "linger.ms": 5,
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
        self._reports: deque[tuple[asyncio.Future[None], KafkaError | None]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="delivery-reports", daemon=True)
        self._thread.start()

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()) -> asyncio.Future[None]:
        """Hand over a record for a topic of the catalogue; the future ends when the broker has it, or with :class:`DeliveryFailed`."""
        future: asyncio.Future[None] = self._loop.create_future()

        def report(error: KafkaError | None, _: Message) -> None:
            self._reports.append((future, error))

        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key, headers=list(headers) or None, on_delivery=report)
                return future
            except BufferError:
                # A million records wait for the broker. Serving reports is what makes room.
                self._producer.poll(0.05)
                self._settle()
            except KafkaException as error:
                future.set_exception(DeliveryFailed(f"{topic}: {error.args[0].str()}"))
                return future

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.1)
            if self._reports:
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        while self._reports:
            future, error = self._reports.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(DeliveryFailed(error.str()))

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait until all is delivered or the time is over; returns how many records were not."""
        left = await asyncio.to_thread(self._producer.flush, timeout_s)
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        self._settle()
        return int(left)
