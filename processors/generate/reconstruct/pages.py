"""From settled screens to pages: what was one page scrolled, what came back, what was really another state.

A recording shows a window; an application has pages that are taller than it. Screens between which only the wheel turned
are put together into one page, each at its offset, which is measured by the lines that both show and only where there
are none taken from the wheel. Screens that look the same, what was typed into their fields aside, are one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from .model import Action, Box, Element, Features, Screen, Text
from .region import only_a_part_moved

FIELDS = {"input", "select"}
_MANY = 36  # votes that tell a displacement where no wheel, or not the wheel alone, was turned
_NEAR = 4.0  # px within which two boxes are at the same place


@dataclass
class Page:
    """One page of the application: `shots` are (index of screen, scroll offset) in order of time."""

    index: int
    shots: list[tuple[int, float]] = field(default_factory=list)
    above: list[tuple[int, float]] = field(default_factory=list)
    """Screens, the lowest first, of the page that this one came from without moving: they show what is above its first screen."""


@dataclass(frozen=True)
class Step:
    """A change from one page to another (or to itself, elsewhere): what was done on screen `before`."""

    before: int
    source: int
    source_offset: float
    target: int
    target_offset: float
    actions: tuple[Action, ...]


@dataclass
class Story:
    pages: list[Page]
    steps: list[Step]
    place: list[tuple[int, float]]
    """For every screen, its page and scroll offset."""


def in_field(box: Box, elements: Sequence[Element]) -> Element | None:
    """The text field or select in whose box the centre of `box` lies."""
    return next((e for e in elements if e.kind in FIELDS and e.box.contains(box.cx, box.cy) and not on_rim(box, e.box)), None)


def on_rim(line: Box, field: Box) -> bool:
    """Whether a line stands on the upper rim of a field, as a floating label does."""
    return line.y < field.y + 1 and line.bottom < field.y + 0.45 * field.h


def lines(screen: Screen) -> list[Text]:
    """The lines that are no values of fields."""
    return [t for t in screen.texts if in_field(t.box, screen.elements) is None]


def alike(a: str, b: str, figures: bool = True) -> bool:
    """Whether two readings can be of the same line: equal, or long and off by a letter or two; `figures` may be disregarded."""
    a, b = a.casefold(), b.casefold()
    if a == b:
        return True
    if not figures and any(c.isdigit() for c in a) and any(c.isdigit() for c in b):
        return True
    if any(c.isdigit() for c in a + b) or min(len(a), len(b)) < 5:
        return False
    return SequenceMatcher(None, a, b).ratio() >= 0.85


def changed_lines(a: Screen, b: Screen, figures: bool = True) -> int:
    """How many lines of either screen have no like one at the same place on the other. Single marks do not count."""
    left, right = lines(a), lines(b)
    free = set(range(len(right)))
    missing = 0
    for t in left:
        j = next(
            (
                j
                for j in sorted(free)
                if abs(right[j].box.cy - t.box.cy) <= _NEAR
                and abs(right[j].box.x - t.box.x) <= 2 * _NEAR
                and alike(t.text, right[j].text, figures)
            ),
            None,
        )
        if j is None:
            missing += _counts(t)
        else:
            free.discard(j)
    return missing + sum(_counts(right[j]) for j in free)


def _counts(t: Text) -> int:
    return int(sum(c.isalnum() for c in t.text) >= 2)


def displacements(a: Screen, b: Screen) -> Counter[int]:
    """How far things of `a` moved up until `b`, in pixels, weighted by how telling each thing is."""
    votes: Counter[int] = Counter()
    seen = Counter(t.text.casefold() for t in a.texts)
    again: dict[str, list[Text]] = {}
    for t in b.texts:
        again.setdefault(t.text.casefold(), []).append(t)
    for t in a.texts:
        for other in again.get(t.text.casefold(), ()):
            if abs(other.box.x - t.box.x) <= _NEAR:
                votes[round(t.box.y - other.box.y)] += 6 // max(1, seen[t.text.casefold()]) or 1
    for e in a.elements:
        for f in b.elements:
            if e.kind == f.kind and abs(e.box.x - f.box.x) <= 2 and abs(e.box.w - f.box.w) <= 2 and abs(e.box.h - f.box.h) <= 2:
                votes[round(e.box.y - f.box.y)] += 1
    return votes


def _peak(votes: Counter[int], where: Callable[[int], bool]) -> tuple[float, int]:
    """The displacement with most votes within a pixel, and how many."""
    best = max(
        ((sum(votes.get(d + k, 0) for k in (-1, 0, 1)), votes[d], -abs(d), d) for d in sorted(votes) if where(d)), default=(0, 0, 0, 0)
    )
    return float(best[3]), best[0]


def tell(features: Features) -> Story:
    """Place every screen on a page and list the steps between pages."""
    screens, viewport = features.screens, features.height
    done: list[list[Action]] = [[] for _ in screens]
    for a in features.actions:
        if 0 <= a.before < len(screens):
            done[a.before].append(a)
    groups: list[list[tuple[int, float]]] = [[(0, 0.0)]]
    for i in range(1, len(screens)):
        offset = groups[-1][-1][1]
        moved = _scrolled(screens, groups[-1], i, done[i - 1], viewport)
        if moved is not None:
            groups[-1].append((i, moved))
        elif _unchanged(screens[i - 1], screens[i], done[i - 1]):
            groups[-1].append((i, offset))
        else:
            groups.append([(i, _kept_offset(screens[i - 1], screens[i], offset))])
    pages: list[Page] = []
    place: list[tuple[int, float]] = [(0, 0.0)] * len(screens)
    for group in groups:
        page = next((p for p in pages if _same_page(screens, p, group)), None)
        if page is None:
            first, offset = group[0]
            origin = pages[place[first - 1][0]] if first and offset else None
            page = Page(len(pages))
            if origin is not None:
                page.above = sorted([*origin.shots, *origin.above], key=lambda s: -s[1])
            pages.append(page)
        page.shots += group
        for i, offset in group:
            place[i] = (page.index, offset)
    steps = [
        Step(i, *place[i], *place[i + 1], tuple(done[i]))
        for i in range(len(screens) - 1)
        if place[i][0] != place[i + 1][0] or _jumps(done[i], place[i][1], place[i + 1][1])
    ]
    return Story(pages, steps, place)


def _jumps(actions: Sequence[Action], before: float, after: float) -> bool:
    """Whether a click moved the page to another offset, as a link to a section does."""
    return abs(before - after) > 30 and any(a.kind == "click" for a in actions) and not any(a.kind == "scroll" for a in actions)


def _scrolled(
    screens: Sequence[Screen], group: Sequence[tuple[int, float]], i: int, actions: Sequence[Action], viewport: int
) -> float | None:
    """Offset of screen i on the page of `group` where it came there by scrolling alone; None where it did not."""
    before, after = screens[i - 1], screens[i]
    wheel = [a for a in actions if a.kind == "scroll"]
    others = [a for a in actions if a.kind in ("click", "type", "double_click", "select", "key")]
    offset = group[-1][1]
    if wheel and others and all(a.kind in ("type", "key") for a in others):
        # Typing does not move a page. Where lines moved as the wheel turned, that is what led from one screen to the other.
        turned = sum(a.dy for a in wheel)
        d, votes = _peak(displacements(before, after), lambda d: d * turned > 2)
        return _at_top(offset + d) if votes >= _MANY and not only_a_part_moved(before.texts, after.texts, d) else None
    if wheel and not others:
        turned = sum(a.dy for a in wheel)
        for j, at in reversed(group):  # a place that was seen before is known exactly
            if (at - offset) * turned > 0 and changed_lines(screens[j], after) <= 0.1 * len(after.texts) and len(after.texts) > 2:
                return at
        d, votes = _peak(displacements(before, after), lambda d: d * turned > 2)
        if votes >= 4 and only_a_part_moved(before.texts, after.texts, d):
            return None
        if votes >= 4:
            return _at_top(offset + d)
        still, count = _peak(displacements(before, after), lambda d: abs(d) <= 2)
        if count and _unchanged(before, after, ()):
            return offset
        best = max(
            ((_peak(displacements(screens[j], after), lambda d: True), at) for j, at in group),
            key=lambda c: c[0][1],
            default=((0.0, 0), 0.0),
        )
        if best[0][1] >= 12 and (best[1] + best[0][0] - offset) * turned > 0:
            return _at_top(best[1] + best[0][0])
        return max(0.0, offset + (turned if abs(turned) < 4 * viewport else 0.0))
    if not others:
        moves = displacements(before, after)
        d, count = _peak(moves, lambda d: abs(d) > 8)
        _, still = _peak(moves, lambda d: abs(d) <= 2)
        if count >= _MANY and count > 2 * still:
            return max(0.0, offset + d)
    return None


def _at_top(offset: float) -> float:
    """An offset, the top where it is nearly there: boxes are read to a pixel or two."""
    return offset if offset > _NEAR else 0.0


def _unchanged(before: Screen, after: Screen, actions: Sequence[Action]) -> bool:
    """Whether two screens in a row are one state: nothing new to read, or only a few lines that changed by themselves."""
    if any(a.kind in ("click", "double_click", "key", "select", "navigate") for a in actions):
        return changed_lines(before, after) == 0 and _same_controls(before, after)
    # Figures that tick are the same page, and so are readings that waver.
    return changed_lines(before, after, figures=False) <= 0.2 * max(1, len(before.texts) + len(after.texts))


def _same_controls(a: Screen, b: Screen) -> bool:
    """Whether the large controls and pictures are the same ones; what is small may have been missed on one of them."""
    big = [[e for e in s.elements if e.kind in ("image", "table", "input", "select") and e.box.area > 2500] for s in (a, b)]
    return all(any(e.kind == f.kind and e.box.overlap(f.box) > 0.5 * e.box.area for f in big[1]) for e in big[0]) and len(big[0]) == len(
        big[1]
    )


def _kept_offset(before: Screen, after: Screen, offset: float) -> float:
    """Where a changed page stands: where it stood, if most of what was there is still there; at its top otherwise."""
    if offset == 0:
        return 0.0
    d, votes = _peak(displacements(before, after), lambda d: True)
    if abs(d) <= 3:
        d = 0.0
    return max(0.0, offset + d) if votes >= 6 * max(3.0, 0.25 * min(len(before.texts), len(after.texts))) else 0.0


def _same_page(screens: Sequence[Screen], page: Page, group: Sequence[tuple[int, float]]) -> bool:
    met = False
    for i, offset in group:
        for j, at in page.shots:
            if abs(offset - at) <= _NEAR:
                if changed_lines(screens[i], screens[j]) or not _same_controls(screens[i], screens[j]):
                    return False
                met = True
    return met
