"""Elements by rules alone: what the forest is told as one opinion among others, and what stands where it has none."""

from __future__ import annotations

from processors.extract.controls import from_region
from processors.extract.geometry import Box, area, centre, covered, grown, iou, overlap
from processors.extract.page import Element, Page
from processors.extract.written import bars, from_text


def by_rules(page: Page) -> list[Element]:
    """All elements of a screen, in reading order."""
    grids = [Element("table", box, "", 0.6) for box in page.tables]
    ticks = [Element("radio" if disc else "checkbox", box, "", 0.65, checked=True) for box, disc in page.ticks]
    boxes = without_doubles([*(e for r in page.regions if (e := from_region(page, r)) is not None), *ticks])
    controls = [e for e in boxes if e.kind != "card"]
    entries = without_doubles(bars(page, controls))
    taken = {i for e in (*controls, *entries) for i in e.lines}
    words = [e for i, t in enumerate(page.texts) if i not in taken for e in from_text(page, i, t)]
    icons = _icons(page, [*controls, *entries, *words])
    everything = without_doubles([*boxes, *entries, *words, *icons]) + grids
    return sorted(everything, key=lambda e: (e.box[1], e.box[0], -area(e.box), e.kind))


def _icons(page: Page, known: list[Element]) -> list[Element]:
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


def _icon_button(page: Page, box: Box) -> Box:
    """The box of a button in a bar of which only the icon is seen: as wide as the next icon is away, 40 pixels at most."""
    x, y = centre(box)
    others = [abs(centre(m.box)[0] - x) for m in page.marks if m.box != box and abs(centre(m.box)[1] - y) <= 6 and max(m.box[2:]) <= 40]
    wide = round(min([40.0, *(d for d in others if d >= 28)]))
    bar = page.bar(box)
    high = min(40, bar[3]) if bar is not None else 40
    return max(0, round(x - wide / 2)), max(0, round(y - high / 2)), wide, high


def _near_text(page: Page, box: Box) -> bool:
    x, y, w, h = box
    return any(overlap(t.ink, (x - 14, y, w + 28, h)) for t in page.texts)


def without_doubles(elements: list[Element]) -> list[Element]:
    kept: list[Element] = []
    for e in sorted(elements, key=lambda e: (-e.confidence, area(e.box), e.box, e.kind)):
        if all(iou(e.box, k.box) < 0.7 for k in kept):
            kept.append(e)
    return kept
