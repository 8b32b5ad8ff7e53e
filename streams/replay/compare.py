"""A run held against the one it took up: what became of each request, then and now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TOLERANCE = 0.01
"""How far a score may lie from the one before and still be the same: a browser is not deterministic to the last pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a request came to in a run."""

    state: str
    reason: str = ""
    artifact_digest: str = ""
    features: str = ""
    """Content address of the features document; empty for a prompt, or where the run started beyond extraction."""
    scores: Mapping[str, float] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """One request. ``verdict``: same, changed, missing (no verdict in the run) or new (none in the parent)."""

    request: str
    verdict: str
    changes: dict[str, tuple[str, str]]
    """What changed: its name to what it was and what it is."""


def compare(
    requests: Iterable[str], before: Mapping[str, Outcome], after: Mapping[str, Outcome], tolerance: float = TOLERANCE
) -> list[Compared]:
    """Each request of a run, in order."""
    found = []
    for request in requests:
        was, now = before.get(request), after.get(request)
        if now is None:
            found.append(Compared(request, "missing", {}))
        elif was is None:
            found.append(Compared(request, "new", {"state": ("", now.state)}))
        else:
            changes = _changes(was, now, tolerance)
            found.append(Compared(request, "changed" if changes else "same", changes))
    return found


def _changes(was: Outcome, now: Outcome, tolerance: float) -> dict[str, tuple[str, str]]:
    changes = {
        name: (old, new)
        for name in ("state", "reason", "artifact_digest")
        if (old := str(getattr(was, name))) != (new := str(getattr(now, name)))
    }
    if was.features and now.features and was.features != now.features:
        changes["features"] = (was.features, now.features)
    for name in sorted(was.scores.keys() | now.scores.keys()):
        old_score, new_score = was.scores.get(name), now.scores.get(name)
        if old_score is None or new_score is None or abs(old_score - new_score) > tolerance:
            changes[f"score {name}"] = (_score(old_score), _score(new_score))
    return changes


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def summary(compared: Iterable[Compared]) -> dict[str, int]:
    """How many of each."""
    counts = Counter(c.verdict for c in compared)
    return {name: counts[name] for name in ("same", "changed", "missing", "new")}
