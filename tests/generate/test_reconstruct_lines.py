"""Where lines are cut, and which rows are theirs: on pictures that are drawn here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from processors.generate.reconstruct.lines import cut_lines
from processors.generate.reconstruct.model import Box, Text
from processors.generate.reconstruct.pixels import Image

BLACK, BLUE, GREY, WHITE = (30, 30, 30), (200, 90, 20), (150, 150, 150), (255, 255, 255)
FACE = cv2.FONT_HERSHEY_SIMPLEX
SPACE = 6

Piece = tuple[str, tuple[int, int, int], float, int]
"""Text, colour (BGR), scale and thickness."""


def page() -> Image:
    return np.full((120, 700, 3), 255, np.uint8)


def draw(picture: Image, pieces: list[Piece], x: int = 20, baseline: int = 60) -> Box:
    """Write pieces one after the other, a space between them unless a piece begins with a mark; the box of all."""
    left = x
    for said, color, scale, thickness in pieces:
        if x > left and said[0] not in ",.":
            x += SPACE
        cv2.putText(picture, said, (x, baseline), FACE, scale, color, thickness, cv2.LINE_AA)
        x += cv2.getTextSize(said, FACE, scale, thickness)[0][0]
    return Box(left, baseline - 18, x - left, 25)


def cut(picture: Image, said: str, box: Box) -> list[str]:
    return [t.text for t in cut_lines([Text(said, box, font_size=16)], picture)]


@pytest.mark.parametrize(
    "pieces, expected",
    [
        ([("the list of all orders", BLACK, 0.5, 1)], ["the list of all orders"]),
        ([("read our", BLACK, 0.5, 1), ("guide", BLUE, 0.5, 1), ("or ask us", BLACK, 0.5, 1)], ["read our", "guide", "or ask us"]),
        ([("read the", BLACK, 0.5, 1), ("guide", BLUE, 0.5, 1), (", then", BLACK, 0.5, 1)], ["read the", "guide", ", then"]),
        ([("Orders", BLACK, 0.9, 2), ("of this week", BLACK, 0.45, 1)], ["Orders", "of this week"]),
        ([("orders", BLACK, 0.5, 1), ("people", GREY, 0.5, 1)], ["orders", "people"]),
    ],
    ids=["one look", "a link", "a comma after a link", "a heading and a remark", "written less strongly"],
)
def test_a_line_is_cut_where_its_look_changes_and_nowhere_else(pieces: list[Piece], expected: list[str]) -> None:
    picture = page()
    box = draw(picture, pieces)
    said = "".join((" " if k and p[0][0] not in ",." else "") + p[0] for k, p in enumerate(pieces))
    assert cut(picture, said, box) == expected


def test_what_stands_on_a_badge_is_a_text_of_its_own() -> None:
    picture = page()
    box = draw(picture, [("Release", BLACK, 0.6, 1)])
    cv2.rectangle(picture, (round(box.right) + 8, 42), (round(box.right) + 78, 66), (40, 140, 40), -1)
    cv2.putText(picture, "stable", (round(box.right) + 16, 58), FACE, 0.5, WHITE, 1, cv2.LINE_AA)
    assert cut(picture, "Release stable", Box(20, 40, box.w + 82, 28)) == ["Release", "stable"]


def test_rows_of_the_next_line_and_a_cursor_are_not_the_lines_own() -> None:
    picture = page()
    draw(picture, [("the first of two lines", BLACK, 0.5, 1)], baseline=40)
    draw(picture, [("and the second of them", BLACK, 0.5, 1)], baseline=58)
    (found,) = cut_lines([Text("and the second of them", Box(20, 36, 200, 34), font_size=28)], picture)
    assert found.box.y >= 44 and found.box.bottom <= 64 and found.font_size is not None and found.font_size < 20
    arrow = page()
    draw(arrow, [("Content", BLACK, 0.5, 1)], baseline=40)
    cv2.fillPoly(arrow, [np.array([(50, 38), (50, 58), (62, 50)])], (0, 0, 0))
    (covered,) = cut_lines([Text("Content", Box(20, 28, 66, 31), font_size=30)], arrow)
    assert covered.box.bottom <= 50
