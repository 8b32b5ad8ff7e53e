"""One tree for all items of lists of one make; what differs between the items becomes its props."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .agreed import Looks
from .css import Stylesheet
from .jsx import Code, El, literal
from .runs import shape, tag_of

SAID = ("label", "detail", "note")
_GEOMETRY = ("margin", "width", "height", "letter-spacing", "line-height", "padding")
_PICTURE = re.compile(r"\{ backgroundImage: `url\(\$\{(\w+)\}\)` \}")
GONE = Code("")


@dataclass
class Props:
    """Values by item and name; a prop that an item lacks is optional."""

    types: dict[str, str] = field(default_factory=dict)
    values: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, kind: str, values: Sequence[str | None]) -> str:
        """A prop with these values, as expressions; one that always equals another is that one."""
        for known in self.types:
            if self.types[known].rstrip("?") == kind and [v.get(known) for v in self.values] == list(values):
                return known
        name = _numbered(name, self.types)
        self.types[name] = kind
        for row, value in zip(self.values, values, strict=True):
            if value is not None:
                row[name] = value
        return name

    def optional(self, name: str) -> bool:
        return any(name not in row for row in self.values)


def _numbered(name: str, taken: dict[str, str]) -> str:
    candidate, n = name, 2
    while candidate in taken:
        candidate, n = f"{name}{n}", n + 1
    return candidate


@dataclass
class Maker:
    """Builds the component's tree; what differs between items becomes props."""

    props: Props
    sheet: Stylesheet
    role: str
    placed: frozenset[str]
    """Props of the root's own place."""
    looks: Looks
    column: bool
    """Whether the items stand below each other."""
    sizes: set[str] = field(default_factory=set)
    texts: int = 0

    def make(self, parts: Sequence[El], root: bool = False, ends: bool = False) -> El | None:
        """One element for the parts of one role, one of each item; `ends`: nothing stands to the right of it."""
        label = shape(parts[0]) == ("label",)
        tag = tag_of(parts) if label else parts[0].tag
        el = El(tag)
        inner: list[El | str | Code] = []
        for role in zip(*(p.children for p in parts), strict=True):
            if isinstance(role[0], El):
                last = len(parts[0].children) == 1 + len(inner) or self.looks.of(parts[0]).get("flex-direction") == "column"
                made = self.make([c for c in role if isinstance(c, El)], ends=last)
                if made is None:
                    return None
                inner.append(made)
            else:
                inner.append(self._said([str(c) for c in role]))
        el.children = inner
        style = self._attrs(el, parts, tag)
        style += self._look(el, parts, root, ends or (root and self.column))
        if style:
            el.attrs["style"] = Code("{ " + ", ".join(style) + " }")
        return el

    def _said(self, texts: Sequence[str]) -> str | Code:
        if len(set(texts)) == 1:
            return texts[0]
        name = SAID[self.texts] if self.texts < len(SAID) else f"text{self.texts + 1}"
        self.texts += 1
        return Code(self.props.add(name, "string", [literal(t) for t in texts]))

    def _attrs(self, el: El, parts: Sequence[El], tag: str) -> list[str]:
        """All attributes but the class; what they say of the style comes back."""
        style: list[str] = []
        names = list(dict.fromkeys(k for p in parts for k in p.attrs))
        if tag == "button" and "type" not in names:
            names.insert(0, "type")
        for name in names:
            if name in {"className", "onClick"} or (name == "href" and tag != "a") or (name == "type" and tag in {"a", "span"}):
                continue
            values: list[str | Code | None] = [
                p.attrs.get(name, "#" if name == "href" else "button" if name == "type" and tag == "button" else GONE) for p in parts
            ]
            said = [v.text if isinstance(v, Code) else v for v in values]
            if name == "style":
                pictures = [m[1] if isinstance(v, Code) and (m := _PICTURE.fullmatch(v.text)) else None for v in values]
                prop = pictures[0] if len(set(pictures)) == 1 else self.props.add("icon", "string", pictures)
                holed = prop in self.props.types and self.props.optional(str(prop))
                url = f"`url(${{{prop}}})`"
                style.append(f"backgroundImage: {f'{prop} && {url}' if holed else url}")
                continue
            if len(set(said)) == 1 and len({type(v) for v in values}) == 1 and name != "data-control":
                el.attrs[name] = values[0]
                continue
            prop = self.props.add(_PROPS.get(name, name), _kind(name, values), [_expression(v) for v in values])
            el.attrs[name] = Code(prop)
            if name == "data-control":
                el.attrs["onClick"] = Code(f"click({prop})")
        return style

    def _look(self, el: El, parts: Sequence[El], root: bool, ends: bool) -> list[str]:
        """The class, one or two as an item is marked or not; what differs in size comes back as style."""
        looks = [dict(self.looks.of(p)) for p in parts]
        if root:
            for look in looks:
                look.pop("margin", None)
        style: list[str] = [key for key in ("marginTop", "marginLeft") if root and key in self.placed]
        slot = self.role if root else f"{self.role}-{'text' if shape(parts[0]) == ('label',) else _SLOTS.get(el.tag, el.tag.lower())}"
        for key in _GEOMETRY:
            values = [look.get(key) for look in looks]
            if len(set(values)) == 1:
                continue
            if key == "width" and ends and el.tag == "span" and shape(parts[0]) == ("label",):
                for look in looks:  # a line is as wide as what it says
                    look.pop(key, None)
                continue
            for look in looks:
                look.pop(key, None)
            style += self._size(key, values)
        skins = [tuple(sorted(look.items())) for look in looks]
        usual = Counter(skins).most_common(1)[0][0]
        names = {skin: self.sheet.add(slot, dict(skin)) for skin in dict.fromkeys([usual, *skins])}
        if len(names) == 1:
            if names[usual]:
                el.attrs["className"] = names[usual]
        elif len(names) == 2:
            marks = ["true" if s != usual else None for s in skins]
            marked = self.props.add("active" if marks.count("true") == 1 else "accent", "boolean", marks)
            other = next(n for s, n in names.items() if s != usual)
            el.attrs["className"] = Code(f"{marked} ? {literal(other)} : {literal(names[usual])}")
        else:
            el.attrs["className"] = Code(self.props.add("look", "string", [literal(names[s]) for s in skins]))
        return style

    def _size(self, key: str, values: Sequence[str | None]) -> list[str]:
        """A declaration of which each item has its own, as entries of its style."""
        named = re.sub(r"-(\w)", lambda m: m[1].upper(), key)
        if all(v is None or re.fullmatch(r"-?[\d.]+(?:px)?", v) for v in values) and key != "line-height":
            prop = self.props.add(named, "number", [None if v is None else v.removesuffix("px") for v in values])
        else:
            prop = self.props.add(named, "string", [None if v is None else literal(v) for v in values])
        self.sizes.add(prop)
        return [named if prop == named else f"{named}: {prop}"]


_PROPS = {"data-control": "control", "aria-label": "title", "src": "picture", "placeholder": "hint", "label": "caption"}
_SLOTS = {"div": "box", "span": "box", "img": "picture", "a": "link", "tr": "line", "td": "cell"} | {
    f"h{n}": "heading" for n in range(1, 7)
}


def _kind(name: str, values: Sequence[str | Code | None]) -> str:
    # A box is ticked by an expression; a text field may well say "true".
    if name == "hidden" or (name == "initial" and all(isinstance(v, Code) for v in values)):
        return "boolean"
    return "readonly string[]" if name == "options" else "string"


def _expression(value: str | Code | None) -> str | None:
    if value == GONE:
        return None
    if isinstance(value, Code):
        return value.text
    return literal(value) if value is not None else "true"
