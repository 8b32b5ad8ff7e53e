"""Controls, links, headings, tables and pictures of a settled screen, from its regions, its lines of text and what ink is left.

Rules are of two kinds: what a thing looks like, and how it stands to its neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.extract import navigation, tables
from processors.extract.geometry import Box, area, centre, covered, grown, holds, inside, iou, overlap, union
from processors.extract.marks import Mark, marks, rules
from processors.extract.outlines import open_frames, ticked
from processors.extract.pixels import gradient
from processors.extract.reading import Line
from processors.extract.regions import Region
from processors.extract.style import Look, coloured_runs

Colour = tuple[int, int, int]
CODE = set('<>={}";')
LARGEST_TICK = 24  # pixels that a check box or radio button is wide and high at most
WIDE_FIELD = 500  # pixels over which a row with a mark at its end is rather one that opens than a field
APART = 28  # pixels between two things that are no one label any more
LEADING = 1.25  # a heading's line height by its font size
VIVID = 60  # difference of a colour's channels from which it is no grey


@dataclass(frozen=True)
class Text:
    """A line with its looks."""

    line: Line
    look: Look

    @property
    def text(self) -> str:
        return self.line.text

    @property
    def ink(self) -> Box:
        return self.look.ink


@dataclass(frozen=True)
class Element:
    """One element. ``fill`` and ``border`` are (b, g, r); ``lines`` index the screen's texts that stand in it."""

    kind: str
    box: Box
    text: str
    confidence: float
    fill: Colour | None = None
    border: Colour | None = None
    radius: int = 0
    lines: tuple[int, ...] = ()
    checked: bool | None = None
    placeholder: str | None = None
    masked: bool = False


def find(image: np.ndarray, texts: Sequence[Text], found: Sequence[Region]) -> list[Element]:
    """All elements of a screen, in reading order."""
    page = _Page(image, texts, found)
    grids = [Element("table", box, "", 0.6) for box in page.tables]
    ticks = [Element("radio" if disc else "checkbox", box, "", 0.65, checked=True) for box, disc in page.ticks]
    boxes = _without_doubles([*(e for r in page.regions if (e := _from_region(page, r)) is not None), *ticks])
    controls = [e for e in boxes if e.kind != "card"]
    bars = _bars(page, controls)
    taken = {i for e in (*controls, *bars) for i in e.lines}
    words = [e for i, t in enumerate(texts) if i not in taken for e in _from_text(page, i, t)]
    icons = _icons(page, [*controls, *bars, *words])
    everything = _without_doubles([*boxes, *bars, *words, *icons]) + grids
    return sorted(everything, key=lambda e: (e.box[1], e.box[0], -area(e.box), e.kind))


class _Page:
    """What rules ask about a screen again and again."""

    def __init__(self, image: np.ndarray, texts: Sequence[Text], found: Sequence[Region]) -> None:
        self.image, self.texts = image, texts
        self.rules = rules(image)
        found = [*found, *open_frames(image, self.rules, found)]
        self.regions = found
        self.height, self.width = image.shape[:2]
        sizes = sorted((t.look.font_size, len(t.text)) for t in texts if t.look.font_size < 40)
        letters = [size for size, count in sizes for _ in range(count)]
        self.body_size = float(np.median(letters)) if letters else 14.0
        inks = [t.ink for t in texts]
        self.ticks = ticked(image)
        self.marks = marks(image, inks, found)
        self.tables = [t for t in tables.find(inks, self.rules, [r.box for r in found]) if self.bar(t) is None]
        self.rows = tables.in_rows(inks)
        self.row_of = {i: n for n, row in enumerate(self.rows) for i in row}
        order = sorted(range(len(found)), key=lambda i: area(found[i].box))
        self.owner: list[int | None] = []
        self.within: dict[int, list[int]] = {}
        for n, t in enumerate(texts):
            mine = next((i for i in order if holds(found[i].box, *centre(t.ink))), None)
            self.owner.append(mine)
            if mine is not None:
                self.within.setdefault(mine, []).append(n)

    def lines_in(self, region: Region) -> list[int]:
        """Texts that stand in a region and in none within it, but for what lies within its frame."""
        mine = [
            i
            for i, r in enumerate(self.regions)
            if i in self.within and (r is region or (area(r.box) >= 0.8 * area(region.box) and inside(r.box, region.box)))
        ]
        return sorted(n for i in mine for n in self.within[i])

    def children(self, region: Region) -> list[Region]:
        return [r for r in self.regions if r is not region and inside(r.box, region.box, 1) and area(r.box) < 0.9 * area(region.box)]

    def in_table(self, box: Box) -> bool:
        return any(covered(box, t) > 0.7 for t in self.tables)

    def marks_in(self, box: Box) -> list[Mark]:
        return [m for m in self.marks if holds(box, *centre(m.box))]

    def bar(self, box: Box) -> Box | None:
        """The narrow band across the page's top, or down its side, that a box lies in."""
        for r in sorted(self.regions, key=lambda r: area(r.box)):
            x, y, w, h = r.box
            if inside(box, r.box, 1) and (
                (y <= 4 and w >= 0.6 * self.width and h <= 110)
                or (y <= 130 and w >= 0.97 * self.width and h <= 72)
                or (x <= 4 and h >= 0.6 * self.height and w <= 340)
            ):
                return r.box
        return None

    def top_bars(self) -> list[Box]:
        return [r.box for r in self.regions if r.box[2] >= 0.6 * self.width and self.top_bar(r.box)]

    def top_bar(self, box: Box) -> bool:
        found = self.bar(box)
        return found is not None and found[2] >= 0.6 * self.width


def _from_region(page: _Page, r: Region) -> Element | None:
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


def _tick(page: _Page, r: Region) -> Element | None:
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


def _is_field(page: _Page, r: Region, lines: list[int]) -> bool:
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


def _chevron(page: _Page, r: Region, lines: list[int]) -> bool:
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


def _centred(page: _Page, r: Region, lines: list[int]) -> bool:
    x, y, w, h = r.box
    parts = sorted([*(page.texts[i].ink for i in lines), *(m.box for m in page.marks_in(r.inner) if m.box[3] < h - 4)])
    if any(b[0] - a[0] - a[2] > APART for a, b in itertools.pairwise(parts)):
        return False  # something at either end
    ink = union(parts)
    left, right = ink[0] - x, x + w - ink[0] - ink[2]
    up, down = ink[1] - y, y + h - ink[1] - ink[3]
    return left >= 3 and right >= 3 and abs(left - right) <= max(10, 0.12 * w) and abs(up - down) <= max(8, 0.3 * h)


def _tab(page: _Page, r: Region) -> bool:
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


def _like_a_link(page: _Page, r: Region, lines: list[int]) -> bool:
    """Vivid text on a grey ground that it does not share with its frame."""
    colour = page.texts[lines[0]].look.colour
    return vivid(colour) >= VIVID and vivid(r.fill) < 30 and (r.border is None or vivid(r.border) < 30)


def _label_of_row(page: _Page, r: Region) -> bool:
    """A filled label at the left end of a row: part of the row, not a button of its own."""
    x, _y, w, h = r.box
    around = [o for o in page.regions if o is not r and inside(r.box, o.box, 1)]
    if not around:
        return False
    row = min(around, key=lambda o: area(o.box))
    return row.box[3] <= 1.8 * h and row.box[2] > 4 * w and x - row.box[0] <= 14 and row.border is not None


def _opens(page: _Page, r: Region) -> bool:
    """A row with a mark at its right end: what opens and closes on a click."""
    x, _y, w, _h = r.box
    return any(m.box[0] > x + w - 60 and m.box[2] <= 24 for m in page.marks_in(r.box))


def _cell(page: _Page, r: Region) -> bool:
    """Whether other regions of its width continue it without a gap, above or below."""
    x, y, w, h = r.box
    same = [o for o in page.regions if o is not r and abs(o.box[0] - x) <= 3 and abs(o.box[2] - w) <= 4 and o.box[3] <= 2 * h]
    return any(abs(o.box[1] - (y + h)) <= 3 or abs(o.box[1] + o.box[3] - y) <= 3 for o in same)


def _beside_text(page: _Page, box: Box) -> bool:
    x, y, w, h = box
    return any(overlap(t.ink, (x + w, y, 20, h)) for t in page.texts)


def _bars(page: _Page, controls: list[Element]) -> list[Element]:
    """Entries of navigation bars, tab rows and side menus."""
    held = {i for e in controls for i in e.lines}
    free = [i for i in range(len(page.texts)) if not page.in_table(page.texts[i].ink)]
    inks = [page.texts[i].ink for i in free]
    icons = [m.box for m in page.marks if m.box[2] <= 34 and m.box[3] <= 34 and not any(covered(m.box, e.box) > 0.8 for e in controls)]
    out = []
    wordy = [sum(c.isalpha() for c in page.texts[i].text) > 1.5 * sum(c.isdigit() for c in page.texts[i].text) for i in free]
    for entry in navigation.across(inks, wordy, icons, page.width, [r.box for r in page.regions], page.top_bars()):
        out.append(_entry(page, entry, free, 0.6))
    active = [e.box for e in controls if e.kind in ("link", "button")] + [r.box for r in page.regions if r.box[3] <= 64]
    entries = [i for i in free if not _group_label(page, i)]
    inks = [page.texts[i].ink for i in entries]
    for entry in navigation.down(inks, icons, active, page.width, page.height, [r.box for r in page.regions]):
        out.append(_entry(page, entry, entries, 0.55))
    return _without_doubles([e for e in out if not held.intersection(e.lines)])


def _group_label(page: _Page, index: int) -> bool:
    """Small capitals: what names a group of a menu's entries."""
    t = page.texts[index]
    return t.text.isupper() and sum(c.isalpha() for c in t.text) >= 3 and t.look.font_size <= page.body_size


def _entry(page: _Page, entry: navigation.Entry, free: list[int], confidence: float) -> Element:
    lines = tuple(free[i] for i in entry.texts)
    text = " ".join(page.texts[i].text for i in lines)
    loud = text.isupper() and sum(c.isalpha() for c in text) >= 3 and entry.across
    return Element("button" if loud else "link", entry.box, text, confidence, lines=lines)


def _from_text(page: _Page, index: int, t: Text) -> list[Element]:
    look = t.look
    letters = sum(c.isalpha() for c in t.text) if look.family != "mono" and not t.text.endswith((",", ";", "{", "(")) else 0
    alone = len(page.rows[page.row_of[index]]) == 1
    table = page.in_table(t.ink)
    big = look.font_size >= 1.25 * page.body_size and look.font_size >= 16
    strong = look.weight == 700 and look.font_size >= 1.1 * page.body_size
    if letters >= 2 and letters >= 0.5 * len(t.text.replace(" ", "")) and not table and len(t.text) <= 80:
        bar = page.bar(t.ink)
        if page.top_bar(t.ink) and _pictured(page, t):
            x, y, w, h = _bar_link(page, t)
            return [Element("link", (max(0, x - 10), y, w + 20, h), t.text, 0.5, lines=(index,))]
        if bar is None and _title(page, index, t):
            return [Element("heading", _heading_box(page, index, t), t.text, 0.6, lines=(index,))]
        if big or (strong and look.font_size >= 15):
            if bar is not None:
                return [Element("link", _bar_link(page, t), t.text, 0.5, lines=(index,))]
            return [Element("heading", _heading_box(page, index, t), t.text, 0.6, lines=(index,))]
        if (
            look.weight == 700
            and alone
            and bar is None
            and look.font_size >= 0.95 * page.body_size
            and not t.text.endswith((":", ".", ","))
            and look.family != "mono"
        ):
            return [Element("heading", _heading_box(page, index, t), t.text, 0.5, lines=(index,))]
    if vivid(look.background) > 80:
        return []
    out = []
    for text, box, colour in coloured_runs(page.image, t.line, look):
        if (
            not _link_colour(colour)
            or any(c in CODE for c in text)
            or (text.isupper() and len(text) > 3 and not table)
            or sum(c.isalpha() for c in text) < 2
        ):
            continue
        out.append(Element("link", (box[0], look.box[1], box[2], look.box[3]), text, 0.6, lines=(index,)))
    return out


def _bar_link(page: _Page, t: Text) -> Box:
    """A name in a bar, with the picture beside it: as high as entries of bars are."""
    bar = page.bar(t.ink)
    x, y, w, h = t.look.box
    near = [m.box for m in page.marks if overlap(m.box, (x - 16, y, w + 32, h)) and max(m.box[2:]) <= 48]
    whole = union([t.look.box, *near])
    high = min(40, bar[3]) if bar is not None else h
    return whole[0], max(0, round(centre(t.ink)[1] - high / 2)), whole[2], high


def _pictured(page: _Page, t: Text) -> bool:
    """Whether a small picture stands beside a text, as a user's beside the name."""
    x, y, w, h = t.ink
    return any(min(m.box[2:]) >= 24 and max(m.box[2:]) <= 48 and overlap(m.box, (x - 16, y, w + 32, h)) for m in page.marks)


def _title(page: _Page, index: int, t: Text) -> bool:
    """The first line at the top left of a card or of its head, larger, bolder or more coloured than plain text."""
    owner = page.owner[index]
    if owner is None or t.text.isupper() or len(t.text) > 40:
        return False
    r = page.regions[owner]
    x, y, w, h = r.box
    first = min(page.within[owner], key=lambda i: (page.texts[i].ink[1] // 8, page.texts[i].ink[0]))
    loud = t.look.weight == 700 or vivid(t.look.colour) >= VIVID or t.look.font_size >= 1.08 * page.body_size
    return (
        first == index
        and loud
        and w >= 180
        and h >= 36
        and w < 0.98 * page.width
        and vivid(r.fill) < 40
        and 4 <= t.ink[1] - y <= 32
        and 6 <= t.ink[0] - x <= 36
        and t.look.font_size >= 0.95 * page.body_size
    )


def _link_colour(colour: Colour) -> bool:
    """Blue to violet, or any colour strong enough that plain text seldom has it."""
    b, g, r = colour
    return (vivid(colour) >= VIVID and (b >= g >= r - 12 or (b > r and b - min(r, g) >= VIVID))) or vivid(colour) >= 100


def _heading_box(page: _Page, index: int, t: Text) -> Box:
    """A heading that is alone in its row spans its container, as blocks do; beside others it is as wide as its text."""
    x, y, w, h = t.look.box
    high = round(LEADING * t.look.font_size)
    y, h = y - (high - h) // 2, high
    owner = page.owner[index]
    around = page.regions[owner].box if owner is not None else (0, 0, page.width, page.height)
    right = around[0] + around[2]
    beside = [page.texts[i].ink for i in page.row_of and page.rows[page.row_of[index]] if i != index]
    beside += [
        r.box for r in page.regions if r.box[1] < y + h and y < r.box[1] + r.box[3] and r.box[3] < 80 and not inside(t.ink, r.box, 2)
    ]
    beside += [m.box for m in page.marks if m.box[1] < y + h and y < m.box[1] + m.box[3] and m.box[3] < 60]
    if any(b[0] >= x + w - 4 and b[0] < right and b[0] - x - w > 48 for b in beside):
        return (x, y, w, h)
    same_left = [
        b[0] + b[2]
        for b in [*(r.box for r in page.regions), *page.tables, *page.rules]
        if abs(b[0] - x) <= 4 and b[2] > w and b[0] + b[2] <= right
    ]
    end = max(same_left) if same_left else right - max(0, min(x - around[0], 48))
    return (x, y, max(w, end - x), h)


def _icons(page: _Page, known: list[Element]) -> list[Element]:
    """Icons and pictures that are part of no control: in a table links, alone in a bar buttons, many-coloured ones images."""
    out = []
    for m in page.marks:
        x, _y, w, h = m.box
        if any(covered(m.box, e.box) > 0.6 for e in known if e.kind not in ("heading",)):
            continue
        if w <= 40 and h <= 40:
            if m.colours >= 100 and min(w, h) >= 20:
                out.append(Element("image", m.box, "", 0.5))
            elif page.in_table(m.box) and w >= 10 and h >= 10:
                out.append(Element("link", (x - 3, m.box[1], w + 6, h), "", 0.45))  # a sign's advance, not its ink
            elif 10 <= w <= 26 and 6 <= h <= 16 and w > 1.3 * h and not _near_text(page, m.box) and x > 0.5 * page.width:
                out.append(Element("button", grown(m.box, 6, page.width, page.height), "", 0.4))
            elif min(w, h) >= 14 and page.top_bar(m.box) and not _near_text(page, m.box):
                out.append(Element("button", _icon_button(page, m.box), "", 0.4))
            else:
                out.append(Element("icon", m.box, "", 0.4))
        elif m.colours >= 150 and m.density > 0.12 and min(w, h) >= 24:
            out.append(Element("image", m.box, "", 0.45))
        else:
            out.append(Element("graphic", m.box, "", 0.3))
    return out


def _icon_button(page: _Page, box: Box) -> Box:
    """The box of a button in a bar of which only the icon is seen: as wide as the next icon is away, 40 pixels at most."""
    x, y = centre(box)
    others = [abs(centre(m.box)[0] - x) for m in page.marks if m.box != box and abs(centre(m.box)[1] - y) <= 6 and max(m.box[2:]) <= 40]
    wide = round(min([40.0, *(d for d in others if d >= 28)]))
    bar = page.bar(box)
    high = min(40, bar[3]) if bar is not None else 40
    return max(0, round(x - wide / 2)), max(0, round(y - high / 2)), wide, high


def _near_text(page: _Page, box: Box) -> bool:
    x, y, w, h = box
    return any(overlap(t.ink, (x - 14, y, w + 28, h)) for t in page.texts)


def _without_doubles(elements: list[Element]) -> list[Element]:
    kept: list[Element] = []
    for e in sorted(elements, key=lambda e: (-e.confidence, area(e.box), e.box, e.kind)):
        if all(iou(e.box, k.box) < 0.7 for k in kept):
            kept.append(e)
    return kept


def _ink_box(page: _Page, box: Box) -> Box | None:
    x, y, w, h = box
    part = page.image[y : y + h, x : x + w]
    if part.shape[0] < 3 or part.shape[1] < 3:
        return None
    edges = gradient(part) > 40
    rows, columns = np.flatnonzero(edges.any(axis=1)), np.flatnonzero(edges.any(axis=0))
    if not rows.size:
        return None
    return x + int(columns[0]), y + int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1


def vivid(colour: Colour) -> int:
    """Difference between a colour's channels: 0 for greys."""
    return max(colour) - min(colour)


def far(a: Colour, b: Colour) -> int:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
