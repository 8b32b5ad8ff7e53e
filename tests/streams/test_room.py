"""How much may be in hand: counted by two threads, each for itself."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from streams.room import Room


@given(st.integers(1, 20), st.integers(100, 1000), st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=60))
def test_no_more_is_taken_than_there_is_room_for(records: int, size: int, moves: list[tuple[bool, int]]) -> None:
    """Whatever is taken and given back: records never pass their bound; bytes only by a record larger than the mean so far."""
    room, in_hand, largest = Room(records, size, 100), [], 0
    for taking, number in moves:
        left = room.left()
        if not taking and in_hand:
            room.give_back(1, in_hand.pop(number % len(in_hand)))
        elif taking and left:
            in_hand.append(number)
            largest = max(largest, number)
            room.take(1, number)
        assert room.in_hand == len(in_hand) <= records
        assert sum(in_hand) < size + largest
        assert (room.left() > 0) == (len(in_hand) < records and sum(in_hand) < size)
        assert room.left() <= records - len(in_hand) or not room.left()


def test_who_waits_for_room_hears_of_it_when_a_quarter_is_free() -> None:
    room = Room(4, 1000, 10)
    room.take(4, 4)
    found: list[bool] = []
    waits = threading.Thread(target=lambda: found.append(room.wait(20)))
    waits.start()
    while not room.starved:
        pass
    room.give_back(1, 1)
    assert room.starved and not found, "a moment's room is not worth a turn"
    room.give_back(1, 1)
    waits.join(20)
    assert found == [True] and not room.starved


def test_room_that_is_there_already_is_not_waited_for_and_closed_room_is_none() -> None:
    room = Room(4, 1000, 10)
    assert room.wait(0) and room.left() == 4
    room.close()
    assert not room.wait(20) and room.left() == 0
    room.give_back(0, 0)
    assert room.left() == 0
