"""Counting at the end, from the outside: what was submitted against all topics, ClickHouse, the object store and the provider's own count.

Each check has a name (``CHECKS`` says what it holds) and gives the figure of what is off: zero, or the run has failed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import Message

from bench.chaos.feed import Submission
from bench.chaos.store import INJECTED
from schemas.names import ObjectRef
from sinks.clickhouse import ClickHouse
from streams.codec import Codec
from streams.topics import CATALOGUE, RETRY

CHECKS = {
    "lost": "requests that the broker acknowledged and that have no verdict",
    "two_verdicts": "requests with two verdicts (by id or by content)",
    "ghosts": "verdicts of requests that nobody submitted",
    "two_outputs": "steps whose output has two ids or two contents (features, generation request, artifact)",
    "missing_outputs": "validated requests without exactly one of each output on their way",
    "usage_conflicts": "usage events with two contents under one id and revision",
    "usage_incomplete": "requests whose usage events in the topic are not as many as their verdict says",
    "usage_unexpected": "validated requests whose usage is not one event a metered step (and call)",
    "called_twice": "calls (step and ordinal) that the provider got more than once",
    "calls_unexplained": "calls beyond the first that followed neither a recorded error nor a call reported in doubt",
    "calls_unbilled": "answered calls at the provider that no usage event names",
    "calls_invented": "usage events of calls, not in doubt, that the provider never got",
    "dead_unexplained": "dead letters that name no injected fault and no failed provider",
    "rejected_unexplained": "rejected requests without a dead letter",
    "versions": "artifact versions given twice or left out, within a project",
    "artifacts_missing": "validated artifacts that do not lie in the object store as their address says",
    "ranges_lost": "offset ranges reported as lost",
    "sql_requests": "difference between requests in ClickHouse and those submitted",
    "sql_states": "requests whose state in ClickHouse is not that of their verdict",
    "sql_verdicts": "difference between verdicts in ClickHouse and requests that have one",
    "sql_usage": "difference between usage events in ClickHouse and distinct ones in the topic",
    "sql_cost": "sums of cost that differ: ClickHouse, topic, and the price list times what was done, to the last of ten places",
    "sql_incomplete": "requests in ClickHouse without all the usage that their verdict says",
    "sql_conflicts": "ids with two contents in ClickHouse",
    "not_settled": "records that no group had committed when all was at rest",
}


@dataclass
class Counted:
    """``off``: check -> how many; ``examples``: the first few of each; ``figures``: what was counted besides."""

    off: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    examples: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def wrong(self, check: str, example: str, count: int = 1) -> None:
        self.off[check] += count
        shown = self.examples.setdefault(check, [])
        if len(shown) < 5:
            shown.append(example[:400])

    @property
    def exact(self) -> bool:
        return not any(self.off.values())


def topics_read() -> list[str]:
    retries = [t.name for tiers in RETRY.values() for t in tiers.values()]
    return [name for name, topic in CATALOGUE.items() if topic.record] + [name for name in retries if name in CATALOGUE]


class Count:
    """One round's count. ``synthetic``: the stages are those of ``stages.py``, so that every event they should make is known."""

    def __init__(
        self, submitted: Mapping[str, Submission], messages: Mapping[str, list[Message]], codec: Codec, *, synthetic: bool
    ) -> None:
        self.result = Counted()
        self.submitted, self.messages, self.synthetic = submitted, messages, synthetic
        self.records: dict[str, list[Any]] = {
            name: [codec.decode(topic.record, m.value()) for m in messages[name]]
            for name, topic in CATALOGUE.items()
            if topic.record and name in messages
        }
        self.verdicts: dict[str, Any] = {}
        self.usage: dict[str, Any] = {}
        """Event id -> its latest revision."""
        self.first_outcome: dict[str, str] = {}
        """Event id -> the outcome of revision 0: what was known when the next call was made."""

    def all(self, clickhouse: ClickHouse, provider_file: Path, objects: Path) -> Counted:
        self._figures()
        self._verdicts()
        self._outputs()
        self._usage()
        calls = _calls(provider_file)
        if self.synthetic:
            self._provider(calls)
        self._dead_letters(calls)
        self._artifacts(objects)
        self._sql(clickhouse, calls)
        return self.result

    def _figures(self) -> None:
        figures = self.result.figures
        figures["submitted"] = len(self.submitted)
        figures["accepted"] = sum(s.accepted_at is not None for s in self.submitted.values())
        figures["records"] = {name: len(found) for name, found in self.messages.items() if found}
        figures["republished"] = sum(
            len(found) - len({r.event_id for r in found}) for name, found in self.records.items() if "submitted" not in name
        )
        figures["retried"] = sum(len(found) for name, found in self.messages.items() if name.startswith("retry."))
        for lost in self.records["audit.recorded"]:
            if lost.action == "range_lost":
                self.result.wrong("ranges_lost", f"{lost.target} {lost.details}")

    def _verdicts(self) -> None:
        found: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
        for name in ("artifact.validated", "artifact.rejected"):
            for record, message in zip(self.records[name], self.messages[name], strict=True):
                found[record.request_id].add((record.event_id, message.value()))
                self.verdicts[record.request_id] = record
        for request, contents in found.items():
            if len(contents) > 1:
                self.result.wrong("two_verdicts", f"{request}: {sorted(contents)}")
            if request not in self.submitted:
                self.result.wrong("ghosts", request)
        for request, submission in self.submitted.items():
            if submission.accepted_at is not None and request not in found:
                self.result.wrong("lost", f"{request} ({submission.kind}, submitted at {submission.made_at:.1f})")
        self.result.figures["verdicts"] = dict(Counter(f"{v.state} {v.reason}".strip() for v in self.verdicts.values()))

    def _outputs(self) -> None:
        names = ["features.extracted", "artifact.generated", *(n for n in CATALOGUE if n.startswith("generation.requested."))]
        made: dict[str, Counter[str]] = defaultdict(Counter)
        contents: dict[tuple[str, str, int], set[tuple[str, bytes]]] = defaultdict(set)
        for name in names:
            kind = name.rpartition(".")[0] if name.startswith("generation") else name
            for record, message in zip(self.records[name], self.messages[name], strict=True):
                contents[kind, record.request_id, record.round].add((record.event_id, message.value()))
        for (kind, request, round), found in contents.items():
            made[request][kind] += 1
            if len(found) > 1:
                self.result.wrong(
                    "two_outputs", f"{kind} of {request} round {round}: {len(found)} contents under {len({i for i, _ in found})} ids"
                )
        for request, verdict in self.verdicts.items():
            submission = self.submitted.get(request)
            if verdict.state == "validated" and submission:
                wanted = {"generation.requested", "artifact.generated"} | ({"features.extracted"} if submission.kind == "video" else set())
                if set(made[request]) != wanted:
                    self.result.wrong("missing_outputs", f"{request} ({submission.kind}): {dict(made[request])}")

    def _usage(self) -> None:
        contents: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        for record, message in zip(self.records["usage.recorded"], self.messages["usage.recorded"], strict=True):
            contents[record.event_id, record.revision].add(message.value())
            if record.revision == 0:
                self.first_outcome[record.event_id] = record.outcome
            if record.event_id not in self.usage or record.revision > self.usage[record.event_id].revision:
                self.usage[record.event_id] = record
        for (event, revision), found in contents.items():
            if len(found) > 1:
                self.result.wrong("usage_conflicts", f"{event} revision {revision}: {len(found)} contents")
        self.of_request: dict[str, list[Any]] = defaultdict(list)
        for record in self.usage.values():
            self.of_request[record.request_id].append(record)
        for request, verdict in self.verdicts.items():
            if len(self.of_request[request]) != verdict.usage_events:
                have = sorted(f"{u.stage}:{u.kind}:{u.call}:{u.outcome}" for u in self.of_request[request])
                self.result.wrong(
                    "usage_incomplete", f"{request} ({verdict.state} {verdict.reason}) says {verdict.usage_events}, has {have}"
                )
            if self.synthetic and verdict.state == "validated" and request in self.submitted:
                steps = Counter(u.stage for u in self.of_request[request])
                wanted = {"generate", "validate"} | ({"extract"} if self.submitted[request].kind == "video" else set())
                if set(steps) != wanted or any(n > 1 for stage, n in steps.items() if stage != "generate"):
                    self.result.wrong("usage_unexpected", f"{request}: {dict(steps)}")
        self.result.figures["usage_events"] = len(self.usage)
        self.result.figures["usage_outcomes"] = dict(Counter(f"{u.stage} {u.outcome}" for u in self.usage.values()))
        self.result.figures["cost_usd"] = str(sum((u.cost_usd or Decimal(0) for u in self.usage.values()), Decimal(0)))

    def _provider(self, calls: list[dict[str, Any]]) -> None:
        """The provider's count against the bill: a further call follows only a recorded error or a call in doubt, and every call is on the bill."""
        by_step: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for call in calls:
            by_step[call["step"]].append(call)
        doubt_never_arrived = doubt_arrived = not_asked = 0
        for step, made in by_step.items():
            ordinals = Counter(call["call"] for call in made)
            for ordinal, n in ordinals.items():
                if n > 1:
                    self.result.wrong("called_twice", f"{step} call {ordinal}: {n} times")
            billed = {u.call: self.first_outcome[u.event_id] for u in self.of_request[step] if u.stage == "generate"}
            if step not in self.verdicts:
                continue
            for ordinal in sorted(ordinals):
                if ordinal not in billed:
                    self.result.wrong("calls_unbilled", f"{step} call {ordinal}: billed are {billed}")
                if any(billed.get(earlier) not in ("error", "in_doubt") for earlier in range(ordinal)):
                    self.result.wrong("calls_unexplained", f"{step} call {ordinal} after {billed}")
        for record in self.usage.values():
            if record.stage != "generate":
                continue
            arrived = any(call["call"] == record.call for call in by_step[record.request_id])
            if self.first_outcome[record.event_id] == "in_doubt":
                doubt_arrived += arrived
                doubt_never_arrived += not arrived
            elif not record.quantity and record.outcome == "error":
                not_asked += 1  # a zombie that woke up too late to ask, and says so
            elif not arrived:
                self.result.wrong("calls_invented", f"{record.request_id} call {record.call} {record.outcome}")
        self.result.figures["provider"] = {
            "calls": len(calls), "errors": sum(not c["ok"] for c in calls), "steps": len(by_step), "second_calls": len(calls) - len(by_step),
            "in_doubt_that_arrived": doubt_arrived, "in_doubt_that_never_did": doubt_never_arrived,
            "answered_late": sum(u.revision > 0 for u in self.usage.values()), "not_asked": not_asked,
        }  # fmt: skip

    def _dead_letters(self, calls: list[dict[str, Any]]) -> None:
        letters = {r.event_id: r for r in self.records["dead.letters"]}
        errors = Counter(call["step"] for call in calls if not call["ok"])
        told: Counter[str] = Counter()
        for letter in letters.values():
            text = f"{letter.message}\n{letter.exception}"
            if INJECTED in text:
                why = "store"
            elif "No space left" in text or "ENOSPC" in text:
                why = "disk"
            elif "registry does not answer" in text:
                why = "registry"
            elif errors[letter.request_id] >= 3 or (letter.reason.startswith("provider") and errors[letter.request_id]):
                why = "provider"
            else:
                self.result.wrong("dead_unexplained", f"{letter.stage} {letter.reason}: {letter.message} {letter.exception[-300:]}")
                why = "unexplained"
            told[f"{letter.stage} {letter.reason} ({why}, tries {letter.tries})"] += 1
        self.result.figures["dead_letters"] = dict(told)
        ended = {letter.request_id for letter in letters.values()}
        for request, verdict in self.verdicts.items():
            if self.synthetic and verdict.state == "rejected" and request not in ended:
                self.result.wrong("rejected_unexplained", f"{request}: {verdict.reason} {verdict.message}")

    def _artifacts(self, objects: Path) -> None:
        given: dict[tuple[str, str], list[int]] = defaultdict(list)
        for verdict in self.verdicts.values():
            if verdict.state != "validated":
                continue
            given[verdict.tenant, verdict.project].append(verdict.version)
            ref = ObjectRef.parse(verdict.artifact_uri)
            path = objects / "data" / ref.key
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != ref.sha256:
                self.result.wrong("artifacts_missing", f"{verdict.request_id}: {ref}")
        for project, versions in given.items():
            # A request that was given up after its version was claimed leaves a gap; a number given twice is never right.
            for version, n in Counter(versions).items():
                if n > 1:
                    self.result.wrong("versions", f"{project}: {version} was given {n} times")
            if (missing := max(versions) - len(set(versions))) > self._given_up():
                self.result.wrong("versions", f"{project}: {missing} of {max(versions)} are missing", missing)

    def _given_up(self) -> int:
        return sum(v.state == "rejected" for v in self.verdicts.values())

    def _sql(self, clickhouse: ClickHouse, calls: list[dict[str, Any]]) -> None:
        accepted = {r for r in self.submitted if r in self.verdicts or self.submitted[r].accepted_at is not None}
        states = {r["id"]: r["state"] for r in clickhouse.rows("SELECT toString(id) AS id, state FROM requests")}
        if different := set(states) ^ accepted:
            self.result.wrong("sql_requests", f"{sorted(different)[:5]}", len(different))
        for request, verdict in self.verdicts.items():
            if states.get(request) != verdict.state:
                self.result.wrong("sql_states", f"{request}: {states.get(request)}, not {verdict.state}")
        row = clickhouse.rows("SELECT count() AS n FROM verdicts")[0]
        if int(row["n"]) != len(self.verdicts):
            self.result.wrong("sql_verdicts", f"{row['n']}, {len(self.verdicts)} in the topics", abs(int(row["n"]) - len(self.verdicts)))
        row = clickhouse.rows("SELECT count() AS n, uniqExact(event_id) AS ids, toString(sum(cost_usd)) AS cost FROM usage")[0]
        rows, distinct = int(row["n"]), int(row["ids"])
        if rows != len(self.usage) or distinct != rows:
            self.result.wrong(
                "sql_usage", f"{rows} rows, {distinct} ids, {len(self.usage)} in the topic", abs(rows - len(self.usage)) + rows - distinct
            )
        in_topic = Decimal(self.result.figures["cost_usd"])
        in_sql = Decimal(row["cost"] or 0)
        if in_sql != in_topic:
            self.result.wrong("sql_cost", f"SQL {in_sql}, topic {in_topic}")
        if self.synthetic and (wanted := self._price_list(calls)) != in_sql:
            self.result.wrong("sql_cost", f"SQL {in_sql}, by the price list {wanted}")
        incomplete = clickhouse.rows(
            "SELECT toString(id) AS id, usage_events_of_run AS have, usage_events_expected AS want FROM requests "
            "WHERE state IN ('validated', 'rejected') AND usage_events_of_run != usage_events_expected"
        )
        for r in incomplete:
            self.result.wrong("sql_incomplete", f"{r['id']}: {r['have']} of {r['want']}")
        if conflicts := clickhouse.rows("SELECT * FROM id_conflicts LIMIT 20"):
            self.result.wrong("sql_conflicts", f"{conflicts[:3]}", len(conflicts))
        self.result.figures["sql"] = {
            "requests": len(states),
            "states": dict(Counter(states.values())),
            "usage": rows,
            "cost_usd": str(in_sql),
        }

    def _price_list(self, calls: list[dict[str, Any]]) -> Decimal:
        """What should stand on the bill: each step's price times how often it was done, and the provider's price for every answer billed as such."""
        from bench.chaos.provider import PRICE
        from bench.chaos.stages import EXTRACT_PRICE, VALIDATE_PRICE

        answered = {(c["step"], c["call"]) for c in calls if c["ok"]}
        total = Decimal(0)
        for u in self.usage.values():
            match u.stage:
                case "extract":
                    total += EXTRACT_PRICE
                case "validate":
                    total += VALIDATE_PRICE
                case "generate" if u.outcome == "ok" and (u.request_id, u.call) in answered:
                    total += Decimal(PRICE)
        return total


def _calls(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def totals(counts: Iterable[Counted]) -> dict[str, int]:
    """Each check's sum over rounds."""
    summed: Counter[str] = Counter()
    for counted in counts:
        summed.update(counted.off)
    return {check: summed[check] for check in CHECKS}
