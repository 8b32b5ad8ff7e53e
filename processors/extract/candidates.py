"""Places where an element may be: several guesses at every region, line of text and mark, most of them wrong.

What is guessed at one thing (its *anchor*) differs in the box alone: a word may be a link as large as its letters, the entry of a menu as wide as
its panel, a button with room about it, a heading as wide as its column. Which guess holds, and what it is, the forest says.
"""

from __future__ import annotations

from dataclasses import dataclass

from processors.extract.geometry import Box, area, centre, covered, inside, iou, overlap, union
from processors.extract.page import Element, Page
from processors.extract.style import coloured_runs

REGION, LINE, RUN, ROW, ROOM, BLOCK, UNDERLINED, MARK, SQUARE, RULED, TABLE, FIGURE = range(12)
ROOMS = ((8, 26), (8, 32), (12, 36), (16, 40), (16, 48))  # room at either side of a text, and height of the whole
SQUARES = (24, 28, 32, 36, 40, 48)  # sides of a button that shows nothing but an icon
LEADINGS = (1.15, 1.25, 1.4, 1.5)  # line heights of headings by their font size
LARGEST_ICON = 48


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
    for n in range(len(page.texts)):
        out += _at_text(page, n, owners[n])
    for n, m in enumerate(page.marks):
        x, y, w, h = m.box
        out.append(Candidate(m.box, MARK, mark=n))
        if max(w, h) <= LARGEST_ICON and min(w, h) >= 5:
            cx, cy = centre(m.box)
            out += [Candidate((round(cx - s / 2), round(cy - s / 2), s, s), SQUARE, mark=n) for s in SQUARES if s >= max(w, h) + 2]
            out.append(Candidate((x - 3, y - 3, w + 6, h + 6), SQUARE, mark=n))
    out += _figures(page)
    out += [Candidate(box, TABLE) for box in _tables(page)]
    there = {c.box for c in out if c.how in (REGION, MARK, TABLE)}
    out += [Candidate(e.box, RULED, text=e.lines[0] if e.lines else -1, words=e.text) for e in opinions if e.box not in there]
    return [c for c in out if c.box[2] >= 6 and c.box[3] >= 6 and c.box[0] + c.box[2] > 0 and c.box[1] + c.box[3] > 0]


def _at_text(page: Page, n: int, owner: Box) -> list[Candidate]:
    t = page.texts[n]
    x, y, w, h = t.look.box
    middle = centre(t.ink)[1]
    size = t.look.font_size
    out = [Candidate((x, y, w, h), LINE, text=n, words=t.text)]
    runs = coloured_runs(page.image, t.line, t.look)
    if len(runs) > 1:
        out += [Candidate((box[0], y, box[2], h), RUN, text=n, words=words) for words, box, _ in runs]
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
    for rule in page.rules:
        gap = rule[1] - (t.ink[1] + t.ink[3])
        if 1 <= gap <= 22 and rule[0] <= x + 4 and rule[0] + rule[2] >= x + w - 4 and rule[0] >= x - 40 and rule[2] <= 700:
            bottom = rule[1] + 2
            out += [Candidate((rule[0], bottom - high, rule[2], high), UNDERLINED, text=n) for high in (28, 34, 40, 48, 56)]
    return out


def _rows(page: Page, n: int, whole: Box, owner: Box) -> list[Candidate]:
    """Guesses for the entry of a menu: as wide as its panel, or as far as its neighbours are, as high as they are apart."""
    t = page.texts[n]
    middle, left = centre(t.ink)[1], whole[0]
    column = sorted(
        abs(centre(o.ink)[1] - middle)
        for k, o in enumerate(page.texts)
        if k != n and abs(o.ink[0] - t.ink[0]) <= 4 and 14 < abs(centre(o.ink)[1] - middle) <= 80
    )
    out = []
    if column and owner[2] <= 480:
        pitch = round(column[0])
        for inset in {0, 8, max(0, min(left - owner[0] - 12, 40))}:
            for high in {pitch, pitch - 4} if pitch > 24 else {pitch}:
                out.append(Candidate((owner[0] + inset, round(middle - high / 2), owner[2] - 2 * inset, high), ROW, text=n))
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
    return [b for n, b in enumerate(out) if all(iou(b, o) < 0.97 for o in out[:n])]
