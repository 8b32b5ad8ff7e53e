"""What the items of lists of one make look like, and how they stand, without what differs only by how it was read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .css import Stylesheet, px
from .jsx import El
from .parts import walk
from .runs import OF_LIKE_SIZE, READ, Run, framed, margin_of, one_color


@dataclass
class Places:
    """For each item what is its own of its place, and for each run the declarations of its list."""

    items: list[dict[str, str | None]]
    lists: list[dict[str, str]]


class Looks:
    """The declarations of each part of the items, without what differs only by how it was read."""

    def __init__(self, items: Sequence[El], sheet: Stylesheet) -> None:
        self._sheet = sheet
        self._of: dict[int, dict[str, str]] = {}
        self.heights: dict[int, float] = {}
        """By item: how much higher it was read than it is now."""
        for parts in zip(*(walk(i) for i in items), strict=True):
            looks = [sheet.look(str(p.attrs.get("className", ""))) for p in parts]
            before = [sheet.length(look.get("height", "")) for look in looks]
            self._agree(looks)
            self._place(looks)
            self._of |= {id(p): look for p, look in zip(parts, looks, strict=True)}
            for p, look, old in zip(parts, looks, before, strict=True):
                new = sheet.length(look.get("height", ""))
                self.heights[id(p)] = old - new if old is not None and new is not None else 0.0

    def of(self, part: El) -> dict[str, str]:
        return self._of[id(part)]

    def _agree(self, looks: Sequence[dict[str, str]]) -> None:
        for key in ("color", "background", "border"):
            shades = Counter(look[key] for look in looks if key in look)
            for look in looks:
                if key in look:
                    look[key] = next(s for s, _ in shades.most_common() if self._one(s, look[key]))
        # One item may be marked by a rim or a ground of its own; where several differ so, the reader was not sure.
        for keys in (("border",), ("border-radius",), ("display", "align-items", "justify-content", "padding", "line-height")):
            worn = Counter(tuple(look.get(k) for k in keys) for look in looks)
            usual, often = worn.most_common(1)[0]
            if often < len(looks) - 1 or "display" in keys or keys == ("border-radius",):
                for look in looks:
                    if keys[0] == "display" and ("font-size" not in look or look.get("display") is None):
                        continue  # boxes and bare lines lie as they lie
                    for k, v in zip(keys, usual, strict=True):
                        look.pop(k, None)
                        look.update({k: v} if v is not None else {})
        spaced = Counter(look.get("letter-spacing") for look in looks).most_common(1)[0][0]
        for look in looks:
            look.pop("letter-spacing", None)
            look.update({"letter-spacing": spaced} if spaced is not None else {})
        for key in ("height", "line-height", "width", "font-size"):
            sizes = [self._sheet.length(look.get(key, "")) for look in looks]
            known = sorted(s for s in sizes if s is not None)
            slack = (OF_LIKE_SIZE - 1) * known[0] + 1 if key == "font-size" and known else READ
            if known and len(known) == len(looks) and 0 < known[-1] - known[0] <= slack and (key != "width" or framed(looks[0])):
                middle = Counter(look[key] for look in looks).most_common(1)[0][0]
                for look in looks:
                    look[key] = middle

    def _place(self, looks: Sequence[dict[str, str]]) -> None:
        """Distances that differ by no more than they may be misread are one."""
        for key in ("margin", "padding"):
            if not all(re.fullmatch(r"(?:-?[\d.]+(?:px)? ){3}-?[\d.]+(?:px)?", look.get(key, "0 0 0 0")) for look in looks):
                continue
            sides = list(zip(*([float(v.removesuffix("px")) for v in look.get(key, "0 0 0 0").split()] for look in looks), strict=True))
            common = [median(side) if max(side) - min(side) <= READ else None for side in sides]
            for k, look in enumerate(looks):
                values = [own[k] if one is None else one for own, one in zip(sides, common, strict=True)]
                look.pop(key, None)
                look.update({key: " ".join(map(px, values))} if any(abs(v) >= 0.05 for v in values) else {})

    def _one(self, a: str, b: str) -> bool:
        return a == b or one_color(a, b, self._sheet)


def places_of(runs: Sequence[Run], looks: Looks, sheet: Stylesheet) -> Places:
    """How the items of each list stand in it."""
    out = Places([], [])
    for run in runs:
        margins = [margin_of(sheet.look(str(i.attrs.get("className", "")))) for i in run.items]
        if run.column is None:
            out.items += [{} for _ in margins]
            out.lists.append({})
            continue
        main, cross = (0, 1) if run.column else (1, 0)
        if run.column:  # what was read higher than it is now stands in the middle of its place
            more = [looks.heights[id(i)] for i in run.items]
            margins = [(m[0] + (more[k] + (more[k - 1] if k else 0.0)) / 2, m[1]) for k, m in enumerate(margins)]
        gaps = [m[main] for m in margins[1:]]
        even = max(gaps) - min(gaps) <= 2.0 and all(abs(sum(gaps[:k]) - k * sum(gaps) / len(gaps)) <= 2.0 for k in range(len(gaps)))
        gap = sum(gaps) / len(gaps) if even else min(gaps)
        if gap < 0 and abs(sum(gaps)) <= 2.0:  # rims that lie on each other
            gap, even = 0.0, True
        extent = [
            sheet.length(sheet.look(str(i.attrs.get("className", ""))).get("width" if run.column else "height", "")) for i in run.items
        ]
        aligned, margins = _across(margins, extent, cross)
        names = ("marginTop", "marginLeft")
        own: list[dict[str, str | None]] = []
        mine: dict[str, str | None]
        for k, m in enumerate(margins):
            off = (m[main] - gap if k else 0.0, m[cross] - margins[0][cross])
            mine = {}
            if not even and abs(off[0]) > 0.3:
                mine[names[main]] = f"{round(off[0], 1):g}"
            if abs(off[1]) > 2.0:
                mine[names[cross]] = f"{round(off[1], 1):g}"
            own.append(dict(mine))
        out.items += own
        decls = {"display": "flex", "align-items": aligned, **({"flex-direction": "column"} if run.column else {})}
        if abs(gap) >= 0.05 and gap > 0:
            decls["gap"] = px(gap)
        elif gap < 0:  # a gap cannot be negative: what overlaps says so itself
            for k, o in enumerate(own[1:], start=1):
                o[names[main]] = f"{round(margins[k][main], 1):g}"
        top, left = margins[0]
        if abs(top) >= 0.05 or abs(left) >= 0.05:
            decls["margin"] = f"{px(top)} 0 0 {px(left)}"
        out.lists.append(decls)
    return out


def _across(margins: list[tuple[float, float]], extent: Sequence[float | None], cross: int) -> tuple[str, list[tuple[float, float]]]:
    """How items stand across the list's direction: at its edge, on its middle or at its end; and their distances without that."""
    starts = [m[cross] for m in margins]
    sizes = [e for e in extent if e is not None]
    if max(starts) - min(starts) > 2.0 and len(sizes) == len(starts):
        for align, share in (("center", 0.5), ("flex-end", 1.0)):
            places = [s + share * e for s, e in zip(starts, sizes, strict=True)]
            if max(places) - min(places) <= 2.5:
                least = min(starts)
                return align, [(least, m[1]) if cross == 0 else (m[0], least) for m in margins]
    return "flex-start", margins
