"""What a stage tells about itself: one record a second, and the same for Prometheus."""

from __future__ import annotations

import resource
import time
from collections import Counter as Counts

from prometheus_client import Counter, Gauge, Histogram

from schemas.records import MetricsRecorded

RECORDS = Counter("millrace_records", "Records, by what became of them: in, done, out, retried, dead, redelivered", ["stage", "event"])
ERRORS = Counter("millrace_errors", "Failures by error class", ["stage", "reason"])
HANDLER = Histogram("millrace_handler_seconds", "A handler's wall time", ["stage"], buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600))
IN_FLIGHT = Gauge("millrace_in_flight", "Records taken and not yet done", ["stage"])
LAG_RECORDS = Gauge("millrace_lag_records", "Records not yet done, in Kafka and in hand", ["stage"])
LAG_SECONDS = Gauge("millrace_lag_seconds", "Age of the oldest record in hand and not yet done", ["stage"])

_SAMPLES = 2000
"""Handler times kept a second at most, for quantiles; beyond it every record only counts."""


def _quantile(values: list[float], q: float) -> float:
    """The nearest-rank quantile of sorted values."""
    return values[min(len(values) - 1, int(q * len(values)))] if values else 0.0


class StageMetrics:
    """Collects between two calls of :meth:`flush`. Used from the event loop alone.

    Nothing here is done for each record but adding to numbers and lists; Prometheus is told once a second.
    """

    def __init__(self, stage: str, worker: str) -> None:
        self.stage, self.worker = stage, worker
        self.counts: Counts[str] = Counts()
        self.errors: Counts[str] = Counts()
        self._handler_ms: list[float] = []
        self._queue_ms: list[float] = []
        self._since = time.time_ns() // 1_000_000
        self._cpu = self._cpu_seconds()

    @staticmethod
    def _cpu_seconds() -> float:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    def count(self, event: str, n: int = 1) -> None:
        self.counts[event] += n

    def error(self, reason: str) -> None:
        self.errors[reason] += 1

    def handled(self, handler_s: float, queue_ms: float) -> None:
        """One record's times: from its start to its outputs' acknowledgement, and from the broker to its start."""
        if len(self._handler_ms) < _SAMPLES:
            self._handler_ms.append(handler_s * 1000)
            self._queue_ms.append(queue_ms)

    def flush(self, event_id: str, *, in_flight: int, lag_records: int, lag_seconds: float) -> MetricsRecorded | None:
        """The window's record, None where nothing happened and nothing waits."""
        IN_FLIGHT.labels(self.stage).set(in_flight)
        LAG_RECORDS.labels(self.stage).set(lag_records)
        LAG_SECONDS.labels(self.stage).set(lag_seconds)
        now = time.time_ns() // 1_000_000
        since, self._since = self._since, now
        if not self.counts and not self.errors and not in_flight and not lag_records:
            return None
        cpu = self._cpu_seconds()
        counts, errors = self.counts, self.errors
        handler, queue = sorted(self._handler_ms), sorted(self._queue_ms)
        self.counts, self.errors, self._handler_ms, self._queue_ms = Counts(), Counts(), [], []
        used, self._cpu = cpu - self._cpu, cpu
        for event, n in counts.items():
            RECORDS.labels(self.stage, event).inc(n)
        for reason, n in errors.items():
            ERRORS.labels(self.stage, reason).inc(n)
        observed = HANDLER.labels(self.stage)
        for ms in handler:
            observed.observe(ms / 1000)
        return MetricsRecorded(
            event_id=event_id, stage=self.stage, worker=self.worker, window_start=since, window_ms=now - since,
            records_in=counts["in"], records_done=counts["done"], records_out=counts["out"], retries=counts["retried"], dead_letters=counts["dead"],
            redelivered=counts["redelivered"], in_flight=in_flight, lag_records=lag_records, lag_seconds=lag_seconds,
            handler_ms_p50=_quantile(handler, 0.5), handler_ms_p95=_quantile(handler, 0.95), handler_ms_max=handler[-1] if handler else 0.0,
            queue_ms_p50=_quantile(queue, 0.5), queue_ms_max=queue[-1] if queue else 0.0, cpu_seconds=used, errors=dict(errors),
        )  # fmt: skip
