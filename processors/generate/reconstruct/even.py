"""Items that repeat are made alike: what differs between them by a pixel or two is reading noise.

Siblings of the same structure, as the entries of a menu or the cards of a list, stand at even distances and in common sizes. A
reader of pictures boxes the ink: an entry without a tail is less high than one with a tail, a margin is off by a pixel. Boxes of one
role take the median of their places and sizes where these lie close together; what really differs stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from .layout import MIDDLE, Node, Region, bounds
from .model import Box, Element, Text
from .paint import Panel
from .typography import Typography

_NEAR = 2.5  # px by which places of one role may differ
_SIZE = 3.0  # px by which sizes of one role may differ
_INK = 1.8  # ratio of the heights of two lines' ink in one size of type: with tails and capitals, and without
_LEAST = 3  # items that make a list
Shape = tuple[object, ...]


def even(root: Node, typography: Typography) -> dict[Box, Box]:
    """Make the lists below a node even; the tree is changed. Returns the new box of each line of text that moved."""
    moved: dict[Box, Box] = {}
    whole = root.box
    _below(root, typography, moved)
    root.box = whole  # the page's own size
    return moved


def _below(node: Node, typography: Typography, moved: dict[Box, Box]) -> None:
    if isinstance(node.payload, Element) and node.payload.kind == "table":
        return
    alone = list(node.children)
    if node.direction != "pile":
        for items in _runs(node.children):
            _align(items, node.direction == "column", typography, moved)
            alone = [c for c in alone if all(c is not i for i in items)]
    for child in alone:
        _below(child, typography, moved)
    if node.payload is None and node.children:
        node.box = bounds(node.children)


def _runs(nodes: Sequence[Node]) -> Iterable[list[Node]]:
    """Neighbours of the same structure and about the same size."""
    run: list[Node] = []
    for node in nodes:
        if run and _shape(node) == _shape(run[-1]) and _sized_alike(node, run[-1]):
            run.append(node)
            continue
        if len(run) >= _LEAST:
            yield run
        run = [node]
    if len(run) >= _LEAST:
        yield run


def _shape(node: Node) -> Shape:
    thing = node.payload
    if isinstance(thing, Text) or (
        isinstance(thing, Element) and thing.kind in {"link", "button"} and len(node.children) == 1 and _is_line(node.children[0])
    ):
        return ("label",)
    kind = thing.kind if isinstance(thing, Element) else type(thing).__name__
    return (kind, node.direction if len(node.children) > 1 else "", *map(_shape, _said(node)))


def _said(node: Node) -> list[Node]:
    """The children without a patch of colour at the end, which only some of several like items have."""
    ends = len(node.children) > 2 and isinstance(node.children[-1].payload, Panel) and not node.children[-1].children
    return node.children[:-1] if ends else node.children


def _is_line(node: Node) -> bool:
    return isinstance(node.payload, Text)


def _is_writing(node: Node) -> bool:
    """Whether a node shows a line of text and nothing else: ink."""
    thing = node.payload
    bare = isinstance(thing, Element) and thing.background is None and thing.border is None
    return isinstance(thing, Text) or (bare and _shape(node) == ("label",))


def _sized_alike(a: Node, b: Node) -> bool:
    if isinstance(a.payload, Region) or isinstance(b.payload, Region):
        return False
    lines = a.payload is None or _shape(a) == ("label",)
    wide = max(a.box.w, b.box.w) <= 1.15 * min(a.box.w, b.box.w) + _SIZE
    high = max(a.box.h, b.box.h) <= (_INK if lines else 1.15) * min(a.box.h, b.box.h)
    return (high or wide) if not lines else high


def _align(items: Sequence[Node], column: bool, typography: Typography, moved: dict[Box, Box]) -> None:
    """One place in its item, and one size, for each part; even distances of the items."""
    before = [_anchor(i) for i in items]
    across = _common([a[0] if column else a[1] for a in before], _NEAR)
    along = _evenly([a[1] for a in before]) if column else _in_row(items)
    after = [
        (across if across is not None else a[0], along[k]) if column else (along[k], across if across is not None else a[1])
        for k, a in enumerate(before)
    ]
    _place(items, before, after, typography, moved)


def _anchor(item: Node) -> tuple[float, float]:
    """Where an item stands: left, and its top or, where it is nothing but writing, the middle of its first line."""
    node = item
    while node.payload is None and node.children:
        node = node.children[0]
    return item.box.x, node.box.cy if _is_line(node) else node.box.y if node is not item else item.box.y


def _evenly(places: Sequence[float]) -> list[float]:
    step = (places[-1] - places[0]) / (len(places) - 1)
    if all(abs(p - places[0] - k * step) <= _NEAR for k, p in enumerate(places)):
        return [places[0] + k * step for k in range(len(places))]
    return list(places)


def _in_row(items: Sequence[Node]) -> list[float]:
    """Left edges with one gap between items, which keep their widths."""
    gap = sum(b.box.x - a.box.right for a, b in pairwise(items)) / (len(items) - 1)
    places = [items[0].box.x]
    for item in items[:-1]:
        places.append(places[-1] + item.box.w + gap)
    kept = [i.box.x for i in items]
    return places if all(abs(p - q) <= _NEAR for p, q in zip(places, kept, strict=True)) else kept


def _common(values: Sequence[float], slack: float) -> float | None:
    """The median, to a whole pixel, of values that are close together."""
    return float(round(median(values))) if max(values) - min(values) <= slack else None


def _place(
    parts: Sequence[Node],
    before: Sequence[tuple[float, float]],
    after: Sequence[tuple[float, float]],
    typography: Typography,
    moved: dict[Box, Box],
) -> None:
    """Put parts of one role, one of each item, where they belong; `before` and `after` are their items' anchors."""
    if parts[0].payload is None and parts[0].children:
        for role in zip(*map(_said, parts), strict=True):
            _place(role, before, after, typography, moved)
        for p in parts:
            p.box = bounds(p.children)
        if parts[0].direction != "pile" and len(parts[0].children) > 1:
            on_middle = all(p.off_middle() <= MIDDLE for p in parts) and any(p.off_edge() > MIDDLE for p in parts)
            for p in parts:
                p.centred = on_middle
        return
    lines = all(map(_is_writing, parts))
    left = [p.box.x - a[0] for p, a in zip(parts, before, strict=True)]
    middle = [p.box.cy - a[1] for p, a in zip(parts, before, strict=True)]
    top = [p.box.y - a[1] for p, a in zip(parts, before, strict=True)]
    tall, wide = [p.box.h for p in parts], [p.box.w for p in parts]
    x = _common(left, _NEAR)
    y = _common(middle if lines else top, _NEAR)
    # Ink with tails and without is of one line's height; of anything else the heights are sizes.
    inked = lines and max(tall) <= _INK * min(tall)
    h = float(round(median(tall))) if inked else _common(tall, _SIZE)
    w = None if lines else _common(wide, _SIZE)
    for k, part in enumerate(parts):
        own_h = h if h is not None else part.box.h
        own_y = (y if y is not None else (middle if lines else top)[k]) + after[k][1] - (own_h / 2 if lines else 0.0)
        own_x = (x if x is not None else left[k]) + after[k][0]
        box = Box(round(own_x, 1), round(own_y, 1), w if w is not None else part.box.w, own_h)
        _set(part, box, moved)
    if lines:
        typography.agree([n.payload for p in parts for n in (p, *p.children) if isinstance(n.payload, Text)])
    children = [_said(p) for p in parts]
    if children[0] and len({len(c) for c in children}) == 1:
        origins = [(k.box.x, k.box.y) for k in parts]
        former = [(a[0] + left[k], a[1] + top[k]) for k, a in enumerate(before)]
        for role in zip(*children, strict=True):
            _place(role, former, origins, typography, moved)


def _set(node: Node, box: Box, moved: dict[Box, Box]) -> None:
    thing = node.payload
    if isinstance(thing, Text):
        moved[thing.box] = box
    if isinstance(thing, (Text, Element, Panel)):
        node.payload = replace(thing, box=box)
    node.box = box


def with_moved(clicked: Mapping[Box, str], moved: Mapping[Box, Box]) -> dict[Box, str]:
    """The lines that were clicked, also where they stand now."""
    return {**clicked, **{moved[box]: key for box, key in clicked.items() if box in moved}}
