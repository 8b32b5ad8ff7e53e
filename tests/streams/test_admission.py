"""What the limits on a class's queue decide: who is shed, favoured, late, and when to come again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import PRIORITIES
from streams.admission import AGEING_S, FAVOURED, SHED, TIMED, Admission, Limits, Policy
from streams.contract import problems
from streams.topics import ARTIFACT_REJECTED, GENERATION_REQUESTED
from tests.streams.world import features, stage

NOW = 1_790_000_000_000


def policy(waiting: dict[str, int] | None = None, **limits: Any) -> Policy:
    made = Policy(Limits(**limits))
    made.observe(0.0, waiting or {}, {})
    return made


def test_the_fields_limits_are_the_default():
    assert Limits().model_dump() == {"in_flight": 100, "queued": 1000, "wait_s": 30.0, "window": 500}


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=6), st.integers(1, 3000))
def test_workers_shed_the_excess_together_and_no_more_than_a_record_each_beyond_it(own: list[int], limit: int) -> None:
    total = sum(own)
    shed = [policy({SHED: total}, queued=limit).to_shed(n) for n in own]
    assert all(s <= n for s, n in zip(shed, own, strict=True))
    excess = max(0, total - limit)
    assert excess <= sum(shed) <= (excess + len(own) if excess else 0)


@pytest.mark.parametrize("priority", PRIORITIES)
def test_only_low_is_shed_and_only_normal_favoured_at_once(priority: str):
    crowded = policy(dict.fromkeys(PRIORITIES, 1001))
    assert crowded.excess(priority) == 1
    assert crowded.factor(priority, 0.0) == (2.0 if priority == FAVOURED else 1.0)
    assert policy(dict.fromkeys(PRIORITIES, 1000)).factor(priority, 0.0) == 1.0


def test_without_a_limit_or_news_nothing_is_over_it():
    assert policy({SHED: 10**6}, queued=0).to_shed(10**6) == 0
    crowded = policy({SHED: 10**6, FAVOURED: 10**6})
    crowded.unknown()
    assert crowded.to_shed(1000) == 0 and crowded.factor(FAVOURED, 0.0) == 1.0


@given(st.sampled_from(PRIORITIES), st.floats(0, 1e6), st.floats(0, 1e6))
def test_ageing_raises_a_weight_steadily_to_its_double(priority: str, one: float, other: float) -> None:
    younger, older = sorted((one, other))
    assert 1.0 <= policy().factor(priority, younger) <= policy().factor(priority, older) <= 2.0
    assert policy().factor(priority, AGEING_S) == 2.0


@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_wait_ends_for_critical_and_high_alone(priority: str):
    in_time, late = policy().late(priority, NOW - 30_000, None, NOW), policy().late(priority, NOW - 30_001, None, NOW)
    assert in_time is None
    assert (late is not None and late.reason == "late" and late.retry_after_s >= 30) == (priority in TIMED)
    assert policy(wait_s=0).late(priority, 0, None, NOW) is None


def test_a_deadline_ends_what_it_passed_for_and_what_cannot_meet_it():
    empty = policy()
    assert empty.late("low", NOW, NOW + 1, NOW) is None
    for deadline in (NOW, NOW - 60_000):
        found = empty.late("low", NOW, deadline, NOW)
        assert found is not None and found.reason == "deadline" and found.retry_after_s > 0
    for seconds in (1.9, 2.0, 200.0):
        empty.took(seconds)
    assert empty.late("low", NOW, NOW + 2001, NOW) is None
    hopeless = empty.late("low", NOW, NOW + 1999, NOW)
    assert hopeless is not None and "takes about 2.0 s" in str(hopeless)


def test_a_step_that_would_begin_after_its_deadline_does_not():
    late = Admission(deadline=lambda record: record.frames)
    found = late.passed(features(1))
    assert found is not None and found.reason == "deadline"
    assert Admission().passed(features(1)) is None  # a record without such a field has no deadline


def test_retry_after_is_when_the_queue_will_be_worked_off():
    made = policy()
    for second in range(4):
        made.observe(float(second), {SHED: 900}, {SHED: 1000 + 10 * second})
    assert made.retry_after_s(SHED) == 90
    made.observe(4.0, {SHED: 10**9}, {SHED: 1040})
    assert made.retry_after_s(SHED) == 3600
    made.observe(5.0, {SHED: 1}, {SHED: 1050})
    assert made.retry_after_s(SHED) == 30
    assert policy({SHED: 900}).retry_after_s(SHED) == 30  # nothing is known of its pace


def test_a_stage_that_cannot_keep_it_must_not_declare_it():
    found = problems(stage(admission=Admission(), order="key", writes=(GENERATION_REQUESTED["normal"],)))
    assert any("order by key" in p for p in found) and any("artifact.rejected" in p for p in found)
    assert not problems(stage(admission=Admission(), writes=(ARTIFACT_REJECTED,)))
