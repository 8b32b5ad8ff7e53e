"""Items that repeat become one component and an array of its props.

A list is a run of siblings whose trees differ only in what they say, where they lead, which pictures they show and which of them is
marked. What all items have in common is written once, as a component; what differs are its props. Lists of the same
make on several pages share the component, and those with the same items share the array as well. How items stand follows from the
list: its gap is the layout's, and only a size or a distance that is an item's own is data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .agreed import Looks, Places, places_of
from .css import Stylesheet
from .jsx import Code, El, literal
from .names import pascal, slug, unique
from .parts import walk
from .runs import READ, Run, framed, runs_of, same_make, shape, tag_of
from .template import GONE, SAID, Maker, Props

_MOST_SIZES = 3  # props that are nothing but sizes: more of them, and the items are not alike


@dataclass
class Component:
    """`props` are names with their TypeScript types; `arrays` are the lists: name -> lines of the array's literal."""

    name: str
    tree: El
    props: dict[str, str]
    arrays: dict[str, list[str]] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    """Names of pictures that the arrays hold."""


def find(pages: Sequence[El], titles: Sequence[str], sheet: Stylesheet, taken: set[str]) -> list[Component]:
    """Replace the lists on the pages, which are changed, by maps over data. Returns the components, in order of first use."""
    groups: list[list[Run]] = []
    for k, page in enumerate(pages):
        for run in runs_of(page, k, sheet, inline=False):
            home = next((g for g in groups if same_make(g[0], run, sheet)), None)
            if home is None:
                groups.append([run])
            else:
                home.append(run)
    made = [c for g in groups if (c := _component(g, sheet, titles, taken)) is not None]
    for page in pages:
        for el in walk(page):
            el.children = [c for c in el.children if c != GONE]
    return made


def _component(runs: Sequence[Run], sheet: Stylesheet, titles: Sequence[str], taken: set[str]) -> Component | None:
    """The component of lists of one make; None where too much of them differs."""
    items = [i for r in runs for i in r.items]
    props = Props(values=[{} for _ in items])
    looks = Looks(items, sheet)
    places = places_of(runs, looks, sheet)
    for key in ("marginTop", "marginLeft"):
        own = [p.get(key) for p in places.items]
        if any(v is not None for v in own):
            props.add(key, "number", own)
    name = _name(runs, sheet)
    maker = Maker(props, sheet, slug(re.sub(r"(?<!^)(?=[A-Z])", "-", name), "item"), frozenset(props.types), looks, bool(runs[0].column))
    tree = maker.make(items, root=True)
    sizes = [p for p in props.types if p in maker.sizes or p.startswith("margin")]
    if tree is None or len(sizes) > _MOST_SIZES or len(props.types) == len(sizes):
        return None
    _settle(runs, props)
    if name.lower() in taken:
        said = next((row["label"] for row in props.values if "label" in row), "")
        name = pascal(" ".join(said.split()[:2]), "List") + name
    name = unique(name, taken, "")
    if not runs[0].inline and runs[0].column is not None:
        tree = _as_entry(tree)
    component = Component(name, tree, {})
    component.props = {"id": "string", **props.types}
    component.props = {(p + "?" if p != "id" and props.optional(p) else p): t for p, t in component.props.items()}
    _write(component, runs, props, places, sheet, titles, taken)
    return component


def _settle(runs: Sequence[Run], props: Props) -> None:
    """The same list on several pages has the same sizes and distances, whatever a pixel was read as."""
    seen: dict[tuple[str, ...], list[dict[str, str]]] = {}
    at = 0
    for run in runs:
        rows = props.values[at : at + run.stop - run.start]
        at += run.stop - run.start
        first = seen.setdefault(tuple(row.get(n, "") for row in rows for n in SAID), rows)
        for row, own in zip(rows, first, strict=True) if first is not rows else ():
            for name in (n for n, t in props.types.items() if t == "number"):
                if abs(float(row.get(name, 0)) - float(own.get(name, 0))) <= READ:
                    row.pop(name, None)
                    row.update({name: own[name]} if name in own else {})


def _as_entry(tree: El) -> El:
    """The item as an entry of a list: an element of its own around a control, else the item's own box."""
    if tree.tag in {"div", "span"} and "role" not in tree.attrs:
        tree.tag = "li"
        return tree
    return El("li", {}, [tree])


def _name(runs: Sequence[Run], sheet: Stylesheet) -> str:
    """What people call such an item."""
    item = runs[0].items[0]
    tags = [e.tag for e in walk(item)]
    if item.tag == "tr":
        return "TableLine"
    if shape(item) == ("label",) or len(tags) == 1:
        tag = tag_of([i for r in runs for i in r.items]) if shape(item) == ("label",) else item.tag
        return {"a": "NavLink", "button": "ActionButton", "img": "Picture", "Field": "FormField", "Check": "Option"}.get(tag, "Entry")
    if item.tag in {"a", "button"} or "role" in item.attrs:
        return "ActionItem"
    if "Check" in tags:
        return "Option"
    if "Field" in tags or "Choice" in tags:
        return "FormField"
    looks = sheet.look(str(item.attrs.get("className", "")))
    if framed(looks):
        return "Card"
    if "img" in tags:
        return "PictureEntry"
    if len(tags) == 3 and looks.get("flex-direction") != "column":
        return "Pair"
    return "Entry"


def _write(
    component: Component, runs: Sequence[Run], props: Props, places: Places, sheet: Stylesheet, titles: Sequence[str], taken: set[str]
) -> None:
    """The arrays of the component's lists, and the maps in place of the items."""
    known: dict[tuple[str, ...], str] = {}
    at = 0
    stem = component.name[0].lower() + component.name[1:]
    for run, decls in zip(runs, places.lists, strict=True):
        values = props.values[at : at + run.stop - run.start]
        at += run.stop - run.start
        ids: set[str] = set()
        lines = []
        for row in values:
            said = next((row[n] for n in (*SAID, "title", "caption", "control") if n in row), '""')
            ident = unique(slug(said.strip('"'), "item"), ids)
            lines.append("{ " + ", ".join([f"id: {literal(ident)}", *(f"{k}: {row[k]}" for k in props.types if k in row)]) + " }")
            component.images |= {v for v in row.values() if re.fullmatch(r"image\w+", v)}
        key = tuple(lines)
        if key not in known:
            about = "".join(w.capitalize() for w in slug(titles[run.page], "page").split("-")[:3])
            plural = stem[:-1] + "ies" if stem.endswith("y") else stem + "s"
            known[key] = unique(plural if not known else f"{plural}Of{about}", taken, "")
            component.arrays[known[key]] = lines
        shown = Code(f"{known[key]}.map((item) => (\n  <{component.name} key={{item.id}} {{...item}} />\n))")
        _put(run, shown, decls, sheet)


def _put(run: Run, shown: Code, decls: dict[str, str], sheet: Stylesheet) -> None:
    """The list in place of its items. Children keep their number until all lists are written."""
    made: El | Code = shown
    if run.column is not None:
        made = El("span" if run.inline else "ul", {"className": sheet.add("list", decls)}, [shown])
    run.parent.children[run.start : run.stop] = [made, *([GONE] * (run.stop - run.start - 1))]


def module(component: Component, imported: Sequence[str]) -> str:
    """The data of a component's lists as a module; `imported` are the import lines of its pictures."""
    out = [*imported, f'import {{ type {component.name}Props }} from "../parts/{component.name}";', ""]
    for name, lines in component.arrays.items():
        out += [f"export const {name}: readonly {component.name}Props[] = [", *(f"  {line}," for line in lines), "];", ""]
    return "\n".join(out)
