"""What a replay asks ClickHouse: which requests, what they cost, how quick stages are, what a run came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from schemas import ids
from sinks.clickhouse import ClickHouse
from streams.replay.compare import Outcome
from streams.replay.feed import Settled

_AT_ONCE = 2000
"""Request ids in one statement."""


class Figures:
    """Questions about requests and runs. Raises ``ClickHouseError`` and ``ClickHouseUnavailable``."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def requests(self, *, state: str | None = None, kind: str | None = None) -> list[str]:
        """Ids of the requests whose latest live verdict, or kind, is this, the oldest first."""
        given = {name: value for name, value in (("state", state), ("kind", kind)) if value is not None}
        where = " AND ".join(f"{name} = {{{name}:String}}" for name in given) or "1"
        return [r["id"] for r in self._clickhouse.rows(f"SELECT id FROM requests WHERE {where} ORDER BY submitted_at", parameters=given)]

    def costs(self, requests: Iterable[str], run: str, stages: Sequence[str]) -> tuple[dict[str, Decimal], int]:
        """What stages have cost each request in a run, USD, and how many events had no price."""
        costs: dict[str, Decimal] = {}
        unpriced = 0
        of = ", ".join(f"'{stage}'" for stage in stages)
        sql = "SELECT request_id, sum(cost_usd) AS usd, countIf(isNull(cost_usd)) AS unpriced FROM usage WHERE run = {run:String} "
        for row in self._of_each(
            requests, lambda listed: f"{sql} AND stage IN ({of}) AND request_id IN ({listed}) GROUP BY request_id", run
        ):
            costs[row["request_id"]] = Decimal(row["usd"] or 0)
            unpriced += int(row["unpriced"])
        return costs, unpriced

    def settled(self, run: str) -> Settled:
        """How many requests of a run ended with all their usage, and what it has cost. One given up without a verdict has ended, too."""
        [row] = self._clickhouse.rows(
            """
            SELECT
              (SELECT count() FROM (SELECT request_id, usage_events FROM verdicts WHERE run = {run:String}) AS v
               LEFT JOIN (SELECT request_id, count() AS events FROM usage WHERE run = {run:String} GROUP BY request_id) AS u
               ON u.request_id = v.request_id WHERE ifNull(u.events, 0) >= v.usage_events) AS verdicts,
              (SELECT uniqExact(request_id) FROM dead_letters WHERE run = {run:String} AND request_id != ''
               AND toUUIDOrZero(request_id) NOT IN (SELECT request_id FROM verdicts WHERE run = {run:String})) AS given_up,
              (SELECT sum(cost_usd) FROM usage WHERE run = {run:String}) AS usd
            """,
            parameters={"run": run},
        )
        return Settled(int(row["verdicts"]) + int(row["given_up"]), Decimal(row["usd"] or 0))

    def paces(self, stages: Sequence[str]) -> dict[str, tuple[float, float]]:
        """For each stage the seconds a record takes, and the records a second it did in its best minute of the last week."""
        rows = self._clickhouse.rows(
            """
            SELECT stage, sum(handler_s * done) / sum(done) AS seconds, max(done) / 60 AS best FROM (
              SELECT stage, toStartOfMinute(window_start) AS minute, sum(records_done - redelivered) AS done,
                     sum(handler_ms_p50 * (records_done - redelivered)) / sum(records_done - redelivered) / 1000 AS handler_s
              FROM metrics WHERE window_start > now() - INTERVAL 7 DAY AND records_done > redelivered GROUP BY stage, minute
            ) GROUP BY stage
            """
        )
        return {r["stage"]: (float(r["seconds"]), float(r["best"])) for r in rows if r["stage"] in stages}

    def outcomes(self, requests: Iterable[str], run: str) -> dict[str, Outcome]:
        """What requests came to in a run: those with a verdict."""
        wanted = list(requests)
        sql = "SELECT request_id, features_uri FROM features WHERE run = {run:String} AND request_id IN "
        features = {r["request_id"]: r["features_uri"] for r in self._of_each(wanted, lambda listed: f"{sql} ({listed})", run)}
        columns = "request_id, state, reason, artifact_digest, scores, version"
        sql_of = f"SELECT {columns} FROM verdicts WHERE run = {{run:String}} AND request_id IN "
        return {
            r["request_id"]: Outcome(
                state=r["state"],
                reason=r["reason"],
                artifact_digest=r["artifact_digest"],
                features=features.get(r["request_id"], ""),
                scores={name: float(value) for name, value in r["scores"].items()},
                version=int(r["version"]),
            )
            for r in self._of_each(wanted, lambda listed: f"{sql_of} ({listed})", run)
        }

    def knows_isolated(self, run: str) -> bool:
        """Whether ``requests`` leaves a run's verdicts out already."""
        return bool(self._clickhouse.rows("SELECT run FROM isolated_runs WHERE run = {run:String}", parameters={"run": run}))

    def _of_each(self, requests: Iterable[str], sql: Callable[[str], str], run: str) -> Iterator[dict[str, Any]]:
        """Rows of a statement over many ids, some at once. The ids are ours: checked, so that they may stand in the text."""
        unique = list(dict.fromkeys(map(ids.parse_id, requests)))
        for start in range(0, len(unique), _AT_ONCE):
            listed = ", ".join(f"toUUID('{i}')" for i in unique[start : start + _AT_ONCE])
            yield from self._clickhouse.rows(sql(listed), parameters={"run": run})


def seconds_for(records: dict[str, int], paces: dict[str, tuple[float, float]], rate: float, total: int) -> float | None:
    """How long stages will take over their records, which they share in time: the slowest, and one record through all of them.

    None where a stage that has records was never seen at work. ``rate`` is the replay's limit, records a second, 0 for none.
    """
    busy = {stage: n for stage, n in records.items() if n}
    if any(stage not in paces for stage in busy):
        return None
    slowest = max((n / max(paces[s][1], 1 / paces[s][0] if paces[s][0] else 1e6) for s, n in busy.items()), default=0.0)
    through = sum(paces[s][0] for s in busy)
    return max(slowest, total / rate if rate else 0.0) + through
