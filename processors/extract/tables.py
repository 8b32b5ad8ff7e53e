"""Tables: rows of texts whose edges line up under one another, with rules or striped rows between them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from processors.extract.geometry import Box, centre, overlap, union

GAP = 48  # pixels between two rows at most
LINED_UP = 4  # pixels by which edges in one column may differ


def find(inks: Sequence[Box], rules: Sequence[Box], stripes: Sequence[Box]) -> list[Box]:
    """Boxes of tables. ``inks`` are boxes of texts, ``rules`` horizontal lines, ``stripes`` regions that may be rows or cells."""
    out = grids(stripes)
    inks = [b for b in inks if not any(overlap(b, o) for o in out)]
    rows = in_rows(inks)
    used: set[int] = set()
    for start in range(len(rows)):
        if start in used:
            continue
        block = [start]
        for row in range(start + 1, len(rows)):
            above, here = [inks[i] for i in rows[block[-1]]], [inks[i] for i in rows[row]]
            if min(b[1] for b in here) - max(b[1] + b[3] for b in above) > GAP:
                break
            if _in_line(above, here) >= 2:
                block.append(row)
        if len(block) < 3:
            continue
        members = _members([[inks[i] for i in rows[r]] for r in block])
        if len(members) < 5:
            continue
        box = _framed(union(members), rules, stripes)
        if box is not None:
            used.update(block)
            if not any(overlap(box, o) for o in out):
                out.append(box)
    return out


def in_rows(inks: Sequence[Box]) -> list[list[int]]:
    """Indices of boxes that share a line, rows from top to bottom, each from left to right."""
    rows: list[tuple[float, list[int]]] = []
    for i in sorted(range(len(inks)), key=lambda i: (centre(inks[i])[1], inks[i][0])):
        middle = centre(inks[i])[1]
        if rows and abs(middle - rows[-1][0]) <= 5:
            rows[-1][1].append(i)
        else:
            rows.append((middle, [i]))
    return [sorted(row, key=lambda i: inks[i][0]) for _, row in rows]


def _in_line(above: list[Box], here: list[Box]) -> int:
    return sum(any(_same_column(a, b) for a in above) for b in here)


def _same_column(a: Box, b: Box) -> bool:
    left, right, middle = a[0] - b[0], a[0] + a[2] - b[0] - b[2], centre(a)[0] - centre(b)[0]
    return min(abs(left), abs(right), abs(middle)) <= LINED_UP


def _members(rows: list[list[Box]]) -> list[Box]:
    """The boxes that have company in their column in at least two other rows (one, where there are but two or three rows)."""
    need = 2 if len(rows) > 3 else 1
    out = []
    for n, row in enumerate(rows):
        for box in row:
            company = Counter(m for m, other in enumerate(rows) if m != n for o in other if _same_column(box, o))
            if len(company) >= need:
                out.append(box)
    return out


def _framed(box: Box, rules: Sequence[Box], stripes: Sequence[Box]) -> Box | None:
    """The table's own box: as wide as its rules or striped rows, as high as they and its texts reach; ``None`` where it has neither."""
    x, y, w, h = box
    lines = [r for r in rules if r[0] <= x + 0.2 * w and r[0] + r[2] >= x + 0.8 * w and y - 30 <= r[1] <= y + h + 30]
    rows = [
        s for s in stripes if s[3] <= 90 and s[0] <= x + 8 and s[0] + s[2] >= x + w - 8 and y - 20 <= s[1] and s[1] + s[3] <= y + h + 30
    ]
    inner = [r for r in lines if y < r[1] < y + h]
    if _apart(rows):
        return None
    if len(inner) < 1 and not rows:
        return None
    lefts = Counter([r[0] for r in lines] + [s[0] for s in rows])
    rights = Counter([r[0] + r[2] for r in lines] + [s[0] + s[2] for s in rows])
    left, right = max(lefts, key=lambda v: (lefts[v], -v)), max(rights, key=lambda v: (rights[v], v))
    left, right = min(left, x - 1), max(right, x + w + 1)
    ys = [r[1] for r in lines] + [s[1] for s in rows] + [s[1] + s[3] for s in rows]
    above, below = [v for v in ys if v <= y], [v for v in ys if v >= y + h]
    top = max(above) if above and y - max(above) <= 24 else y - 9
    bottom = min(below) if below and min(below) - y - h <= 24 else y + h + 9
    return left, max(0, top), right - left, bottom - max(0, top)


def _apart(rows: Sequence[Box]) -> bool:
    """Whether rows are boxes of their own, with gaps between them: panels one under another, not a table."""
    alike: list[Box] = []
    for row in sorted((r for r in rows if abs(r[3] - rows[0][3]) <= 6), key=lambda r: (r[1], r[3])):
        if not alike or row[1] >= alike[-1][1] + alike[-1][3] - 4:  # frames of one thing, one in the other, count once
            alike.append(row)
    gaps = [b[1] - a[1] - a[3] for a, b in itertools.pairwise(alike)]
    return len(gaps) >= 2 and sum(g >= 5 for g in gaps) > 0.7 * len(gaps)


def grids(cells: Sequence[Box]) -> list[Box]:
    """Tables whose cells have frames: regions of one height side by side and of one width under one another, without gaps."""
    boxes = [b for b in cells if 14 <= b[3] <= 90 and b[2] >= 20]
    group = list(range(len(boxes)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, a in enumerate(boxes):
        for j in range(i):
            b = boxes[j]
            across = abs(a[1] - b[1]) <= 3 and abs(a[3] - b[3]) <= 4 and min(abs(a[0] + a[2] - b[0]), abs(b[0] + b[2] - a[0])) <= 4
            down = abs(a[0] - b[0]) <= 3 and abs(a[2] - b[2]) <= 4 and min(abs(a[1] + a[3] - b[1]), abs(b[1] + b[3] - a[1])) <= 4
            if across or down:
                group[root(i)] = root(j)
    clusters: dict[int, list[Box]] = {}
    for i, b in enumerate(boxes):
        clusters.setdefault(root(i), []).append(b)
    out = []
    for found in clusters.values():
        rows, columns = {round(b[1] / 6) for b in found}, {round(b[0] / 6) for b in found}
        if len(found) >= 6 and len(rows) >= 3 and len(columns) >= 2:
            out.append(union(found))
    return sorted(out)
