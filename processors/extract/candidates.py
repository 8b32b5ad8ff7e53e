"""Places where an element may be: several guesses at every region, line of text and mark, most of them wrong.

What is guessed at one thing (its *anchor*) differs in the box alone: a word may be a link as large as its letters, the entry of a menu as wide as
its panel, a button with room about it, a heading as wide as its column. Which guess holds, and what it is, the forest says.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from processors.extract.geometry import Box, area, centre, covered, inside, iou, overlap, union
from processors.extract.page import VIVID, Element, Page, Text, vivid
from processors.extract.style import coloured_runs, ground

REGION, LINE, RUN, ROW, ROOM, BLOCK, UNDERLINED, MARK, SQUARE, RULED, TABLE, FIGURE, BAND, TRIMMED, PIECE, SIGN = range(16)
ROOMS = ((8, 26), (8, 32), (12, 36), (16, 40), (16, 48))  # room at either side of a text, and height of the whole
SQUARES = (24, 28, 32, 36, 40, 48)  # sides of a button that shows nothing but an icon
LEADINGS = (1.15, 1.25, 1.4, 1.5)  # line heights of headings by their font size
LARGEST_ICON = 48
WIDE = 200  # pixels from which a region, rule or table tells where a column ends
LOUD = 1.15  # times the body's font size from which a text may be the title of a whole column
PARTS = re.compile(r"\s*(?:[/|·•›»>,]| [-–—] )\s*")  # what parts the links of a path or of a list in one line
PARTED = (44, 90)  # rows without text at which a table without a frame may end


@dataclass(frozen=True)
class Candidate:
    """A guess: ``how`` it was made, and from what: the index of a region, a text or a mark (-1: none)."""

    box: Box
    how: int
    region: int = -1
    text: int = -1
    mark: int = -1
    words: str = ""


def candidates(page: Page, opinions: list[Element]) -> list[Candidate]:
    """All guesses for a screen; ``opinions`` are the elements that the rules found, and guesses too."""
    out: list[Candidate] = []
    for n, r in enumerate(page.regions):
        x, y, w, h = r.box
        if w >= 8 and h >= 8 and not (w > 0.98 * page.width and h > 0.5 * page.height):
            out.append(Candidate(r.box, REGION, region=n))
    owners = [page.regions[o].box if o is not None else (0, 0, page.width, page.height) for o in page.owner]
    ends = _column_ends(page)
    for n in range(len(page.texts)):
        out += _at_text(page, n, owners[n], ends)
    for n, m in enumerate(page.marks):
        x, y, w, h = m.box
        out.append(Candidate(m.box, MARK, mark=n))
        if max(w, h) <= LARGEST_ICON and min(w, h) >= 5:
            cx, cy = centre(m.box)
            out += [Candidate((round(cx - s / 2), round(cy - s / 2), s, s), SQUARE, mark=n) for s in SQUARES if s >= max(w, h) + 2]
            out.append(Candidate((x - 3, y - 3, w + 6, h + 6), SQUARE, mark=n))
            out.append(Candidate((x - 2, y - 1, w + 4, h + 2), MARK, mark=n))  # a sign's advance, not its ink
        if w > 1.5 * h and h <= LARGEST_ICON and w <= 240:
            for left, right in _signs(page, m.box):
                out.append(Candidate((left, y, right - left, h), SIGN, mark=n))
                out.append(Candidate((left - 3, y - 3, right - left + 6, h + 6), SIGN, mark=n))
    out += _figures(page)
    out += _trimmed(page)
    out += [Candidate(box, TABLE) for box in _tables(page)]
    there = {c.box for c in out if c.how in (REGION, MARK, TABLE)}
    out += [Candidate(e.box, RULED, text=e.lines[0] if e.lines else -1, words=e.text) for e in opinions if e.box not in there]
    return [c for c in out if c.box[2] >= 6 and c.box[3] >= 6 and c.box[0] + c.box[2] > 0 and c.box[1] + c.box[3] > 0]


def _at_text(page: Page, n: int, owner: Box, ends: list[int]) -> list[Candidate]:
    t = page.texts[n]
    x, y, w, h = t.look.box
    middle = centre(t.ink)[1]
    size = t.look.font_size
    out = [Candidate((x, y, w, h), LINE, text=n, words=t.text)]
    low = t.ink[3] + 4  # of letters that are tall for their size, or a line without tall ones
    if h >= low + 4:
        out.append(Candidate((x, t.ink[1] - 2, w, low), LINE, text=n, words=t.text))
    runs = coloured_runs(page.image, t.line, t.look)
    if len(runs) > 1:
        least = max(vivid(colour) for _, _, colour in runs) - VIVID  # plain words beside coloured ones are no links
        out += [Candidate((box[0], y, box[2], h), RUN, text=n, words=words) for words, box, colour in runs if vivid(colour) > least]
    out += [Candidate((x0, y, x1 - x0, h), PIECE, text=n, words=words) for x0, x1, words in _pieces(t)]
    near = [m.box for m in page.marks if max(m.box[2:]) <= LARGEST_ICON and overlap(m.box, (x - 16, y, w + 32, h)) and m.box[3] <= 3 * h]
    whole = union([(x, t.ink[1], w, t.ink[3]), *near])
    if near:
        out.append(Candidate((whole[0], min(y, whole[1]), whole[2], max(y + h, whole[1] + whole[3]) - min(y, whole[1])), RUN, text=n))
    for pad, high in ROOMS:
        if high >= h + 6:
            out.append(Candidate((whole[0] - pad, round(middle - high / 2), whole[2] + 2 * pad, high), ROOM, text=n))
    out += _rows(page, n, whole, owner)
    if size >= 12 and len(t.text) <= 90 and any(c.isalpha() for c in t.text):
        right = _right_end(page, n, owner)
        for leading in LEADINGS:
            high = round(leading * size)
            top = round(y + h / 2 - high / 2)
            out.append(Candidate((x, top, max(w, right - x), high), BLOCK, text=n))
            if leading != LEADINGS[0]:
                out.append(Candidate((x, top, w, high), BLOCK, text=n))
        if t.look.weight == 700 or size >= LOUD * page.body_size:
            for inset in _insets(t.ink, owner):
                out += [
                    Candidate((owner[0] + inset, round(y + h / 2 - high / 2), owner[2] - 2 * inset, high), BLOCK, text=n)
                    for high in (round(1.2 * size), round(1.45 * size))
                ]
            for end in [e for e in ends if e > x + w + 40 and abs(e - right) > 12]:
                out += [
                    Candidate((x, round(y + h / 2 - high / 2), end - x, high), BLOCK, text=n)
                    for high in (round(1.2 * size), round(1.45 * size))
                ]
    for rule in page.rules:
        gap = rule[1] - (t.ink[1] + t.ink[3])
        if 4 <= gap <= 48 and rule[0] <= x and rule[0] + rule[2] >= x + w and x - rule[0] <= 32 and rule[2] >= WIDE:
            half = rule[1] + 1 - middle  # as much room above as there is below
            out.append(Candidate((rule[0], round(middle - half), rule[2], round(2 * half)), BAND, text=n))
        if 1 <= gap <= 22 and rule[0] <= x + 4 and rule[0] + rule[2] >= x + w - 4 and rule[0] >= x - 40 and rule[2] <= 700:
            bottom = rule[1] + 2
            out += [Candidate((rule[0], bottom - high, rule[2], high), UNDERLINED, text=n) for high in (28, 34, 40, 48, 56)]
    return out


def _insets(ink: Box, owner: Box) -> list[int]:
    """Rooms at either side of a title that stands in the middle of its panel."""
    before, behind = ink[0] - owner[0], owner[0] + owner[2] - ink[0] - ink[2]
    return [0, 20] if before > 40 and abs(before - behind) <= 0.06 * owner[2] else []


def _pieces(t: Text) -> list[tuple[int, int, str]]:
    """Parts of a line between slashes, bars and the like: (left, right, words), where the recogniser saw their letters."""
    glyphs = t.line.reading.glyphs
    text = t.text
    if len(glyphs) != len(text) or not PARTS.search(text):
        return []
    out = []
    begin = 0
    left, right = t.ink[0], t.ink[0] + t.ink[2]
    middles = [g.x + t.line.box[0] for g in glyphs]
    for cut in [*((m.start(), m.end()) for m in PARTS.finditer(text)), (len(text), len(text))]:
        if cut[0] > begin and any(c.isalnum() for c in text[begin : cut[0]]):
            x0 = left if begin == 0 else (middles[begin - 1] + middles[begin]) / 2
            x1 = right if cut[0] == len(text) else (middles[cut[0] - 1] + middles[cut[0]]) / 2
            out.append((round(x0), round(x1), text[begin : cut[0]]))
        begin = cut[1]
    return out if len(out) > 1 else []


def _signs(page: Page, box: Box) -> list[tuple[int, int]]:
    """Left and right ends of the signs that stand side by side in a mark."""
    x, y, w, h = box
    part = page.image[y : y + h, x : x + w]
    strong = np.abs(part.astype(np.int16) - np.array(ground(part), np.int16)).max(axis=2) > 24
    columns = np.flatnonzero(strong.any(axis=0))
    if not columns.size:
        return []
    cuts = np.flatnonzero(np.diff(columns) > 2)
    starts, ends = [columns[0], *columns[cuts + 1]], [*columns[cuts], columns[-1]]
    found = [(x + int(a), x + int(b) + 1) for a, b in zip(starts, ends, strict=True) if b - a >= 4]
    return found if len(found) > 1 else []


def _rows(page: Page, n: int, whole: Box, owner: Box) -> list[Candidate]:
    """Guesses for the entry of a menu: as wide as its panel, or as far as its neighbours are, as high as they are apart."""
    t = page.texts[n]
    middle, left = centre(t.ink)[1], whole[0]
    column = sorted(
        abs(centre(o.ink)[1] - middle)
        for k, o in enumerate(page.texts)
        if k != n and abs(o.ink[0] - t.ink[0]) <= 4 and 14 < abs(centre(o.ink)[1] - middle) <= 80
    )
    mine = page.owner[n]
    if not column and owner[2] <= 340 and mine is not None:  # alone in a panel: as high as whatever stands nearest is away
        away = (abs(centre(page.texts[k].ink)[1] - middle) for k in page.within[mine])
        column = sorted(d for d in away if 14 < d <= 80)
    out = []
    if column and owner[2] <= 480:
        pitch = round(column[0])
        for inset in {0, 8, max(0, min(left - owner[0] - 12, 40))}:
            for high in {pitch, pitch - 4} if pitch > 24 else {pitch}:
                out.append(Candidate((owner[0] + inset, round(middle - high / 2), owner[2] - 2 * inset, high), ROW, text=n))
        if left - owner[0] > 56:  # a panel with a wide margin at its left alone
            out.append(Candidate((left - 16, round(middle - pitch / 2), owner[0] + owner[2] - left + 16, pitch), ROW, text=n))
    row = page.rows[page.row_of[n]]
    at = row.index(n)
    gaps = [
        page.texts[b].ink[0] - page.texts[a].ink[0] - page.texts[a].ink[2]
        for a, b in ((row[at - 1], n), (n, row[at + 1] if at + 1 < len(row) else n))
        if a != b and at + (a == n) > 0
    ]
    gaps = [g for g in gaps if 8 <= g <= 100]
    if gaps:
        pad = min(gaps) / 2
        for high in {min(owner[3], 64), 40, 48}:
            if high >= t.ink[3] + 8:
                out.append(Candidate((round(whole[0] - pad), round(middle - high / 2), round(whole[2] + 2 * pad), high), ROW, text=n))
    return out


def _right_end(page: Page, n: int, owner: Box) -> int:
    """Where the column that a text stands in ends: as far in from its panel's right side as the text is from its left, or where rules and
    boxes that begin with it end."""
    t = page.texts[n]
    x, y, w, h = t.look.box
    right = owner[0] + owner[2]
    same = [
        b[0] + b[2]
        for b in (*(r.box for r in page.regions), *page.tables, *page.rules)
        if abs(b[0] - x) <= 4 and b[2] > w and b[0] + b[2] <= right
    ]
    end = max(same) if same else right - max(0, min(x - owner[0], 48))
    beside = [page.texts[i].ink[0] for i in page.rows[page.row_of[n]] if page.texts[i].ink[0] > x + w]
    beside += [r.box[0] for r in page.regions if r.box[1] < y + h and y < r.box[1] + r.box[3] and r.box[3] < 80 and x + w < r.box[0] < end]
    return max(x + w, min([end, *(b - 8 for b in beside)]))


def _column_ends(page: Page) -> list[int]:
    """The columns in which most wide things of the page end, three at most."""
    rights = Counter(b[0] + b[2] for b in (*(r.box for r in page.regions), *page.tables, *page.rules) if WIDE <= b[2] < 0.99 * page.width)
    found: list[int] = []
    for right, _ in sorted(rights.items(), key=lambda item: (-item[1], -item[0])):
        if all(abs(right - o) > 12 for o in found):
            found.append(right)
    return found[:3]


def _trimmed(page: Page) -> list[Candidate]:
    """Guesses for rows that open when clicked: a wide region from its first part to before the icons at its right end."""
    out = []
    for n, r in enumerate(page.regions):
        x, y, w, h = r.box
        if w < 300 or not 20 <= h <= 90:
            continue
        icons = [m.box for m in page.marks if inside(m.box, r.box, 1) and max(m.box[2:]) <= LARGEST_ICON and m.box[0] > x + 0.7 * w]
        parts = [
            p.box for p in page.regions if p is not r and inside(p.box, r.box, 1) and p.box[0] - x < 24 and 0.4 * h <= p.box[3] < h - 2
        ]
        ends = sorted({x + w - 1, *(i[0] - 6 for i in icons)})[:3]
        for end in ends:
            if parts:
                part = max(parts, key=lambda b: b[3])
                out.append(Candidate((part[0], part[1], end - part[0], part[3]), TRIMMED, region=n))
            if end < x + w - 1:
                out.append(Candidate((x + 1, y + 1, end - x - 1, h - 2), TRIMMED, region=n))
    return out


def _figures(page: Page) -> list[Candidate]:
    """Guesses for charts and pictures: what is drawn in a panel as one, the panel less its margins."""
    out = []
    for r in page.regions:
        x, y, w, h = r.box
        if w < 90 or h < 60 or w > 0.97 * page.width:
            continue
        drawn = [m.box for m in page.marks if inside(m.box, r.box, 1) and max(m.box[2:]) > 24]
        if not drawn:
            continue
        ink = union(drawn)
        if ink[2] < 40 or ink[3] < 30:
            continue
        labels = [t.ink for t in page.texts if overlap(t.ink, (ink[0] - 50, ink[1] - 8, ink[2] + 60, ink[3] + 40)) and inside(t.ink, r.box)]
        out.append(Candidate(ink, FIGURE))
        out.append(Candidate(union([ink, *labels]), FIGURE))
        pad = max(0, min(x + w - ink[0] - ink[2], 24))
        above = [t.ink[1] + t.ink[3] for t in page.texts if inside(t.ink, r.box) and t.ink[1] + t.ink[3] <= ink[1] + 2]
        top = max([y, *above]) + 8
        out.append(Candidate((x + pad, min(top, ink[1]), w - 2 * pad, y + h - pad - min(top, ink[1])), FIGURE))
    return out


def _tables(page: Page) -> list[Box]:
    """The tables found, and each as wide as the panel it stands in."""
    out = list(page.tables)
    for t in page.tables:
        around = [r.box for r in page.regions if inside(t, r.box, 2) and area(r.box) > 1.05 * area(t)]
        if around:
            x, _, w, _ = min(around, key=area)
            out.append((x + 1, t[1], w - 2, t[3]))
    for r in page.regions:  # a panel with nothing but rows in it
        if r.box[2] > 200 and r.box[3] > 90 and any(covered(t, r.box) > 0.9 and area(t) > 0.5 * area(r.box) for t in page.tables):
            out.append(r.box)
    out += _headed(page)
    return [b for n, b in enumerate(out) if all(iou(b, o) < 0.97 for o in out[:n])]


def _headed(page: Page) -> list[Box]:
    """Tables told by a row of heads with a rule under it: as wide as the rule, down to where texts part."""
    out: list[Box] = []
    for rule in page.rules:
        x, y, w, _ = rule
        heads = [t.ink for t in page.texts if 2 <= y - t.ink[1] - t.ink[3] <= 24 and x - 2 <= t.ink[0] and t.ink[0] + t.ink[2] <= x + w + 2]
        if w < WIDE or len(heads) < 2:
            continue
        low = max(b[1] + b[3] for b in heads)
        top = max(0, min(b[1] for b in heads) - (y - low))
        under = sorted((t.ink for t in page.texts if t.ink[1] > y and x - 2 <= t.ink[0] <= x + w), key=lambda b: b[1])
        bottom, ends = y + 1, set[int]()
        for b in under:
            for gap in PARTED:
                if b[1] - bottom > gap:
                    ends.add(bottom)
            bottom = max(bottom, b[1] + b[3])
            if len(ends) > 1:
                break
        ends = set(sorted(ends)[:2]) or {bottom}
        out += [(x, top, w, end + pad - top) for end in ends for pad in (4, 10) if end > y + 12]
    return out
