"""What a check found, as data: the shape that the build, every validation gate and the repair of model output share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing wrong. ``gate`` and ``rule`` are stable codes; ``evidence`` holds JSON values only and the same input gives the same evidence."""

    gate: str
    rule: str
    message: str
    file: str | None = None
    line: int | None = None
    severity: Severity = "error"
    evidence: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those that reject an artifact; warnings only stand in the report."""
    return [f for f in findings if f.severity == "error"]
