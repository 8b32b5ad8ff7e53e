"""What is done to the stack, when, to whom and for how long: a pure function of the seed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

KINDS: dict[str, tuple[float, str]] = {
    "kill": (17, "SIGKILL of a worker; the supervisor starts it again"),
    "pause": (13, "SIGSTOP of a worker for 1 to 4 s: shorter than the group's session"),
    "zombie": (12, "SIGSTOP of a worker for 8 to 13 s: its partitions go to others while it sleeps, then SIGCONT"),
    "broker": (1, "SIGKILL of the Kafka broker; the supervisor starts it again"),
    "clickhouse": (3, "SIGKILL of the process that serves ClickHouse; the supervisor starts it again"),
    "registry": (2, "SIGKILL of the schema registry; the supervisor starts it again"),
    "store-errors": (
        12,
        "each call of the object store fails with probability 0.5 for 1 to 4 s; a third of them after the call had its effect",
    ),
    "store-slow": (7, "each call of the object store takes 0.2 to 1 s longer for 1 to 4 s"),
    "disk-objects": (6, "no room on the object store's disk for 1 to 4 s"),
    "disk-clickhouse": (4, "no room on ClickHouse's disk for 1 to 4 s"),
    "duplicates": (10, "20 to 60 earlier submissions once more, shuffled, to other partitions"),
    "disorder": (7, "the next 10 to 40 submissions held back and published in reverse, to random partitions"),
    "guest": (6, "one of two extra workers joins, works for 4 to 10 s and leaves"),
}
"""Kind -> its share of a round (beside one of each), and what is done."""

_LASTS = {
    "pause": (1.0, 4.0), "zombie": (8.0, 13.0), "store-errors": (1.0, 4.0), "store-slow": (1.0, 4.0), "disk-objects": (1.0, 4.0),
    "disk-clickhouse": (1.0, 4.0), "guest": (4.0, 10.0),
}  # fmt: skip
_STRIKES = {
    "broker": "kafka", "clickhouse": "clickhouse", "registry": "registry", "store-errors": "objects", "store-slow": "objects",
    "disk-objects": "objects", "disk-clickhouse": "clickhouse", "duplicates": "input", "disorder": "input",
}  # fmt: skip
CALM_EVERY, CALM_S = 25, 8.0
"""So many faults, then so many seconds without a new one: the stack must come to rest by itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done. Times are seconds in which the system worked (``faults.STANDS_S``), so that outages do not soak up faults."""

    number: int
    at_s: float
    kind: str
    victim: str
    """A process's name, or what else it strikes."""
    lasts_s: float = 0.0
    amount: float = 0.0
    """Submissions (duplicates, disorder), seconds (store-slow), or bytes left free (disk-*)."""


def schedule(
    seed: int, count: int, *, workers: Sequence[str], guests: Sequence[str] = (), kinds: Sequence[str] = tuple(KINDS), every_s: float = 1.0,
    shares: Mapping[str, float] | None = None,
) -> list[Fault]:  # fmt: skip
    """``count`` faults in order of time, ``every_s`` apart on average. Every kind comes at least once (where there is room for all), the rest by their shares."""
    chance = random.Random(f"millrace chaos {seed}")
    found = [kind for kind in KINDS if kind in kinds and (kind != "guest" or guests)]
    weights = {kind: (shares or {}).get(kind, KINDS[kind][0]) for kind in found}
    deck = _deck(weights, count)
    chance.shuffle(deck)
    at = 0.0
    away = dict.fromkeys(guests, 0.0)
    faults = []
    for number, kind in enumerate(deck):
        # Exponential gaps: faults come in bursts and overlap, as they do.
        at += min(4 * every_s, chance.expovariate(1 / every_s))
        if number and number % CALM_EVERY == 0:
            at += CALM_S
        lasts = round(chance.uniform(*_LASTS[kind]), 2) if kind in _LASTS else 0.0
        amount, victim = 0.0, _STRIKES.get(kind, "")
        if kind in ("kill", "pause", "zombie"):
            victim = chance.choice(list(workers))
        elif kind == "guest":
            victim = min(away, key=lambda name: (away[name], name))
            at = max(at, away[victim])
            away[victim] = at + lasts + 8  # time to go
        elif kind == "duplicates":
            amount = chance.randint(20, 60)
        elif kind == "disorder":
            amount = chance.randint(10, 40)
        elif kind == "store-slow":
            amount = round(chance.uniform(0.2, 1.0), 2)
        elif kind.startswith("disk-"):
            amount = chance.choice([0, 0, 4096, 65_536, 300_000])
        faults.append(Fault(number, round(at, 2), kind, victim, lasts, amount))
    return faults


def _deck(weights: Mapping[str, float], count: int) -> list[str]:
    """One of each kind if there is room for all, the rest in proportion to their weights (largest remainders)."""
    deck = list(weights) if count >= len(weights) else []
    count -= len(deck)
    total = sum(weights.values())
    exact = {kind: count * weight / total for kind, weight in weights.items()}
    shares = [kind for kind, share in exact.items() for _ in range(math.floor(share))]
    by_rest = sorted(exact, key=lambda kind: (math.floor(exact[kind]) - exact[kind], kind))
    return deck + shares + by_rest[: count - len(shares)]


def as_json(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in faults]
