"""Runs of siblings that are lists: trees that differ only in what they say, where they lead, and which of them is marked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from .css import Stylesheet
from .jsx import Code, El, render
from .parts import walk
from .pixels import distance

_LEAST = 3  # items that make a list; two are enough where they are large and alike to the last declaration
_LARGE = 4  # elements
OF_LIKE_SIZE = 1.15  # factor by which type and boxes of one role may differ
_LINES = 1.75  # times the size of type: lines nearer than this are those of one paragraph
_WORDS = 1.2  # ems: what stands nearer in a row are words of one sentence
_APART = 3, 24.0  # times the usual distance and px more: what stands as far apart is of another list
_RAGGED = 8.0  # px by which the distances of bare words in a row may differ: else they are cells of a table
_SHADE = 48.0  # difference of colours up to which they are one, read twice
READ = 4.0  # px by which sizes of one role may differ by how they were read
_OPTIONAL = frozenset({"data-control", "onClick", "href", "aria-label", "className", "style", "alt", "src", "placeholder", "hidden"})
_VALUES = frozenset({"name", "label", "initial", "options"})  # attributes of which each item has its own
_HOLDERS = {"a", "button", "div", "span"}
_LABELS = {"span", "a", "button"}
_CONTROLS = {"a", "button", "Field", "Check", "Choice"}
_CLOSED = {"col", "colgroup", "th", "td", "thead", "tbody", "main", "table"}
Shape = tuple[object, ...]


@dataclass
class Run:
    """Children [start, stop) of `parent` are the items of one list; `page` is the number of its page."""

    parent: El
    start: int
    stop: int
    page: int
    column: bool | None
    """Whether the items stand below each other; None in a table's body, where they are rows."""
    inline: bool

    @property
    def items(self) -> list[El]:
        return [c for c in self.parent.children[self.start : self.stop] if isinstance(c, El)]


def runs_of(el: El, page: int, sheet: Stylesheet, inline: bool) -> Iterator[Run]:
    """The lists below an element, the outermost first; nothing is looked for within an item."""
    inline = inline or el.tag in {"button", "a", "span"} or re.fullmatch(r"h[1-6]", el.tag) is not None
    looks = sheet.look(str(el.attrs.get("className", "")))
    column: bool | None = looks.get("flex-direction") == "column"
    if el.tag == "tbody":
        column = None
    listed: set[int] = set()
    if el.tag == "tbody" or looks.get("display") == "flex":
        _pad(el.children)
        start = 0
        while start < len(el.children):
            stop = start + 1
            while stop < len(el.children) and _follows(el.children[start], el.children[stop - 1], el.children[stop], column, sheet):
                stop += 1
            for run in _apart(Run(el, start, stop, page, column, inline), sheet):
                if run.stop - run.start >= 2 and _is_list(run, sheet):
                    listed |= set(range(run.start, run.stop))
                    yield run
            start = stop
    for k, c in enumerate(el.children):
        if isinstance(c, El) and k not in listed:
            yield from runs_of(c, page, sheet, inline)


def _pad(children: Sequence[El | str | Code]) -> None:
    """Where only some of several like items end with a patch that says nothing, the others have it, too, and hide it."""
    for ended, group in groupby(children, key=lambda c: shape(_without_end(c)) if isinstance(c, El) and c.tag in _HOLDERS else None):
        items = [c for c in group if isinstance(c, El)]
        ends = [i.children[-1] for i in items if _ends(i)]
        if ended is None or ended == ("label",) or len(items) < _LEAST or not ends or len(ends) == len(items):
            continue
        model = next(e for e in ends if isinstance(e, El))
        for item in items:
            if not _ends(item):
                item.children.append(El(model.tag, {**model.attrs, "hidden": Code("true")}))


def _ends(el: El) -> bool:
    """Whether an element's last part is a patch of colour."""
    last = el.children[-1] if len(el.children) > 2 else None
    return isinstance(last, El) and last.tag in {"span", "div"} and not last.children and set(last.attrs) <= {"className", "hidden"}


def _without_end(el: El) -> El:
    return El(el.tag, el.attrs, el.children[:-1]) if _ends(el) else el


def _apart(run: Run, sheet: Stylesheet) -> list[Run]:
    """The run, cut where its items stand much further from each other than they use to."""
    if run.column is None or run.stop - run.start < 3:
        return [run]
    gaps = [margin_of(sheet.look(str(i.attrs.get("className", ""))))[0 if run.column else 1] for i in run.items[1:]]
    far = _APART[0] * max(0.0, sorted(gaps)[len(gaps) // 2]) + _APART[1]
    cuts = [run.start, *(run.start + k + 1 for k, g in enumerate(gaps) if g > far), run.stop]
    return [Run(run.parent, a, b, run.page, run.column, run.inline) for a, b in pairwise(cuts)]


def shape(el: El) -> Shape | None:
    """What the items of a list have in common; None for what is none."""
    if el.tag in _CLOSED - {"td", "th"} or "form" in el.attrs:
        return None
    if el.tag in _LABELS and len(el.children) == 1 and isinstance(el.children[0], str) and "role" not in el.attrs:
        return None if el.attrs.get("type") == "submit" else ("label",)
    inner: list[Shape] = []
    for c in el.children:
        if isinstance(c, Code):
            return None
        found = ("text",) if isinstance(c, str) else shape(c)
        if found is None:
            return None
        inner.append(found)
    fixed = tuple(
        (k, "" if k in _VALUES else v.text if isinstance(v, Code) else v) for k, v in sorted(el.attrs.items()) if k not in _OPTIONAL
    )
    return (el.tag, fixed, *inner)


def _follows(first: El | str | Code, before: El | str | Code, el: El | str | Code, column: bool | None, sheet: Stylesheet) -> bool:
    if not isinstance(first, El) or not isinstance(before, El) or not isinstance(el, El):
        return False
    own = shape(el)
    if own is None or own != shape(first) or not _alike(first, el, sheet):
        return False
    looks = sheet.look(str(el.attrs.get("className", "")))
    top, left = margin_of(looks)
    size = sheet.length(looks.get("font-size", "")) or 0.0
    if own == ("label",) and column is not None and not framed(looks):
        if column and top + (sheet.length(looks.get("height", "")) or size) < _LINES * size:
            return False
        if not column and left < _WORDS * size:
            return False
    return True


def framed(looks: dict[str, str]) -> bool:
    return "background" in looks or "border" in looks


def _is_list(run: Run, sheet: Stylesheet) -> bool:
    items = run.items
    if len(items) < _LEAST:
        if len(walk(items[0])) < _LARGE:
            return False
        classes = [[str(e.attrs.get("className", "")) for e in walk(i)][1:] for i in items]
        if classes[0] != classes[1]:
            return False
    if shape(items[0]) == ("label",):
        controls = sum(i.tag != "span" for i in items)
        if 0 < 2 * controls < len(items):
            return False  # a link or two among lines of text
        looks = [sheet.look(str(i.attrs.get("className", ""))) for i in items]
        gaps = [margin_of(look)[1] for look in looks[1:]]
        lefts = [margin_of(look)[1] for look in looks]
        if run.column and not controls and max(lefts) - min(lefts) > _RAGGED and not any(map(framed, looks)):
            ends = [
                left + (sheet.length(look.get("width", "")) or 0.0) * share
                for share in (0.5, 1.0)
                for left, look in zip(lefts, looks, strict=True)
            ]
            n = len(lefts)
            return max(ends[:n]) - min(ends[:n]) <= READ or max(ends[n:]) - min(ends[n:]) <= READ
        if run.column is False and not controls and not any(map(framed, looks)) and max(gaps) - min(gaps) > _RAGGED:
            return False
    if _sentences(items, sheet):
        return False
    says = {render(i) for i in items}
    operated = any(e.tag in _CONTROLS or e.tag == "img" for e in walk(items[0]))
    return (operated or any(isinstance(c, str) for e in walk(items[0]) for c in e.children)) and len(says) > 1


def _sentences(items: Sequence[El], sheet: Stylesheet) -> bool:
    """Whether the items are rows of words that stand as near as those of a sentence, and not below each other."""
    parts = [[c for c in i.children if isinstance(c, El)] for i in items]
    if len(parts[0]) < 2 or any(p.tag != "span" or shape(p) != ("label",) for own in parts for p in own):
        return False
    looks = [[sheet.look(str(p.attrs.get("className", ""))) for p in own] for own in parts]
    if sheet.look(str(items[0].attrs.get("className", ""))).get("flex-direction") == "column":
        return False
    near = any(margin_of(look)[1] < _WORDS * (sheet.length(look.get("font-size", "")) or 0.0) for own in looks for look in own[1:])
    seconds = [(sheet.length(own[0].get("width", "")) or 0.0) + margin_of(own[1])[1] for own in looks]
    return near and max(seconds) - min(seconds) > READ


def _alike(a: El, b: El, sheet: Stylesheet) -> bool:
    """Whether two elements of one shape look alike: the same type, and boxes of about one size."""
    for e, f in zip(walk(a), walk(b), strict=True):
        one, two = (sheet.look(str(x.attrs.get("className", ""))) for x in (e, f))
        sizes = [sheet.length(x.get("font-size", "")) for x in (one, two)]
        if (sizes[0] is None) != (sizes[1] is None) or not _near(sizes[0], sizes[1]):
            return False
        if one.get("font-family") != two.get("font-family"):
            return False
        if one.get("display") != two.get("display") and len(e.children) > 1:
            return False
        if (
            framed(one)
            and framed(two)
            and not any(_near(sheet.length(one.get(k, "")), sheet.length(two.get(k, ""))) for k in ("width", "height"))
        ):
            return False
    return True


def _near(a: float | None, b: float | None) -> bool:
    return a is None or b is None or max(a, b) <= OF_LIKE_SIZE * min(a, b) + 1


def same_make(a: Run, b: Run, sheet: Stylesheet) -> bool:
    """Whether two runs are lists of one component."""
    one, two = a.items[0], b.items[0]
    if a.inline != b.inline or (a.column is None) != (b.column is None) or shape(one) != shape(two) or not _alike(one, two, sheet):
        return False
    if shape(one) == ("label",) and (tag_of(a.items) == "span") != (tag_of(b.items) == "span"):
        return False
    return all(_same_skin(_skin(a.items, p, sheet), _skin(b.items, p, sheet), sheet) for p in range(len(walk(one))))


def _skin(items: Sequence[El], part: int, sheet: Stylesheet) -> dict[str, str]:
    """The most usual look of one part of the items, as far as it tells one component from another."""
    looks = [sheet.look(str(walk(i)[part].attrs.get("className", ""))) for i in items]
    told = Counter(tuple((k, look.get(k, "")) for k in ("color", "background", "font-weight", "flex-direction")) for look in looks)
    return dict(told.most_common(1)[0][0])


def _same_skin(a: dict[str, str], b: dict[str, str], sheet: Stylesheet) -> bool:
    return all(a[k] == b[k] or (bool(a[k]) == bool(b[k]) and one_color(a[k], b[k], sheet)) for k in a)


def one_color(a: str, b: str, sheet: Stylesheet) -> bool:
    one, two = sheet.hexadecimal(a), sheet.hexadecimal(b)
    return one is not None and two is not None and distance(one, two) < _SHADE


def tag_of(items: Sequence[El]) -> str:
    """What most of the items are; where half of them can be operated, all can."""
    tags = Counter(i.tag for i in items if i.tag != "span")
    return tags.most_common(1)[0][0] if 2 * tags.total() >= len(items) else "span"


def margin_of(looks: dict[str, str]) -> tuple[float, float]:
    """Distance above and to the left."""
    parts = looks.get("margin", "0 0 0 0").split()
    return float(parts[0].removesuffix("px")), float(parts[3].removesuffix("px"))
