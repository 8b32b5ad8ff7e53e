"""Boxes become a tree of rows and columns.

Containment first: what lies in a panel or a control is laid out inside it. Among siblings an XY-cut: where a straight gap
crosses the whole group it is split into columns or rows, again and again. What overlaps so that no cut exists is piled in
one grid cell. So nothing is placed absolutely, and every node carries its box: margins, gaps and sizes follow from boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .frame import Frame
from .model import Box, Element, Text
from .paint import Panel

Direction = Literal["row", "column", "pile"]
Side = Literal["bar", "column"]
MIDDLE = 1.5  # px by which things on a middle line may be off it
OPAQUE = {"image", "checkbox", "radio", "input", "select", "icon"}  # nothing is laid out inside these


@dataclass(frozen=True)
class Region:
    """A part of the window that stays while the page scrolls."""

    side: Side
    color: str


Payload = Text | Element | Panel | Region | None


@dataclass
class Node:
    """A box of the page. `direction` says how its children lie; leaves have none."""

    box: Box
    payload: Payload = None
    direction: Direction = "column"
    children: list[Node] = field(default_factory=list)
    centred: bool | None = None
    """Whether its children stand on its middle line; None where that is for their boxes to say."""

    def off_edge(self) -> float:
        """How far a child is at most from the upper edge of a row, or the left one of a column."""
        return max(c.box.y - self.box.y if self.direction == "row" else c.box.x - self.box.x for c in self.children)

    def off_middle(self) -> float:
        """How far the middle of a child is at most from that of the row or column."""
        return max(abs(c.box.cy - self.box.cy) if self.direction == "row" else abs(c.box.cx - self.box.cx) for c in self.children)


def contain(root: Box, texts: Sequence[Text], elements: Sequence[Element], panels: Sequence[Panel]) -> Node:
    """The tree of containment: every box in the smallest one that holds it, the page's own box at the root."""
    top = Node(root)
    holders: list[Node] = [top]
    rank = {"heading": 0, "table": 0, "link": 2, "button": 3}
    things: list[tuple[float, int, Node]] = [(-p.box.area, 1, Node(p.box, p)) for p in panels]
    things += [(-e.box.area, rank.get(e.kind, 4), Node(e.box, e)) for e in elements]
    things.sort(key=lambda t: (t[0], t[1], t[2].box.y, t[2].box.x))
    for _, _, node in things:
        _holder(holders, node).children.append(node)
        if not (isinstance(node.payload, Element) and node.payload.kind in OPAQUE):
            holders.append(node)
    for t in texts:
        _holder(holders, Node(t.box, t)).children.append(Node(t.box, t))
    return top


def _holder(holders: Sequence[Node], node: Node) -> Node:
    """The smallest box that holds nearly all of the node and its centre."""
    best = holders[0]
    for h in holders[1:]:
        fits = node.box.area * 0.98 <= h.box.area <= best.box.area and h.box.contains(node.box.cx, node.box.cy)
        if fits and h.box.overlap(node.box) >= 0.85 * node.box.area:
            best = h
    return best


def lay_out(
    root: Box, texts: Sequence[Text], elements: Sequence[Element], panels: Sequence[Panel], frame: Frame, colors: tuple[str, str]
) -> Node:
    """The page as a tree of rows and columns, what stays while it scrolls in regions of its own; `colors` are bar's and column's."""
    bar, column = frame.bar, frame.column

    def tree(box: Box, inside: Callable[[Box], bool]) -> Node:
        node = contain(
            box,
            [t for t in texts if inside(t.box)],
            [e for e in elements if inside(e.box)],
            [p for p in panels if inside(p.box) and p.box.area < 0.95 * box.area],
        )
        arrange(node)
        return node

    if not bar and not column:
        return tree(root, lambda b: True)
    body = tree(Box(column, bar, root.w - column, root.h - bar), lambda b: b.cy >= bar and b.cx >= column)
    regions = []
    if column:
        side = tree(Box(0, bar, column, root.h - bar), lambda b: b.cy >= bar and b.cx < column)
        side.payload = Region("column", colors[1])
        body = Node(Box(0, bar, root.w, root.h - bar), None, "row", [side, body])
    if bar:
        top = tree(Box(0, 0, root.w, bar), lambda b: b.cy < bar)
        top.payload = Region("bar", colors[0])
        regions.append(top)
    return Node(root, None, "column", [*regions, body])


def arrange(node: Node) -> None:
    """Give every container of the tree its direction, adding rows and columns between it and its children."""
    for child in node.children:
        arrange(child)
    if node.children and not (isinstance(node.payload, Element) and node.payload.kind == "table"):
        laid = cut(node.children)
        if len(laid) == 1 and laid[0].payload is None and laid[0].children:
            node.direction, node.children = laid[0].direction, laid[0].children
        else:
            node.direction, node.children = "column", laid


def cut(nodes: Sequence[Node]) -> list[Node]:
    """One node that lays out all of `nodes`; the node itself where there is only one."""
    if len(nodes) == 1:
        return [nodes[0]]
    for slack in (0.0, 0.2, 0.42):
        rows, columns = split(nodes, "y", slack), split(nodes, "x", slack)
        if len(rows) > 1 and (len(columns) <= 1 or not _beside(columns)):
            return [_group("column", rows)]
        if len(columns) > 1:
            return [_group("row", columns)]
    return [_pile(nodes)]


def _group(direction: Direction, parts: Sequence[Sequence[Node]]) -> Node:
    children = [c for p in parts for c in cut(p)]
    # A row inside a row (or a column in a column) that carries nothing of its own is no level of its own.
    flat: list[Node] = []
    for c in children:
        flat += c.children if c.payload is None and c.children and c.direction == direction else [c]
    return Node(bounds(flat), None, direction, flat)


def bounds(nodes: Sequence[Node]) -> Box:
    box = nodes[0].box
    for n in nodes[1:]:
        box = box.union(n.box)
    return box


def _interval(node: Node, axis: str, slack: float) -> tuple[float, float]:
    start, size = (node.box.x, node.box.w) if axis == "x" else (node.box.y, node.box.h)
    # A line's box is taller than its letters; boxes that only touch or overlap by a little are apart.
    trim = min(size * 0.3, (0.12 * size if isinstance(node.payload, Text) and axis == "y" else 1.0) + slack * min(size, 24))
    return start + trim, start + size - trim


def split(nodes: Sequence[Node], axis: str, slack: float) -> list[list[Node]]:
    """Groups that a straight gap separates, in order; `slack` shrinks the boxes before gaps are looked for."""
    spans = sorted(((*_interval(n, axis, slack), i) for i, n in enumerate(nodes)))
    groups: list[list[Node]] = []
    end = float("-inf")
    for start, stop, i in spans:
        if start >= end:
            groups.append([])
        groups[-1].append(nodes[i])
        end = max(end, stop)
    return groups


def _beside(columns: Sequence[Sequence[Node]]) -> bool:
    """Whether the columns are independent blocks side by side rather than the cells of common rows."""
    boxes = [bounds(c) for c in columns]
    widest = max(range(1, len(boxes)), key=lambda k: boxes[k].x - boxes[k - 1].right)
    gap = boxes[widest].x - boxes[widest - 1].right
    left = [n for c in columns[:widest] for n in c]
    right = [n for c in columns[widest:] for n in c]
    if gap < 12 or min(len(left), len(right)) < 2:
        return False
    a, b = bounds(left), bounds(right)
    if min(a.h, b.h) < 0.3 * max(a.h, b.h):
        return False
    aligned = sum(any(abs(n.box.cy - m.box.cy) <= 4 for m in right) for n in left)
    back = sum(any(abs(n.box.cy - m.box.cy) <= 4 for m in left) for n in right)
    return min(aligned / len(left), back / len(right)) < 0.5


def _pile(nodes: Sequence[Node]) -> Node:
    """Overlapping things in one grid cell: as few layers as can each be laid out on their own, the larger ones beneath."""
    layers: list[list[Node]] = []
    for n in sorted(nodes, key=lambda n: (-n.box.area, n.box.y, n.box.x)):
        layer = next((g for g in layers if all(n.box.overlap(m.box) <= 0 for m in g)), None)
        if layer is None:
            layers.append([n])
        else:
            layer.append(n)
    if len(layers) == 1:  # nothing overlaps, yet no straight cut exists (a pinwheel): take one out
        layers = [layers[0][:1], layers[0][1:]]
    children = [c for g in layers for c in cut(g)]
    return Node(bounds(nodes), None, "pile", children)
