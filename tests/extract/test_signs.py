from __future__ import annotations

import cv2
import numpy as np

from processors.extract.line import Line
from processors.extract.recognise import Glyph, Reading
from processors.extract.signs import without_signs


def picture(width: int = 120) -> np.ndarray:
    return np.full((24, width, 3), 255, np.uint8)


def write(image: np.ndarray, text: str, x: int) -> list[Glyph]:
    """Letters ten pixels wide, capitals ten high on row 16; where each stands."""
    out = []
    for n, char in enumerate(text):
        cv2.putText(image, char, (x + 10 * n, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
        out.append(Glyph(char, x + 10 * n + 4, 0.99))
    return out


def magnifier(image: np.ndarray, x: int) -> None:
    cv2.circle(image, (x + 6, 10), 6, (30, 30, 30), 1, cv2.LINE_AA)
    cv2.line(image, (x + 10, 14), (x + 15, 19), (30, 30, 30), 2)


def line(image: np.ndarray, glyphs: list[Glyph]) -> Line:
    return Line((40, 100, image.shape[1], image.shape[0]), Reading("".join(g.char for g in glyphs), 0.99, tuple(glyphs)))


def test_a_magnifier_before_a_label_is_no_letter() -> None:
    image = picture()
    magnifier(image, 4)
    glyphs = [Glyph("Q", 11, 0.99), Glyph(" ", 24, 0.9), *write(image, "FIND", 34)]
    found = without_signs(image, line(image, glyphs))
    assert found is not None and found.text == "FIND"
    assert 60 < found.box[0] < 76 and found.box[0] + found.box[2] == 160  # its left edge has moved to the letters
    assert [round(g.x + found.box[0]) for g in found.reading.glyphs] == [round(g.x + 40) for g in glyphs[2:]]


def test_a_letter_of_the_lines_own_size_stays_wherever_it_stands() -> None:
    for text in ("A NAME", "STEP 2", "X"):
        image = picture()
        glyphs = [Glyph(" ", g.x, 0.9) if g.char == " " else g for g in write(image, text, 6)]
        assert without_signs(image, line(image, glyphs)) == line(image, glyphs)


def test_a_chevron_alone_is_no_v_and_a_digit_in_a_frame_stays() -> None:
    image = picture(20)
    cv2.polylines(image, [np.array([[4, 9], [9, 14], [14, 9]], np.int32)], False, (30, 30, 30), 2)
    assert without_signs(image, line(image, [Glyph("V", 9, 0.99)])) is None
    image = picture(40)
    cv2.rectangle(image, (3, 2), (36, 21), (90, 90, 90), 1)
    glyphs = write(image, "1", 16)
    assert without_signs(image, line(image, glyphs)) == line(image, glyphs)
    assert without_signs(image, line(image, [Glyph("1", 20, 0.4)])) is None  # not even the recogniser believed it


def test_a_nought_is_no_frame_about_the_codecs_noise() -> None:
    image = picture(20)
    cv2.ellipse(image, (10, 12), (6, 9), 0, 0, 360, (30, 30, 30), 4)  # bold: more than half of the picture
    image[11:13, 10] = 120
    glyphs = [Glyph("0", 10, 0.95)]
    assert without_signs(image, line(image, glyphs)) == line(image, glyphs)
