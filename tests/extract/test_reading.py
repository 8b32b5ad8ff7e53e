"""What need not be read again: known screens, moved ones, lines that look like others. No networks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from processors.extract.carried import Page, carried, ink
from processors.extract.line import Line
from processors.extract.lookat import bands, unread
from processors.extract.memory import Known, Memory, picture_of, shifted
from processors.extract.recognise import Glyph, Reading

ROWS = [
    f"{name} {n}"
    for n, name in enumerate(["Copper", "Walnut", "Indigo", "Falcon", "Harbor", "Meadow", "Quartz", "Saffron", "Tundra", "Violet"] * 3)
]


def tall(rows: list[str]) -> np.ndarray:
    """A page far higher than the screen, a row of text each 40 pixels."""
    image = np.full((40 * len(rows) + 80, 640), 255, np.uint8)
    for n, row in enumerate(rows):
        cv2.putText(image, row, (60, 60 + 40 * n), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 20, 1, cv2.LINE_AA)
    return image


def lines(rows: list[str], top: int, height: int = 360) -> list[Line]:
    """Its lines as a screen shows them that begins at row ``top``; those that are cut, too."""
    out = [Line((55, 44 - top + 40 * n, 130, 22), Reading(row, 0.99, ())) for n, row in enumerate(rows)]
    return [line for line in out if line.box[1] + 22 > 0 and line.box[1] < height]


def screen(page: np.ndarray, top: int, head: np.ndarray | None = None) -> np.ndarray:
    out = page[top : top + 360].copy()
    if head is not None:
        out[: len(head)] = head
    return out


def test_a_screen_that_comes_again_is_known() -> None:
    page = tall(ROWS)
    other = Page(tall(ROWS[::-1])[:360], None, lines(ROWS[::-1], 0))
    kept, unknown = carried([other, Page(screen(page, 0), None, lines(ROWS, 0))], screen(page, 0), None)
    assert not unknown.any()
    assert [line.text for line in kept] == [line.text for line in lines(ROWS, 0)]


def test_a_scrolled_page_is_read_where_it_is_new() -> None:
    head = np.full((48, 640), 60, np.uint8)
    cv2.putText(head, "Inventory", (20, 27), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 250, 1, cv2.LINE_AA)
    page = tall(ROWS)
    title = Line((15, 8, 110, 26), Reading("Inventory", 0.99, ()))
    before = Page(screen(page, 100, head), None, [title, *(line for line in lines(ROWS, 100) if line.box[1] >= 50)])
    after = screen(page, 220, head)
    for dy in (120, 0):  # told, or found by itself
        kept, unknown = carried([before], after, None, dy)
        mask, stay = unread(unknown, ink(after), kept)
        assert {line.text for line in stay} == {"Inventory", *ROWS[6:10]}, "the row that was cut before is read"
        assert mask[:200].mean() < 0.1 and mask[300:].mean() > 0.1
        assert all(line.box == now.box for line in stay for now in lines(ROWS, 220) if line.text == now.text)
        looked_at = bands(ink(after) & mask)
        assert looked_at and sum(b.box[2] * b.box[3] for b in looked_at) < 0.25 * after.size


def test_a_line_that_changed_in_part_is_read_whole() -> None:
    page = tall(ROWS)[:360]
    after = page.copy()
    cv2.putText(after, "!", (150, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 20, 2, cv2.LINE_AA)
    kept, unknown = carried([Page(page, None, lines(ROWS, 0))], after, None)
    mask, stay = unread(unknown, ink(after), kept)
    assert ROWS[0] not in {line.text for line in stay} and ROWS[1] in {line.text for line in stay}
    x, y, w, h = lines(ROWS, 0)[0].box
    assert mask[y : y + h, x : x + w].all()


def test_a_page_is_cut_where_it_is_empty_and_frames_hold_nothing_together() -> None:
    image = np.full((360, 640), 255, np.uint8)
    cv2.rectangle(image, (4, 4), (635, 355), 120, 1)
    for x, y in ((40, 60), (420, 300)):
        cv2.putText(image, "Total", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1, cv2.LINE_AA)
    looked_at = bands(ink(image))
    assert len(looked_at) == 2
    assert sum(b.box[2] * b.box[3] for b in looked_at) < 0.1 * image.size
    assert all(b.core[0] >= b.box[0] and b.core[1] >= b.box[1] for b in looked_at)
    assert bands(np.zeros((360, 640), bool)) == []


def written(word: str, x: int = 8, grey: int = 30, noise: int = 0) -> Known:
    cut = np.full((26, 120, 3), 250, np.uint8)
    cv2.putText(cut, word, (x, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (grey, grey, grey), 1, cv2.LINE_AA)
    shake = np.random.default_rng(3).integers(-noise, noise + 1, cut.shape)
    return picture_of(np.clip(cut.astype(int) + shake, 0, 255).astype(np.uint8))


def test_lines_that_look_alike_are_one_and_others_are_not() -> None:
    memory = Memory()
    first = written("10:54:00")
    first.reading = Reading("10:54:00", 0.99, (Glyph("1", 12.0, 0.99),))
    memory.add(first)
    assert memory.find(written("10:54:00", noise=6)) == (first, 0)
    aside = memory.find(written("10:54:00", x=10, noise=6))
    assert aside is not None and aside[1] == -2
    assert shifted(first.reading, aside[1]).glyphs[0].x == 14.0
    assert shifted(first.reading, 0) == first.reading == replace(first.reading)
    for other in ("10:54:06", "10:54:08", "10;54:00", "10:54:0", "10.54:00"):
        assert memory.find(written(other)) is None
    faint = Memory()
    faint.add(written("10:54:00", grey=200))
    assert faint.find(written("10:54:06", grey=200)) is None and faint.find(written("10:54:00", grey=200)) is not None
