"""Actions from what was seen: no video, only moments."""

from __future__ import annotations

from processors.extract.actions import infer
from processors.extract.change import Change
from processors.extract.geometry import Box
from processors.extract.keystrokes import dots
from processors.extract.line import Line
from processors.extract.recognise import Glyph, Reading
from processors.extract.scene import Screen
from processors.extract.watch import Moment, Watch


def line(text: str, x: int, y: int) -> Line:
    glyphs = tuple(Glyph(c, 4.0 + 8 * n, 0.99) for n, c in enumerate(text))
    return Line((x, y, 8 * len(text) + 8, 18), Reading(text, 0.99, glyphs))


def moment(t: float, *boxes: Box, caret: Box | None = None, dy: int = 0, share: float = 0.002) -> Moment:
    return Moment(t, round(t * 30), Change(boxes, share, caret, False), None, dy, boxes[0] if dy else None)


def watch(*moments: Moment, track: list[tuple[float, float | None, float | None]]) -> Watch:
    return Watch(list(moments), track, 300, 10.0)


RESTED: list[tuple[float, float | None, float | None]] = [(0.0, 300.0, 300.0), (1.0, 120.0, 80.0)]


def test_a_page_that_answers_a_resting_cursor_is_a_click() -> None:
    seen = watch(moment(1.2, (0, 0, 640, 360), share=0.5), track=RESTED)
    (action,) = infer(seen, [Screen(0, 1.1, []), Screen(1.2, 10, [])], 360)
    assert (action.kind, action.x, action.y) == ("click", 120.0, 80.0)
    assert abs(action.t - 1.2) < 0.1


def test_a_counter_elsewhere_is_no_click() -> None:
    seen = watch(moment(1.4, (500, 300, 20, 10)), moment(3.4, (500, 300, 20, 10)), track=RESTED)
    assert infer(seen, [Screen(0, 10, [])], 360) == []


def test_a_cursor_that_only_passes_clicks_nothing() -> None:
    track = [*RESTED, (1.25, 200.0, 90.0), (1.3, 260.0, 99.0)]
    seen = watch(moment(1.12, (100, 70, 60, 30), share=0.03), track=track)
    assert infer(seen, [Screen(0, 10, [])], 360) == []


def test_scroll_has_its_sum_and_its_start() -> None:
    whole = (0, 0, 640, 360)
    seen = watch(*(moment(2 + n / 30, whole, dy=40, share=0.6) for n in range(6)), track=RESTED)
    (action,) = infer(seen, [Screen(0, 1.9, []), Screen(2.3, 10, [])], 360)
    assert (action.kind, action.dy) == ("scroll", 240) and abs(action.t - 2.0) < 0.1


def typing(final: Line, before: Line | None = None) -> list[str | None]:
    letters = [moment(2 + n * 0.1, (104 + 8 * n, 72, 8, 17)) for n in range(len(final.text))]
    caret = moment(1.6, caret=(104, 72, 1, 17))
    seen = watch(moment(1.2, (100, 60, 200, 40), share=0.03), caret, *letters, track=RESTED)
    screens = [Screen(0, 1.1, []), Screen(1.3, 1.95, [before] if before else []), Screen(2.8, 10, [final])]
    return [a.text for a in infer(seen, screens, 360) if a.kind == "type"]


def test_typing_says_what_stands_there_now() -> None:
    assert typing(line("Lamp 7", 102, 72)) == ["Lamp 7"]


def test_typing_leaves_out_what_stood_there() -> None:
    assert typing(line("old new", 102, 72), before=line("old ", 102, 72)) == ["new"]


def test_a_password_is_dots() -> None:
    assert typing(line("......", 102, 72)) == ["••••••"]
    assert dots("●●●●") and not dots("a.b.c") and not dots(".")


def test_typing_is_told_by_the_field_where_the_page_answers_every_letter() -> None:
    """A search that narrows a list with each letter: what changes is large, and the letter is lost in it."""
    caret = moment(1.6, caret=(104, 72, 1, 17))
    answers = [moment(2.5 + n * 0.1, (100, 60, 400, 280), share=0.2) for n in range(4)]
    seen = watch(moment(1.2, (100, 60, 200, 40), share=0.03), caret, *answers, track=RESTED)
    empty, full = line("Find a harbour", 100, 72), line("oslo", 100, 72)
    screens = [Screen(0, 1.1, [empty]), Screen(1.3, 2.4, [empty, line("Brest", 100, 120)]), Screen(2.9, 10, [full, line("Oslo", 100, 120)])]
    typed = [a for a in infer(seen, screens, 360) if a.kind == "type"]
    assert [a.text for a in typed] == ["oslo"] and abs(typed[0].t - 2.5) < 0.2


def test_a_field_that_says_the_same_was_not_typed_into() -> None:
    caret = moment(1.6, caret=(104, 72, 1, 17))
    seen = watch(moment(1.2, (100, 60, 200, 40), share=0.03), caret, moment(2.5, (100, 60, 400, 280), share=0.2), track=RESTED)
    field = line("Find a harbour", 100, 72)
    screens = [Screen(0, 1.1, [field]), Screen(1.3, 2.4, [field]), Screen(2.9, 10, [field, line("Oslo", 100, 120)])]
    assert [a.kind for a in infer(seen, screens, 360)] == ["click"]


MENU = [line("Menu", 100, 72), line("Title", 300, 20)]
OPEN = [*MENU, line("Harbours", 100, 100), line("Vessels", 100, 130), line("Permits", 100, 160)]


def clicks_on_menu(after: list[Line]) -> int:
    seen = watch(moment(1.3, (90, 60, 200, 140), share=0.1), moment(3.0, (90, 60, 200, 140), share=0.1), track=RESTED)
    return len(infer(seen, [Screen(0, 1.2, MENU), Screen(1.4, 2.9, OPEN), Screen(3.1, 10, after)], 360))


def test_a_second_click_in_the_same_place_takes_back_the_first() -> None:
    assert clicks_on_menu(MENU) == 2


def test_a_later_part_of_an_answer_is_no_second_click() -> None:
    assert clicks_on_menu([*OPEN, line("Routes", 100, 190), line("Shifts", 100, 220)]) == 1


def test_a_small_answer_elsewhere_counts_where_the_cursor_pointed_at_something() -> None:
    """A button that lights up under the cursor, and a figure far from it."""
    lit, figure = moment(0.95, (100, 70, 60, 24)), moment(1.4, (500, 300, 20, 10))
    assert [a.kind for a in infer(watch(lit, figure, track=RESTED), [Screen(0, 10, [])], 360)] == ["click"]
    ticks = [moment(t, (500, 300, 20, 10)) for t in (0.1, 0.3)]
    assert infer(watch(*ticks, lit, figure, track=RESTED), [Screen(0, 10, [])], 360) == []
