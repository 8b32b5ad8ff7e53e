"""What stands beside the scored part of a features file: layout, gestures, and what use says about looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from processors.extract import behaviour, layout
from processors.extract.change import Change
from processors.extract.geometry import Box
from processors.extract.gestures import gestures
from processors.extract.page import Element
from processors.extract.scene import Action
from processors.extract.segment import Entry
from processors.extract.watch import Moment, Watch


def element(kind: str, box: Box, text: str = "", confidence: float = 0.9) -> Element:
    return Element(kind, box, text, confidence)


def entry(start: float, end: float, *things: Element, possible: tuple[Element, ...] = ()) -> Entry:
    return Entry(start, end, 0, "", "#ffffff", (), (), things, possible, "")


def kinds(node: dict[str, Any]) -> Any:
    return (node["kind"], [kinds(n) for n in node["items"]]) if "items" in node else node["id"]


def test_layout_is_rows_in_columns_with_their_gaps() -> None:
    buttons = [element("button", (20 + 100 * n, 100, 80, 30)) for n in range(3)]
    tree = layout.tree([element("heading", (20, 20, 300, 30)), *buttons], [], 400, 300)
    assert kinds(tree["inside"]) == ("column", ["e0", ("row", ["e1", "e2", "e3"])])
    assert tree["inside"]["gap"] == 50
    row = tree["inside"]["items"][1]
    assert row["gap"] == 20 and row["repeated"] is True
    assert sorted(layout.gaps(tree)) == [20, 50]


def test_layout_nests_what_stands_in_a_card() -> None:
    card, button = element("card", (10, 10, 300, 200)), element("button", (30, 150, 80, 30))
    tree = layout.tree([card, button], [(30, 40, 100, 14), (350, 40, 30, 14)], 400, 300)
    assert tree["inside"]["kind"] == "row"
    inner, beside = tree["inside"]["items"]
    assert inner["kind"] == "box" and inner["id"] == "e0" and kinds(inner["inside"]) == ("column", ["t0", "e1"])
    assert beside["id"] == "t1"


def test_what_cannot_be_cut_is_a_stack() -> None:
    things = [element("image", (0, 0, 60, 60)), element("image", (30, 30, 60, 60))]
    assert layout.tree(things, [], 100, 100)["inside"]["kind"] == "stack"


def test_a_place_that_was_typed_into_is_a_field() -> None:
    box = (100, 50, 200, 30)
    typed = Action(2.0, "type", 3.0, region=(108, 56, 40, 16))
    before, other = entry(0, 1.9, element("button", box)), entry(3, 9, element("button", box), element("link", (0, 0, 50, 20)))
    found = behaviour.revised([before, other], ["A", "A"], [typed], 640)
    assert [e.kind for f in found for e in f.elements] == ["input", "input", "link"]
    elsewhere = behaviour.revised([before, other], ["A", "B"], [typed], 640)
    assert [e.kind for e in elsewhere[1].elements] == ["button", "link"]


def test_what_was_only_possible_is_one_where_it_was_clicked() -> None:
    perhaps = element("link", (20, 20, 60, 20), "More", 0.2)
    screens = [entry(0, 1.9, possible=(perhaps,)), entry(2.5, 9, possible=(perhaps,)), entry(9, 12)]
    click = Action(2.0, "click", 2.1, 40, 30)
    found = behaviour.revised(screens, ["A", "A", "A"], [click], 640)
    assert [[e.text for e in f.elements] for f in found] == [["More"], ["More"], []]
    assert behaviour.revised(screens, ["A"] * 3, [replace(click, x=300.0)], 640) == screens


def moment(t: float, box: Box) -> Moment:
    return Moment(t, round(t * 30), Change((box,), 0.01, None, False), None, 0, None)


TRACK: list[tuple[float, float | None, float | None]] = [(0.0, 10.0, 10.0), (1.0, 120.0, 60.0), (3.0, 500.0, 300.0)]


def test_pointing_at_what_answers_is_a_hover() -> None:
    button = element("button", (100, 50, 80, 30))
    seen = Watch([moment(1.02, (100, 50, 80, 30))], TRACK, 300, 10.0)
    (hover,) = gestures(seen, [entry(0, 10, button)], [])
    assert (hover.kind, hover.x, hover.y, hover.region) == ("hover", 120.0, 60.0, button.box)
    assert gestures(seen, [entry(0, 10, button)], [Action(1.5, "click", 1.6, 120, 60)]) == []
    elsewhere = Watch([moment(1.02, (300, 200, 80, 30))], TRACK, 300, 10.0)
    assert gestures(elsewhere, [entry(0, 10, button)], []) == []


def test_a_list_that_then_says_something_else_was_chosen_from() -> None:
    box = (100, 50, 200, 30)
    screens = [
        entry(0, 1, element("select", box, "Small")),
        entry(1.2, 2, element("select", box, "Small")),
        entry(2.4, 9, element("select", box, "Large")),
    ]
    clicks = [Action(1.1, "click", 1.15, 150, 60), Action(2.1, "click", 2.2, 150, 120)]
    (chosen,) = gestures(Watch(duration=9.0), screens, clicks)
    assert (chosen.kind, chosen.text, chosen.t) == ("select", "Large", 2.1)
    assert gestures(Watch(duration=9.0), [*screens[:2], replace(screens[2], elements=screens[0].elements)], clicks) == []


def test_two_answers_in_one_place_are_a_double_click() -> None:
    click = Action(2.0, "click", 2.1, 120, 60)
    twice = Watch([moment(2.03, (100, 50, 80, 30)), moment(2.25, (100, 50, 80, 30))], TRACK, 300, 10.0)
    assert [a.kind for a in gestures(twice, [], [click])] == ["double_click"]
    once = Watch([moment(2.03, (100, 50, 80, 30))], TRACK, 300, 10.0)
    assert gestures(once, [], [click]) == []
