"""From a tree of boxes to JSX with classes: flex rows and columns, margins from geometry, semantic elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .css import Stylesheet, px
from .dress import Scene
from .jsx import Code, El, literal
from .layout import MIDDLE, Node, Region, bounds
from .model import Box, Element, Text
from .paint import Panel
from .typography import Typography

Decls = dict[str, str]
INTERACTIVE = {"button", "link", "input", "checkbox", "radio", "select"}
_PHRASING = {"button", "link", "heading"}  # these hold no <div>


@dataclass
class Context:
    """What emission of one page knows and collects."""

    scene: Scene
    sheet: Stylesheet
    typography: Typography
    keys: dict[str, str]
    """Element id -> control key, for controls and clicked things."""
    stepped: dict[str, str]
    """Control key -> path that a click on it leads to first, where one was seen."""
    picture: Callable[[Element, bool], str | None]
    """The name under which an element's picture is imported; the flag says that it is an icon. None: over budget."""
    labels: dict[str, str]
    options: dict[str, list[str]]
    heading_level: Callable[[Node], int]
    band: Callable[[Box], str | None]
    """The prevailing colour of a part of the page, from the palette; None without a picture."""
    table: Callable[[Node, Decls, Context], El]
    """Emits a table."""
    clicked_texts: dict[Box, str] = field(default_factory=dict)
    above: bool = False
    """Whether what is emitted lies above something else: then what only groups must not be in the way of it."""


def emit_page(root: Node, ctx: Context) -> El:
    """The page's main element."""
    decls = {
        **flex(root),
        "width": px(root.box.w),
        "min-height": px(root.box.h),
        "background": ctx.sheet.color(ctx.scene.ground),
    }
    main = El("main", {"className": ctx.sheet.add("page", decls)})
    main.children += children_of(root, root.box, ctx, inline=False)
    return main


def emit_dialog(root: Node, panel: Panel, base: str, dim: float, ctx: Context) -> El:
    """A dialog over the page it was opened on, which shows dimmed behind it."""
    box = panel.box
    backdrop = {"position": "fixed", "inset": "0", "z-index": "3", "background": f"rgb(0 0 0 / {round(100 * dim)}%)"}
    decls = {**flex(root), **size(box), **_surface(panel.color, panel.border, panel.radius, ctx), "margin": f"{px(box.y)} 0 0 {px(box.x)}"}
    inside = children_of(root, _inside(box, panel.border), ctx, inline=False)
    dialog = El("section", {"role": "dialog", "aria-modal": "true", "className": ctx.sheet.add("dialog", decls)}, inside)
    return El(
        "div", {}, [El("div", {"aria-hidden": "true"}, [El(base)]), El("div", {"className": ctx.sheet.add("backdrop", backdrop)}, [dialog])]
    )


def children_of(node: Node, area: Box, ctx: Context, inline: bool) -> list[El | str | Code]:
    """The node's children, each with its distance from what comes before it, relative to the content box `area`."""
    out: list[El | str | Code] = []
    x, y = area.x, area.y
    middle = centred(node)
    for k, child in enumerate(node.children):
        place: Decls = {}
        if node.direction == "row":
            left, top = child.box.x - x, child.box.y - area.y
            x = child.box.right
        elif node.direction == "column":
            left, top = child.box.x - area.x, child.box.y - y
            y = child.box.bottom
        else:
            left, top = child.box.x - area.x, child.box.y - area.y
            place["grid-area"] = "1 / 1"
        if middle:
            left, top = (left, 0.0) if node.direction == "row" else (0.0, top)
        if abs(top) >= 0.05 or abs(left) >= 0.05:
            place["margin"] = f"{px(top)} 0 0 {px(left)}"
        later = node.children[k + 1 :]
        if _is_written(child) and node.direction != "pile" and any(child.box.overlap(other.box) > 2 for other in later):
            # A label on the rim of a field: above it, hiding the rim. A flex item obeys z-index without being positioned.
            place |= {"z-index": "1", "background": ctx.sheet.color(ctx.band(child.box) or ctx.scene.ground)}
        covers, ctx.above = ctx.above, ctx.above or (node.direction == "pile" and k > 0)
        out.append(emit(child, place, ctx, inline))
        ctx.above = covers
    return out


def _is_written(node: Node) -> bool:
    """Whether there is nothing but lines of text."""
    return isinstance(node.payload, Text) or (node.payload is None and bool(node.children) and all(map(_is_written, node.children)))


def emit(node: Node, place: Decls, ctx: Context, inline: bool) -> El:
    thing = node.payload
    if thing is None:
        decls = {**flex(node), **place, **({"pointer-events": "none"} if ctx.above else {})}
        return El("span" if inline else "div", {"className": ctx.sheet.add(_role(node), decls)}, children_of(node, node.box, ctx, inline))
    if isinstance(thing, Text):
        return _line(thing, place, ctx)
    if isinstance(thing, Region):
        return _region(node, thing, place, ctx)
    if isinstance(thing, Panel):
        decls = {**flex(node), **place, **size(node.box), **_surface(thing.color, thing.border, thing.radius, ctx)}
        area = _inside(node.box, thing.border)
        return El("span" if inline else "div", {"className": ctx.sheet.add("panel", decls)}, children_of(node, area, ctx, inline))
    return _element(node, thing, place, ctx, inline)


def _region(node: Node, region: Region, place: Decls, ctx: Context) -> El:
    """What stays while the page scrolls; it lies above what passes under it."""
    stays = {"position": "sticky", "top": px(node.box.y), "z-index": "2", "background": ctx.sheet.color(region.color)}
    decls = {**flex(node), **place, **stays, "width": px(node.box.w)}
    if region.side == "bar":
        decls["height"] = px(node.box.h)
    tag = "header" if region.side == "bar" else "aside"
    return El(tag, {"className": ctx.sheet.add(tag, decls)}, children_of(node, node.box, ctx, inline=False))


def _role(node: Node) -> str:
    return {"row": "row", "column": "stack", "pile": "pile"}[node.direction]


def flex(node: Node) -> Decls:
    if node.direction == "pile":
        return {"display": "grid", "align-items": "start", "justify-items": "start"}
    decls = {"display": "flex", "align-items": "center" if centred(node) else "flex-start"}
    if node.direction == "column":
        decls["flex-direction"] = "column"
    return decls


def centred(node: Node) -> bool:
    """Whether what a row, a column or a box holds stands on its middle line, and not at its edge."""
    if isinstance(node.payload, Region) or not node.children or node.direction == "pile":
        return False
    if node.payload is None:
        # What only groups is as large as what it holds: its box must be, too, to say where the middle is.
        around = bounds(node.children)
        if max(abs(around.w - node.box.w), abs(around.h - node.box.h)) > MIDDLE:
            return False
    return node.centred if node.centred is not None else node.off_edge() > MIDDLE >= node.off_middle()


def size(box: Box) -> Decls:
    return {"width": px(box.w), "height": px(box.h)}


def _inside(box: Box, border: str | None) -> Box:
    return Box(box.x + 1, box.y + 1, box.w - 2, box.h - 2) if border else box


def _surface(background: str | None, border: str | None, radius: float, ctx: Context) -> Decls:
    decls: Decls = {}
    if background:
        decls["background"] = ctx.sheet.color(background)
    if border:
        decls["border"] = f"1px solid {ctx.sheet.color(border)}"
    if radius >= 2:
        decls["border-radius"] = px(radius)
    return decls


def type_of(text: Text, ctx: Context) -> Decls:
    """Font, colour and spacing of a line."""
    fit = ctx.typography.fit(text)
    decls = {
        "font-size": ctx.sheet.size(fit.size),
        "font-family": ctx.sheet.face(fit.face),
        "color": ctx.sheet.color(text.color or "#222222"),
    }
    if fit.weight != 400:
        decls["font-weight"] = str(fit.weight)
    if fit.spacing:
        decls["letter-spacing"] = px(fit.spacing) if abs(fit.spacing) >= 0.05 else "0"
    return decls


def _line(text: Text, place: Decls, ctx: Context) -> El:
    decls = {**type_of(text, ctx), **place, "width": px(text.box.w), "height": px(text.box.h), "line-height": px(text.box.h)}
    key = ctx.clicked_texts.get(text.box)
    if key is not None:
        return El("button", {"type": "button", "className": ctx.sheet.add("plain", decls), **_click(key, ctx)}, [text.text])
    return El("span", {"className": ctx.sheet.add("text", decls)}, [text.text])


def _click(key: str, ctx: Context) -> dict[str, str | Code | None]:
    if key not in ctx.stepped:
        return {}
    return {"data-control": key, "onClick": Code(f"click({literal(key)})")}


def _element(node: Node, e: Element, place: Decls, ctx: Context, inline: bool) -> El:
    if e.kind == "image":
        return _image(e, place, ctx)
    if e.kind in {"checkbox", "radio"}:
        decls = {**place, **size(e.box)}
        return El(
            "Check",
            {
                "type": e.kind,
                "name": ctx.keys[e.id],
                "label": ctx.labels.get(e.id) or e.text or e.kind.capitalize(),
                "initial": Code("true" if e.checked else "false"),
                "className": ctx.sheet.add("check", decls),
            },
        )
    if e.kind in {"input", "select"}:
        return _field(e, place, ctx)
    if e.kind == "table":
        return ctx.table(node, place, ctx)
    if e.kind == "icon":
        return _icon(e, place, ctx)
    return _holder(node, e, place, ctx, inline)


def _image(e: Element, place: Decls, ctx: Context) -> El:
    decls = {**place, **size(e.box), "display": "block"}
    source = ctx.picture(e, False)
    if source is None:
        return El("div", {"className": ctx.sheet.add("picture", decls), "role": "img", "aria-label": e.text or "Picture"})
    return El("img", {"className": ctx.sheet.add("picture", decls), "src": Code(source), "alt": e.text or "Picture"})


def _icon(e: Element, place: Decls, ctx: Context) -> El:
    decls = {**place, **size(e.box), "display": "block", "background-repeat": "no-repeat"}
    source = ctx.picture(e, True)
    attrs: dict[str, str | Code | None] = {"className": ctx.sheet.add("icon", decls), "aria-hidden": Code("true")}
    if source is not None:
        attrs["style"] = Code(f"{{ backgroundImage: `url(${{{source}}})` }}")
    return El("span", attrs)


def _field(e: Element, place: Decls, ctx: Context) -> El:
    shown = ctx.scene.values.get(e.id)
    decls = {**place, **size(e.box), **_surface(e.background, e.border, e.radius, ctx)}
    multiline = e.kind == "input" and e.box.h >= 64
    if shown is not None:
        decls |= type_of(shown, ctx)
        decls["padding"] = (
            f"{px(max(0, shown.box.y - e.box.y - 1)) if multiline else 0} 4px 0 {px(max(0, shown.box.x - e.box.x - (1 if e.border else 0)))}"
        )
        if multiline:
            decls["line-height"] = px(shown.box.h)
    else:
        decls |= {
            "padding": "4px 12px" if multiline else "0 12px",
            "font-size": ctx.sheet.size(14),
            "font-family": ctx.sheet.face(ctx.typography.faces["sans"]),
        }
    label = ctx.labels.get(e.id) or e.placeholder or e.text or "Field"
    attrs: dict[str, str | Code | None] = {"name": ctx.keys[e.id], "label": label, "className": ctx.sheet.add("field", decls)}
    value = shown.text if shown is not None else e.text
    if e.kind == "select":
        options = list(dict.fromkeys([value, *ctx.options.get(e.id, [])]))
        return El("Choice", {**attrs, "options": Code("[" + ", ".join(literal(o) for o in options) + "]")})
    is_placeholder = e.placeholder is not None and (not value or value == e.placeholder)
    attrs["initial"] = "" if is_placeholder else value
    if e.placeholder is not None:
        attrs["placeholder"] = e.placeholder
    if e.masked:
        attrs["type"] = "password"
        attrs["initial"] = ""
    if multiline:
        attrs["multiline"] = None
    return El("Field", attrs)


def _holder(node: Node, e: Element, place: Decls, ctx: Context, inline: bool) -> El:
    """Buttons, links, headings and other boxes with something inside."""
    key = ctx.keys.get(e.id)
    nested = e.kind in {"button", "link"} and _has_control(node)
    attrs: dict[str, str | Code | None] = {}
    tag = {"button": "button", "link": "a"}.get(e.kind, "span" if inline else "div")
    if e.kind == "heading":
        tag = "span" if inline else f"h{ctx.heading_level(node)}"
    decls = {**place, **size(e.box), **_surface(e.background, e.border, e.radius, ctx)}
    lone = node.children[0].payload if len(node.children) == 1 and not node.children[0].children else None
    area = _inside(e.box, e.border)
    content: list[El | str | Code]
    if isinstance(lone, Text) and lone.box not in ctx.clicked_texts:
        decls |= type_of(lone, ctx) | _aligned(lone.box, area)
        content = [lone.text]
    else:
        decls |= flex(node)
        content = children_of(node, area, ctx, inline or e.kind in _PHRASING)
    if nested or (inline and e.kind == "button"):
        # A control inside a control is no valid HTML; the outer one stays operable as what it is.
        tag, attrs = "span" if inline else "div", {"role": "button" if e.kind == "button" else "link", "tabIndex": Code("0")}
    elif tag == "button":
        attrs["type"] = "button"
    elif tag == "a":
        attrs["href"] = ctx.stepped.get(key or "", "#") if key else "#"
    if e.kind in {"button", "link"} and not _says(node):
        attrs["aria-label"] = e.text or ("Link" if e.kind == "link" else "Button")
    if not node.children and e.kind in {"button", "link"}:
        source = ctx.picture(e, True)
        if source is not None:
            decls.pop("border", None)
            decls["background-repeat"] = "no-repeat"
            attrs["style"] = Code(f"{{ backgroundImage: `url(${{{source}}})` }}")
    role = e.kind if e.kind in {"button", "link", "heading"} else "box"
    head: dict[str, str | Code | None] = {"className": ctx.sheet.add(role, decls)}
    return El(tag, {**attrs, **head, **(_click(key, ctx) if key else {})}, content)


def _aligned(inner: Box, outer: Box) -> Decls:
    """Where a single line stands in its box."""
    if abs(inner.cx - outer.cx) <= 3 and abs(inner.cy - outer.cy) <= 2:
        return {"display": "flex", "align-items": "center", "justify-content": "center"}
    return {
        "display": "block",
        "padding": f"{px(max(0, inner.y - outer.y))} 0 0 {px(max(0, inner.x - outer.x))}",
        "line-height": px(inner.h),
    }


def _has_control(node: Node) -> bool:
    return any((isinstance(c.payload, Element) and c.payload.kind in INTERACTIVE) or _has_control(c) for c in node.children)


def _says(node: Node) -> bool:
    return any(isinstance(c.payload, Text) or _says(c) for c in node.children)


def lines_of(node: Node) -> Sequence[Text]:
    """The lines below a node, in the order of the tree."""
    out: list[Text] = []
    for c in node.children:
        out += [c.payload] if isinstance(c.payload, Text) else lines_of(c)
    return out
