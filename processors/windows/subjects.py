"""The two kinds of subjects: a tenant's usage, and a stage's latency, error rate and cost. Plain state: from a document, an event in, news out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import orjson

from processors.windows.anomaly import Baseline, Judged
from processors.windows.tumbling import MINUTE, Cell, Seen, Windows
from schemas.records import MetricsRecorded, UsageRecorded

SCALE = 10**10
"""Money has ten places: sums are kept in whole units of the last."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A closed minute of a metric that is out of the ordinary, or that was said to be and, recomputed, is not."""

    metric: str
    window_start: int
    judged: Judged
    revision: int


class TenantUsage:
    """A tenant's metered work per minute, hour and day."""

    def __init__(self, document: bytes | None = None) -> None:
        found = orjson.loads(document) if document else None
        self.offset = found["offset"] if found else -1
        self.windows = Windows.load(found["windows"]) if found else Windows()

    def take(self, usage: UsageRecorded, at: int, offset: int, seen: Seen) -> bool:
        """Count a usage event of a time. False where it counts in nothing: delivered again, known, or late."""
        if offset <= self.offset:
            return False
        self.offset = offset
        if self.windows.is_late(at):
            self.windows.late += 1
            return False
        if not seen.add(usage.event_id, at):
            self.windows.repeated += 1
            return False
        self.windows.add(at, amounts(usage))
        return True

    def document(self) -> bytes:
        return orjson.dumps({"offset": self.offset, "windows": self.windows.dump()})


def amounts(usage: UsageRecorded) -> dict[str, float]:
    """What a usage event adds to a window."""
    added: dict[str, float] = {"events": 1}
    if usage.cost_usd is None:
        added["unpriced"] = 1
    else:
        added["cost"] = int(usage.cost_usd * SCALE)
    if usage.outcome != "ok":
        added[f"outcome.{usage.outcome}"] = 1
    if tokens := usage.in_uncached + usage.in_cache_read + usage.in_cache_write + usage.out_text + usage.out_reasoning:
        added["tokens"] = tokens
    return added


class StageHealth:
    """A stage's minutes and what is usual in them. Its metrics and its costs come over two topics, each with windows of its own."""

    METRICS: ClassVar[dict[str, float]] = {"latency_ms": 1.0, "error_rate": 0.01, "cost_usd": 0.0001}
    """And the smallest deviation that is believed of each."""

    def __init__(self, document: bytes | None = None) -> None:
        found = orjson.loads(document) if document else {}
        self.offsets: dict[str, int] = found.get("offsets", {})
        self.windows = {
            name: Windows.load(found["windows"][name], (MINUTE,)) if found else Windows((MINUTE,)) for name in ("metrics", "costs")
        }
        self.baselines = {name: Baseline(least, *found.get("baselines", {}).get(name, ())) for name, least in self.METRICS.items()}
        self.raised: dict[str, dict[str, list[float]]] = found.get("raised", {})
        """Of minutes that may still change: the baseline that each metric was judged by."""

    def take_metrics(self, metrics: MetricsRecorded, at: int, offset: int, place: str, seen: Seen) -> list[Anomaly]:
        """Count what a stage told of itself; returns what that makes unusual."""
        done, errors = metrics.records_done, sum(metrics.errors.values())
        added = {"done": float(done), "errors": float(errors), "latency": metrics.handler_ms_p95 * done}
        return self._take("metrics", metrics.event_id, at, added, offset, place, seen)

    def take_cost(self, usage: UsageRecorded, at: int, offset: int, place: str, seen: Seen) -> list[Anomaly]:
        """Count what was metered in the stage; returns what that makes unusual."""
        return self._take("costs", usage.event_id, at, amounts(usage), offset, place, seen)

    def _take(self, kind: str, event_id: str, at: int, added: dict[str, float], offset: int, place: str, seen: Seen) -> list[Anomaly]:
        if offset <= self.offsets.get(place, -1):
            return []
        self.offsets[place] = offset
        windows = self.windows[kind]
        if windows.is_late(at):
            windows.late += 1
            return []
        if not seen.add(f"{kind}:{event_id}", at):
            windows.repeated += 1
            return []
        found = [anomaly for cell in windows.add(at, added) for anomaly in self._judge(kind, cell)]
        kept = {f"{c.start}" for w in self.windows.values() for c in w.cells.values()}
        self.raised = {start: judged for start, judged in self.raised.items() if start in kept}
        return found

    def _judge(self, kind: str, cell: Cell) -> list[Anomaly]:
        """Hold a closed minute against what is usual, then learn it. A revision is held against the same, and is not learnt again."""
        found = []
        for metric, value in _values(kind, cell).items():
            baseline = self.baselines[metric]
            judged_by = self.raised.setdefault(f"{cell.start}", {})
            if metric in judged_by:
                count, mean, m2, said = judged_by[metric]
                judged = Baseline(self.METRICS[metric], int(count), mean, m2).judge(value)
            else:
                said = 0.0
                judged = baseline.judge(value)
                judged_by[metric] = [baseline.count, baseline.mean, baseline.m2, 0.0]
                baseline.learn(value)
            if judged.unusual or said:
                judged_by[metric][3] = 1.0
                found.append(Anomaly(metric, cell.start, judged, cell.revision))
        return found

    def document(self) -> bytes:
        return orjson.dumps(
            {
                "offsets": self.offsets,
                "windows": {name: w.dump() for name, w in self.windows.items()},
                "baselines": {name: [b.count, b.mean, b.m2] for name, b in self.baselines.items()},
                "raised": self.raised,
            }
        )


def _values(kind: str, cell: Cell) -> dict[str, float]:
    """A closed minute's metrics; one without records has no latency and no rate."""
    sums = cell.sums
    if kind == "costs":
        return {"cost_usd": sums.get("cost", 0) / SCALE}
    done, errors = sums.get("done", 0), sums.get("errors", 0)
    if not done and not errors:
        return {}
    values = {"error_rate": errors / max(done, errors)}
    if done:
        values["latency_ms"] = sums.get("latency", 0) / done
    return values
