"""Every metric of the engine, declared once; and what a stage tells about itself: a record a second, and the same for Prometheus.

The list is closed: a test lets no other module define one, another holds ``docs/METRICS.md`` to it. The page is made by
``python -m streams.metrics``. Names that Prometheus shows end in ``_total`` where the list says counter.
"""

from __future__ import annotations

import resource
from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from schemas import ids
from schemas.records import MetricsRecorded

Event = Literal["in", "done", "out", "handled", "redelivered", "retried", "waiting", "dead", "shed", "late"]
"""What becomes of a record: ``in`` taken from Kafka; ``done`` for good, and then one of: ``handled``, ``redelivered`` (published again from
what was recorded), ``retried`` or ``waiting`` (moved into a delay tier, with or without a try spent), ``dead`` (given up), ``shed`` or
``late`` (ended by a limit). ``out`` counts the outputs of handled ones."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A line of the list. ``name`` is as Prometheus shows it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


CATALOGUE: list[Definition] = []
_TIMES = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600)


def _counter(name: str, help: str, *labels: str) -> Counter:
    CATALOGUE.append(Definition(name + "_total", "counter", labels, help))
    return Counter(name, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Gauge:
    CATALOGUE.append(Definition(name, "gauge", labels, help))
    return Gauge(name, help, labels)


def _histogram(name: str, help: str, *labels: str) -> Histogram:
    CATALOGUE.append(Definition(name, "histogram", labels, help))
    return Histogram(name, help, labels, buckets=_TIMES)


# ---- told once a second by every stage of a worker ---------------------------------------------------------------------------

RECORDS = _counter(
    "millrace_records",
    "Records, by what became of them: in, done (of these handled, redelivered, retried, waiting, dead, shed, late), out",
    "stage",
    "event",
)
ERRORS = _counter("millrace_errors", "Failures by error class; one that is retried counts each time", "stage", "reason")
HANDLER = _histogram(
    "millrace_handler_seconds", "From a record's start to its outputs' acknowledgement; at most 2,000 a second are sampled", "stage"
)
QUEUE = _histogram("millrace_queue_seconds", "From a record's arrival at the broker to its start; sampled as above", "stage")
IN_FLIGHT = _gauge("millrace_in_flight", "Records taken and not yet done", "stage")
IN_FLIGHT_BYTES = _gauge("millrace_in_flight_bytes", "The same in bytes", "stage")
LAG_RECORDS = _gauge("millrace_lag_records", "Records of this worker's partitions that are not done, in Kafka and in hand", "stage")
LAG_SECONDS = _gauge(
    "millrace_lag_seconds",
    "Age of the oldest such record, also where it is not fetched yet; what waits in a delay tier is not late",
    "stage",
)
PARTITIONS = _gauge("millrace_partitions", "Partitions assigned to this worker", "stage")
COMMITS = _counter("millrace_commits", "Commits of offsets that the broker answered, by outcome: ok, failed", "stage", "outcome")
REBALANCES = _counter("millrace_rebalances", "Times that partitions were given, revoked or lost", "stage")
REBALANCE_SECONDS = _counter("millrace_rebalance_seconds", "Time spent in them, waiting for work to finish included", "stage")

# ---- of a worker process -----------------------------------------------------------------------------------------------------

PRODUCER_QUEUE = _gauge("millrace_producer_queue", "Records handed to the producer and not yet acknowledged by the broker")
CPU_SECONDS = _gauge("millrace_cpu_seconds", "Processor time of the process and of its ended children, since its start")

# ---- when it happens ---------------------------------------------------------------------------------------------------------

PAID_CALLS = _counter(
    "millrace_paid_calls", "Calls of the ledger, by outcome: ok, error, reused (a recorded answer), in_doubt", "stage", "outcome"
)
BREAKER_STATE = _gauge("millrace_breaker_state", "Circuit breaker of a dependency: 0 closed, 1 probing, 2 open", "dependency")

# ---- read from the broker alone (millrace lag --listen): right also where no worker runs ---------------------------------------

STAGE_LAG_RECORDS = _gauge("millrace_stage_lag_records", "Records of a stage that are not done, from its committed offsets", "stage")
STAGE_LAG_SECONDS = _gauge(
    "millrace_stage_lag_seconds", "Age of a stage's oldest record that is not done; what waits in a delay tier is not late", "stage"
)
STAGE_WORKERS = _gauge("millrace_stage_workers", "Members of a stage's consumer group", "stage")

_SAMPLES = 2000
"""Handler times kept a second at most, for quantiles; beyond it every record only counts."""


@dataclass(frozen=True, slots=True)
class State:
    """What holds at the end of a window. The last four count since the stage's start."""

    in_flight: int = 0
    in_flight_bytes: int = 0
    lag_records: int = 0
    lag_seconds: float = 0.0
    partitions: int = 0
    producer_queue: int = 0
    commits: int = 0
    commits_failed: int = 0
    rebalances: int = 0
    rebalance_seconds: float = 0.0


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
        self._since = ids.now_ms()
        self._cpu = cpu_seconds()
        self._last = State()

    def count(self, event: Event, n: int = 1) -> None:
        self.counts[event] += n

    def error(self, reason: str) -> None:
        self.errors[reason] += 1

    @property
    def samples_wanted(self) -> int:
        """How many times are still taken in this window: beyond it, a record only counts."""
        return _SAMPLES - len(self._handler_ms)

    def handled(self, handler_s: float, queue_ms: float) -> None:
        """One record's times: from its start to its outputs' acknowledgement, and from the broker to its start."""
        if len(self._handler_ms) < _SAMPLES:
            self._handler_ms.append(handler_s * 1000)
            self._queue_ms.append(queue_ms)

    def flush(self, event_id: str, state: State) -> MetricsRecorded | None:
        """The window's record, None where nothing happened and nothing waits."""
        counts, errors = self.counts, self.errors
        handler, queue = sorted(self._handler_ms), sorted(self._queue_ms)
        self.counts, self.errors, self._handler_ms, self._queue_ms = Counts(), Counts(), [], []
        cpu = cpu_seconds()
        used, self._cpu = cpu - self._cpu, cpu
        now = ids.now_ms()
        since, self._since = self._since, now
        self._tell_prometheus(state, counts, errors, handler, queue)
        CPU_SECONDS.set(cpu)
        if not counts and not errors and not state.in_flight and not state.lag_records:
            return None
        return MetricsRecorded(
            event_id=event_id, stage=self.stage, worker=self.worker, window_start=since, window_ms=now - since,
            records_in=counts["in"], records_done=counts["done"], records_out=counts["out"], retries=counts["retried"], dead_letters=counts["dead"],
            redelivered=counts["redelivered"], in_flight=state.in_flight, lag_records=state.lag_records, lag_seconds=state.lag_seconds,
            handler_ms_p50=quantile(handler, 0.5), handler_ms_p95=quantile(handler, 0.95), handler_ms_max=handler[-1] if handler else 0.0,
            queue_ms_p50=quantile(queue, 0.5), queue_ms_max=queue[-1] if queue else 0.0, cpu_seconds=used, errors=dict(errors),
        )  # fmt: skip

    def _tell_prometheus(self, state: State, counts: Counts[str], errors: Counts[str], handler: list[float], queue: list[float]) -> None:
        stage, last = self.stage, self._last
        self._last = state
        IN_FLIGHT.labels(stage).set(state.in_flight)
        IN_FLIGHT_BYTES.labels(stage).set(state.in_flight_bytes)
        LAG_RECORDS.labels(stage).set(state.lag_records)
        LAG_SECONDS.labels(stage).set(state.lag_seconds)
        PARTITIONS.labels(stage).set(state.partitions)
        PRODUCER_QUEUE.set(state.producer_queue)
        COMMITS.labels(stage, "ok").inc(state.commits - last.commits)
        COMMITS.labels(stage, "failed").inc(state.commits_failed - last.commits_failed)
        REBALANCES.labels(stage).inc(state.rebalances - last.rebalances)
        REBALANCE_SECONDS.labels(stage).inc(state.rebalance_seconds - last.rebalance_seconds)
        for event, n in counts.items():
            RECORDS.labels(stage, event).inc(n)
        for reason, n in errors.items():
            ERRORS.labels(stage, reason).inc(n)
        for histogram, sample in ((HANDLER, handler), (QUEUE, queue)):
            observed = histogram.labels(stage)
            for ms in sample:
                observed.observe(ms / 1000)


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def quantile(values: Sequence[float], q: float) -> float:
    """The nearest-rank quantile of sorted values."""
    return values[min(len(values) - 1, int(q * len(values)))] if values else 0.0


def page() -> str:
    """The list as Markdown: ``docs/METRICS.md``."""
    rows = "\n".join(f"| `{d.name}` | {d.kind} | {', '.join(d.labels) or '-'} | {d.help} |" for d in CATALOGUE)
    return f"""# Metrics

Every worker answers Prometheus on `/metrics` where `MILLRACE_METRICS_PORT` says (in the embedded stack on ports of their own, which
`ready.json` lists under `metrics`). `millrace lag --listen HOST:PORT` answers with what the broker alone knows. This page is made from
`streams/metrics.py` by `python -m streams.metrics`; a test holds it to the code.

| metric | kind | labels | meaning |
|---|---|---|---|
{rows}

Times are seconds, sizes bytes. The buckets of histograms end at {", ".join(f"{t:g}" for t in _TIMES)} s. The client library adds
`process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds` and `process_start_time_seconds` of the worker's own process.

The same numbers of each stage, worker and second travel on `metrics.recorded` into ClickHouse: `millrace query "SELECT * FROM metrics"`.
"""


if __name__ == "__main__":
    print(page(), end="")
