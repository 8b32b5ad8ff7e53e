"""The short form of ``bench.chaos``: the real parts, two dozen faults of every kind, everything counted from the outside."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bench.chaos.plan import KINDS, schedule
from bench.chaos.round import Options, run_round

WORKERS = ["worker-a", "worker-b", "worker-c"]
GUESTS = ["worker-guest-0", "worker-guest-1"]


def test_the_schedule_is_a_function_of_its_seed() -> None:
    once, again, other = (schedule(seed, 200, workers=WORKERS, guests=GUESTS) for seed in (7, 7, 8))
    assert once == again != other
    assert [f.at_s for f in once] == sorted(f.at_s for f in once)
    # Still the one under which results were published.
    assert [(f.at_s, f.kind, f.victim, f.lasts_s) for f in schedule(1, 100, workers=WORKERS, guests=GUESTS)[:3]] == [
        (1.89, "disorder", "input", 0.0),
        (5.47, "store-errors", "objects", 3.16),
        (7.21, "disk-clickhouse", "clickhouse", 2.42),
    ]


def test_each_kind_has_its_share_of_a_round() -> None:
    kinds = Counter(f.kind for f in schedule(3, 100, workers=WORKERS, guests=GUESTS))
    total = sum(weight for weight, _ in KINDS.values())
    assert sum(kinds.values()) == 100
    rest = 100 - len(KINDS)  # beside one of each
    assert all(abs(kinds[kind] - 1 - rest * weight / total) < 1 for kind, (weight, _) in KINDS.items())


def test_a_guest_is_never_in_two_places() -> None:
    visits = schedule(5, 60, workers=WORKERS, guests=GUESTS, kinds=["guest"])
    for guest in GUESTS:
        mine = [f for f in visits if f.victim == guest]
        assert mine and all(a.at_s + a.lasts_s < b.at_s for a, b in pairwise(mine))


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_short_round_is_exact(tmp_path: Path) -> None:
    said: list[str] = []
    result = run_round(Options(seed=11, faults=24, warm_up_s=3.0), tmp_path, said.append)
    assert result["exact"], (result["off"], result["examples"], result["crashes"])
    assert result["faults"] == 24, (result["not_done"], said)
    assert set(result["by_kind"]) == set(KINDS)
    assert result["recovery"]["unexplained_s"] == 0, result["recovery"]
    assert result["submitted"] == result["accepted"] == sum(result["verdicts"].values()) > 300
