"""Rows and columns of a table, found from where its contents lie."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from .layout import Node, bounds, split
from .model import Box, Element, Text
from .pixels import distance

MOSTLY = 0.7  # share of a column's cells that say what the column is
_WIDE = 0.4  # a single thing wider than this share of the table spans columns


@dataclass(frozen=True)
class Grid:
    """`cells[row][column]` holds what lies there; edges are one more than rows or columns, in pixels of the page."""

    rows: list[float]
    columns: list[float]
    cells: list[list[list[Node]]]
    spans: list[bool]
    """Whether the row is one cell across all columns."""
    header: bool


def find_grid(node: Node) -> Grid | None:
    """The grid of a table; None where it has no content that could tell."""
    items = node.children
    if not items:
        return None
    bands = split(items, "y", 0.0)
    spans = [len(b) == 1 and b[0].box.w > _WIDE * node.box.w for b in bands]
    regular = [n for b, s in zip(bands, spans, strict=True) if not s for n in b]
    extents = _columns(bands, spans) if regular else [(node.box.x, node.box.right)]
    columns = [node.box.x, *((a[1] + b[0]) / 2 for a, b in pairwise(extents)), node.box.right]
    extent = [bounds(b) for b in bands]
    rows = [node.box.y, *((a.bottom + b.y) / 2 for a, b in pairwise(extent)), node.box.bottom]
    if any(b - a < 1 for a, b in pairwise(rows)) or any(b - a < 1 for a, b in pairwise(columns)):
        return None
    cells = []
    for band, span in zip(bands, spans, strict=True):
        row: list[list[Node]] = [[] for _ in range(len(columns) - 1)]
        for n in band:
            row[0 if span else _column_of(n.box.cx, columns)].append(n)
        cells.append(row)
    return Grid(_even(rows), columns, cells, spans, _has_header(cells, spans))


def _column_of(x: float, edges: Sequence[float]) -> int:
    """The column that a place lies in, the outer ones beyond the edges."""
    return max(0, min(len(edges) - 2, bisect_right(edges, x) - 1))


def _columns(bands: Sequence[Sequence[Node]], spans: Sequence[bool]) -> list[tuple[float, float]]:
    """Extents of the columns: merged extents of all cells, and of neighbours that are never both filled in one row."""
    groups = split([n for b, s in zip(bands, spans, strict=True) if not s for n in b], "x", 0.0)
    row_of = {id(n): r for r, b in enumerate(bands) for n in b}
    merged: list[list[Node]] = []
    for g in groups:
        if merged and len(bands) > 2 and not ({row_of[id(n)] for n in merged[-1]} & {row_of[id(n)] for n in g}):
            merged[-1] = merged[-1] + g
        else:
            merged.append(list(g))
    return [(b.x, b.right) for b in map(bounds, merged)]


def _even(edges: list[float]) -> list[float]:
    """Rows that are nearly equally high are made so: what differs is reading noise."""
    if len(edges) < 5:
        return edges
    start, stop = 2, len(edges) - 2  # the first and last row often have another height
    step = (edges[stop] - edges[start]) / (stop - start) if stop > start else 0
    if step and all(abs(edges[k] - edges[start] - (k - start) * step) <= 1.5 for k in range(start, stop + 1)):
        edges = [*edges[:start], *(edges[start] + (k - start) * step for k in range(start, stop + 1)), *edges[stop + 1 :]]
        if abs(edges[start] - edges[1] - step) <= 1.5:
            edges[1] = edges[start] - step
        if abs(edges[-1] - edges[-2] - step) <= 1.5:
            edges[-1] = edges[-2] + step
    return edges


def _has_header(cells: Sequence[Sequence[Sequence[Node]]], spans: Sequence[bool]) -> bool:
    """The first row is a header if it is bold, in another colour, or without figures where the rows below have them."""
    rows = [[n.payload for c in row for n in c if isinstance(n.payload, Text)] for row in cells]
    if len(cells) < 2 or spans[0]:
        return False
    # Columns are often sorted by a click on their names: controls over cells that are plain text.
    if sum(bool(head) and all(label_in(n) for n in head) and _plain(body) for head, *body in zip(*cells, strict=True)) >= 2:
        return True
    if len(rows[0]) < 2:
        return False
    head, body = rows[0], [t for row in rows[1:] for t in row]
    if not body:
        return False
    bold = mean(t.weight for t in head) - mean(t.weight for t in body) > 150
    usual = [Counter(t.color or "#000000" for t in side).most_common(1)[0][0] for side in (head, body)]
    figures = [mean(any(c.isdigit() for c in t.text) for t in side) for side in (head, body)]
    return bold or distance(*usual) > 40 or (figures[0] < 0.2 and figures[1] > 0.4)


def label_in(node: Node) -> str:
    """What a control in a cell says; nothing for text and for what is no control."""
    if not isinstance(node.payload, Element) or node.payload.kind not in {"link", "button", "heading"}:
        return ""
    return " ".join(t.payload.text for t in node.children if isinstance(t.payload, Text)) or node.payload.text


def _plain(body: Sequence[Sequence[Node]]) -> bool:
    """Whether nearly all cells of a column are lines of text."""
    filled = [c for c in body if c]
    return len(filled) >= 2 and sum(len(c) == 1 and isinstance(c[0].payload, Text) for c in filled) >= MOSTLY * len(filled)


def cell_box(grid: Grid, row: int, column: int) -> Box:
    """The box of a cell; a row that spans has one cell."""
    right = grid.columns[-1] if grid.spans[row] else grid.columns[column + 1]
    return Box(grid.columns[column], grid.rows[row], right - grid.columns[column], grid.rows[row + 1] - grid.rows[row])
