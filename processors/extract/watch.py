"""One pass over a recording: which frames changed and where, where the cursor was, what scrolled, and every settled screen.

Settled screens are handed out as they end, so that memory does not grow with the length of the video. What is kept of every frame that changed
is a short :class:`Moment`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from processors.extract.change import NOTHING, Change, Gate, blocks, clear, components
from processors.extract.cursor import Learner, Sight, Template, Tracker
from processors.extract.decode import Frame
from processors.extract.geometry import Box, grown, overlap, union
from processors.extract.scroll import shift

PULSE_FRAMES = 3  # a codec that starts afresh needs so many frames until its picture is as good as before
RARE = 10  # frames between two key frames from which they are rare enough to pulse
HELD = 12  # settled screens that wait until it is known whether there is a cursor in them
HELD_BYTES = 96 << 20  # of their pictures: of very large ones fewer may wait
SCROLLABLE = 0.03  # part of the picture that must change at least for a scroll to be looked for


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame that differs from the one before. ``dy`` is how far its largest changed region scrolled (0: it did not)."""

    t: float
    frame: int
    change: Change
    cursor: Sight | None
    dy: int
    region: Box | None


@dataclass
class Settled:
    """A stretch of time in which the screen rests. ``image`` is its last frame, BGR, the cursor taken out where that was possible.

    ``cursor`` is where the cursor was in that frame; ``hidden`` the box still covered by it in ``image``; ``dy`` by how many rows content moved up since the
    settled screen before it.
    """

    t_start: float
    t_end: float
    frame: int
    image: np.ndarray
    luma: np.ndarray
    cursor: Sight | None
    hidden: Box | None
    dy: int = 0


@dataclass
class Watch:
    """Everything seen in one pass. ``track`` is (t, x, y) wherever the cursor moved or (t, None, None) where it went."""

    moments: list[Moment] = field(default_factory=list)
    track: list[tuple[float, float | None, float | None]] = field(default_factory=list)
    frames: int = 0
    duration: float = 0.0


class Watcher:
    """Runs over the frames of one video once; :attr:`seen` is filled on the way."""

    def __init__(self, template: Template | None, settle: float) -> None:
        self.seen = Watch()
        self.settle = settle
        self._tracker = Tracker(template) if template else None
        self._sight: Sight | None = None
        self._gate: Gate | None = None
        self._told = 0  # moments before the latest settled screen's end

    def run(self, frames: Iterable[Frame]) -> Iterator[Settled]:
        """Yield every settled screen, in order.

        Changes of the caret, of the cursor and in regions that never rest do not end a settled screen. The first and the last
        frame of the video begin and end one.
        """
        before: Frame | None = None
        rested: tuple[Frame, Sight | None] | None = None  # early in the stretch: shows what the cursor covers at its end
        changed_at = 0.0
        for frame in _steady(frames):
            self.seen.frames, self.seen.duration = frame.index + 1, frame.t
            if before is None:
                self._begin(frame)
                before, changed_at = frame, frame.t
                continue
            sight = self._sight
            moment = self._compare(before, frame)
            if moment is not None:
                self.seen.moments.append(moment)
                if moment.change.boxes:
                    if before.t - changed_at >= self.settle:
                        yield self._settled(changed_at, before, sight, rested)
                    changed_at, rested = frame.t, None
            if rested is None and frame.t - changed_at >= self.settle:
                rested = frame, self._sight
            before = frame
        if before is not None:
            yield self._settled(changed_at, before, self._sight, rested)

    def _begin(self, frame: Frame) -> None:
        self._gate = Gate(frame.luma.shape[1], frame.luma.shape[0])
        if self._tracker is not None:
            self._sight = self._tracker.see(frame.luma, [])
            self._note_cursor(frame.t)

    def _compare(self, before: Frame, frame: Frame) -> Moment | None:
        gate = self._gate
        assert gate is not None
        step = frame.t - before.t
        difference = gate.difference(before.luma, frame.luma)
        if difference is None:
            gate.rest(step)
            return None
        old = self._sight
        changed: np.ndarray | None = None
        if self._tracker is not None:
            changed = blocks(difference)
            boxes = components(changed)
            self._sight = self._tracker.see(frame.luma, list(boxes))
            if self._sight != old:
                self._note_cursor(frame.t)
            for sight in {self._sight, old} - {None}:
                assert sight is not None
                if any(overlap(b, grown(sight.box, 3, gate.width, gate.height)) for b in boxes):
                    clear(difference, sight.box, changed)
        change = gate.content(difference, step, changed, self._sight.box if self._sight else None)
        if change == NOTHING:
            return None
        dy, region = 0, None
        if change.share >= SCROLLABLE:
            region = grown(union(change.boxes), 0, gate.width, gate.height)
            dy = shift(before.luma, frame.luma, region)
        return Moment(frame.t, frame.index, change, self._sight, dy, region if dy else None)

    def _settled(self, start: float, last: Frame, sight: Sight | None, rested: tuple[Frame, Sight | None] | None) -> Settled:
        screen = _settled(start, last, sight, rested)
        carets = [m.change.caret for m in self.seen.moments[-64:] if m.change.caret and start <= m.t <= last.t]
        if carets:
            _erase(screen, carets[-1])
        led_to = [m for m in self.seen.moments[self._told :] if m.t <= last.t]
        self._told += len(led_to)
        screen.dy = sum(m.dy for m in led_to)
        return screen

    def _note_cursor(self, t: float) -> None:
        self.seen.track.append((t, self._sight.x, self._sight.y) if self._sight else (t, None, None))


def watched(frames: Iterable[Frame], template: Template | None, settle: float, learn: bool) -> Iterator[tuple[Watch, Settled]]:
    """Every settled screen of a recording, and what was seen until it is handed out.

    :param frames: can be gone over again from the first
    :param template: the cursor, if it is known
    :param learn: learn it on the way. The recording is watched without one as long as none was seen to move: where none shows (nobody is there, or it is not
        in the picture) what was seen stands, and no frame is decoded twice. Else watching begins anew once it is learned.
    """
    if learn:
        learner = Learner()
        if (yield from _watched_bare(frames, learner, settle)):
            return
        template = learner.template()
    watcher = Watcher(template, settle)
    for settled in watcher.run(frames):
        yield watcher.seen, settled


def _watched_bare(frames: Iterable[Frame], learner: Learner, settle: float) -> Generator[tuple[Watch, Settled], None, bool]:
    """What is watched without a cursor, and whether that was all of it; if not, the learner has seen what it needs."""
    coming, held = iter(frames), deque[Settled]()
    watcher = Watcher(None, settle)
    for settled in watcher.run(_bare(coming, learner)):
        held.append(settled)
        if len(held) > HELD and not learner.began:
            learner.done = True  # so much was shown, and no cursor
        while held and learner.done and not learner.hopeful:
            yield watcher.seen, held.popleft()
        if len(held) > HELD or len(held) * settled.image.nbytes > HELD_BYTES:
            break
    else:
        if not learner.hopeful:
            while held:
                yield watcher.seen, held.popleft()
            return True
    for frame in coming:
        if learner.see(frame):
            break
    return False


def _bare(frames: Iterator[Frame], learner: Learner) -> Iterator[Frame]:
    """The frames for as long as nothing moves in them that may be a cursor."""
    for frame in frames:
        if not learner.done:
            learner.see(frame)
        if learner.hopeful:
            return
        yield frame


def _steady(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Leave out the first frames after a codec started afresh, where it does so rarely: its picture pulses there."""
    last_key, leave_out = -1, 0
    held: Frame | None = None
    for frame in frames:
        if last_key < 0:
            last_key = frame.index
        if frame.key:
            if frame.index - last_key >= RARE:
                leave_out = PULSE_FRAMES
            last_key = frame.index
        if leave_out:
            leave_out -= 1
            held = frame
            continue
        held = None
        yield frame
    if held is not None:
        yield held


def _settled(start: float, last: Frame, sight: Sight | None, rested: tuple[Frame, Sight | None] | None) -> Settled:
    """The settled screen that ends with ``last``, the cursor's place filled from an earlier frame where it was elsewhere then."""
    image, luma = last.bgr(), np.array(last.luma)
    hidden = grown(sight.box, 2, luma.shape[1], luma.shape[0]) if sight else None
    if hidden is not None and rested is not None:
        frame, then = rested
        if frame is not last and (then is None or not overlap(grown(then.box, 2, luma.shape[1], luma.shape[0]), hidden)):
            x, y, w, h = hidden
            image[y : y + h, x : x + w] = frame.bgr()[y : y + h, x : x + w]
            luma[y : y + h, x : x + w] = frame.luma[y : y + h, x : x + w]
            hidden = None
    return Settled(start, last.t, last.index, image, luma, sight, hidden)


def _erase(screen: Settled, caret: Box) -> None:
    """Take a text cursor out of the picture: it would be read as a letter."""
    x, y, w, h = caret
    x0, x1 = max(1, x - 1), min(screen.luma.shape[1] - 1, x + w + 1)
    for plane in (screen.image, screen.luma):
        plane[y - 1 : y + h + 1, x0:x1] = plane[y - 1 : y + h + 1, x0 - 1 : x0]
