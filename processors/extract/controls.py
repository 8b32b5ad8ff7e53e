"""Controls by their boxes: rules on what a region of one colour, with or without a frame, looks like and how it stands to its neighbours."""

from __future__ import annotations

import itertools

import numpy as np

from processors.extract.geometry import Box, area, centre, covered, inside, overlap, union
from processors.extract.page import VIVID, Element, Page, far, vivid
from processors.extract.pixels import gradient
from processors.extract.regions import Region

LARGEST_TICK = 24  # pixels that a check box or radio button is wide and high at most
WIDE_FIELD = 500  # pixels over which a row with a mark at its end is rather one that opens than a field
APART = 28  # pixels between two things that are no one label any more


def from_region(page: Page, r: Region) -> Element | None:
    _x, y, w, h = r.box
    lines = page.lines_in(r)
    if r.border is None and far(r.fill, r.outside) <= 10:
        return None
    if not lines and 9 <= w <= 28 and 9 <= h <= 28 and abs(w - h) <= 3:
        return _tick(page, r)
    if w < 20 or h < 15 or h > 0.6 * page.height or w > 0.98 * page.width:
        return None
    text = " ".join(page.texts[i].text for i in lines if centre(page.texts[i].ink)[1] > y + 8 or h < 24)

    def made(kind: str, confidence: float) -> Element:
        return Element(kind, r.box, text, confidence, r.fill, r.border, r.radius, tuple(lines))

    if h <= 72 and any(covered(r.box, t) > 0.9 and (w > 0.7 * t[2] or _cell(page, r)) for t in page.tables):
        return None
    if _label_of_row(page, r):
        return None
    if (
        24 <= h <= 72
        and w > 300
        and w > 6 * h
        and r.border is not None
        and _opens(page, r)
        and (page.children(r) or (lines and w > WIDE_FIELD))
    ):
        return made("button", 0.6)
    if h <= 72 and 0 < len(lines) <= 2 and len(text) <= 40 and _centred(page, r, lines):
        if (h <= 23 and (r.radius >= h // 2 - 3 or vivid(r.fill) >= 40)) or h < 18:
            return None  # a badge
        return made("link" if _tab(page, r) or _like_a_link(page, r, lines) else "button", 0.8)
    if _is_field(page, r, lines):
        return made("select" if _chevron(page, r, lines) else "input", 0.75)
    if h <= 60 and len(lines) == 1 and far(r.fill, r.outside) > 40 and vivid(r.fill) > VIVID and w <= 400:
        return made("link", 0.55)
    if (
        not lines
        and 22 <= w <= 64
        and 22 <= h <= 64
        and not any(inside(box, r.box, 1) for box, _ in page.ticks)
        and page.marks_in(r.box)
        and not _beside_text(page, r.box)
    ):
        return made("button", 0.5)
    if h > 72 and w > 100 and (lines or page.children(r)):
        return made("card", 0.5)
    return None


def _tick(page: Page, r: Region) -> Element | None:
    """A check box or a radio button: a small outlined square or disc, empty or with a mark."""
    x, y, w, h = r.inner
    bright = vivid(r.fill) > 80
    if (r.border is None and not bright) or min(w, h) < 8 or max(r.box[2:]) > LARGEST_TICK:
        return None
    round_ = r.radius >= 0.25 * min(w, h)
    middle = page.image[y + 2 : y + h - 2, x + 2 : x + w - 2].reshape(-1, 3).astype(np.int16)
    ink = float((np.abs(middle - np.array(r.fill, np.int16)).max(axis=1) > 40).mean()) if middle.size else 0.0
    if (not bright and ink > 0.15 and not round_) or (bright and r.border is None and ink < 0.04):
        return None  # an icon; a swatch
    return Element("radio" if round_ else "checkbox", r.box, "", 0.6, r.fill, r.border, r.radius, checked=bright or ink > 0.08)


def _is_field(page: Page, r: Region, lines: list[int]) -> bool:
    """An input: outlined or of its own light, its text at the left or none, and nothing of its width right below."""
    x, y, w, h = r.box
    if w < 50 or h < 20 or r.solidity < 0.5 or vivid(r.fill) > 50 or page.in_table(r.box):
        return False
    if any(c.box[2] > 0.5 * w or c.box[3] > 30 for c in page.children(r)):
        return False
    luma, around = sum(r.fill) / 3, sum(r.outside) / 3
    if r.border is None and (abs(luma - around) < 8 or luma < 90 <= around):
        return False
    if luma < around - 90 and any(page.texts[i].look.family == "mono" for i in lines):
        return False  # code
    if any(
        abs(o.box[0] - x) <= 3 and abs(o.box[2] - w) <= 6 and -3 <= o.box[1] - y - h <= 3 and o.box[3] > h
        for o in page.regions
        if o is not r
    ):
        return False  # the head of a card
    lines = [i for i in lines if centre(page.texts[i].ink)[1] > y + 8]  # not the label in its frame
    if any(page.texts[i].look.weight == 700 or vivid(page.texts[i].look.colour) >= VIVID for i in lines):
        return False  # a heading's row
    if h <= 72:
        return len(lines) <= 1 and (not lines or page.texts[lines[0]].ink[0] - x <= max(24, 0.2 * w)) and w >= 1.6 * h
    return (
        h <= 0.5 * page.height
        and len(lines) <= 6
        and r.border is not None
        and w >= 150
        and r.solidity > 0.9
        and not page.marks_in(r.box)[3:]
    )


def _chevron(page: Page, r: Region, lines: list[int]) -> bool:
    """A small mark alone at the right end of a field."""
    x, y, w, h = r.inner
    wide = min(40, w // 3)
    end = (x + w - wide, y + 2, wide - 2, h - 4)
    if any(overlap(page.texts[i].ink, end) for i in lines):
        return False
    mark = _ink_box(page, end)
    return (
        mark is not None
        and 6 <= mark[2] <= 16
        and 3 <= mark[3] <= 16
        and mark[2] > mark[3]
        and abs(mark[1] + mark[3] / 2 - (y + h / 2)) <= 5
    )


def _centred(page: Page, r: Region, lines: list[int]) -> bool:
    x, y, w, h = r.box
    parts = sorted([*(page.texts[i].ink for i in lines), *(m.box for m in page.marks_in(r.inner) if m.box[3] < h - 4)])
    if any(b[0] - a[0] - a[2] > APART for a, b in itertools.pairwise(parts)):
        return False  # something at either end
    ink = union(parts)
    left, right = ink[0] - x, x + w - ink[0] - ink[2]
    up, down = ink[1] - y, y + h - ink[1] - ink[3]
    return left >= 3 and right >= 3 and abs(left - right) <= max(10, 0.12 * w) and abs(up - down) <= max(8, 0.3 * h)


def _tab(page: Page, r: Region) -> bool:
    """Whether neighbours of its height touch it on a side, one of them filled otherwise: tabs, not buttons."""
    x, y, w, h = r.box
    beside = [
        o
        for o in page.regions
        if o is not r
        and abs(o.box[1] - y) <= 4
        and abs(o.box[3] - h) <= 6
        and (abs(o.box[0] - x - w) <= 4 or abs(o.box[0] + o.box[2] - x) <= 4)
    ]
    return (
        len(beside) >= 1 and any(far(o.fill, r.fill) > 6 for o in beside) and vivid(r.fill) < 40 and all(o.box[2] < 4 * w for o in beside)
    )


def _like_a_link(page: Page, r: Region, lines: list[int]) -> bool:
    """Vivid text on a grey ground that it does not share with its frame."""
    colour = page.texts[lines[0]].look.colour
    return vivid(colour) >= VIVID and vivid(r.fill) < 30 and (r.border is None or vivid(r.border) < 30)


def _label_of_row(page: Page, r: Region) -> bool:
    """A filled label at the left end of a row: part of the row, not a button of its own."""
    x, _y, w, h = r.box
    around = [o for o in page.regions if o is not r and inside(r.box, o.box, 1)]
    if not around:
        return False
    row = min(around, key=lambda o: area(o.box))
    return row.box[3] <= 1.8 * h and row.box[2] > 4 * w and x - row.box[0] <= 14 and row.border is not None


def _opens(page: Page, r: Region) -> bool:
    """A row with a mark at its right end: what opens and closes on a click."""
    x, _y, w, _h = r.box
    return any(m.box[0] > x + w - 60 and m.box[2] <= 24 for m in page.marks_in(r.box))


def _cell(page: Page, r: Region) -> bool:
    """Whether other regions of its width continue it without a gap, above or below."""
    x, y, w, h = r.box
    same = [o for o in page.regions if o is not r and abs(o.box[0] - x) <= 3 and abs(o.box[2] - w) <= 4 and o.box[3] <= 2 * h]
    return any(abs(o.box[1] - (y + h)) <= 3 or abs(o.box[1] + o.box[3] - y) <= 3 for o in same)


def _beside_text(page: Page, box: Box) -> bool:
    x, y, w, h = box
    return any(overlap(t.ink, (x + w, y, 20, h)) for t in page.texts)


def _ink_box(page: Page, box: Box) -> Box | None:
    x, y, w, h = box
    part = page.image[y : y + h, x : x + w]
    if part.shape[0] < 3 or part.shape[1] < 3:
        return None
    edges = gradient(part) > 40
    rows, columns = np.flatnonzero(edges.any(axis=1)), np.flatnonzero(edges.any(axis=0))
    if not rows.size:
        return None
    return x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
