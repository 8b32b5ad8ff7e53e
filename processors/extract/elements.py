"""Controls, links, headings, tables and pictures of a settled screen.

Two opinions are heard. The rules (:mod:`rules`) know how controls are drawn. The forests know how often what looks like this was one: guesses are made at all
that is seen (:mod:`candidates`), described (:mod:`evidence`), what the rules say included, and judged (:mod:`forest`); the likeliest is taken
first, and what it contradicts is dropped. Where the two differ the forests must be sure (:func:`settled`). Cards and icons are the rules' alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processors.extract.candidates import BLOCK, LINE, PIECE, RUN, Candidate, candidates
from processors.extract.context import WORTH, context
from processors.extract.evidence import KINDS, evidence, ious, overlaps
from processors.extract.forest import forests
from processors.extract.geometry import area, centre, covered, grown, holds, iou
from processors.extract.page import Colour, Element, Page, Text, far, vivid
from processors.extract.regions import Region
from processors.extract.rules import by_rules
from processors.extract.style import ground

__all__ = ["Element", "Found", "Text", "find", "look_for"]

ADDED = 0.5  # from which a guess is an element where the rules have none
REPLACED = 0.65  # from which it is one instead of what the rules have there
POSSIBLE = 0.08  # from which it is one if somebody clicked or typed there
RENAMED = 0.97  # certainty of its kind from which what the rules have drawn a box about is of another
# Below so much what the rules say is dropped. Links that are mere signs are not: rules know them by their repetition in tables.
DOUBTED = {"button": 0.3, "radio": 0.3, "heading": 0.09, "image": 0.09, "input": 0.09, "link": 0.09}
SAME = 0.7  # overlap from which a guess is the thing that the rules speak of
CLASH = 0.3  # overlap from which the rules and the forests speak of one thing
APART = 0.45  # overlap (intersection over union) from which two guesses contradict one another
CLOSE = 0.5  # weight of a guess's fit beside its chance to be an element at all
NESTED = 0.85  # share of the smaller of two controls from which one stands in the other
CONTROLS = [KINDS.index(k) for k in ("button", "link", "input", "checkbox", "radio", "select")]
TICKED = 0.08  # share of a small box's inside that is ink from which it is ticked


@dataclass(frozen=True)
class Found:
    """``elements`` of a screen in reading order; ``possible``: what nobody would say is one unless it was used."""

    elements: list[Element]
    possible: list[Element]


def find(image: np.ndarray, texts: Sequence[Text], found: Sequence[Region]) -> list[Element]:
    """All elements of a screen (BGR), in reading order."""
    return look_for(image, texts, found).elements


def look_for(image: np.ndarray, texts: Sequence[Text], found: Sequence[Region]) -> Found:
    """All elements of a screen (BGR), and what might be some."""
    page = Page(image, texts, found)
    opinions = by_rules(page)
    guesses = candidates(page, opinions)
    guesses, judged, close = _judged(guesses, *evidence(page, guesses, opinions))
    chosen = choose(guesses, judged, close, ADDED)
    seen = [_element(page, guesses[i], judged[i], opinions) for i in chosen]
    sure = judged[chosen, 1:].max(axis=1, initial=0)
    elements = settled([e for e in opinions if e.kind in KINDS and not doubted(e, guesses, judged)], seen, sure.tolist())
    others = [e for e in opinions if e.kind not in KINDS and not (e.kind in ("icon", "graphic") and _taken(e, elements))]
    possible = [_element(page, guesses[i], judged[i], opinions) for i in choose(guesses, judged, close, POSSIBLE)]
    possible = [e for e in possible if all(iou(e.box, o.box) <= APART for o in elements)]
    return Found(sorted(elements + others, key=_reading_order), sorted(possible, key=_reading_order))


def _judged(guesses: list[Candidate], names: list[str], rows: np.ndarray) -> tuple[list[Candidate], np.ndarray, np.ndarray]:
    """The guesses worth a second look, how likely each is what, and how likely it is close: judged by itself first, then again beside its rivals and
    peers."""
    first, second = forests()
    judged, _ = first.judge(names, rows)
    worth = np.flatnonzero(1 - judged[:, 0] > WORTH)
    left = [guesses[i] for i in worth]
    boxes = np.array([g.box for g in left], np.float64).reshape(-1, 4)
    more, columns = context(boxes, np.array([g.how for g in left]), judged[worth], names, rows[worth])
    return left, *second.judge([*names, *more], np.concatenate([rows[worth], columns], axis=1))


def doubted(told: Element, guesses: Sequence[Candidate], judged: np.ndarray) -> bool:
    """Whether the forests think little of what the rules say: no guess at that place is likely to be anything."""
    if told.kind == "link" and not told.lines:
        return False
    boxes = np.array([g.box for g in guesses], np.float64).reshape(-1, 4)
    same = ious(np.array([told.box], np.float64), boxes)[0] > SAME
    return float((1 - judged[same, 0]).max(initial=0)) < DOUBTED.get(told.kind, 0.0)


def settled(told: Sequence[Element], seen: Sequence[Element], sure: Sequence[float]) -> list[Element]:
    """What rules ``told`` and forests have ``seen`` (and are so ``sure`` that it is there and of its kind), as one.

    A likely element is added where the rules have nothing, and takes the place of what they say of nearly the same box where it is very likely; a box that
    is drawn keeps its edges, which the rules have measured, and is given its kind.
    """
    kept = list(told)
    added: list[Element] = []
    for e, certain in zip(seen, sure, strict=True):
        against = [o for o in kept if _contradict(e, o)]
        drawn = next((o for o in against if o.fill is not None or o.border is not None), None)
        if e.confidence <= (REPLACED if against else ADDED) or any(iou(e.box, o.box) <= CLASH for o in against):
            continue
        if drawn is not None and e.kind != drawn.kind and certain <= RENAMED:
            continue
        kept = [o for o in kept if o not in against]
        added.append(e if drawn is None else replace(drawn, kind=e.kind, confidence=e.confidence, checked=e.checked or drawn.checked))
    return kept + added


def _contradict(a: Element, b: Element) -> bool:
    """Whether two elements cannot both be there: they overlap much, or one stands in the other and neither is a thing that holds others."""
    if iou(a.box, b.box) > CLASH:
        return True
    if {a.kind, b.kind} & {"table", "image"} or (a.kind == "heading") != (b.kind == "heading"):
        return False
    return max(covered(a.box, b.box), covered(b.box, a.box)) > 0.85


def choose(guesses: Sequence[Candidate], judged: np.ndarray, close: np.ndarray, likely: float) -> list[int]:
    """Indices of guesses that hold together, the likeliest and closest first: none overlaps another much, no control stands in another, and a line of
    text is one control and one heading at most."""
    chance = 1 - judged[:, 0]
    kind = judged[:, 1:].argmax(axis=1)
    heading = kind == KINDS.index("heading")
    order = np.argsort(-(chance + CLOSE * close), kind="stable")
    order = order[chance[order] > likely]
    boxes = np.array([guesses[i].box for i in order], np.float64).reshape(-1, 4)
    common = overlaps(boxes, boxes)
    size = boxes[:, 2] * boxes[:, 3]
    likeness = common / (size[:, None] + size - common)
    nested = common / np.minimum(size[:, None], size)
    control = np.isin(kind[order], CONTROLS)
    nested *= control[:, None] & control
    kept: list[int] = []
    said: set[tuple[int, bool]] = set()
    for n, i in enumerate(order.tolist()):
        if kept and (likeness[n, kept].max() > APART or nested[n, kept].max() > NESTED):
            continue
        guess = guesses[i]
        if guess.text >= 0:
            key = (guess.text, bool(heading[i]))
            if guess.how not in (RUN, PIECE) and key in said:
                continue
            said.add(key)
        kept.append(n)
    return [int(order[n]) for n in kept]


def _reading_order(e: Element) -> tuple[int, int, int, str]:
    return e.box[1], e.box[0], -area(e.box), e.kind


def _taken(e: Element, elements: Sequence[Element]) -> bool:
    return any(covered(e.box, o.box) > 0.6 for o in elements if o.kind not in ("heading", "table"))


def _element(page: Page, guess: Candidate, judged: np.ndarray, opinions: Sequence[Element]) -> Element:
    kind, chance = KINDS[int(judged[1:].argmax())], float(1 - judged[0])
    x, y, w, h = box = grown(guess.box, 0, page.width, page.height)
    lines = tuple(n for n, t in enumerate(page.texts) if holds(box, *centre(t.ink)))
    if guess.text >= 0 and guess.how in (LINE, RUN, PIECE) and guess.text not in lines:
        lines = (guess.text,)
    text = guess.words or " ".join(page.texts[n].text for n in lines)
    fill: Colour | None = None
    border: Colour | None = None
    radius = 0
    if guess.region >= 0:
        r = page.regions[guess.region]
        fill, border, radius = r.fill, r.border, r.radius
    elif kind in ("button", "input", "select", "checkbox", "radio") or (kind == "link" and guess.how not in (LINE, RUN, PIECE, BLOCK)):
        same = next((r for r in page.regions if iou(r.box, box) > 0.8), None)
        if same is not None:
            fill, border, radius = same.fill, same.border, same.radius
        else:
            inner = page.image[y : y + h, x : x + w]
            shade = ground(inner) if inner.size else None
            fill = shade if shade is not None and far(shade, _about(page, box)) > 6 else None
    checked = None
    if kind in ("checkbox", "radio"):
        told = next((e.checked for e in opinions if e.checked is not None and iou(e.box, box) > 0.5), None)
        checked = told if told is not None else _ticked(page, box)
    colour = page.texts[lines[0]].look.colour if lines else None
    return Element(
        kind, box, text if kind not in ("image", "table") else "", round(chance, 3), fill, border, radius, lines, checked, colour=colour
    )


def _about(page: Page, box: tuple[int, int, int, int]) -> Colour:
    x, y, _, h = box
    px, py = max(0, x - 4), max(0, min(page.height - 1, y + h // 2))
    b, g, r = (int(v) for v in page.image[py, px])
    return b, g, r


def _ticked(page: Page, box: tuple[int, int, int, int]) -> bool:
    x, y, w, h = box
    part = page.image[y + 3 : y + h - 3, x + 3 : x + w - 3]
    if not part.size:
        return False
    shade = ground(part)
    ink = (np.abs(part.astype(np.int16) - np.array(shade, np.int16)).max(axis=2) > 40).mean()
    return bool(ink > TICKED or vivid(shade) > 80)
