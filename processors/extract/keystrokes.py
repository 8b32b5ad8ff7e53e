"""Typing: text that grew at a text cursor, letter by letter or amid a page that answers every letter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from difflib import SequenceMatcher

from processors.extract.geometry import Box, area, around, holds, overlap, union
from processors.extract.line import Line
from processors.extract.scene import ANSWER, DWELL, Action, Rest, Scene, bursts, rest_at, screen_after, screen_before
from processors.extract.watch import Moment

TYPING_GAP = 0.9  # seconds without a new letter that end typing
AT_ONCE = 4  # places where letters, or what looks like them, come and go at one time
LETTER = 24  # pixels that a letter is wide at most, its space included
HAIRLINE = 2  # pixels of height up to which a change is a codec refining an edge, not a letter
CARET_READ = set("|Iil!1")  # what a text cursor is taken for that stands behind the last letter
SAME_TEXT = 0.75  # likeness from which a text counts as the one read before, a little otherwise


def alone(scene: Scene) -> list[Action]:
    """Text that grew in one place, with a text cursor there or letter by letter."""
    letters: list[Moment] = []
    for burst in bursts([m for m in scene.moments if any(b[3] > HAIRLINE for b in m.change.boxes) and scene.free(m.t)]):
        if all(_main(m) is not None for m in burst):
            letters.extend(burst)
    groups: list[list[Moment]] = []
    for m in letters:
        # Not only the latest: elsewhere on the page something may blink between two letters.
        home = next((g for g in reversed(groups[-AT_ONCE:]) if _continues(scene, g[-1], m)), None)
        if home is not None:
            home.append(m)
        else:
            groups.append([m])
    out: list[Action] = []
    for group in groups:
        boxes = [b for b in map(_main, group) if b is not None]
        if _is_ring(boxes[0], group[0], scene) and len(group) > 1:  # the field took the focus first
            group, boxes = group[1:], boxes[1:]
        start, end = group[0].t, group[-1].t
        region = union(boxes)
        rest = rest_at(scene, start)
        if scene.has_cursor and rest is not None and (start - rest.start < DWELL or start >= rest.end):
            continue
        caret = any(overlap(around(c, 24), region) for c in scene.carets(start - 2.0, end + 1.2))
        if not caret and not _grows(boxes):
            continue
        if (not caret and boxes[0][2] > 160) or _is_ring(boxes[0], group[0], scene):
            continue
        if len(group) == 1 and (not _at_caret(boxes[0], start, scene) or _left(boxes[0], rest)):
            continue
        text = _typed_text(scene, _letters_only(boxes), start, end)
        if not any(c.isalnum() or c == "•" for c in text):
            continue
        out.append(
            Action(
                round(start - ANSWER, 3),
                "type",
                end,
                rest.x if rest else None,
                rest.y if rest else None,
                text=text,
                region=region,
                confidence=0.95 if caret else 0.7,
            )
        )
    return out


def _continues(scene: Scene, last: Moment, m: Moment) -> bool:
    """Whether a letter is the next one after another."""
    return m.t - last.t <= TYPING_GAP and _goes_on(last, m) and _still(rest_at(scene, last.t), rest_at(scene, m.t))


def _still(a: Rest | None, b: Rest | None) -> bool:
    """Whether the cursor has not gone anywhere: it may be lost out of sight for a moment where letters come."""
    return a == b or (a is not None and b is not None and math.hypot(a.x - b.x, a.y - b.y) <= 3)


def _is_ring(box: Box, m: Moment, scene: Scene) -> bool:
    """Whether a wide change is a field taking the focus (its frame), not its text being replaced: no text cursor stood in it before."""
    return box[2] > 96 and not any(overlap(around(c, 8), box) for c in scene.carets(m.t - 3.0, m.t))


def _left(box: Box, rest: Rest | None) -> bool:
    """Whether a wide change is a field that lost the focus, since the cursor clicked elsewhere."""
    return box[2] > 96 and rest is not None and not holds(box, rest.x, rest.y, 40)


def _at_caret(box: Box, t: float, scene: Scene) -> bool:
    """Whether a text cursor stood at a single change, just before or after it."""
    return any(overlap(around(box, 8), c) for c in scene.carets(t - 2.0, t + 1.5))


def _letters_only(boxes: list[Box]) -> Box:
    """Where letters appeared: without what was cleared by the first of them, where more followed. That one stands where the hint began that it cleared."""
    narrow = [b for b in boxes if b[2] <= 64]
    if len(boxes) > 1 and len(narrow) >= len(boxes) - 1:
        first = boxes[0]
        left = first[0] if 0 <= narrow[0][0] - first[0] <= LETTER else narrow[0][0]
        return union([*narrow, (left, first[1], 1, first[3])]) if first[2] > 64 else union(boxes)
    return union(boxes)


def _main(m: Moment) -> Box | None:
    """The place of a letter, where a moment is like one: a small change on one line, next to nothing elsewhere."""
    first, *others = sorted(m.change.boxes, key=lambda b: b[3] <= HAIRLINE)
    if first[3] > 64 or first[2] > 640 or sum(area(b) for b in others) > max(4 * 256, area(first)):
        return None
    near = [b for b in others if overlap(around(b, 40), first)]
    return union([first, *near])


def _goes_on(last: Moment, m: Moment) -> bool:
    a, b = _main(last), _main(m)
    return a is not None and b is not None and bool(overlap(around(a, 48), b)) and abs(a[1] - b[1]) <= 40


def _grows(boxes: list[Box]) -> bool:
    """Letter after letter to the right: three changes or more, each narrow and none far left of the one before."""
    narrow = [b for b in boxes[1:] if b[2] <= 64]
    steps = [b[0] - a[0] for a, b in itertools.pairwise(boxes)]
    return len(boxes) >= 3 and len(narrow) == len(boxes) - 1 and all(-16 <= s <= 64 for s in steps[1:]) and boxes[-1][0] > boxes[0][0]


def _typed_text(scene: Scene, region: Box, start: float, end: float) -> str:
    """What stands where letters appeared, less what stood there before and still does."""
    before = screen_before(scene, start)
    after = screen_after(scene, end)
    if after is None:
        return ""
    carets = scene.carets(start - 2.0, max(end + 2.0, after.t_end))
    new = _text_at(after.lines, region, carets)
    old = _text_at(before.lines, region, carets) if before is not None else ""
    if dots(new):
        return "•" * len(new.replace(" ", ""))
    if new == old or (old and region[2] > 96 and SequenceMatcher(None, new, old).ratio() >= SAME_TEXT):
        return ""
    if old and new.startswith(old):
        return new[len(old) :].strip()
    return new


def amid_answers(scene: Scene, clicks: Sequence[Action], typed: Sequence[Action]) -> list[Action]:
    """Text that came into a clicked field while the page answered every letter, as a search or a list that narrows does.

    Letters cannot be told there from what else changes, but the field's line says something else afterwards.
    """
    out: list[Action] = []
    for click in clicks:
        rest = rest_at(scene, click.t + ANSWER)
        if rest is None or any(rest.start <= a.t <= rest.end for a in typed):
            continue
        caret = next((c for c in scene.carets(click.t) if _in_field(c, click)), None)
        if caret is None:
            continue
        here = [s for s in scene.screens if click.t < s.t_end and s.t_start < rest.end]
        if not here:
            continue
        stood = _line_at(here[0].lines, caret, caret[0])
        left = stood.box[0] if stood is not None else caret[0]
        lines = [_line_at(s.lines, caret, left) for s in here]
        carets = scene.carets(click.t, rest.end)
        said = [(s, _said(line, carets, left - 6) if line is not None else "") for s, line in zip(here, lines, strict=True)]
        old = said[0][1]
        changed = next(
            (n for n, (_, text) in enumerate(said) if text != old and SequenceMatcher(None, text, old).ratio() < SAME_TEXT), None
        )
        if changed is None:
            continue
        new = said[-1][1]
        text = new[len(old) :].strip() if old and new.startswith(old) else _beyond(old, new)
        if any(c.isalnum() for c in text):
            began, ended = said[changed - 1][0].t_end, said[-1][0].t_start
            out.append(Action(round(began, 3), "type", ended, rest.x, rest.y, text=text, region=around(caret, 4), confidence=0.6))
    return out


def _said(line: Line, carets: Sequence[Box], x0: float, x1: float = math.inf) -> str:
    """What a line says between two places, without the text cursor that stands behind its last letter and was read as one."""
    x, y, _, h = line.box
    glyphs = [g for g in line.reading.glyphs if x0 <= x + g.x <= x1]
    if (
        len(glyphs) > 1
        and glyphs[-1].char in CARET_READ
        and any(abs(c[0] - x - glyphs[-1].x) <= 5 and y - 4 <= c[1] <= y + h for c in carets)
    ):
        glyphs.pop()
    return "".join(g.char for g in glyphs).strip()


def _beyond(old: str, new: str) -> str:
    """The words of a text behind those that it begins with as another does: a label that was read as one with its field."""
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old.split(), new.split(), strict=False)))
    return " ".join(new.split()[same:])


def _in_field(caret: Box, click: Action) -> bool:
    return click.y is not None and caret[1] - 12 <= click.y <= caret[1] + caret[3] + 12


def _line_at(lines: Sequence[Line], caret: Box, x: float) -> Line | None:
    """The line in a text cursor's row that begins nearest to ``x``, or in which ``x`` is."""
    row = [n for n in lines if n.box[1] <= caret[1] + caret[3] / 2 <= n.box[1] + n.box[3]]
    near = [n for n in row if n.box[0] - 12 <= x <= n.box[0] + n.box[2] + 12]
    return min(near, key=lambda n: abs(n.box[0] - x), default=None)


def dots(text: str) -> bool:
    """Whether a line is a password's dots, whatever they were read as."""
    bare = text.replace(" ", "")
    return len(bare) >= 2 and all(c in "•●∙·.*○◦°⚫⬤" for c in bare)


def _text_at(lines: Sequence[Line], region: Box, carets: Sequence[Box]) -> str:
    """The characters of all lines that stand in a region, give or take a few pixels."""
    x0, x1 = region[0] - 5, region[0] + region[2] + 9  # the last letter may have come while the next screen settled
    found: list[tuple[int, int, str]] = []
    for line in lines:
        x, y, w, h = line.box
        if not (region[1] - 5 <= y + h / 2 <= region[1] + region[3] + 5 and x < x1 and x0 < x + w):
            continue
        found.append((round((y + h / 2) / 12), x, _said(line, carets, x0, x1)))
    return " ".join(text for _, _, text in sorted(found)).strip()
