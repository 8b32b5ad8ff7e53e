"""Regions, tables, elements and style on drawn pages."""

from __future__ import annotations

import cv2
import numpy as np

from processors.extract import elements, regions, style, tables
from processors.extract.candidates import PIECE, SIGN, candidates
from processors.extract.geometry import Box, iou
from processors.extract.identity import _label
from processors.extract.line import Line
from processors.extract.page import Page
from processors.extract.recognise import Glyph, Reading, spaced
from processors.extract.rules import by_rules


def written(image: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int] = (30, 30, 30)) -> elements.Text:
    """Draw a word and give it as the reader would."""
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    glyphs = tuple(Glyph(c, (n + 0.5) * w / len(text), 0.99) for n, c in enumerate(text))
    made = Line((x - 3, y - h - 4, w + 6, h + base + 8), Reading(text, 0.99, glyphs))
    return elements.Text(made, style.look(image, made))


def blank() -> np.ndarray:
    return np.full((400, 700, 3), 255, np.uint8)


def test_button_and_field_are_told_apart() -> None:
    image = blank()
    cv2.rectangle(image, (50, 50), (169, 85), (200, 110, 20), -1)
    cv2.rectangle(image, (50, 120), (449, 157), (180, 180, 180), 1)
    texts = [written(image, "Save", 92, 73, (255, 255, 255)), written(image, "your name", 62, 144, (120, 120, 120))]
    found = {e.kind: e.box for e in elements.find(image, texts, regions.regions(image))}
    assert iou(found["button"], (50, 50, 120, 36)) > 0.9
    assert iou(found["input"], (50, 120, 400, 38)) > 0.9


def test_check_boxes_know_their_state() -> None:
    image = blank()
    cv2.rectangle(image, (60, 60), (75, 75), (120, 120, 120), 1)
    cv2.rectangle(image, (60, 100), (75, 115), (200, 110, 20), -1)
    cv2.polylines(image, [np.array([[63, 107], [66, 111], [72, 103]], np.int32)], False, (255, 255, 255), 2)
    found = [(e.box, e.checked) for e in elements.find(image, [], regions.regions(image)) if e.kind == "checkbox"]
    assert [c for _, c in sorted(found, key=lambda f: f[0][1])] == [False, True]


def test_link_by_colour_in_the_middle_of_a_line() -> None:
    image = blank()
    first = written(image, "see the", 40, 100)
    x = first.ink[0] + first.ink[2] + 8
    cv2.putText(image, "manual", (x, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (220, 90, 10), 1, cv2.LINE_AA)
    (w, h), base = cv2.getTextSize("manual", cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    text, width = "see the manual", x + w - 37
    spots = [*np.linspace(5, first.ink[2], 7), first.ink[2] + 6, *np.linspace(x - 37 + 4, width - 4, 6)]
    whole = Line(
        (37, 100 - h - 4, width + 6, h + base + 8),
        Reading(text, 0.99, tuple(Glyph(c, float(s), 0.99) for c, s in zip(text, spots, strict=True))),
    )
    found = elements.find(image, [elements.Text(whole, style.look(image, whole))], [])
    assert [e.text for e in found if e.kind == "link"] == ["manual"]


def test_table_by_rows_columns_and_rules() -> None:
    inks: list[Box] = [(60 + 150 * c, 60 + 40 * r, 50 + 5 * c, 12) for r in range(4) for c in range(3)]
    rules: list[Box] = [(50, 85 + 40 * r, 480, 1) for r in range(3)]
    (box,) = tables.find(inks, rules, [])
    assert iou(box, (50, 50, 480, 152)) > 0.8
    assert tables.find(inks, [], []) == []


def test_grid_of_cells_is_a_table() -> None:
    cells: list[Box] = [(10 + 100 * c, 20 + 30 * r, 100, 30) for r in range(4) for c in range(3)]
    assert tables.grids(cells) == [(10, 20, 300, 120)]
    assert tables.grids(cells[:3]) == []


def test_colours_and_size_are_measured() -> None:
    image = np.full((60, 200, 3), (40, 30, 20), np.uint8)
    text = written(image, "Hxg", 20, 40, (250, 240, 230))
    assert text.look.background == (40, 30, 20)
    assert max(abs(a - b) for a, b in zip(text.look.colour, (250, 240, 230), strict=True)) < 25
    assert 11 <= text.look.font_size <= 20


def test_blanks_are_put_where_letters_stand_far_apart() -> None:
    image = blank()[:40, :200]
    for x in (10, 20, 90, 100):
        cv2.rectangle(image, (x, 10), (x + 6, 28), (0, 0, 0), -1)
    glyphs = tuple(Glyph(c, float(x), 0.9) for c, x in zip("abcd", (13, 23, 93, 103), strict=True))
    assert spaced(Reading("abcd", 0.9, glyphs), image, np.zeros(9), 8.0).text == "ab cd"


def bars(*lefts: int, grey: int = 0) -> np.ndarray:
    """A line of letters that are bars, 7 pixels wide and 20 high."""
    image = blank()[:40, :200]
    for x in lefts:
        cv2.rectangle(image, (x, 10), (x + 6, 29), (grey, grey, grey), -1)
    return image


def test_a_narrow_gap_is_a_blank_where_the_network_nearly_said_so() -> None:
    image, glyphs = bars(10, 19, 34, 43), tuple(Glyph(c, float(x), 0.9) for c, x in zip("abcd", (13, 22, 37, 46), strict=True))
    hint = np.zeros(9)
    assert spaced(Reading("abcd", 0.9, glyphs), image, hint, 8.0).text == "abcd"
    hint[3] = 0.2
    assert spaced(Reading("abcd", 0.9, glyphs), image, hint, 8.0).text == "ab cd"


def test_faint_letters_beside_a_strong_picture_stay_together() -> None:
    """An icon in the line is stronger than the letters: they are ink all the same, and no gap."""
    image = bars(10, 19, 28, 37, 46, 55, 64, grey=190)
    cv2.rectangle(image, (78, 10), (88, 29), (0, 0, 200), -1)
    glyphs = tuple(Glyph(c, float(13 + 9 * n), 0.9) for n, c in enumerate("abcdefg"))
    assert spaced(Reading("abcdefg", 0.9, glyphs), image, np.zeros(12), 8.0).text == "abcdefg"


def test_labels_count_like_columns_of_a_sheet() -> None:
    assert [_label(n) for n in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def test_panels_with_gaps_between_are_no_table() -> None:
    inks: list[Box] = [(60 + 150 * c, 60 + 60 * r, 50, 12) for r in range(5) for c in range(3)]
    touching: list[Box] = [(50, 36 + 60 * r, 480, 60) for r in range(5)]
    apart: list[Box] = [(50, 44 + 60 * r, 480, 44) for r in range(5)]
    assert len(tables.find(inks, [], touching)) == 1
    assert tables.find(inks, [], apart) == []


def test_field_with_a_mark_at_its_end_is_a_select_and_no_button() -> None:
    image = blank()
    cv2.rectangle(image, (50, 120), (449, 157), (180, 180, 180), 1)
    cv2.polylines(image, [np.array([[422, 136], [428, 142], [434, 136]], np.int32)], False, (60, 60, 60), 2)
    found = elements.find(image, [written(image, "One", 62, 144)], regions.regions(image))
    assert [e.kind for e in found if iou(e.box, (50, 120, 400, 38)) > 0.9] == ["select"]


def test_side_menu_has_links_under_one_another_and_names_of_groups_are_none() -> None:
    image = np.full((400, 1000, 3), 255, np.uint8)
    cv2.rectangle(image, (0, 0), (199, 399), (60, 45, 40), -1)
    light = (235, 235, 235)
    entries = [written(image, name, 30, 100 + 40 * n, light) for n, name in enumerate(("Users", "Orders", "Reports"))]
    group = written(image, "ADMIN", 30, 62, light)
    found = by_rules(Page(image, [group, *entries], regions.regions(image)))
    links = [e for e in found if e.kind == "link"]
    assert [e.text for e in links] == ["Users", "Orders", "Reports"]
    assert all(e.box[2] >= 195 and 36 <= e.box[3] <= 44 for e in links)


def test_panels_one_under_another_are_no_table_even_with_frames_in_them() -> None:
    inks: list[Box] = [(60 + 150 * c, 60 + 55 * r, 50 + 5 * c, 12) for r in range(4) for c in range(3)]
    panels: list[Box] = [(40, 46 + 55 * r, 500, 40) for r in range(4)]
    inner: Box = (38, 105, 504, 44)  # a frame about what the cursor is over
    assert tables.find(inks, [], [*panels, inner]) == []


def test_parts_of_a_path_are_guesses_of_their_own() -> None:
    image = blank()
    trail = written(image, "Home / Orders / 1042", 60, 40)
    found = candidates(Page(image, [trail], []), [])
    pieces = {c.words: c.box for c in found if c.how == PIECE}
    assert set(pieces) == {"Home", "Orders", "1042"}
    assert pieces["Home"][0] < pieces["Orders"][0] < pieces["1042"][0]
    assert pieces["Home"][0] + pieces["Home"][2] <= pieces["Orders"][0]


def test_icons_side_by_side_are_guesses_of_their_own() -> None:
    image = blank()
    lefts = [100 + 17 * n for n in range(3)]
    for left in lefts:  # crosses so near to one another that they are one mark
        cv2.line(image, (left, 60), (left + 12, 72), (40, 40, 40), 2)
        cv2.line(image, (left, 72), (left + 12, 60), (40, 40, 40), 2)
    signs = [c.box for c in candidates(Page(image, [], []), []) if c.how == SIGN]
    assert all(any(iou(b, (left, 60, 13, 13)) > 0.7 for b in signs) for left in lefts)


def test_a_gap_that_the_network_saw_is_no_blank_before_the_letter_beside_it() -> None:
    image = np.full((20, 60, 3), 255, np.uint8)
    for left in (2, 10, 24, 32):
        image[4:15, left : left + 6] = 0
    glyphs = (Glyph("a", 5, 1.0), Glyph("b", 19.5, 1.0), Glyph(" ", 21.5, 1.0), Glyph("c", 27, 1.0), Glyph("d", 35, 1.0))
    assert spaced(Reading("ab cd", 0.9, glyphs), image, np.zeros(9), 8.0).text == "ab cd"  # though b's peak lies beyond the gap's middle
