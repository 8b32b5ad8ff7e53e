"""What was done: scrolls, typing and clicks, inferred from what changed, where the cursor was, and where the text cursor blinked.

Nobody logged the mouse. A click is a cursor that rests and a picture that answers; typing is text that grows at a text cursor; a scroll is content
that moves as a whole. Whatever is explained by one is not used for another.
"""

from __future__ import annotations

from collections.abc import Sequence

from processors.extract import keystrokes
from processors.extract.geometry import Box, area, holds, overlap, union
from processors.extract.scene import ANSWER, DWELL, Action, Rest, Scene, Screen, bursts, rest_at, rests, screen_after, screen_before
from processors.extract.watch import Moment, Watch

SCROLL_GAP = 0.35  # seconds without movement that end a scroll
AFTERMATH = 0.3  # seconds after a scroll in which things still settle
STAYS = (0.3, 0.2)  # seconds that a cursor rests in all, and after the answer: less is a pause on its way
LARGE = 0.02  # part of the picture that changes on more than a hint
TOGGLE_GAP = 0.5  # seconds of calm after a click's answer from which a second one in the same place may have taken it back
SAME_SCREEN = 0.85  # share of lines that two screens have in common which show the same
AGAIN = 3.0  # seconds within which what changed before changes by itself


def infer(seen: Watch, screens: Sequence[Screen], height: int) -> list[Action]:
    """All actions, in order of time."""
    scene = Scene(seen.moments, rests(seen), screens, seen.duration, height, any(x is not None for _, x, _ in seen.track))
    scrolls = _scrolls(scene)
    scene.explain((a.t - 0.01, a.end + AFTERMATH) for a in scrolls)
    typed = keystrokes.alone(scene)
    scene.explain((a.t - 0.01, a.end + 0.02) for a in typed)
    clicks = _clicks(scene, scrolls, typed) if scene.has_cursor else _blind_clicks(scene)
    typed += keystrokes.amid_answers(scene, clicks, typed)
    return sorted(scrolls + typed + clicks, key=lambda a: (a.t, a.kind))


def _scrolls(scene: Scene) -> list[Action]:
    out: list[Action] = []
    for group in _runs([m for m in scene.moments if m.dy]):
        rest = rest_at(scene, group[0].t)
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


def _is_scroll(group: list[Moment], rest: Rest | None, scene: Scene) -> bool:
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


def _clicks(scene: Scene, scrolls: list[Action], typed: list[Action]) -> list[Action]:
    """In every rest of the cursor the picture's first answer that is no leftover of the cursor's coming, and those after it that take back
    what the one before them did."""
    out: list[Action] = []
    for rest in scene.rests:
        if rest.end - rest.start < STAYS[0] and rest.end < scene.duration:
            continue
        if rest.start == 0 and len(scene.rests) > 1:
            continue  # nothing was done yet: a page that is still loading
        seen = scene.between(rest.start - 0.5, rest.end - 0.001)
        answers = bursts([m for m in seen if (m.change.boxes or m.change.caret) and scene.free(m.t)])
        busy = [a for a in scrolls + typed if rest.start <= a.t <= rest.end]
        done: Action | None = None
        for burst in answers:
            onset = next((m for m in burst if m.t >= rest.start + DWELL), None)
            if onset is None or (rest.end < scene.duration and onset.t > rest.end - STAYS[1]):
                continue
            if any(a.end < onset.t for a in busy):  # after scrolling or typing in the same place: a key, or what the scroll set off
                break
            if done is not None and not _undone(scene, done, burst):  # a click's answer may come in several parts
                continue
            hovering = burst[0].t < rest.start + DWELL
            confidence = _evidence([m for m in burst if m.t >= onset.t], rest, hovering, scene)
            if confidence < 0.5:
                continue
            region = union(b for m in burst for b in (*m.change.boxes, *((m.change.caret,) if m.change.caret else ())))
            done = Action(round(onset.t - ANSWER, 3), "click", burst[-1].t, rest.x, rest.y, region=region, confidence=confidence)
            out.append(done)
    return out


def _undone(scene: Scene, click: Action, burst: list[Moment]) -> bool:
    """Whether an answer takes back what a click before it in the same place had done: a menu closed again, a theme changed back."""
    if burst[0].t - click.end < TOGGLE_GAP:
        return False
    before, between, after = screen_before(scene, click.t), screen_before(scene, burst[0].t), screen_after(scene, burst[-1].t)
    if before is None or between is None or after is None or between.t_start < click.t or after.t_start < burst[0].t:
        return False
    return _alike(before, after) >= SAME_SCREEN > _alike(before, between)


def _alike(a: Screen, b: Screen) -> float:
    """How much of two screens' lines is the same, at the same place: 0 to 1."""
    said = [{(n.reading.text, n.box[0] // 8, n.box[1] // 8) for n in s.lines} for s in (a, b)]
    return len(said[0] & said[1]) / max(1, len(said[0] | said[1]))


def _evidence(answer: list[Moment], rest: Rest, hovering: bool, scene: Scene) -> float:
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
    if not late and _pointed_at(rest, answer[0].t, scene) and not _by_itself(boxes, rest, scene):
        return 0.55
    return 0.3 if late else 0.45


def _pointed_at(rest: Rest, until: float, scene: Scene) -> bool:
    """Whether what lies under a resting cursor had answered its coming, as buttons do."""
    return any(
        holds(b, rest.x, rest.y, 4) and area(b) <= 0.05 * scene.height**2
        for m in scene.between(rest.start - 0.5, rest.start + 0.4)
        if m.t < until
        for b in m.change.boxes
    )


def _by_itself(boxes: Sequence[Box], rest: Rest, scene: Scene) -> bool:
    """Whether a place had changed shortly before the cursor came, too: a counter, a clock, a picture that moves."""
    return any(overlap(b, o) for m in scene.between(rest.start - AGAIN, rest.start - 0.5) for o in m.change.boxes for b in boxes)


def _same_field(caret: Box, rest: Rest) -> bool:
    return abs(caret[1] + caret[3] / 2 - rest.y) < 100


def _blinked(m: Moment, scene: Scene) -> bool:
    """Whether the text cursor blinked in this place before, so that its change answers nothing."""
    return any(
        o.change.caret is not None and m.change.caret is not None and o.t < m.t and overlap(o.change.caret, m.change.caret)
        for o in scene.between(m.t - 2.5, m.t)
    )


def _blind_clicks(scene: Scene) -> list[Action]:
    """Without a visible cursor: every answer out of a calm picture may be one to a click, where the smallest change is."""
    out: list[Action] = []
    calm_until = 0.0
    for burst in bursts([m for m in scene.moments if m.change.boxes and scene.free(m.t)]):
        if burst[0].t - calm_until > 0.5 and max(m.change.share for m in burst) >= LARGE / 4:
            x, y, w, h = min((b for b in burst[0].change.boxes), key=area)
            out.append(
                Action(round(burst[0].t - ANSWER, 3), "click", burst[-1].t, x + w / 2, y + h / 2, region=(x, y, w, h), confidence=0.3)
            )
        calm_until = burst[-1].t
    return out
