"""Runs: what a replay is, said once, before its first record travels.

The original run has the empty name. Every replay, and every replay of dead letters, is a run of its own: a UUIDv7 that is part of every event id,
claim, table row and artifact version it makes. What a run *is* lies under the claim ``runs/RUN`` and never changes; how far it has come is
elsewhere (``streams.replay.control``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import lru_cache

import orjson

from streams.objects import ObjectMissing, ObjectStore, claim, claimed

MODES = ("reuse", "regenerate")
EFFECTS = ("live", "recorded", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A replay, as it was opened."""

    kind: str
    """``replay`` or ``dead_letters``."""
    parent: str
    """The run whose records it takes up; empty for the original."""
    mode: str
    """``reuse``: a recorded step's outputs in the parent are published again, for nothing. ``regenerate``: every step is done anew."""
    isolated: bool = False
    """Its verdicts count for nobody, and it takes no artifact versions."""
    effects: str = "live"
    """What its steps may do to the world beyond their own records.

    ``live``: everything, as the original did. ``recorded``: nothing: what the parent recorded is published again, and a recorded step that has
    nothing recorded ends its request as ``not_recorded``. ``off``: steps are done, but no provider is called (an answer in the parent's ledger
    stands in, else the request ends as ``side_effects_off``), and no version is taken.
    """
    budget_usd: str | None = None
    """What the run may spend, as it was opened (:func:`budget_of` says what it is now). None: no limit of its own."""


def problems(run: Run) -> list[str]:
    """What is contradictory about a run, in words."""
    found = []
    if run.mode not in MODES:
        found.append(f"mode {run.mode!r} is none of {', '.join(MODES)}")
    if run.effects not in EFFECTS:
        found.append(f"effects {run.effects!r} is none of {', '.join(EFFECTS)}")
    if run.effects == "recorded" and run.mode == "regenerate":
        found.append(
            "'recorded' effects publish only what was recorded, so nothing can be regenerated: take mode reuse, or effects live or off"
        )
    if run.effects == "off" and not run.isolated:
        found.append("with effects off the verdicts are those of a rehearsal: the run must be isolated")
    return found


def open_run(
    store: ObjectStore,
    run: str,
    *,
    kind: str,
    parent: str,
    mode: str,
    isolated: bool = False,
    effects: str = "live",
    budget_usd: Decimal | None = None,
) -> Run:
    """Open a run under its id; the same again changes nothing. Raises ``ValueError`` where it is contradictory."""
    usd = None if budget_usd is None else str(budget_usd)
    wanted = Run(kind=kind, parent=parent, mode=mode, isolated=isolated, effects=effects, budget_usd=usd)
    if found := problems(wanted):
        raise ValueError("; ".join(found))
    _, body = claim(store, f"runs/{run}", orjson.dumps(asdict(wanted)))
    return Run(**orjson.loads(body))


def about(store: ObjectStore, run: str) -> Run | None:
    """What a run was opened as; None for one that nobody opened. Blocks the first time."""
    try:
        return _opened(store, run)  # type: ignore[arg-type]  # stores are told apart by what they are, as any object is
    except LookupError:
        return None


@lru_cache(maxsize=1024)
def _opened(store: ObjectStore, run: str) -> Run:
    # A run never changes, so what was read once stays; that there is none yet is not kept.
    body = claimed(store, f"runs/{run}")
    if body is None:
        raise LookupError(run)
    return Run(**orjson.loads(body))


def counts(store: ObjectStore, run: str) -> bool:
    """Whether what a run does counts for its requests: the original does, an isolated one does not. Blocks the first time."""
    if not run:
        return True
    opened = about(store, run)
    return opened is not None and not opened.isolated


def budget_of(store: ObjectStore, run: str) -> Decimal | None:
    """What a run may spend in all, as of now, USD; None: no limit of its own. Blocks; never kept, since an operator may raise it."""
    try:
        return Decimal(store.get(_budget_key(run)).body.decode())
    except ObjectMissing:
        opened = about(store, run)
    return None if opened is None or opened.budget_usd is None else Decimal(opened.budget_usd)


def set_budget(store: ObjectStore, run: str, usd: Decimal) -> None:
    """Let a run spend so much in all from now on."""
    store.put(_budget_key(run), str(usd).encode())


def _budget_key(run: str) -> str:
    return f"replays/{run}/budget"
