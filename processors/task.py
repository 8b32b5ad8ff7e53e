"""What a language model is asked to make, and what came of it so far.

It travels from plan to generate, from there with the artifact to validate, and back where a repair is worth trying, as JSON
`{"schema": "millrace.task/1", ...}`; so it lives beside the stages, not in one. Prompt and recording are untrusted: nothing here interprets them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

SCHEMA = "millrace.task/1"
MAX_ROUNDS = 2
"""Repair rounds after the first answer."""
MAX_FINDINGS = 20
"""Findings a model is shown of one attempt; more repeat the first ones."""


class InvalidTask(ValueError):
    """Not a task of this schema; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One round: the artifact a model's answer became, how far it came through the gates, and what stopped it."""

    round: int
    answer_uri: str
    """The answer, as it was used (canonical JSON), by claim check."""
    artifact_uri: str
    artifact_size: int
    artifact_digest: str
    report_uri: str = ""
    report_json_uri: str = ""
    reason: str = ""
    message: str = ""
    passed: int = 0
    """Gates passed."""
    errors: int = 0
    warnings: int = 0
    findings: tuple[Mapping[str, Any], ...] = ()
    """The first errors: gate, rule, message, file, line."""
    scores: Mapping[str, float] | None = None

    @property
    def fingerprint(self) -> str:
        """What went wrong, without where: a repair that leaves it the same has repaired nothing."""
        kinds = sorted({(str(f["gate"]), str(f["rule"]), str(f.get("file") or ""), str(f["message"])) for f in self.findings})
        return hashlib.sha256(json.dumps(kinds, ensure_ascii=False).encode()).hexdigest()

    @property
    def rank(self) -> tuple[int, int, int]:
        """The greater, the better; of equals the earlier, which cost less."""
        return (self.passed, -self.errors, -self.round)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`prompt` may be empty where a recording's features say what is wanted."""

    prompt: str = ""
    why: str = ""
    """Why a grammar did not do it: a stable code and prose."""
    features_uri: str = ""
    attempts: tuple[Attempt, ...] = ()
    """Rounds that were rejected, oldest first."""
    answer_uri: str = ""
    """On the way to validate: the answer of this round."""
    spent_usd: str | None = "0"
    """What the calls of all rounds cost so far; None where a price is not known."""
    deadline: int | None = None
    """The request's, Unix ms: a repair has no more time than the first round had."""

    def to_json(self) -> bytes:
        """Canonical JSON: the same task gives the same bytes."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> Task:
        """Read what :meth:`to_json` wrote. Raises :class:`InvalidTask`."""
        try:
            document = json.loads(data)
            if document.pop("schema") != SCHEMA:
                raise InvalidTask(f"a task has the schema {SCHEMA}")
            attempts = tuple(Attempt(**{**a, "findings": tuple(a["findings"])}) for a in document.pop("attempts"))
            task = cls(attempts=attempts, **document)
        except InvalidTask:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidTask(f"not a task: {type(error).__name__}: {error}"[:500]) from error
        texts = (f.name for f in fields(cls) if f.name not in ("attempts", "spent_usd", "deadline"))
        if wrong := [name for name in texts if not isinstance(getattr(task, name), str)]:
            raise InvalidTask(f"not a task: {', '.join(wrong)} must be text")
        return task

    @property
    def best(self) -> Attempt | None:
        return max(self.attempts, key=lambda a: a.rank, default=None)


def worth_another(attempts: Iterable[Attempt], rounds: int = MAX_ROUNDS) -> bool:
    """Whether the last attempt should be repaired: at most ``rounds`` times, and not where it failed just as an earlier one did."""
    *earlier, last = attempts
    return len(earlier) < rounds and bool(last.findings) and last.fingerprint not in {a.fingerprint for a in earlier}
