"""What was done: scrolls, typing and clicks, inferred from what changed, where the cursor was, and where the text cursor blinked.

Nobody logged the mouse. A click is a cursor that rests and a picture that answers; typing is text that grows at a text cursor; a scroll is content
that moves as a whole. Whatever is explained by one is not used for another.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from processors.extract.geometry import Box, area, holds, overlap, union
from processors.extract.line import Line
from processors.extract.watch import Moment, Watch

SCROLL_GAP = 0.35  # seconds without movement that end a scroll
TYPING_GAP = 0.9  # seconds without a new letter that end typing
AFTERMATH = 0.3  # seconds after a scroll in which things still settle
DWELL = 0.09  # seconds that the cursor must have rested before an answer can be one to a click
ANSWER = 0.03  # seconds by which a click comes before the first frame that shows its effect
STAYS = (0.3, 0.2)  # seconds that a cursor rests in all, and after the answer: less is a pause on its way
STILL = 2.5  # pixels within which a cursor counts as resting
LARGE = 0.02  # part of the picture that changes on more than a hint
SAME_TEXT = 0.75  # likeness from which a text counts as the one read before, a little otherwise
BURST_GAP = 0.12  # seconds without change that end one answer


@dataclass
class Action:
    """One action. ``t`` in seconds when it began, ``x`` and ``y`` in video pixels; ``dy`` for scrolls, ``text`` for typing."""

    t: float
    kind: str
    end: float
    x: float | None = None
    y: float | None = None
    dy: int | None = None
    text: str | None = None
    region: Box | None = None
    confidence: float = 1.0


@dataclass(frozen=True)
class Rest:
    """A stretch in which the cursor lay still."""

    start: float
    end: float
    x: float
    y: float


@dataclass(frozen=True)
class Screen:
    """What actions need of a settled screen."""

    t_start: float
    t_end: float
    lines: Sequence[Line]


@dataclass
class _Scene:
    """All that was seen, and what of it is explained already."""

    moments: list[Moment]
    rests: list[Rest]
    screens: Sequence[Screen]
    duration: float
    height: int
    has_cursor: bool
    explained: list[tuple[float, float]] = field(default_factory=list)

    def free(self, t: float) -> bool:
        return not any(a <= t <= b for a, b in self.explained)


def infer(seen: Watch, screens: Sequence[Screen], height: int) -> list[Action]:
    """All actions, in order of time."""
    scene = _Scene(seen.moments, rests(seen), screens, seen.duration, height, any(x is not None for _, x, _ in seen.track))
    scrolls = _scrolls(scene)
    scene.explained += [(a.t - 0.01, a.end + AFTERMATH) for a in scrolls]
    typed = _typing(scene)
    scene.explained += [(a.t - 0.01, a.end + 0.02) for a in typed]
    clicks = _clicks(scene, scrolls, typed) if scene.has_cursor else _blind_clicks(scene)
    return sorted(scrolls + typed + clicks, key=lambda a: (a.t, a.kind))


def rests(seen: Watch) -> list[Rest]:
    """Stretches in which the cursor lay still; a cursor that was gone for a moment and came back has not moved."""
    out: list[Rest] = []
    start: float | None = None
    at: tuple[float, float] | None = None
    for t, x, y in seen.track:
        if x is None or y is None:
            continue
        if at is not None and start is not None:
            if abs(x - at[0]) <= STILL and abs(y - at[1]) <= STILL:
                continue
            out.append(Rest(start, t, *at))
        start, at = t, (x, y)
    if at is not None and start is not None:
        out.append(Rest(start, seen.duration, *at))
    return [r for r in out if r.end - r.start >= DWELL]


def _rest_at(scene: _Scene, t: float) -> Rest | None:
    i = bisect_right([r.start for r in scene.rests], t) - 1
    return scene.rests[i] if i >= 0 and scene.rests[i].end >= t else None


def _scrolls(scene: _Scene) -> list[Action]:
    out: list[Action] = []
    for group in _runs([m for m in scene.moments if m.dy]):
        rest = _rest_at(scene, group[0].t)
        if not _is_scroll(group, rest, scene):
            continue
        region = group[0].region
        out.append(
            Action(
                round(group[0].t - ANSWER, 3),
                "scroll",
                group[-1].t,
                rest.x if rest else None,
                rest.y if rest else None,
                dy=sum(m.dy for m in group),
                region=region,
            )
        )
    return out


def _runs(moments: list[Moment]) -> list[list[Moment]]:
    """Moments that moved the same way, one soon after the other."""
    out: list[list[Moment]] = []
    for m in moments:
        if out and m.t - out[-1][-1].t <= SCROLL_GAP and out[-1][-1].dy * m.dy > 0:
            out[-1].append(m)
        else:
            out.append([m])
    return out


def _is_scroll(group: list[Moment], rest: Rest | None, scene: _Scene) -> bool:
    """Tell scrolling from a page that opens or closes a part of itself, and so moves what is below it.

    What opens does so below the cursor that clicked it, most often at once; a wheel moves what is above it too.
    """
    regions = [m.region for m in group if m.region is not None]
    top, bottom = min(r[1] for r in regions), max(r[1] + r[3] for r in regions)
    tall = (bottom - top) / scene.height
    if tall >= 0.75:
        return True
    above = rest is not None and top > rest.y - 0.1 * scene.height
    return len(group) >= 3 and not above and abs(sum(m.dy for m in group)) >= 24


def _typing(scene: _Scene) -> list[Action]:
    """Text that grew in one place, with a text cursor there or letter by letter."""
    carets = [(m.t, m.change.caret) for m in scene.moments if m.change.caret]
    letters: list[Moment] = []
    for burst in _bursts([m for m in scene.moments if m.change.boxes and scene.free(m.t)]):
        if all(_main(m) is not None for m in burst):
            letters.extend(burst)
    groups: list[list[Moment]] = []
    for m in letters:
        last = groups[-1][-1] if groups else None
        if last is not None and m.t - last.t <= TYPING_GAP and _goes_on(last, m) and _rest_at(scene, last.t) == _rest_at(scene, m.t):
            groups[-1].append(m)
        else:
            groups.append([m])
    out: list[Action] = []
    for group in groups:
        boxes = [b for b in map(_main, group) if b is not None]
        if _is_ring(boxes[0], group[0], carets) and len(group) > 1:  # the field took the focus first
            group, boxes = group[1:], boxes[1:]
        start, end = group[0].t, group[-1].t
        region = union(boxes)
        rest = _rest_at(scene, start)
        if scene.has_cursor and rest is not None and (start - rest.start < DWELL or start >= rest.end):
            continue
        caret = any(overlap(_around(c, 24), region) and start - 2.0 <= t <= end + 1.2 for t, c in carets if c)
        if not caret and not _grows(boxes):
            continue
        if (not caret and boxes[0][2] > 160) or _is_ring(boxes[0], group[0], carets):
            continue
        if len(group) == 1 and not _at_caret(boxes[0], start, carets):
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


def _is_ring(box: Box, m: Moment, carets: Sequence[tuple[float, Box | None]]) -> bool:
    """Whether a wide change is a field taking the focus (its frame), not its text being replaced: no text cursor stood in it before."""
    if box[2] <= 96:
        return False
    before = any(c is not None and overlap(_around(c, 8), box) and m.t - 3.0 <= t < m.t for t, c in carets)
    return not before


def _at_caret(box: Box, t: float, carets: Sequence[tuple[float, Box | None]]) -> bool:
    """Whether a text cursor stood at a single change, just before or after it."""
    return any(c is not None and overlap(_around(box, 8), c) and t - 2.0 <= when <= t + 1.5 for when, c in carets)


def _letters_only(boxes: list[Box]) -> Box:
    """Where letters appeared: without what was cleared by the first of them, where more followed."""
    narrow = [b for b in boxes if b[2] <= 64]
    if len(boxes) > 1 and len(narrow) >= len(boxes) - 1:
        first = boxes[0]
        return union([*narrow, (narrow[0][0], first[1], 1, first[3])]) if boxes[0][2] > 64 else union(boxes)
    return union(boxes)


def _main(m: Moment) -> Box | None:
    """The place of a letter, where a moment is like one: a small change on one line, next to nothing elsewhere."""
    first, *others = m.change.boxes
    if first[3] > 64 or first[2] > 640 or sum(area(b) for b in others) > max(4 * 256, area(first)):
        return None
    near = [b for b in others if overlap(_around(b, 40), first)]
    return union([first, *near])


def _goes_on(last: Moment, m: Moment) -> bool:
    a, b = _main(last), _main(m)
    return a is not None and b is not None and bool(overlap(_around(a, 48), b)) and abs(a[1] - b[1]) <= 40


def _grows(boxes: list[Box]) -> bool:
    """Letter after letter to the right: three changes or more, each narrow and none far left of the one before."""
    narrow = [b for b in boxes[1:] if b[2] <= 64]
    steps = [b[0] - a[0] for a, b in itertools.pairwise(boxes)]
    return len(boxes) >= 3 and len(narrow) == len(boxes) - 1 and all(-16 <= s <= 64 for s in steps[1:]) and boxes[-1][0] > boxes[0][0]


def _around(box: Box, by: int) -> Box:
    return box[0] - by, box[1] - by, box[2] + 2 * by, box[3] + 2 * by


def _typed_text(scene: _Scene, region: Box, start: float, end: float) -> str:
    """What stands where letters appeared, less what stood there before and still does."""
    before = _screen_before(scene, start)
    after = _screen_after(scene, end)
    if after is None:
        return ""
    new = _text_at(after.lines, region)
    old = _text_at(before.lines, region) if before is not None else ""
    if dots(new):
        return "•" * len(new.replace(" ", ""))
    if new == old or (old and region[2] > 96 and SequenceMatcher(None, new, old).ratio() >= SAME_TEXT):
        return ""
    if old and new.startswith(old):
        return new[len(old) :].strip()
    return new


def dots(text: str) -> bool:
    """Whether a line is a password's dots, whatever they were read as."""
    bare = text.replace(" ", "")
    return len(bare) >= 2 and all(c in "•●∙·.*○◦°⚫⬤" for c in bare)


def _text_at(lines: Sequence[Line], region: Box) -> str:
    """The characters of all lines that stand in a region, give or take a few pixels."""
    x0, x1 = region[0] - 5, region[0] + region[2] + 9  # the last letter may have come while the next screen settled
    found: list[tuple[int, int, str]] = []
    for line in lines:
        x, y, w, h = line.box
        if not (region[1] - 5 <= y + h / 2 <= region[1] + region[3] + 5 and x < x1 and x0 < x + w):
            continue
        found.append((round((y + h / 2) / 12), x, "".join(g.char for g in line.reading.glyphs if x0 <= x + g.x <= x1).strip()))
    return " ".join(text for _, _, text in sorted(found)).strip()


def _screen_before(scene: _Scene, t: float) -> Screen | None:
    found = [s for s in scene.screens if s.t_start < t - 0.001]
    return found[-1] if found else None


def _screen_after(scene: _Scene, t: float) -> Screen | None:
    return next((s for s in scene.screens if s.t_end >= t and s.t_start >= t - 0.001), None) or (
        scene.screens[-1] if scene.screens else None
    )


def _clicks(scene: _Scene, scrolls: list[Action], typed: list[Action]) -> list[Action]:
    """The first answer of the picture in every rest of the cursor that is no leftover of the cursor's coming."""
    out: list[Action] = []
    times = [m.t for m in scene.moments]
    for rest in scene.rests:
        if rest.end - rest.start < STAYS[0] and rest.end < scene.duration:
            continue
        if rest.start == 0 and len(scene.rests) > 1:
            continue  # nothing was done yet: a page that is still loading
        first, last = bisect_left(times, rest.start - 0.5), bisect_left(times, rest.end - 0.001)
        bursts = _bursts([m for m in scene.moments[first:last] if (m.change.boxes or m.change.caret) and scene.free(m.t)])
        busy = [a for a in scrolls + typed if rest.start <= a.t <= rest.end]
        for burst in bursts:
            onset = next((m for m in burst if m.t >= rest.start + DWELL), None)
            if onset is None or (rest.end < scene.duration and onset.t > rest.end - STAYS[1]):
                continue
            if any(a.end < onset.t for a in busy):  # after scrolling or typing in the same place: a key, or what the scroll set off
                break
            hovering = burst[0].t < rest.start + DWELL
            confidence = _evidence([m for m in burst if m.t >= onset.t], rest, hovering, scene)
            if confidence < 0.5:
                continue
            region = union(b for m in burst for b in (*m.change.boxes, *((m.change.caret,) if m.change.caret else ())))
            out.append(Action(round(onset.t - ANSWER, 3), "click", burst[-1].t, rest.x, rest.y, region=region, confidence=confidence))
            break
    return out


def _bursts(moments: list[Moment]) -> list[list[Moment]]:
    out: list[list[Moment]] = []
    for m in moments:
        if out and m.t - out[-1][-1].t <= BURST_GAP:
            out[-1].append(m)
        else:
            out.append([m])
    return out


def _evidence(answer: list[Moment], rest: Rest, hovering: bool, scene: _Scene) -> float:
    """How likely a change is the answer to a click at the cursor, 0 to 1."""
    share = max(m.change.share for m in answer)
    boxes = [b for m in answer for b in m.change.boxes]
    here = any(holds(b, rest.x, rest.y, 20) for b in boxes)
    caret = any(m.change.caret is not None and _same_field(m.change.caret, rest) for m in answer)
    late = answer[0].t - rest.start > 1.5
    if hovering:
        return 0.9 if share >= 4 * LARGE else 0.4
    if caret:
        return 0.5 if _blinked(answer[0], scene) else 0.9
    if here:
        return 0.6 if late else 0.95
    if share >= LARGE:
        return 0.6 if late else 0.9
    return 0.3 if late else 0.45


def _same_field(caret: Box, rest: Rest) -> bool:
    return abs(caret[1] + caret[3] / 2 - rest.y) < 100


def _blinked(m: Moment, scene: _Scene) -> bool:
    """Whether the text cursor blinked in this place before, so that its change answers nothing."""
    return any(
        o.change.caret is not None and m.change.caret is not None and o.t < m.t and overlap(o.change.caret, m.change.caret)
        for o in scene.moments
        if m.t - 2.5 < o.t
    )


def _blind_clicks(scene: _Scene) -> list[Action]:
    """Without a visible cursor: every answer out of a calm picture may be one to a click, where the smallest change is."""
    out: list[Action] = []
    calm_until = 0.0
    for burst in _bursts([m for m in scene.moments if m.change.boxes and scene.free(m.t)]):
        if burst[0].t - calm_until > 0.5 and max(m.change.share for m in burst) >= LARGE / 4:
            x, y, w, h = min((b for b in burst[0].change.boxes), key=area)
            out.append(
                Action(round(burst[0].t - ANSWER, 3), "click", burst[-1].t, x + w / 2, y + h / 2, region=(x, y, w, h), confidence=0.3)
            )
        calm_until = burst[-1].t
    return out
