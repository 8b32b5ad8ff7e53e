"""The cursor, settled screens, scrolling and the caret, on videos made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from processors.extract import cursor
from processors.extract.change import Gate
from processors.extract.decode import Decoder, Frame
from processors.extract.geometry import Box
from processors.extract.scroll import shift
from processors.extract.watch import HELD, Settled, Watcher, watched
from tests.extract import made

FIRST = [("Inventory", 40, 60), ("Products", 40, 120), ("Suppliers", 40, 150), ("Settings", 300, 250)]
SECOND = [("Products", 40, 60), ("Name", 60, 130), ("Price", 240, 130), ("Stock", 420, 130), ("Lamp", 60, 170), ("19.50", 240, 170)]


def path_of(count: int) -> list[tuple[int, int]]:
    return [(500 - 22 * n, 300 - 5 * n) for n in range(count)]


def session() -> list[np.ndarray]:
    """A cursor that goes to an entry, rests, and is answered by another page."""
    first, second = made.page(FIRST), made.page(SECOND)
    places = path_of(20)
    out = [made.with_cursor(first, *places[0])] * 20
    out += [made.with_cursor(first, *p) for p in places]
    out += [made.with_cursor(first, *places[-1])] * 8
    out += [made.with_cursor(second, *places[-1])] * 40
    return out


def seen(path: Path) -> tuple[Watcher, list[Settled]]:
    watcher = Watcher(cursor.learn(Decoder(path)), 0.17)
    return watcher, list(watcher.run(Decoder(path)))


def test_cursor_is_learned_and_followed(video: Callable[..., Path]) -> None:
    path = video(session())
    template = cursor.learn(Decoder(path))
    assert template is not None
    assert 10 <= template.patch.shape[1] <= 24 and 16 <= template.patch.shape[0] <= 32
    watcher, _ = seen(path)
    end = watcher.seen.track[-1]
    assert end[1] is not None and end[2] is not None
    assert abs(end[1] - path_of(20)[-1][0]) <= 4 and abs(end[2] - path_of(20)[-1][1]) <= 4


def test_no_cursor_is_learned_where_none_is(video: Callable[..., Path]) -> None:
    still = [made.page(FIRST)] * 20 + [made.page(SECOND)] * 20
    assert cursor.learn(Decoder(video(still))) is None


def test_settled_screens_end_where_the_page_changes(video: Callable[..., Path]) -> None:
    _, screens = seen(video(session()))
    assert len(screens) == 2
    assert abs(screens[0].t_end - 47 / 30) < 0.05 and abs(screens[1].t_start - 48 / 30) < 0.15


def test_the_cursor_is_taken_out_of_the_keyframe(video: Callable[..., Path]) -> None:
    _, screens = seen(video(session()))
    x, y = path_of(20)[-1]
    assert screens[0].hidden is None
    assert int(screens[0].luma[y : y + 20, x : x + 12].min()) > 200


def test_shift_is_exact_and_not_seen_in_another_page() -> None:
    rng = np.random.default_rng(1)
    tall = np.full((900, 400), 250, np.uint8)
    for top in range(10, 880, 20):
        for left in range(10, 390, 12):
            tall[top : top + int(rng.integers(6, 14)), left : left + int(rng.integers(3, 9))] = 30
    before, after = tall[100:500], tall[142:542]
    assert shift(before, after, (0, 0, 400, 400)) == 42
    assert shift(after, before, (0, 0, 400, 400)) == -42
    other = np.full((400, 400), 250, np.uint8)
    other[50:300, 60:340] = 90
    assert shift(before, other, (0, 0, 400, 400)) == 0


def test_a_blinking_caret_is_no_content() -> None:
    gate = Gate(320, 240)
    difference = np.zeros((240, 320), np.uint8)
    difference[100:117, 60] = 200
    change = gate.content(difference, 1 / 30)
    assert change.boxes == () and change.caret == (60, 100, 1, 17)


def test_what_never_rests_is_left_out_after_a_while() -> None:
    gate = Gate(320, 240)
    last = None
    for n in range(90):
        difference = np.zeros((240, 320), np.uint8)
        difference[50:70, 50:70] = 120 + n % 7
        last = gate.content(difference, 1 / 30)
    assert last is not None and last.boxes == () and last.restless


def test_a_clock_is_left_out_until_it_is_uneven() -> None:
    def ticks(times: list[float], cursor: Box | None = None) -> list[bool]:
        gate, out, before = Gate(320, 240), [], 0.0
        for t in times:
            difference = np.zeros((240, 320), np.uint8)
            difference[50:60, 50:58] = 120
            gate.rest(t - before - 0.03)
            out.append(bool(gate.content(difference, 0.03, cursor=cursor).boxes))
            before = t
        return out

    even = [1.0, 2.0, 3.03, 4.0, 5.0, 6.0, 6.97]
    assert ticks(even) == [True] * 5 + [False] * 2
    assert ticks([*even, 7.5, 9.9]) == [True] * 5 + [False] * 2 + [True] * 2
    assert all(ticks(even, cursor=(60, 60, 12, 18))), "what changes at the cursor answers it"


class Counted:
    """Frames of a video, and how often they were asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, 0

    def __iter__(self) -> Iterator[Frame]:
        for frame in Decoder(self.path):
            self.asked += 1
            yield frame


def test_frames_are_decoded_once_where_nobody_is(video: Callable[..., Path]) -> None:
    pages = [made.page(FIRST)] * 20 + [made.page(SECOND)] * 20
    frames = Counted(video(pages))
    found = [(s.t_start, s.t_end) for _, s in watched(frames, None, 0.17, True)]
    assert frames.asked == len(pages)
    assert found == [(s.t_start, s.t_end) for s in Watcher(None, 0.17).run(Decoder(frames.path))] and len(found) == 2


def test_a_cursor_learned_on_the_way_is_known_from_the_start(video: Callable[..., Path]) -> None:
    path = video(session())
    watcher, screens = seen(path)
    *_, (watch, _) = found = list(watched(Decoder(path), None, 0.17, True))
    assert watch.track == watcher.seen.track and watch.moments == watcher.seen.moments
    assert all(np.array_equal(a.image, b.image) for (_, a), b in zip(found, screens, strict=True))


def test_no_screen_is_handed_out_twice_where_patience_ends_as_the_cursor_is_learned(
    video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, learner = video(session()), cursor.Learner()
    learned = next(n for n, frame in enumerate(Decoder(path), 1) if learner.see(frame) or learner.hopeful)
    monkeypatch.setattr(cursor, "PATIENCE", learned - 1)
    starts = [s.t_start for _, s in watched(Decoder(path), None, 0.17, True)]
    assert starts == sorted(set(starts)) and starts


def test_so_much_is_not_held_for_a_cursor_that_never_comes(video: Callable[..., Path]) -> None:
    pages = [made.page(FIRST if n // 10 % 2 else SECOND) for n in range(10 * (HELD + 4))]
    frames = Counted(video(pages))
    handed = [frames.asked for _ in watched(frames, None, 0.17, True)]
    assert handed[0] < frames.asked == len(pages) and len(handed) == HELD + 4


def test_what_was_scrolled_counts_for_the_screen_it_led_to(video: Callable[..., Path]) -> None:
    rng = np.random.default_rng(1)
    tall = np.full((900, 640, 3), 250, np.uint8)
    for top in range(10, 880, 20):
        for left in range(10, 630, 12):
            tall[top : top + int(rng.integers(6, 14)), left : left + int(rng.integers(3, 9))] = 30
    frames = [tall[:360]] * 12 + [tall[20 * n : 20 * n + 360] for n in range(1, 6)] + [tall[100:460]] * 12
    assert [s.dy for s in Watcher(None, 0.17).run(Decoder(video(frames)))] == [0, 100]
