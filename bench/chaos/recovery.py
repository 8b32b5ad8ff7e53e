"""How long things took to be well again after each fault, and which seconds were lost; from submissions, verdicts and faults alone.

Counted from ``warm_from`` on, when the stack had caught up with what was submitted while it started.

- A request is *under way* from its submission until its first verdict is seen in the topic.
- A fault is *over* when its cause is gone: the process ready again, the disk free; where a member of a group was taken away, not before its
  session has run out (6 s), since until then its partitions are nobody's.
- A fault's *recovery* is the time from its stroke until every request has ended that was under way then or was submitted before it was over.
- ``sql_s``: from the stroke until ClickHouse showed every verdict that had been published when the fault was over (asked once a second).
- A second is *lost* where some request had waited longer than ``patience_s``; it is *explained* where a fault's recovery covers it,
  and counted under the first of ``CAUSES`` that had struck and was not over yet; under ``catching up`` where all causes were gone by then.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.chaos.faults import Struck
from bench.chaos.feed import Submission

CAUSES = (
    "broker", "registry", "disk-objects", "store-errors", "store-slow", "zombie", "kill", "pause", "guest", "clickhouse", "disk-clickhouse",
)  # fmt: skip


def recovery(
    submitted: Mapping[str, Submission],
    ended: Mapping[str, float],
    in_sql: Sequence[tuple[float, int]],
    struck: Sequence[Struck],
    warm_from: float,
    until: float,
) -> dict[str, Any]:
    spans = sorted((s.made_at, ended.get(r, until)) for r, s in submitted.items() if s.accepted_at is not None and s.made_at >= warm_from)
    if not spans:
        return {}
    first = min((s.struck_at for s in struck if s.struck_at is not None), default=until)
    quiet = sorted(min(e, first) - m for m, e in spans if m < first - 1)
    undisturbed = quiet[int(len(quiet) * 0.99)] if quiet else 0.0
    patience = max(2.0, 2 * undisturbed)
    ends = sorted(ended.values())
    windows: list[tuple[float, float]] = []
    causes: list[tuple[int, float, float]] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    sql_by_kind: dict[str, list[float]] = defaultdict(list)
    for entry in struck:
        if entry.struck_at is None or entry.over_at is None:
            continue
        over = entry.over_at
        hit = [e for m, e in spans if m <= over and e > entry.struck_at]
        well = max([over, *hit])
        windows.append((entry.struck_at, well))
        if entry.fault.kind in CAUSES:
            causes.append((CAUSES.index(entry.fault.kind), entry.struck_at, over))
        by_kind[entry.fault.kind].append(well - entry.struck_at)
        published = bisect.bisect_right(ends, over)
        shown = next((at for at, n in in_sql if at >= entry.struck_at and n >= published), None)
        if shown is not None:
            sql_by_kind[entry.fault.kind].append(shown - entry.struck_at)
    lost: Counter[str] = Counter()
    unexplained = []
    second = warm_from
    while second < until:
        oldest = min((m for m, e in spans if m <= second < e), default=None)
        if oldest is not None and second - oldest > patience:
            there = [cause for cause, a, b in causes if a <= second <= b]
            if there:
                lost[CAUSES[min(there)]] += 1
            elif any(a <= second <= b for a, b in windows):
                lost["catching up"] += 1
            else:
                lost["unexplained"] += 1
                unexplained.append(round(second - warm_from, 1))
        second += 1.0
    latency = sorted(e - m for m, e in spans)
    return {
        "undisturbed_p99_s": round(undisturbed, 2),
        "patience_s": round(patience, 2),
        "latency_s": {name: round(latency[int(len(latency) * q)], 2) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        | {"max": round(latency[-1], 2)},
        "wall_s": round(until - warm_from, 1),
        "lost_s": sum(lost.values()),
        "lost_s_by_cause": dict(lost.most_common()),
        "unexplained_s": len(unexplained),
        "unexplained_at_s": unexplained[:20],
        "by_kind": {
            kind: {
                "faults": len(found),
                "recover_s_p50": round(sorted(found)[len(found) // 2], 1),
                "recover_s_max": round(max(found), 1),
                "sql_s_max": round(max(sql_by_kind[kind]), 1) if sql_by_kind[kind] else None,
            }
            for kind, found in sorted(by_kind.items())
        },
    }
