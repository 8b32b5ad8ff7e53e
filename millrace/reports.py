"""What became of requests, read from ClickHouse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from sinks.clickhouse import ClickHouse, ClickHouseUnavailable

SUMMARY = (
    "id, tenant, project, kind, priority, state, reason, message, submitted_at, ended_at, cost_usd, usage_events, usage_events_expected, usage_events_of_run, "
    "stage, method, version, artifact_uri, artifact_size, artifact_digest, report_uri, report_json_uri, errors, warnings, scores, retry_after_s, title, run"
)
ENDED = ("validated", "rejected")
MANY = 20


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(f"toUUID('{i}')" for i in ids)  # ids are parsed UUIDs: nothing to escape


class Reports:
    """Questions about requests."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def requests(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows of ``requests`` by id; an id that has none is not in there."""
        wanted = list(ids)
        if not wanted:
            return {}
        return {r["id"]: r for r in self._clickhouse.rows(f"SELECT {SUMMARY} FROM requests WHERE id IN ({_listed(wanted)})")}

    def timeline(self, request_id: str) -> list[dict[str, Any]]:
        return self._clickhouse.rows(
            f"SELECT at, run, what, stage, detail FROM timeline WHERE request_id = toUUID('{request_id}') ORDER BY at, what"
        )

    def usage(self, request_id: str) -> list[dict[str, Any]]:
        return self._clickhouse.rows(
            f"SELECT run, stage, kind, quantity, unit, cost_usd, outcome, occurred_at FROM usage WHERE request_id = toUUID('{request_id}') ORDER BY occurred_at"
        )

    def news(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """The timelines of some requests, in order of time."""
        return self._clickhouse.rows(
            f"SELECT request_id, at, what, stage, detail FROM timeline WHERE request_id IN ({_listed(ids)}) ORDER BY at"
        )


def is_complete(row: dict[str, Any] | None) -> bool:
    """Whether a request has ended and all its usage is there, as its verdict counts it."""
    return row is not None and row["state"] in ENDED and int(row["usage_events_of_run"]) >= int(row["usage_events_expected"])


def wait_for(
    reports: Reports,
    ids: list[str],
    timeout_s: float,
    on_news: Callable[[dict[str, Any]], None],
    on_rows: Callable[[dict[str, dict[str, Any]]], None] = lambda rows: None,
    interval_s: float = 0.4,
) -> tuple[dict[str, dict[str, Any]], bool]:
    """Follow requests until all are complete. Returns their rows, and whether all were complete in time.

    ClickHouse being away for a while is waited for like anything else.
    """
    deadline = time.monotonic() + timeout_s
    rows: dict[str, dict[str, Any]] = {}
    seen: set[tuple[str, ...]] = set()
    follow = ids if len(ids) <= MANY else []  # hundreds of requests at once are counted, not narrated
    while True:
        try:
            for item in reports.news(follow) if follow else ():
                mark = (item["request_id"], item["at"], item["what"], item["stage"], item["detail"])
                if mark not in seen:
                    seen.add(mark)
                    on_news(item)
            rows |= reports.requests([i for i in ids if not is_complete(rows.get(i))])
            on_rows(rows)
        except ClickHouseUnavailable:
            pass  # it says so when the time is over
        if all(is_complete(rows.get(i)) for i in ids):
            return rows, True
        if time.monotonic() >= deadline:
            return rows, False
        time.sleep(interval_s)  # the poll interval of a wait for a condition with a deadline
