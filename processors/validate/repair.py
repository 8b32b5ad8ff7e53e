"""What comes after a model's application was rejected: another round, or the verdict on the best there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processors.task import MAX_FINDINGS, Attempt, Task, worth_another
from processors.toolchain.findings import Finding, errors
from processors.validate.verdict import Verdict
from schemas.records import ArtifactGenerated


def attempt_of(record: ArtifactGenerated, task: Task, found: Verdict, report_uri: str, report_json_uri: str) -> Attempt:
    """This round, as later rounds and the verdict need to know it."""
    grave = errors(found.findings)
    return Attempt(
        round=record.round,
        answer_uri=task.answer_uri,
        artifact_uri=record.artifact_uri,
        artifact_size=record.artifact_size,
        artifact_digest=record.artifact_digest,
        report_uri=report_uri,
        report_json_uri=report_json_uri,
        reason=found.reason or "",
        message=found.message[:2000],
        passed=sum(gate.ok for gate in found.gates),
        errors=len(grave),
        warnings=len(found.findings) - len(grave),
        findings=tuple(_told(f) for f in _telling(grave)),
        scores=dict(found.scores),
    )


def next_round(task: Task, attempt: Attempt) -> Task | None:
    """The task of the next round, or None where another is not worth its price."""
    attempts = (*task.attempts, attempt)
    return replace(task, attempts=attempts, answer_uri="") if task.answer_uri and worth_another(attempts) else None


def _telling(grave: Sequence[Finding]) -> list[Finding]:
    """The first of each kind before more of the same: a model learns nothing from the fortieth."""
    seen: set[tuple[str, str | None]] = set()
    first: list[Finding] = []
    rest: list[Finding] = []
    for finding in grave:
        kind = (finding.rule, finding.file)
        (rest if kind in seen else first).append(finding)
        seen.add(kind)
    return (first + rest)[:MAX_FINDINGS]


def _told(finding: Finding) -> dict[str, object]:
    return {"gate": finding.gate, "rule": finding.rule, "message": finding.message[:400], "file": finding.file, "line": finding.line}
