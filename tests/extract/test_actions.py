"""Actions from what was seen: no video, only moments."""

from __future__ import annotations

from processors.extract.actions import Screen, dots, infer
from processors.extract.change import Change
from processors.extract.geometry import Box
from processors.extract.line import Line
from processors.extract.recognise import Glyph, Reading
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
