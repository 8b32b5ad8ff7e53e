"""What validation says about an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from processors.toolchain.findings import Finding


@dataclass(frozen=True)
class GateResult:
    """One gate that was passed or not. ``ms`` is wall time; it differs between runs and is no part of what was found."""

    gate: str
    ok: bool
    ms: int = field(compare=False)


@dataclass(frozen=True)
class Verdict:
    """``reason`` is the rule of the first error of the first gate that failed (``static.import``, ``typecheck``, ``render.console``, ...)."""

    state: Literal["validated", "rejected"]
    reason: str | None
    message: str
    findings: tuple[Finding, ...]
    scores: Mapping[str, float]
    gates: tuple[GateResult, ...]
    report_html: bytes

    def report(self) -> dict[str, Any]:
        """The content of ``report.json``: the same for the same artifact and recording, so times are left out."""
        return {
            "schema": "millrace.report/1",
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "gates": [{"gate": g.gate, "ok": g.ok} for g in self.gates],
            "scores": dict(sorted(self.scores.items())),
            "findings": [f.as_json() for f in self.findings],
        }
