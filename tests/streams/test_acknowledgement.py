"""``Window`` against a model, and the known bugs of other libraries against the same checks: each of them is caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from streams.acknowledgement import Window


class Model:
    """What is true, said naively: sets of offsets, everything recomputed from them."""

    def __init__(self) -> None:
        self.delivered: dict[int, int] = {}
        self.finished: set[int] = set()
        self.retired = False

    def committable(self) -> int | None:
        if self.retired or not self.delivered:
            return None
        open_ = set(self.delivered) - self.finished
        return min(open_) if open_ else max(self.delivered) + 1


class Machine(RuleBasedStateMachine):
    make: Callable[[], Any] = lambda self: Window("t", 0)

    def __init__(self) -> None:
        super().__init__()
        self.window = self.make()
        self.model = Model()
        self.next = 0
        self.last: int | None = None

    @rule(gap=st.integers(0, 3), size=st.integers(0, 100))
    def deliver(self, gap: int, size: int) -> None:
        offset = self.next + gap  # a gap: compacted away, or a transaction marker
        fresh = self.window.deliver(offset, size, 1)
        assert fresh is not self.model.retired
        if fresh:
            self.model.delivered[offset] = size
        self.next = offset + 1

    @precondition(lambda self: self.model.delivered)
    @rule(data=st.data())
    def deliver_again(self, data: Any) -> None:
        assert not self.window.deliver(data.draw(st.sampled_from(sorted(self.model.delivered))), 5)

    @rule(offset=st.integers(0, 60))
    def finish(self, offset: int) -> None:
        """Any order, again and again, offsets never delivered among them: stale completions of an earlier assignment."""
        size = self.window.done(offset)
        expected = offset in self.model.delivered and offset not in self.model.finished and not self.model.retired
        assert (size == self.model.delivered[offset]) if expected else (size is None)
        if expected:
            self.model.finished.add(offset)

    @rule()
    def retire(self) -> None:
        open_ = [] if self.model.retired else [s for o, s in self.model.delivered.items() if o not in self.model.finished]
        assert self.window.retire() == (len(open_), sum(open_))
        self.model.retired = True

    @invariant()
    def commits_what_may_be_committed(self) -> None:
        now = self.window.committable
        assert now == self.model.committable()
        if now is not None:
            assert self.last is None or now >= self.last
            self.last = now

    @invariant()
    def counts_what_is_in_flight(self) -> None:
        open_ = {} if self.model.retired else {o: s for o, s in self.model.delivered.items() if o not in self.model.finished}
        assert (self.window.in_flight, self.window.bytes_in_flight) == (len(open_), sum(open_.values()))
        assert (self.window.oldest_ms is None) == (not open_)


TestWindow = Machine.TestCase
TestWindow.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# ---- the bugs of others, as windows of our shape --------------------------------------------------------------------------


class CommitsPastInFlight(Window):
    """faust 606: of out-of-order acknowledgements the highest consecutive run is committed, whatever is in flight before it."""

    __slots__ = ("_acked",)

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._acked: list[int] = []

    def done(self, offset: int) -> int | None:
        size = super().done(offset)
        if size is not None:
            self._acked.append(offset)
        return size

    @property
    def committable(self) -> int | None:
        if not self._acked:
            return super().committable
        run = sorted(self._acked)
        end = run[0]
        for offset in run:
            if offset > end:
                break
            end = offset + 1
        return end


class GapSwallowsNext(Window):
    """faust's compaction gap: reading 4 and then 9 notes 5 to 9 as the gap, and with it the record that ended it."""

    __slots__ = ()

    def deliver(self, offset: int, size: int = 0, timestamp: int = 0) -> bool:
        gap = self._next is not None and offset > self._next
        fresh = super().deliver(offset, size, timestamp)
        if fresh and gap:
            self._in_flight.pop(offset)
            self.bytes_in_flight -= size
        return fresh


class WaitsForGaps(Window):
    """faust 596: an offset that nobody ever delivers is waited for, and nothing is committed any more."""

    __slots__ = ("_acked",)

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._acked: set[int] = set()

    def done(self, offset: int) -> int | None:
        self._acked.add(offset)
        return super().done(offset)

    @property
    def committable(self) -> int | None:
        end = super().committable
        return None if end is None else next((o for o in range(end) if o not in self._acked), end)


class StaleCompletionCounts(Window):
    """parallel-consumer 857, 547: work of an earlier assignment completes into the state of the present one."""

    __slots__ = ()

    def retire(self) -> tuple[int, int]:
        return len(self._in_flight), self.bytes_in_flight


class SkipsAfterRedelivery(Window):
    """parallel-consumer 875: a record polled again counts as new, and then stalls the partition or is skipped."""

    __slots__ = ()

    def deliver(self, offset: int, size: int = 0, timestamp: int = 0) -> bool:
        if self._next is not None and offset < self._next:
            self._in_flight[offset] = (size, timestamp)
            self.bytes_in_flight += size
            return False
        return super().deliver(offset, size, timestamp)


@pytest.mark.parametrize("bug", [CommitsPastInFlight, GapSwallowsNext, WaitsForGaps, StaleCompletionCounts, SkipsAfterRedelivery])
def test_the_known_bugs_of_others_are_caught(bug: type[Window]) -> None:
    class Buggy(Machine):
        make = lambda self: bug("t", 0)  # noqa: E731

    checks = settings(max_examples=500, stateful_step_count=25, deadline=None, database=None, report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Buggy, settings=checks)


def test_a_failed_commit_is_tried_again() -> None:
    """faust 316: what was handed to the broker is only a note, and forgetting it makes the same offset due again."""
    window = Window("t", 0)
    window.deliver(0)
    window.done(0)
    window.committed = window.committable
    window.committed = None  # the broker's answer was an error
    assert window.committable == 1 != window.committed


@given(st.permutations(range(12)))
def test_whatever_the_order_all_done_commits_the_end(order: list[int]) -> None:
    window = Window("t", 0)
    for offset in range(12):
        window.deliver(offset)
    for n, offset in enumerate(order):
        window.done(offset)
        assert window.committable == min(set(range(12)) - set(order[: n + 1]), default=12)


def test_what_arrives_while_a_partition_is_taken_away_is_the_next_owners() -> None:
    window = Window("t", 0)
    assert window.deliver(5)
    window.close()
    assert not window.deliver(6)
    assert (window.committable, window.in_flight) == (5, 1)
    window.done(5)
    assert window.committable == 6
