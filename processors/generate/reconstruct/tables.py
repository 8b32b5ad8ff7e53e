"""Tables: real ones, and where their rows are alike, rows of data.

A grid whose columns are each lines of text in one look becomes a model: a table with named, typed columns and the rows
that were seen. Its component maps over the rows, its data goes to `src/data`, its schema to the migration.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .css import px
from .emit import Context, Decls, children_of, flex, size, type_of
from .grid import MOSTLY, Grid, cell_box, find_grid, label_in
from .jsx import Code, El, literal, render
from .layout import Node, cut
from .model import Box, Element, Text
from .names import KEYWORDS, slug, unique
from .parts import walk

_SHADE = re.compile(r'className="[^"]*"|\bimage\w+|(?:name|label)="[^"]*"')
_SPREAD = 3.0  # px by which the edges of one column may differ


@dataclass(frozen=True)
class Column:
    """`key` names it in code and in SQL, `label` is its header, `type` its SQL type."""

    key: str
    label: str
    type: str


@dataclass
class Model:
    """A table of the application's data; `moments` are its rows as they were seen, each time that they were others."""

    name: str
    table: str
    columns: tuple[Column, ...]
    moments: list[list[tuple[str, ...]]] = field(default_factory=list)


@dataclass
class Tables:
    """The models of one application. Tables with the same columns are one model."""

    models: dict[tuple[str, ...], Model] = field(default_factory=dict)
    names: set[str] = field(default_factory=lambda: {"rows", "table", "tables", "client", "row", "index", "click", "useflow", "userows"})
    tables: set[str] = field(default_factory=set)
    title: str = ""
    """Title of the page that is being emitted."""

    def emit(self, node: Node, place: Decls, ctx: Context) -> El:
        """A real table where a grid can be found in it."""
        grid = find_grid(node)
        if grid is None:
            table = El("table", {"className": ctx.sheet.add("table", {**place, **size(node.box)})})
            laid = Node(node.box, None, "column", cut(node.children) if node.children else [])
            table.children = [El("tbody", {}, [El("tr", {}, [El("td", {}, children_of(laid, node.box, ctx, inline=False))])])]
            return table
        table = El("table", {"className": ctx.sheet.add("table", {**place, "width": px(node.box.w)})})
        widths = [b - a for a, b in zip(grid.columns, grid.columns[1:], strict=False)]
        table.children.append(El("colgroup", {}, [El("col", {"className": ctx.sheet.add("column", {"width": px(w)})}) for w in widths]))
        first = 1 if grid.header else 0
        if grid.header:
            table.children.append(El("thead", {}, [_row(grid, 0, node, ctx)]))
        body = self._mapped(grid, node, ctx) if grid.header else None
        table.children.append(El("tbody", {}, [body] if body else [_row(grid, r, node, ctx) for r in range(first, len(grid.cells))]))
        return table

    def _mapped(self, grid: Grid, node: Node, ctx: Context) -> Code | None:
        """The body as a map over rows; None where its rows are not alike."""
        rows = list(range(1, len(grid.cells)))
        if (
            len(rows) < 2
            or any(grid.spans[r] for r in rows)
            or ctx.clicked_texts.keys() & {n.box for r in rows for c in grid.cells[r] for n in c}
        ):
            return None
        heights = [grid.rows[r + 1] - grid.rows[r] for r in rows]
        height = sum(heights) / len(heights)
        # The first and the last row are often cut off.
        if max(abs(h - height) for h in heights[1:-1] or heights) > 2.5 or max(abs(h - height) for h in heights) > 0.2 * height:
            return None
        looks = [_column_look(grid, c, rows, ctx) for c in range(len(grid.columns) - 1)]
        if any(look is None for look in looks):
            return None
        texts = [c for c, look in enumerate(looks) if isinstance(look, dict)]
        if not texts:
            return None
        attrs = _row_attrs([_ground(grid, r, node, ctx) for r in rows], height, ctx)
        if attrs is None:
            return None
        model, moment = self._model(grid, texts, rows)
        row = El("tr", {"key": Code("index"), **attrs})
        for c, look in enumerate(looks):
            if isinstance(look, dict):
                key = model.columns[texts.index(c)].key
                row.children.append(El("td", {"className": ctx.sheet.add("cell", look)}, [Code(f"row.{key}")]))
            elif look is not None:
                row.children.append(look)
        inner = render(row, 2)
        return Code(f"{model.name}Rows{moment or ''}.map((row, index) => (\n{inner}\n))")

    def _model(self, grid: Grid, columns: Sequence[int], rows: Sequence[int]) -> tuple[Model, int]:
        """The model of these columns, and the number of the moment that has this page's rows."""
        labels = [" ".join(filter(None, (label_in(n) or _said(n) for n in grid.cells[0][c]))) for c in columns]
        found = tuple(labels)
        values = [tuple(" ".join(filter(None, map(_said, grid.cells[r][c]))) for c in columns) for r in rows]
        if found not in self.models:
            taken = {"row_id", "owner_id", "position"}
            keys = [unique(slug(label, f"column-{k + 1}").replace("-", "_"), taken, "_") for k, label in enumerate(labels)]
            keys = [f"column_{k}" if k[0].isdigit() else k for k in keys]
            name = unique(_identifier(self.title), self.names, "")
            cells = [[row[k] for row in values] for k in range(len(keys))]
            table = unique(slug(self.title, "records").replace("-", "_"), self.tables, "_")
            table = f"table_{table}" if table[0].isdigit() else table
            self.models[found] = Model(
                name, table, tuple(Column(k, label, sql_type(c)) for k, label, c in zip(keys, labels, cells, strict=True))
            )
        model = self.models[found]
        if values not in model.moments:
            model.moments.append(values)
        seen = [row for moment in model.moments for row in moment]
        model.columns = tuple(Column(c.key, c.label, sql_type([r[k] for r in seen])) for k, c in enumerate(model.columns))
        return model, model.moments.index(values)


def sql_type(values: Sequence[str]) -> str:
    """The narrowest SQL type that gives every value back as it was written."""
    filled = [v for v in values if v]
    if filled and all(v.lstrip("-").isdigit() and str(int(v)) == v and len(v) < 16 for v in filled):
        return "bigint"
    return "text"


def _identifier(text: str) -> str:
    words = slug(text, "record").split("-")
    name = words[0] + "".join(w.capitalize() for w in words[1:3])
    return f"{name}Table" if name in KEYWORDS else name if name[0].isalpha() else f"table{name}"


def _said(node: Node) -> str:
    """What a cell's line says; a lone figure that was taken for a field is one, too."""
    thing = node.payload
    return thing.text if isinstance(thing, Text) or (isinstance(thing, Element) and thing.kind == "input") else ""


def _column_look(grid: Grid, column: int, rows: Sequence[int], ctx: Context) -> Decls | El | None:
    """One look for all cells of a column: declarations for lines of text, the element that all cells hold, or none."""
    cells = [(r, grid.cells[r][column]) for r in rows]
    filled = [(r, c[0].payload) for r, c in cells if len(c) == 1 and isinstance(c[0].payload, Text)]
    if all(not c for _, c in cells):
        return El("td")
    used = [c for _, c in cells if c]
    if len(filled) >= MOSTLY * len(used) and all(len(c) == 1 and _said(c[0]) for c in used):
        lines = [(cell_box(grid, r, column), t) for r, t in filled if isinstance(t, Text)]
        looks = Counter(tuple(sorted(type_of(t, ctx).items())) for _, t in lines)
        aligned = _alignment(lines)
        if aligned is None:
            return None
        common = {k: v for k, v in dict(looks.most_common(1)[0][0]).items() if k != "letter-spacing"}
        return common | aligned
    emitted = [_cell("td", c, cell_box(grid, r, column), 1, ctx) for r, c in cells]
    # What differs only in a shade, a pixel or the crop of an icon is the same thing; so are the actions of a row, where a few were misread.
    written = [render(e) for e in emitted]
    kinds = [_SHADE.sub("", w) for w in written]
    usual, often = Counter(kinds).most_common(1)[0]
    if often < len(emitted) and (
        often < MOSTLY * len(emitted) or not all(c for _, c in cells) or any("data-control" in w for w in written)
    ):
        return None
    chosen = Counter(w for w, kind in zip(written, kinds, strict=True) if kind == usual).most_common(1)[0][0]
    return _for_every_row(next(e for e, w in zip(emitted, written, strict=True) if w == chosen), ctx)


def _for_every_row(cell: El, ctx: Context) -> El | None:
    """The cell with controls that have a name of their own in each row; None where one of them leads somewhere."""
    for part in walk(cell):
        name = part.attrs.get("name")
        if part.tag in {"Check", "Field", "Choice"} and isinstance(name, str):
            if name in ctx.stepped:
                return None
            label = part.attrs["label"]
            part.attrs["name"] = Code(f"`{slug(name, 'control')}-${{index}}`")
            part.attrs["label"] = Code("`Row ${index + 1}`") if part.tag == "Check" else label
    return cell


def _alignment(lines: Sequence[tuple[Box, Text]]) -> Decls | None:
    """How the lines of a column stand in their cells."""
    left = [t.box.x - b.x for b, t in lines]
    right = [b.right - t.box.right for b, t in lines]
    middle = [t.box.cx - b.cx for b, t in lines]
    if max(left) - min(left) <= _SPREAD:
        return {"padding": f"0 0 0 {px(max(0.0, sorted(left)[len(left) // 2]))}"}
    if max(right) - min(right) <= _SPREAD:
        return {"padding": f"0 {px(max(0.0, sorted(right)[len(right) // 2]))} 0 0", "text-align": "right"}
    if max(abs(m) for m in middle) <= _SPREAD:
        return {"text-align": "center"}
    return None


def _row_attrs(grounds: Sequence[str | None], height: float, ctx: Context) -> dict[str, str | Code | None] | None:
    """Class of the rows: one for all, or two in turn; None where their colours follow no such rule."""
    even, odd = Counter(grounds[::2]).most_common(1)[0][0], Counter(grounds[1::2]).most_common(1)[0][0]
    if sum(g == (odd if k % 2 else even) for k, g in enumerate(grounds)) < 0.8 * len(grounds):
        return None
    names = [ctx.sheet.add("line", {"height": px(height), **({"background": ctx.sheet.color(g)} if g else {})}) for g in (even, odd)]
    if names[0] == names[1]:
        return {"className": names[0]}
    return {"className": Code(f"index % 2 === 0 ? {literal(names[0])} : {literal(names[1])}")}


def _ground(grid: Grid, r: int, node: Node, ctx: Context) -> str | None:
    found = ctx.band(Box(node.box.x, grid.rows[r], node.box.w, grid.rows[r + 1] - grid.rows[r]))
    return None if found == ctx.scene.ground else found


def _row(grid: Grid, r: int, node: Node, ctx: Context) -> El:
    decls = {"height": px(grid.rows[r + 1] - grid.rows[r])}
    ground = _ground(grid, r, node, ctx)
    if ground is not None:
        decls["background"] = ctx.sheet.color(ground)
    tag = "th" if grid.header and r == 0 else "td"
    row = El("tr", {"className": ctx.sheet.add("line", decls)})
    for c, items in enumerate(grid.cells[r]):
        if grid.spans[r] and c:
            break
        row.children.append(_cell(tag, items, cell_box(grid, r, c), len(grid.columns) - 1 if grid.spans[r] else 1, ctx))
    return row


def _cell(tag: str, items: Sequence[Node], box: Box, span: int, ctx: Context) -> El:
    attrs: dict[str, str | Code | None] = {}
    if tag == "th":
        attrs["scope"] = "col"
    if span > 1:
        attrs["colSpan"] = Code(str(span))
    lone = items[0].payload if len(items) == 1 and not items[0].children else None
    if isinstance(lone, Text) and lone.box not in ctx.clicked_texts:
        decls = type_of(lone, ctx) | _cell_place(lone.box, box)
        return El(tag, {**attrs, "className": ctx.sheet.add("cell", decls)}, [lone.text])
    if not items:
        return El(tag, attrs)
    holder = Node(box, None, "column", cut(items))
    # A flex box of its own, since what is inline in a cell would add the room of a line's descenders.
    stack = El("div", {"className": ctx.sheet.add("stack", flex(holder))}, children_of(holder, box, ctx, inline=False))
    return El(tag, {**attrs, "className": ctx.sheet.add("cell", {"vertical-align": "top"})}, [stack])


def _cell_place(inner: Box, outer: Box) -> Decls:
    """Where a line stands in its cell: in the middle of its height if it is about there, else at its distance from the top."""
    decls = {"padding": f"0 0 0 {px(max(0, inner.x - outer.x))}", "line-height": px(inner.h)}
    off = inner.cy - outer.cy
    if abs(off) > 1.5:
        decls |= {"vertical-align": "top", "padding": f"{px(max(0, inner.y - outer.y))} 0 0 {px(max(0, inner.x - outer.x))}"}
    return decls
