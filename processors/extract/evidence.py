"""What speaks for and against a guess, as numbers: one row a candidate, one column a question. Lengths are in pixels.

All of it is computed for all candidates at once. Where on a page something stands is no question, but for its top: forests would learn the margins of the
pages that they were grown on. The columns' names are written into the forest when it is grown, and compared when it is opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from processors.extract.candidates import PIECE, RUN, Candidate
from processors.extract.geometry import centre
from processors.extract.page import Element, Page, far, vivid
from processors.extract.pixels import gradient, peak

KINDS = ("button", "link", "input", "checkbox", "radio", "select", "image", "heading", "table")
MISSING = -1.0
# Of the regions about a guess, the smallest of them (o_), and those within it.
AROUND = ("around_fill_far", "within", "o_left", "o_above", "o_right", "o_below", "o_texts", "o_bordered", "o_radius", "parts")
# Words that buttons begin with in any application; what begins otherwise is judged by its looks alone.
_VERBS = """
add apply approve archive assign authorize back browse buy calculate cancel change choose clear close compare confirm connect continue copy create
delete deploy disable discard done download drop edit enable execute exit explain export filter find finish generate go hide import insert
install invite join load log login logout merge move new next ok open pause play post preview previous print publish query refresh register
reject reload remove rename reply reset restart restore resume retry run save search select send set share show sign skip sort start stop
submit subscribe switch sync test toggle try undo unlock update upload upgrade validate verify view
"""
VERBS = frozenset(_VERBS.split())
TOP = 150  # rows from which it no longer matters how far down something stands
Columns = dict[str, np.ndarray]


def evidence(page: Page, guesses: Sequence[Candidate], opinions: Sequence[Element]) -> tuple[list[str], np.ndarray]:
    """Names of the columns, and float32 ``(candidates, columns)``."""
    boxes = np.array([g.box for g in guesses], np.float64).reshape(-1, 4)
    out: Columns = {}
    _shape(out, page, guesses, boxes)
    _pixels(out, page, boxes)
    _texts(out, page, guesses, boxes)
    _regions(out, page, guesses, boxes)
    _marks(out, page, guesses, boxes)
    _neighbours(out, guesses, boxes)
    tables = np.array(page.tables, np.float64).reshape(-1, 4)
    out["in_table"] = (overlaps(boxes, tables) / (boxes[:, 2] * boxes[:, 3])[:, None]).max(axis=1, initial=0)
    _opinions(out, boxes, opinions)
    names = list(out)
    return names, np.stack([np.asarray(out[n], np.float32) for n in names], axis=1) if len(guesses) else np.zeros(
        (0, len(names)), np.float32
    )


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas in common, ``(len(a), len(b))``."""
    w = np.minimum(a[:, None, 0] + a[:, None, 2], b[None, :, 0] + b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    h = np.minimum(a[:, None, 1] + a[:, None, 3], b[None, :, 1] + b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    return np.asarray(np.maximum(w, 0) * np.maximum(h, 0))


def ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    common = overlaps(a, b)
    return np.asarray(common / (a[:, None, 2] * a[:, None, 3] + b[None, :, 2] * b[None, :, 3] - common))


def _shape(out: Columns, page: Page, guesses: Sequence[Candidate], boxes: np.ndarray) -> None:
    _, y, w, h = boxes.T
    out["how"] = np.array([g.how for g in guesses])
    out["w"], out["h"] = w, h
    out["aspect"] = w / h
    out["from_top"] = np.minimum(y, TOP)


def _pixels(out: Columns, page: Page, boxes: np.ndarray) -> None:
    """Ink within, in the ends and about; how strongly each side stands out; colour within against about."""
    height, width = page.image.shape[:2]
    edges = (gradient(page.image) > 24).astype(np.uint8)
    grey = peak(page.image).astype(np.int16)
    upright = np.zeros((height, width), np.uint8)
    upright[:, 1:] = np.abs(np.diff(grey, axis=1)) > 5
    level = np.zeros((height, width), np.uint8)
    level[1:] = np.abs(np.diff(grey, axis=0)) > 5
    ink_sum, up_sum, level_sum = (cv2.integral(a) for a in (edges, upright, level))
    colour_sum = cv2.integral(page.image, sdepth=cv2.CV_64F)
    x0, y0 = boxes[:, 0].astype(int), boxes[:, 1].astype(int)
    x1, y1 = x0 + boxes[:, 2].astype(int), y0 + boxes[:, 3].astype(int)

    def mean(table: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
        a, c = np.clip(a, 0, width), np.clip(c, 0, width)
        b, d = np.clip(b, 0, height), np.clip(d, 0, height)
        c, d = np.maximum(c, a), np.maximum(d, b)
        size = np.maximum(1, (c - a) * (d - b))
        total = table[d, c].astype(np.float64) - table[b, c] - table[d, a] + table[b, a]
        return np.asarray(total / (size[:, None] if table.ndim == 3 else size))

    out["ink"] = mean(ink_sum, x0 + 3, y0 + 3, x1 - 3, y1 - 3)
    out["ink_left"] = mean(ink_sum, x0 + 3, y0 + 3, np.minimum(x0 + 28, x1 - 3), y1 - 3)
    out["ink_right"] = mean(ink_sum, np.maximum(x1 - 28, x0 + 3), y0 + 3, x1 - 3, y1 - 3)
    out["ink_about_sides"] = mean(ink_sum, x0 - 14, y0, x0 - 3, y1) + mean(ink_sum, x1 + 3, y0, x1 + 14, y1)
    out["ink_above"], out["ink_below"] = mean(ink_sum, x0, y0 - 10, x1, y0 - 3), mean(ink_sum, x0, y1 + 3, x1, y1 + 10)
    thick = 2

    def side(table: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, by: int) -> np.ndarray:
        return np.asarray(np.minimum(1.0, mean(table, a, b, c, d) * by))

    out["side_left"] = side(up_sum, x0 - thick, y0 + 4, x0 + thick + 1, y1 - 4, 2 * thick + 1)
    out["side_right"] = side(up_sum, x1 - thick, y0 + 4, x1 + thick + 1, y1 - 4, 2 * thick + 1)
    out["side_top"] = side(level_sum, x0 + 4, y0 - thick, x1 - 4, y0 + thick + 1, 2 * thick + 1)
    out["side_bottom"] = side(level_sum, x0 + 4, y1 - thick, x1 - 4, y1 + thick + 1, 2 * thick + 1)
    within = mean(colour_sum, x0 + 2, y0 + 2, x1 - 2, y1 - 2)
    about = mean(colour_sum, x0 - 4, y0 - 4, x1 + 4, y1 + 4)
    out["contrast"] = np.abs(within - about).max(axis=1)
    out["vivid_mean"] = within.max(axis=1) - within.min(axis=1)


def _texts(out: Columns, page: Page, guesses: Sequence[Candidate], boxes: np.ndarray) -> None:
    """The texts that stand in a candidate, and the one that it was guessed from (else its first)."""
    count = len(boxes)
    inks = np.array([t.ink for t in page.texts], np.float64).reshape(-1, 4)
    mx, my = inks[:, 0] + inks[:, 2] / 2, inks[:, 1] + inks[:, 3] / 2
    x, y, w, h = (boxes[:, i : i + 1] for i in range(4))
    held = (mx >= x) & (mx <= x + w) & (my >= y) & (my <= y + h) if len(inks) else np.zeros((count, 0), bool)
    letters = np.array([len(t.text.replace(" ", "")) for t in page.texts], np.float64)
    out["texts"], out["letters"] = held.sum(axis=1), held @ letters if len(inks) else np.zeros(count)
    far_away = 1e6

    def extreme(values: np.ndarray, empty: float, largest: bool) -> np.ndarray:
        if not len(inks):
            return np.full(count, MISSING)
        chosen = np.where(held, values[None, :], -empty if largest else empty)
        found = chosen.max(axis=1) if largest else chosen.min(axis=1)
        return np.asarray(found)

    any_held = held.any(axis=1)
    left, right = extreme(inks[:, 0], far_away, False), extreme(inks[:, 0] + inks[:, 2], far_away, True)
    top, bottom = extreme(inks[:, 1], far_away, False), extreme(inks[:, 1] + inks[:, 3], far_away, True)
    for name, value in (
        ("room_left", left - boxes[:, 0]),
        ("room_right", boxes[:, 0] + boxes[:, 2] - right),
        ("room_above", top - boxes[:, 1]),
        ("room_below", boxes[:, 1] + boxes[:, 3] - bottom),
    ):
        out[name] = np.where(any_held, value, MISSING * 100)
    out["off_centre"] = np.where(any_held, np.abs((left - boxes[:, 0]) - (boxes[:, 0] + boxes[:, 2] - right)), MISSING)
    sizes = np.array([t.look.font_size for t in page.texts], np.float64)
    out["size_most"] = np.where(any_held, extreme(sizes, far_away, True), MISSING)
    first = np.where(any_held, held.argmax(axis=1), -1) if len(inks) else np.full(count, -1)
    told = np.array([g.text for g in guesses], np.int64)
    anchor = np.where(told >= 0, told, first)
    about = _about_texts(page)
    for name, column in about.items():
        values = np.append(np.asarray(column, np.float64), MISSING)
        out["t_" + name] = values[anchor]
    share = np.full(count, MISSING)
    for n, g in enumerate(guesses):
        if g.words and g.text >= 0:
            share[n] = len(g.words) / max(1, len(page.texts[g.text].text))
    out["t_share"] = share
    vivid_run = np.full(count, MISSING)
    for n, g in enumerate(guesses):
        if g.how in (RUN, PIECE) and g.text >= 0:  # a part of a line
            bx, by, _, bh = page.texts[g.text].ink
            cx0, cx1 = max(0, g.box[0]), min(page.width, g.box[0] + g.box[2])
            part = page.image[by : by + bh, max(bx, cx0) : cx1]
            if part.size:
                distance = peak(np.abs(part.astype(np.int16) - np.array(page.texts[g.text].look.background, np.int16)))
                strong = part[distance >= 0.8 * distance.max()]
                vivid_run[n] = vivid(tuple(int(v) for v in np.median(strong, axis=0)))  # type: ignore[arg-type]
    out["run_vivid"] = vivid_run


def _about_texts(page: Page) -> dict[str, list[float]]:
    """Questions about each line of text."""
    texts = page.texts
    plain = Counter(t.look.colour for t in texts)
    shades = Counter(tuple(c >> 4 for c in t.look.colour) for t in texts for _ in range(len(t.text)))
    usual = max(shades, key=lambda k: (shades[k], k)) if plain else (0, 0, 0)
    usual_colour = (usual[0] * 16 + 8, usual[1] * 16 + 8, usual[2] * 16 + 8)
    width = page.width
    out: dict[str, list[float]] = {
        k: []
        for k in [
            "bigger",
            "weight",
            "vivid",
            "blue",
            "differs",
            "contrast",
            "letters",
            "words",
            "upper",
            "title",
            "digits",
            "alpha",
            "mono",
            "stop",
            "colon",
            "sign",
            "underlined",
            "in_table",
            "row_count",
            "row_gap_left",
            "row_gap_right",
            "above",
            "below",
            "above_same",
            "below_same",
            "icon_left",
            "icon_right",
            "bar_top",
            "bar_side",
            "owner_first",
            "verb",
            "path",
            "repeated",
            "peers",
            "peers_letters",
            "size_rank",
            "row_alike",
            "row_at",
        ]
    }
    said = Counter(t.text.casefold() for t in texts)
    counts = np.array([len(t.text) for t in texts], np.float64)
    lefts = np.array([t.ink[0] for t in texts], np.float64)
    sizes = np.array([t.look.font_size for t in texts], np.float64)
    colours = np.array([t.look.colour for t in texts], np.int64).reshape(-1, 3)
    every = max(1.0, float(counts.sum()))
    for n, t in enumerate(texts):
        x, y, w, h = t.ink
        look, text = t.look, t.text
        alike = (np.abs(colours - colours[n]).max(axis=1) < 40) & (np.abs(sizes - sizes[n]) < 1.5)
        peers = alike & (np.abs(lefts - x) <= 3)
        bare = text.replace(" ", "") or " "
        b, g, r = look.colour
        row = page.rows[page.row_of[n]]
        at = row.index(n)
        before = [page.texts[i].ink for i in row[:at]]
        behind = [page.texts[i].ink for i in row[at + 1 :]]
        column = [(centre(o.ink)[1] - centre(t.ink)[1], o) for k, o in enumerate(texts) if k != n and abs(o.ink[0] - x) <= 4]
        over = max(((d, o) for d, o in column if d < -4), key=lambda c: c[0], default=None)
        under = min(((d, o) for d, o in column if d > 4), key=lambda c: c[0], default=None)
        icons = [m.box for m in page.marks if max(m.box[2:]) <= 40 and m.box[1] < y + h and y < m.box[1] + m.box[3]]
        bar = page.bar(t.ink)
        owner = page.owner[n]
        values = {
            "bigger": look.font_size / page.body_size,
            "weight": look.weight,
            "vivid": vivid(look.colour),
            "blue": b - (g + r) / 2,
            "differs": far(look.colour, usual_colour),
            "contrast": far(look.colour, look.background),
            "letters": len(bare),
            "words": text.count(" ") + 1,
            "upper": sum(c.isupper() for c in bare) / len(bare),
            "title": float(text[:1].isupper()),
            "digits": sum(c.isdigit() for c in bare) / len(bare),
            "alpha": sum(c.isalpha() for c in bare) / len(bare),
            "mono": float(look.family == "mono"),
            "stop": float(text.endswith((".", ",", ";", "…", "..."))),
            "colon": float(text.endswith((":", "*"))),
            "sign": float(text[:1] in "#@/$+-"),
            "underlined": _underlined(page, n),
            "in_table": float(page.in_table(t.ink)),
            "row_count": len(row),
            "row_gap_left": x - before[-1][0] - before[-1][2] if before else 999,
            "row_gap_right": behind[0][0] - x - w if behind else 999,
            "above": -over[0] if over else 999,
            "below": under[0] if under else 999,
            "above_same": float(
                over is not None and abs(over[1].look.font_size - look.font_size) < 1.5 and far(over[1].look.colour, look.colour) < 40
            ),
            "below_same": float(
                under is not None and abs(under[1].look.font_size - look.font_size) < 1.5 and far(under[1].look.colour, look.colour) < 40
            ),
            "icon_left": min((x - i[0] - i[2] for i in icons if i[0] + i[2] <= x + 2), default=999),
            "icon_right": min((i[0] - x - w for i in icons if i[0] >= x + w - 2), default=999),
            "bar_top": float(bar is not None and bar[2] >= 0.6 * width),
            "bar_side": float(bar is not None and bar[2] < 0.6 * width),
            "owner_first": float(owner is not None and min(page.within[owner], key=lambda i: (texts[i].ink[1] // 8, texts[i].ink[0])) == n),
            "verb": float(text.split(" ")[0].casefold() in VERBS),
            "path": float("/" in text and " " not in text),
            "repeated": said[text.casefold()],
            "peers": float(peers.sum()),
            "peers_letters": float(counts[peers].mean()),
            "size_rank": float(counts[sizes > look.font_size + 0.5].sum()) / every,
            "row_alike": float(alike[row].mean()),
            "row_at": at,
        }
        for k, v in values.items():
            out[k].append(float(v))
    return out


def _underlined(page: Page, n: int) -> float:
    """Share of a text's width under which a line of its own colour runs."""
    t = page.texts[n]
    x, y, w, h = t.ink
    low = min(page.height, y + h + 4)
    part = page.image[max(0, y + h - 4) : low, x : x + w].astype(np.int16)
    if not part.size:
        return 0.0
    alike = peak(np.abs(part - np.array(t.look.colour, np.int16))) < 70
    return float(alike.mean(axis=1).max())


def _regions(out: Columns, page: Page, guesses: Sequence[Candidate], boxes: np.ndarray) -> None:
    """The region that a candidate is (by its box), and the smallest that it stands in."""
    count = len(boxes)
    rows = np.array([r.box for r in page.regions], np.float64).reshape(-1, 4)
    facts = np.array(
        [
            [
                float(r.border is not None),
                far(r.border, r.fill) if r.border else 0,
                r.radius,
                r.solidity,
                vivid(r.fill),
                sum(r.fill) / 3,
                far(r.fill, r.outside),
            ]
            for r in page.regions
        ],
        np.float64,
    ).reshape(-1, 7)
    names = ("bordered", "border_far", "radius", "solidity", "fill_vivid", "fill_light", "fill_far")
    if not len(rows):
        for name in ("r_iou", *("r_" + n for n in names), *AROUND):
            out[name] = np.full(count, MISSING)
        return
    likeness = ious(boxes, rows)
    best = likeness.argmax(axis=1)
    out["r_iou"] = likeness[np.arange(count), best]
    is_one = out["r_iou"] > 0.7
    for i, name in enumerate(names):
        out["r_" + name] = np.where(is_one, facts[best, i], MISSING)
    sizes = rows[:, 2] * rows[:, 3]
    mine = boxes[:, 2] * boxes[:, 3]
    common = overlaps(boxes, rows)
    around = (common > 0.95 * mine[:, None]) & (sizes[None, :] > 1.15 * mine[:, None])
    smallest = np.where(around, sizes[None, :], np.inf)
    owner = smallest.argmin(axis=1)
    has = around.any(axis=1)
    out["around_fill_far"] = np.where(has, facts[owner, 6], 0)
    out["within"] = around.sum(axis=1)
    outer = np.where(has[:, None], rows[owner], np.array([0, 0, page.width, page.height], np.float64))
    out["o_left"], out["o_above"] = boxes[:, 0] - outer[:, 0], boxes[:, 1] - outer[:, 1]
    out["o_right"] = outer[:, 0] + outer[:, 2] - boxes[:, 0] - boxes[:, 2]
    out["o_below"] = outer[:, 1] + outer[:, 3] - boxes[:, 1] - boxes[:, 3]
    inks = np.array([t.ink for t in page.texts], np.float64).reshape(-1, 4)
    mx, my = inks[:, 0] + inks[:, 2] / 2, inks[:, 1] + inks[:, 3] / 2
    x, y, w, h = (rows[:, i : i + 1] for i in range(4))
    told = ((mx >= x) & (mx <= x + w) & (my >= y) & (my <= y + h)).sum(axis=1)
    out["o_texts"] = np.where(has, told[owner], len(inks))
    out["o_bordered"], out["o_radius"] = np.where(has, facts[owner, 0], MISSING), np.where(has, facts[owner, 2], MISSING)
    out["parts"] = ((common > 0.95 * sizes[None, :]) & (sizes[None, :] < 0.85 * mine[:, None])).sum(axis=1)


def _marks(out: Columns, page: Page, guesses: Sequence[Candidate], boxes: np.ndarray) -> None:
    count = len(boxes)
    rows = np.array([m.box for m in page.marks], np.float64).reshape(-1, 4)
    facts = np.array([[m.box[2], m.box[3], m.colours, m.density] for m in page.marks], np.float64).reshape(-1, 4)
    if not len(rows):
        for name in ("marks", "m_w", "m_h", "m_colours", "m_density", "m_from_left", "m_from_right", "m_share", "m_off"):
            out[name] = np.full(count, MISSING)
        return
    mx, my = rows[:, 0] + rows[:, 2] / 2, rows[:, 1] + rows[:, 3] / 2
    x, y, w, h = (boxes[:, i : i + 1] for i in range(4))
    held = (mx >= x) & (mx <= x + w) & (my >= y) & (my <= y + h)
    out["marks"] = held.sum(axis=1)
    sizes = np.where(held, (rows[:, 2] * rows[:, 3])[None, :], -1)
    largest = sizes.argmax(axis=1)
    anchor = np.array([g.mark if g.mark >= 0 else (int(largest[n]) if held[n].any() else -1) for n, g in enumerate(guesses)], int)
    has = anchor >= 0
    for i, name in enumerate(("w", "h", "colours", "density")):
        out["m_" + name] = np.where(has, facts[anchor, i], MISSING)
    out["m_from_left"] = np.where(has, rows[anchor, 0] - boxes[:, 0], MISSING * 100)
    out["m_from_right"] = np.where(has, boxes[:, 0] + boxes[:, 2] - rows[anchor, 0] - rows[anchor, 2], MISSING * 100)
    out["m_share"] = np.where(has, rows[anchor, 2] * rows[anchor, 3] / (boxes[:, 2] * boxes[:, 3]), MISSING)
    out["m_off"] = np.where(has, np.abs(my[anchor] - boxes[:, 1] - boxes[:, 3] / 2), MISSING)


def _neighbours(out: Columns, guesses: Sequence[Candidate], boxes: np.ndarray) -> None:
    """How many guesses of the same manner there are with the same left and width, with the same top and height, and of the same size."""
    how = np.array([g.how for g in guesses])
    x, y, w, h = boxes.T
    columns, rows, sizes = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for kind in np.unique(how):
        mine = np.flatnonzero(how == kind)
        a = {k: v[mine] for k, v in zip("xywh", (x, y, w, h), strict=True)}

        def near(key: str, by: float, a: dict[str, np.ndarray] = a) -> np.ndarray:
            return np.asarray(np.abs(a[key][:, None] - a[key][None, :]) <= by)

        columns[mine] = (near("x", 3) & near("h", 3)).sum(axis=1)
        rows[mine] = (near("y", 3) & near("h", 3)).sum(axis=1)
        sizes[mine] = (near("w", 3) & near("h", 3)).sum(axis=1)
    out["same_column"], out["same_row"], out["same_size"] = columns, rows, sizes


def _opinions(out: Columns, boxes: np.ndarray, opinions: Sequence[Element]) -> None:
    """How well a candidate fits an element that the rules found, by kind."""
    for kind in KINDS:
        found = np.array([e.box for e in opinions if e.kind == kind], np.float64).reshape(-1, 4)
        out["rule_" + kind] = ious(boxes, found).max(axis=1) if len(found) else np.zeros(len(boxes))
