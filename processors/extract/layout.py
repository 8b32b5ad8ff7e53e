"""The layout of a screen: what stands in what, and within it rows and columns with their gaps, down to single things.

Containment first; then each container's things are cut, again and again, where nothing stands across (an XY-cut), along the axis with the wider
gap. Neighbours that look alike are marked as repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from processors.extract.geometry import Box, area, covered, union
from processors.extract.page import Element

CONTAINERS = {"card", "modal", "table", "nav", "button", "link", "input", "select", "heading"}
ALIKE = 4  # pixels by which the sizes of repeated things may differ across the axis
DEEPEST = 24
Item = tuple[Box, dict[str, Any]]


def tree(elements: Sequence[Element], texts: Sequence[Box], width: int, height: int) -> dict[str, Any]:
    """The screen as nested ``{"kind": "row" | "column" | "box" | "element" | "text", "box", ...}``.

    Rows and columns have ``items``, their usual ``gap``, and ``repeated`` where three or more items are alike; a box is an element (``id``) with what
    stands in it; ids are those of the screen's lists.
    """
    nodes: list[Item] = [(e.box, {"kind": "element", "id": f"e{n}", "box": list(e.box), "of": e.kind}) for n, e in enumerate(elements)]
    order = sorted(range(len(elements)), key=lambda n: (-area(elements[n].box), n))
    inner: dict[int, list[Item]] = {n: [] for n in range(-1, len(elements))}

    def parent(box: Box, larger: Sequence[int]) -> int:
        around = [n for n in larger if elements[n].kind in CONTAINERS and covered(box, elements[n].box) > 0.9]
        return min(around, key=lambda n: (area(elements[n].box), n), default=-1)

    for place, n in enumerate(order):
        inner[parent(elements[n].box, [m for m in order[:place] if area(elements[m].box) > 1.05 * area(elements[n].box)])].append(nodes[n])
    for n, ink in enumerate(texts):
        inner[parent(ink, order)].append((ink, {"kind": "text", "id": f"t{n}", "box": list(ink)}))
    for n in reversed(order):
        if inner[n]:
            node = nodes[n][1]
            node["kind"], node["inside"] = "box", _cut(inner[n], 0)
    page: Box = (0, 0, width, height)
    return {"kind": "box", "id": None, "box": list(page), "inside": _cut(inner[-1], 0) if inner[-1] else None}


def gaps(node: dict[str, Any] | None) -> Iterator[int]:
    """All gaps between items of a layout."""
    if node is None:
        return
    if node.get("gap"):
        yield node["gap"]
    for child in (*node.get("items", ()), node.get("inside")):
        yield from gaps(child)


def _cut(items: list[Item], depth: int) -> dict[str, Any]:
    if len(items) == 1:
        return items[0][1]
    box = union(b for b, _ in items)
    across, down = _groups(items, 0), _groups(items, 1)
    if (len(across) < 2 and len(down) < 2) or depth > DEEPEST:
        return {"kind": "stack", "box": list(box), "items": [n for _, n in sorted(items, key=lambda i: (i[0][1], i[0][0]))]}
    axis = 1 if len(down) >= 2 and (len(across) < 2 or _widest(down, 1) >= _widest(across, 0)) else 0
    groups = down if axis else across
    boxes = [union(b for b, _ in g) for g in groups]
    between = sorted(max(0, b[axis] - a[axis] - a[axis + 2]) for a, b in itertools.pairwise(boxes))
    out: dict[str, Any] = {
        "kind": "column" if axis else "row",
        "box": list(box),
        "gap": between[len(between) // 2],
        "items": [_cut(g, depth + 1) for g in groups],
    }
    if _repeated(groups, boxes, axis):
        out["repeated"] = True
    return out


def _groups(items: list[Item], axis: int) -> list[list[Item]]:
    """Items parted where, along an axis, nothing stands."""
    out: list[list[Item]] = []
    end = 0
    for box, node in sorted(items, key=lambda i: (i[0][axis], i[0][1 - axis])):
        if out and box[axis] < end - 1:
            out[-1].append((box, node))
        else:
            out.append([(box, node)])
        end = max(end, box[axis] + box[axis + 2])
    return out


def _widest(groups: list[list[Item]], axis: int) -> int:
    boxes = [union(b for b, _ in g) for g in groups]
    return max(b[axis] - a[axis] - a[axis + 2] for a, b in itertools.pairwise(boxes))


def _repeated(groups: list[list[Item]], boxes: list[Box], axis: int) -> bool:
    """Whether at least three groups, and most, hold the same kinds of things and are of one size across."""
    if len(groups) < 3:
        return False
    signs = [tuple(sorted(str(n.get("of", n["kind"])) for _, n in g)) for g in groups]
    usual = max(set(signs), key=lambda s: (signs.count(s), s))
    sizes = sorted(b[3 - axis] if axis == 0 else b[3] for b, s in zip(boxes, signs, strict=True) if s == usual)
    alike = sum(abs(s - sizes[len(sizes) // 2]) <= ALIKE for s in sizes)
    return alike >= 3 and alike > 0.6 * len(groups)
