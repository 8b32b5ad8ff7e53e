"""Pools grow fast and shrink slowly, never flap, and never pass their bounds; the dog bites only what will not wake up."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.scaling import Bounds, Pool, ScalingSettings, parse_scale
from infra.embedded.watchdog import Patience

SETTINGS = ScalingSettings(target_s=10, grow_every_s=10, quiet_s=60)
courses = st.lists(
    st.tuples(st.floats(0.1, 30), st.one_of(st.just(0.0), st.floats(0, 20), st.floats(0, 1e6)), st.integers(0, 64)), max_size=120
)
bounds = st.tuples(st.integers(1, 8), st.integers(0, 24)).map(lambda b: Bounds(b[0], b[0] + b[1]))


@given(bounds, courses)
def test_the_invariants_hold_for_any_course_of_lag(limits: Bounds, course: list[tuple[float, float, int]]) -> None:
    pool, now = Pool(limits, SETTINGS), 0.0
    grown = changed = busy = float("-inf")
    assert pool.size == limits.low
    for step, lag, partitions in course:
        now += step
        before = pool.size
        after = pool.decide(now, lag, partitions)
        if lag > SETTINGS.target_s / 2:
            busy = now
        assert limits.low <= after <= limits.high  # P1
        if after > before:
            assert after <= max(limits.low, partitions)  # P2
            assert lag > SETTINGS.target_s and after <= 2 * before and now >= grown + SETTINGS.grow_every_s  # P3
            grown = now
        if after < before:
            assert after == before - 1 and now >= max(changed, busy) + SETTINGS.quiet_s  # P4
        if after != before:
            changed = now


@given(bounds, st.integers(1, 64))
def test_lag_that_stays_brings_it_to_what_is_useful_and_quiet_back(limits: Bounds, partitions: int) -> None:
    pool, now = Pool(limits, SETTINGS), 0.0
    for _ in range(6):
        now += SETTINGS.grow_every_s
        pool.decide(now, 1e9, partitions)
    assert pool.size == max(limits.low, min(limits.high, partitions))
    for _ in range(limits.high - limits.low + 1):
        now += SETTINGS.quiet_s
        pool.decide(now, 0, partitions)
    assert pool.size == limits.low


def test_it_grows_by_how_late_it_is_and_no_more_than_double() -> None:
    def after(lag: float, size: int = 1) -> int:
        pool = Pool(Bounds(size, 100), SETTINGS)
        return pool.decide(0, lag, 100)

    assert [after(9.9), after(10), after(10.1), after(1e6)] == [1, 1, 2, 2]
    assert [after(12, 4), after(15, 4), after(1e6, 4)] == [5, 6, 8]


def test_a_short_pause_in_a_burst_does_not_shrink_it() -> None:
    pool = Pool(Bounds(1, 4), SETTINGS)
    pool.decide(0, 100, 8)
    pool.decide(10, 100, 8)
    assert pool.size == 4
    assert pool.decide(65, 0, 8) == 4, "changed 55 s ago"
    assert pool.decide(66, 6, 8) == 4, "over half the target: the quiet time begins anew"
    assert pool.decide(125, 0, 8) == 4
    assert pool.decide(126, 0, 8) == 3
    assert pool.decide(127, 0, 8) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [("1:4", Bounds(1, 4)), ("3", Bounds(3, 3)), ("2:2", Bounds(2, 2)), ("1:", Bounds(1, os.cpu_count() or 1)), ("500:", Bounds(500, 500))],
)
def test_bounds(text: str, found: Bounds) -> None:
    assert Bounds.parse(text) == found


@pytest.mark.parametrize("text", ["", ":", ":4", "0:4", "4:2", "-1", "a:b", "1:2:3", "1.5"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="MIN"):
        Bounds.parse(text)


def test_scale_names_stages_that_there_are() -> None:
    assert parse_scale(["plan=1:2, validate=2", "sink=1"], ["plan", "validate", "sink"]) == {
        "plan": Bounds(1, 2),
        "validate": Bounds(2, 2),
        "sink": Bounds(1, 1),
    }
    with pytest.raises(ValueError, match="no stage is called 'nope'; there are plan"):
        parse_scale(["nope=1:2"], ["plan"])
    with pytest.raises(ValueError, match="'plan' is not STAGE=MIN:MAX"):
        parse_scale(["plan"], ["plan"])


def test_a_silent_process_is_given_time_and_let_be_while_there_is_no_work() -> None:
    patience = Patience(silent_s=30)
    assert not patience.seen(0, "silent", behind=True)
    assert not patience.seen(29, "silent", behind=True)
    assert not patience.seen(60, "silent", behind=False)
    assert patience.seen(61, "silent", behind=True)


def test_one_good_answer_is_enough() -> None:
    patience = Patience(silent_s=30)
    for now in range(0, 300, 20):
        assert not patience.seen(now, "silent", behind=True)
        assert not patience.seen(now + 10, "well", behind=True)


def test_what_says_itself_that_it_is_beyond_help_goes_soon() -> None:
    patience = Patience(sick_s=5)
    assert not patience.seen(0, "sick", behind=False)
    assert patience.seen(5, "sick", behind=False)


@given(st.lists(st.tuples(st.floats(0.1, 20), st.sampled_from(["well", "sick", "silent"]), st.booleans()), max_size=300))
def test_replacing_is_never_a_loop(course: list[tuple[float, str, bool]]) -> None:
    """Each next time comes later than the one before, until it has been well for an hour."""
    patience, now, replaced = Patience(), 0.0, []
    for step, answer, behind in course:
        now += step
        if patience.seen(now, answer, behind):  # type: ignore[arg-type]
            assert answer != "well"
            replaced.append(now)
    gaps = [b - a for a, b in itertools.pairwise(replaced)]
    assert all(gap >= min(3600, 60 * 2**i) for i, gap in enumerate(gaps))
