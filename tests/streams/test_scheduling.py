"""The fair queue: weights hold, nobody starves, nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.scheduling import PATIENCE_S, WEIGHTS, FairQueue

CLASSES = st.sampled_from([*WEIGHTS, "unknown"])


@given(st.lists(st.tuples(CLASSES, st.sampled_from("abc"))))
def test_everything_comes_out_once_and_in_order_within_its_tenant(pushed: list[tuple[str, str]]) -> None:
    queue: FairQueue[tuple[int, str, str]] = FairQueue()
    for n, (priority, tenant) in enumerate(pushed):
        queue.push((n, priority, tenant), priority, tenant)
    assert len(queue) == len(pushed)
    for priority in WEIGHTS:
        assert queue.size(priority) == sum(p == priority for p, _ in pushed)
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


def test_full_classes_share_by_cost_not_by_count() -> None:
    queue: FairQueue[str] = FairQueue()
    for priority, cost in (("high", 5.0), ("normal", 1.0)):
        for _ in range(2000):
            queue.push(priority, priority, "t", cost=cost)
    got = Counter(queue.pop() for _ in range(1400))
    assert got["high"] * 5 / got["normal"] == pytest.approx(WEIGHTS["high"] / WEIGHTS["normal"], rel=0.02)


def test_a_favoured_class_has_at_most_double_its_weight() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.favour("normal", 7)
    for priority in WEIGHTS:
        for _ in range(1700):
            queue.push(priority, priority, "t")
    got = Counter(queue.pop() for _ in range(1700))
    assert got == {"critical": 800, "high": 400, "normal": 400, "low": 100}


@given(
    st.lists(st.tuples(CLASSES, st.sampled_from("abcd"), st.floats(0.1, 3.0)), min_size=1, max_size=30),
    st.dictionaries(CLASSES, st.floats(0, 9)),
    CLASSES,
    st.integers(0, 60),
)
def test_nobody_starves(flood: list[tuple[str, str, float]], factors: dict[str, float], mine: str, history: int) -> None:
    """However full the others are kept, whatever they are favoured with and whatever was before: a class is served within its bound (F2)."""
    queue: FairQueue[tuple[str, float]] = FairQueue()

    def fill() -> None:
        for priority, tenant, cost in flood:
            if priority != mine:
                queue.push((priority, cost), priority, tenant, cost=cost)

    for name, factor in factors.items():
        queue.favour(name, factor)
    for _ in range(history):
        fill()
        queue.push((mine, 1.0), mine, "quiet")
        queue.pop()
    others = sorted({p for p, _, _ in flood} - {mine})
    queue.push((mine, 1.0), mine, "quiet")
    largest = max(1.0, *(cost for _, _, cost in flood))
    bound = largest * sum(1 + 2 * WEIGHTS.get(p, 1) / WEIGHTS.get(mine, 1) for p in others)
    served = 0.0
    while True:
        fill()
        priority, cost = queue.pop()
        if priority == mine:
            break
        served += cost
        assert served <= bound + 1e-6


@given(st.integers(1, 40), st.integers(1, 200))
def test_no_tenant_of_a_class_waits_for_another_tenants_backlog(tenants: int, backlog: int) -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(backlog):
        for n in range(tenants):
            queue.push(f"loud-{n}", "normal", f"loud-{n}")
    queue.push("quiet", "normal", "quiet")
    assert "quiet" in [queue.pop() for _ in range(tenants + 1)]


def test_nobody_clears_its_account_by_pausing() -> None:
    """A tenant whose records cost ten gets a tenth as many, even if it hands them over one at a time."""
    queue: FairQueue[str] = FairQueue()
    queue.push("dear", "normal", "dear", cost=10)
    for _ in range(2000):
        queue.push("cheap", "normal", "cheap", cost=1)
    got: Counter[str] = Counter()
    for _ in range(1100):
        item = queue.pop()
        got[item] += 1
        if item == "dear":
            queue.push("dear", "normal", "dear", cost=10)
    assert got["cheap"] / got["dear"] == pytest.approx(10, rel=0.05)


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


def test_what_is_due_first_goes_first_but_never_before_what_waited_longer_than_patience() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("plain at 0", "high", "t", due=0 + PATIENCE_S)
    queue.push("due at 50", "high", "t", due=50)
    queue.push("due at 20", "high", "t", due=20)
    queue.push("due after patience", "high", "t", due=PATIENCE_S + 1)
    assert [queue.pop() for _ in range(4)] == ["due at 20", "due at 50", "plain at 0", "due after patience"]


@given(st.lists(st.tuples(CLASSES, st.sampled_from("abc"), st.booleans())), st.integers(0, 10))
def test_taking_out_removes_what_is_wanted_and_only_that(pushed: list[tuple[str, str, bool]], served: int) -> None:
    queue: FairQueue[tuple[int, bool]] = FairQueue()
    for n, (priority, tenant, gone) in enumerate(pushed):
        queue.push((n, gone), priority, tenant)
    before = {queue.pop()[0] for _ in range(min(served, len(queue)))}
    taken = queue.take_where(lambda item: item[1])
    assert {n for n, _ in taken} == {n for n, (_, _, gone) in enumerate(pushed) if gone} - before
    for priority in {p for p, _, _ in pushed}:
        assert queue.size(priority) == sum(p == priority and not g and n not in before for n, (p, _, g) in enumerate(pushed))
    left = {queue.pop()[0] for _ in range(len(queue))}
    assert left == {n for n, (_, _, gone) in enumerate(pushed) if not gone} - before


def test_tenants_that_come_once_are_not_remembered_for_ever() -> None:
    queue: FairQueue[int] = FairQueue()
    for n in range(5000):
        queue.push(n, "low", f"tenant-{n}")
        assert queue.pop() == n
    assert len(queue._classes["low"].idle) < 200
