"""Which control leads where: rules from the steps that were seen.

A click belongs to the smallest control under it, else to the line of text under it, which then is a button, else to a new
control at that place, since something there was operated. A step without a known cause belongs to any control, or, where
a page only showed for a moment, to time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from .dress import Scene
from .model import Action, Box, Element, Features, Screen, Text
from .names import Registry
from .pages import Step, Story, changed_lines, on_rim

CONTROLS = {"button", "link", "input", "checkbox", "radio", "select"}
_FIELDS = {"input", "select"}
_PAUSE = 600  # ms until a passing page goes on
_MOMENT = 0.8  # s: a page that shows for less, and nothing was done on it, was passing
_TWICE = 0.8  # s and
_SPOT = 24.0  # px within which a click after a click is thought to be the same one, seen twice
_REACH = 130.0  # px: how far right of a line a click may still mean it
_DOT = 28.0  # px: side of a control of which only the place is known


@dataclass(frozen=True)
class Rule:
    """`on` is click, enter, type, wheel, time or any; the `control` of the wheel is where to: "down" or "up". `scroll` None leaves the window where it is."""

    source: int
    on: str
    control: str
    target: int
    scroll: float | None = None
    typed: int | None = None
    delay: int | None = None
    values: tuple[tuple[str, str], ...] = ()


@dataclass
class Machine:
    rules: list[Rule]
    keys: list[dict[str, str]]
    """For every page: element id -> key."""
    clicked: list[dict[Box, str]]
    """For every page: box of a line that is a button -> key."""
    script: list[tuple[str, str, str, int]]
    """What was done, for the test: (kind, key, text, page it led to)."""


@dataclass
class _Builder:
    features: Features
    story: Story
    scenes: list[Scene]
    registry: Registry = field(default_factory=Registry)
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys: list[dict[str, str]] = [{} for _ in self.scenes]
        self.clicked: list[dict[Box, str]] = [{} for _ in self.scenes]
        for page, scene in enumerate(self.scenes):
            for e in scene.elements:
                if e.kind in CONTROLS:
                    self.keys[page][e.id] = self.registry.key(e.kind, label_of(e, scene), e.box)

    # what lies at a place ----------------------------------------------------------------------------------------------

    def control_at(self, page: int, x: float, y: float) -> str:
        """The key of what is clicked at a place of a page; makes a control where there is none."""
        scene = self.scenes[page]
        for slack in (2.0, 10.0):
            under = [e for e in scene.elements if e.kind in CONTROLS and e.box.contains(x, y, slack)]
            if under:
                return self.keys[page][min(under, key=lambda e: (e.box.area, e.id)).id]
            lines = [t for t in scene.texts if t.box.contains(x, y, slack)]
            if lines:
                line = min(lines, key=lambda t: (abs(t.box.cy - y), abs(t.box.cx - x)))
                return self.clicked[page].setdefault(line.box, self.registry.key("text", line.text, line.box))
        beside = [
            e
            for e in scene.elements
            if e.kind in {"link", "button"} and abs(e.box.cy - y) <= max(8.0, 0.5 * e.box.h) and 0 <= x - e.box.right <= _REACH
        ]
        if beside and not any(p.box.contains(x, y) and _button_sized(p.box) for p in scene.panels):
            # A link is often as wide as its column: what was read of it is only its text.
            old = max(beside, key=lambda e: e.box.right)
            wide = replace(old, box=old.box.union(Box(x, old.box.y, 6, old.box.h)))
            scene.elements[scene.elements.index(old)] = wide
            return self.keys[page][old.id]
        made = self._made(scene, page, x, y)
        self.keys[page][made.id] = self.registry.key(made.kind, label_of(made, scene), made.box)
        return self.keys[page][made.id]

    def _made(self, scene: Scene, page: int, x: float, y: float) -> Element:
        """A control that only its operation gave away: the picture, panel or end of a line that was clicked, else a dot."""
        ident = f"made/{page}/{round(x)}/{round(y)}"
        small = [
            e
            for e in scene.elements
            if e.kind not in CONTROLS and e.kind not in {"table", "heading"} and e.box.contains(x, y, 4) and _button_sized(e.box)
        ]
        if small:
            chosen = min(small, key=lambda e: (e.box.area, e.id))
            made = replace(chosen, kind="button", id=ident)
            scene.elements[scene.elements.index(chosen)] = made
            return made
        patches = [p for p in scene.panels if p.box.contains(x, y, 2) and _button_sized(p.box)]
        if patches:
            patch = min(patches, key=lambda p: p.box.area)
            scene.panels.remove(patch)
            made = Element(ident, "button", "", patch.box, background=patch.color, border=patch.border, radius=patch.radius)
        else:
            row = [t for t in scene.texts if abs(t.box.cy - y) <= max(8.0, 0.6 * t.box.h) and 0 <= x - t.box.right <= _REACH]
            if row:
                line = max(row, key=lambda t: t.box.right)
                made = Element(ident, "link", "", line.box.union(Box(x, line.box.y, 6, line.box.h)))
            else:
                made = Element(ident, "button", "", Box(max(0.0, x - _DOT / 2), max(0.0, y - _DOT / 2), _DOT, _DOT))
        scene.elements.append(made)
        return made

    def place_of(self, action: Action) -> tuple[float, float] | None:
        """Where an action happened, in coordinates of its page."""
        _, offset = self.story.place[action.before]
        target = action.target
        if action.x is not None and action.y is not None and (target is None or target.contains(action.x, action.y, 6)):
            return action.x, action.y + offset
        if target is not None:
            return target.cx, target.cy + offset
        return None

    def field_of(self, action: Action, last: str | None) -> str | None:
        """The key of the field that was typed into: the one named, else the one clicked last, else where the text turned up."""
        page, _ = self.story.place[action.before]
        scene = self.scenes[page]
        spot = self.place_of(action)
        fields = [e for e in scene.elements if e.kind in _FIELDS]
        if spot is not None:
            under = [e for e in fields if e.box.contains(*spot, 4)]
            if under:
                return self.keys[page][min(under, key=lambda e: e.box.area).id]
        names = {self.keys[page][e.id] for e in fields}
        if last in names:
            return last
        after = self.features.screens[action.after]
        for e in fields:
            if _same(shown_in(after, e.box.moved(0, -self.story.place[action.after][1])), action.text):
                return self.keys[page][e.id]
        return None

    # rules -------------------------------------------------------------------------------------------------------------

    def run(self) -> Machine:
        rules: list[Rule] = []
        script: list[tuple[str, str, str, int]] = []
        last: str | None = None
        clicked: Action | None = None
        steps = {s.before: s for s in self.story.steps}
        for i in range(len(self.features.screens)):
            actions = [a for a in self.features.actions if a.before == i]
            page = self.story.place[i][0]
            cause: tuple[str, str, str] | None = None
            entered = twice = False
            for a in actions:
                if a.kind == "click":  # a double click or a choice from a list is told beside its clicks
                    spot = self.place_of(a)
                    twice = clicked is not None and _seen_twice(clicked, a, self.features.screens[i])
                    clicked = a
                    if spot is not None:
                        last = self.control_at(page, *spot)
                        cause = ("click", last, "")
                        script.append(("click", last, "", page))
                elif a.kind == "type":
                    name = self.field_of(a, last)
                    if name is not None:
                        last = name
                        self.values[name] = a.text
                        cause = ("type", name, a.text)
                        script.append(("type", name, a.text, page))
                elif a.kind == "scroll" and cause is None:
                    cause = ("wheel", "down" if a.dy > 0 else "up", "")
                elif a.kind == "navigate" or (a.kind == "key" and a.text.lower() in {"enter", "return"}):
                    entered = True
            step = steps.get(i)
            if step is None:
                continue
            made = self._rules(step, cause, entered, script)
            # A page that came up for a moment under the pointer may have done so by itself: then nobody will click there again.
            rules += [*made, *(replace(r, on="time", control="", delay=_PAUSE) for r in made if twice and r.on == "click")]
        self._everywhere()
        return Machine(_without_repeats(rules), self.keys, self.clicked, script)

    def _everywhere(self) -> None:
        """A line that turned out to be a button is one on every page where it stands."""
        known = [
            (t.text, box, key)
            for scene, clicked in zip(self.scenes, self.clicked, strict=True)
            for t in scene.texts
            for box, key in clicked.items()
            if t.box == box
        ]
        for scene, clicked in zip(self.scenes, self.clicked, strict=True):
            for text, box, key in known:
                inside = any(e.kind in CONTROLS and e.box.contains(box.cx, box.cy) for e in scene.elements)
                if not inside and any(t.text == text and t.box == box for t in scene.texts):
                    clicked.setdefault(box, key)

    def _rules(self, step: Step, cause: tuple[str, str, str] | None, entered: bool, script: list[tuple[str, str, str, int]]) -> list[Rule]:
        screen = self.features.screens[step.before]
        scroll = None if abs(step.source_offset - step.target_offset) <= 4 and step.source_offset else step.target_offset
        made = Rule(step.source, "any", "", step.target, scroll, values=self._values(step))
        if cause is None:
            after = self.features.screens[step.before + 1]
            moment = screen.t_end - screen.t_start < _MOMENT
            # A page that goes on loading, or that lives, keeps most of its lines; one that was left by an unseen click does not.
            lives = 2 * changed_lines(screen, after, figures=False) <= len(screen.texts) + len(after.texts)
            if step.before and (moment or lives) and not entered:
                return [replace(made, on="time", delay=_PAUSE)]
            return [made]
        kind, key, text = cause
        if kind == "click":
            script[-1] = (*script[-1][:3], step.target)
            return [replace(made, on="click", control=key)]
        if kind == "wheel":
            script.append(("wheel", key, "", step.target))
            return [replace(made, on="wheel", control=key)]
        script.append(("enter", key, "", step.target))
        enter = replace(made, on="enter", control=key)
        target = self.scenes[step.target]
        stays = any(self.keys[step.target].get(e.id) == key for e in target.elements)
        if stays and not entered:
            script.pop()
            script[-1] = (*script[-1][:3], step.target)
            return [replace(made, on="type", control=key, typed=len(text)), enter]
        return [enter]

    def _values(self, step: Step) -> tuple[tuple[str, str], ...]:
        """What fields of the new page must show that they would not show by themselves."""
        after = self.features.screens[step.before + 1]
        scene = self.scenes[step.target]
        out = []
        for e in scene.elements:
            if e.kind not in _FIELDS or e.masked:
                continue
            key = self.keys[step.target][e.id]
            box = e.box.moved(0, -step.target_offset)
            if box.y < 0 or box.bottom > self.features.height:
                continue
            seen = shown_in(after, box)
            if e.placeholder is not None and _same(seen, e.placeholder):
                seen = ""
            initial = scene.values[e.id].text if e.id in scene.values else e.text
            shows = self.values.get(key, "" if e.placeholder is not None and _same(initial, e.placeholder) else initial)
            if not _same(seen, shows) and key in self.values:
                out.append((key, seen))
                self.values[key] = seen
        return tuple(out)


def _seen_twice(first: Action, second: Action, between: Screen) -> bool:
    """Whether a second click in a moment on the same spot, with a page between that hardly showed, may be the first one again."""
    if None in (first.x, first.y, second.x, second.y) or second.t - first.t >= _TWICE or between.t_end - between.t_start >= _TWICE / 2:
        return False
    assert first.x is not None and first.y is not None and second.x is not None and second.y is not None
    return max(abs(first.x - second.x), abs(first.y - second.y)) <= _SPOT


def _button_sized(box: Box) -> bool:
    return box.w >= 10 and box.h >= 10 and box.h <= 90 and box.area <= 60_000


def machine(features: Features, story: Story, scenes: list[Scene]) -> Machine:
    """The rules of the application; adds to the scenes the controls that only their operation gave away."""
    return _Builder(features, story, scenes).run()


def shown_in(screen: Screen, box: Box) -> str:
    """What a field at this box of a screen shows."""
    element = next((e for e in screen.elements if e.kind in _FIELDS and e.box.overlap(box) > 0.5 * max(box.area, e.box.area)), None)
    inside = [t.text for t in screen.texts if box.contains(t.box.cx, t.box.cy) and not on_rim(t.box, box)]
    return " ".join(inside) or (element.text if element else "")


def label_of(e: Element, scene: Scene) -> str:
    """What a control is called: its own text, a field by the line beside or above it."""
    if e.kind in {"button", "link"}:
        inside = sorted((t for t in scene.texts if e.box.contains(t.box.cx, t.box.cy)), key=lambda t: (round(t.box.cy / 12), t.box.x))
        return " ".join(t.text for t in inside) or e.text
    above = [
        t
        for t in scene.texts
        if -12 <= e.box.y - t.box.bottom <= 28 and t.box.x < e.box.right and t.box.right > e.box.x - 4 and t.box.x - e.box.x < 60
    ]
    left = [t for t in scene.texts if abs(t.box.cy - e.box.cy) <= max(8.0, 0.3 * e.box.h) and 0 <= e.box.x - t.box.right <= 260]
    right = [t for t in scene.texts if abs(t.box.cy - e.box.cy) <= 8 and 0 <= t.box.x - e.box.right <= 40]
    order: Sequence[Sequence[Text]] = (right, left, above) if e.kind in {"checkbox", "radio"} else (above, left, ())
    for found in order:
        if found:
            return min(found, key=lambda t: abs(t.box.cx - e.box.cx) + abs(t.box.cy - e.box.cy)).text
    return e.placeholder or ""


def _same(a: str, b: str) -> bool:
    """Whether two readings of a field are of the same value."""
    a, b = ("".join(s.casefold().split()) for s in (a, b))
    return a == b or (min(len(a), len(b)) >= 4 and SequenceMatcher(None, a, b).ratio() >= 0.8)


def _without_repeats(rules: Sequence[Rule]) -> list[Rule]:
    """Rules in order; one that follows its like from the same control says nothing new."""
    out: list[Rule] = []
    for r in rules:
        former = next((o for o in reversed(out) if (o.source, o.on, o.control) == (r.source, r.on, r.control)), None)
        if former != r:
            out.append(r)
    return out
