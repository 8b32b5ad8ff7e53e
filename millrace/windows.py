"""The live windows, read from the tables that ``processors.windows`` keeps as compacted topics: no worker need run to look at them."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import partial
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from processors.windows.subjects import SCALE, StageHealth, TenantUsage
from processors.windows.tumbling import DAY, HOUR, MINUTE, Cell, start_of
from streams.admin import BrokerUnreachable, admin
from streams.offsets import patiently
from streams.settings import StreamSettings

TENANTS, STAGES = "windows.tenants", "windows.stages"


def read_windows(settings: StreamSettings) -> dict[str, list[dict[str, Any]]]:
    """``tenants`` and ``stages``, by name. Empty where no worker has kept any. Raises :class:`~streams.admin.BrokerUnreachable`."""
    tenants = sorted(_table(settings, TENANTS).items())
    stages = sorted(_table(settings, STAGES).items())
    return {
        "tenants": [_tenant(key.decode(errors="replace"), TenantUsage(body)) for key, body in tenants],
        "stages": [_stage(key.decode(errors="replace"), StageHealth(body)) for key, body in stages],
    }


def _tenant(name: str, tenant: TenantUsage) -> dict[str, Any]:
    windows = tenant.windows
    found: dict[str, Any] = {"tenant": name, "watermark": windows.watermark, "late": windows.late, "repeated": windows.repeated}
    for label, size in (("day", DAY), ("hour", HOUR)):
        cell = windows.cells.get((size, start_of(windows.watermark, size)))
        found[label] = _usage(cell) if cell else None
    found["minutes"] = [_usage(c) for (size, _), c in sorted(windows.cells.items()) if size == MINUTE]
    return found


def _usage(cell: Cell) -> dict[str, Any]:
    outcomes = {name.removeprefix("outcome."): int(n) for name, n in sorted(cell.sums.items()) if name.startswith("outcome.")}
    return {
        "start": cell.start,
        "closed": cell.revision >= 0,
        "events": int(cell.sums.get("events", 0)),
        "tokens": int(cell.sums.get("tokens", 0)),
        "cost_usd": Decimal(int(cell.sums.get("cost", 0))) / SCALE,
        "unpriced": int(cell.sums.get("unpriced", 0)),
        "outcomes": outcomes,
    }


def _stage(name: str, stage: StageHealth) -> dict[str, Any]:
    return {
        "stage": name,
        "usual": {metric: {"mean": b.mean, "deviation": b.deviation, "minutes": b.count} for metric, b in stage.baselines.items()},
        "watermark": max(w.watermark for w in stage.windows.values()),
    }


def _table(settings: StreamSettings, name: str) -> dict[bytes, bytes]:
    """The last value of each key."""
    full = settings.topic_prefix + name
    there = admin(settings).list_topics(timeout=20).topics
    if full not in there:
        return {}
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": f"{settings.group_prefix}.look", "enable.auto.commit": False,
         "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0}
    )  # fmt: skip
    found: dict[bytes, bytes] = {}
    try:
        places = [TopicPartition(full, p) for p in there[full].partitions]
        ends = {p.partition: patiently(partial(consumer.get_watermark_offsets, p, timeout=20)) for p in places}
        left = {p for p, (low, high) in ends.items() if high > low}
        consumer.assign([TopicPartition(full, p, ends[p][0]) for p in left])
        heard = time.monotonic()
        while left:
            messages = consumer.consume(1000, timeout=0.05)  # which waits for all thousand, or that long
            if messages:
                heard = time.monotonic()
            elif time.monotonic() > heard + 20:
                raise BrokerUnreachable(f"the broker at {settings.bootstrap_servers} gave no more of {full} within 20 s")
            for message in messages:
                if message.error():  # the end of a partition: compaction may leave a gap before it
                    left.discard(message.partition())
                elif message.value() is None:
                    found.pop(message.key(), None)
                else:
                    found[message.key()] = message.value()
    finally:
        consumer.close()
    return found
