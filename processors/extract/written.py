"""Links, headings and the entries of bars and menus: rules on lines of text that have no box of their own."""

from __future__ import annotations

from processors.extract import navigation
from processors.extract.geometry import Box, centre, covered, inside, overlap, union
from processors.extract.page import VIVID, Colour, Element, Page, Text, vivid
from processors.extract.style import coloured_runs

CODE = set('<>={}";')
LEADING = 1.25  # a heading's line height by its font size


def bars(page: Page, controls: list[Element]) -> list[Element]:
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
    return [e for e in out if not held.intersection(e.lines)]


def _group_label(page: Page, index: int) -> bool:
    """Small capitals: what names a group of a menu's entries."""
    t = page.texts[index]
    return t.text.isupper() and sum(c.isalpha() for c in t.text) >= 3 and t.look.font_size <= page.body_size


def _entry(page: Page, entry: navigation.Entry, free: list[int], confidence: float) -> Element:
    lines = tuple(free[i] for i in entry.texts)
    text = " ".join(page.texts[i].text for i in lines)
    loud = text.isupper() and sum(c.isalpha() for c in text) >= 3 and entry.across
    return Element("button" if loud else "link", entry.box, text, confidence, lines=lines)


def from_text(page: Page, index: int, t: Text) -> list[Element]:
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


def _bar_link(page: Page, t: Text) -> Box:
    """A name in a bar, with the picture beside it: as high as entries of bars are."""
    bar = page.bar(t.ink)
    x, y, w, h = t.look.box
    near = [m.box for m in page.marks if overlap(m.box, (x - 16, y, w + 32, h)) and max(m.box[2:]) <= 48]
    whole = union([t.look.box, *near])
    high = min(40, bar[3]) if bar is not None else h
    return whole[0], max(0, round(centre(t.ink)[1] - high / 2)), whole[2], high


def _pictured(page: Page, t: Text) -> bool:
    """Whether a small picture stands beside a text, as a user's beside the name."""
    x, y, w, h = t.ink
    return any(min(m.box[2:]) >= 24 and max(m.box[2:]) <= 48 and overlap(m.box, (x - 16, y, w + 32, h)) for m in page.marks)


def _title(page: Page, index: int, t: Text) -> bool:
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


def _heading_box(page: Page, index: int, t: Text) -> Box:
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
