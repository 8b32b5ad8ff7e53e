"""The fair queue: weights hold, nobody starves, nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.scheduling import WEIGHTS, FairQueue

CLASSES = st.sampled_from([*WEIGHTS, "unknown"])


@given(st.lists(st.tuples(CLASSES, st.sampled_from("abc"))))
def test_everything_comes_out_once_and_in_order_within_its_tenant(pushed: list[tuple[str, str]]) -> None:
    queue: FairQueue[tuple[int, str, str]] = FairQueue()
    for n, (priority, tenant) in enumerate(pushed):
        queue.push((n, priority, tenant), priority, tenant)
    assert len(queue) == len(pushed)
    popped = [queue.pop() for _ in pushed]
    assert sorted(n for n, _, _ in popped) == list(range(len(pushed)))
    for priority, tenant in set(pushed):
        own = [n for n, p, t in popped if (p, t) == (priority, tenant)]
        assert own == sorted(own)
    with pytest.raises(IndexError):
        queue.pop()


def test_full_classes_share_by_weight() -> None:
    queue: FairQueue[str] = FairQueue()
    for priority in WEIGHTS:
        for _ in range(1500):
            queue.push(priority, priority, "t")
    got = Counter(queue.pop() for _ in range(1500))
    assert got == {name: 1500 * weight // sum(WEIGHTS.values()) for name, weight in WEIGHTS.items()}


@given(st.lists(st.tuples(CLASSES, st.sampled_from("abcd")), min_size=1, max_size=30))
def test_nobody_starves(flood: list[tuple[str, str]]) -> None:
    """However full the others are kept, one record of the lowest class comes out within a bounded number of turns."""
    queue: FairQueue[str] = FairQueue()
    queue.push("mine", "low", "quiet")
    tenants = len({t for p, t in flood if p == "low"}) + 1
    popped = []
    for _ in range(tenants * (sum(WEIGHTS.values()) + 2)):
        for priority, tenant in flood:
            queue.push("other", priority, tenant)
        popped.append(queue.pop())
    assert "mine" in popped


def test_tenants_of_a_class_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        queue.push("loud", "normal", "loud")
    queue.push("quiet", "normal", "quiet")
    assert "quiet" in [queue.pop() for _ in range(2)]


def test_a_class_that_was_empty_has_no_credit_saved() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(300):
        queue.push("low", "low", "t")
    for _ in range(100):
        queue.pop()
    for _ in range(100):
        queue.push("normal", "normal", "t")
    first = [queue.pop() for _ in range(30)]
    assert 19 <= first.count("normal") <= 21


@given(st.lists(st.tuples(CLASSES, st.sampled_from("abc"), st.booleans())))
def test_dropping_removes_what_is_gone_and_only_that(pushed: list[tuple[str, str, bool]]) -> None:
    queue: FairQueue[tuple[int, bool]] = FairQueue()
    for n, (priority, tenant, gone) in enumerate(pushed):
        queue.push((n, gone), priority, tenant)
    queue.drop_where(lambda item: item[1])
    left = {queue.pop()[0] for _ in range(len(queue))}
    assert left == {n for n, (_, _, gone) in enumerate(pushed) if not gone}
