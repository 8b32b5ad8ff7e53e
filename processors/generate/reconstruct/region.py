"""What the wheel moved where it moved only a part of the window: a side bar that scrolls by itself.

Such a part scrolls beside content that stays. Where the rest scrolls and the bar stays it is the page that scrolls, with a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from .model import Text

_NEAR = 2.0  # px within which a line is at the same place
_FEW = 3  # lines that must have moved, and lines that must have stayed beside them
_MOST = 0.6  # of the lines beside what moved stay


def only_a_part_moved(before: Sequence[Text], after: Sequence[Text], up: float) -> bool:
    """Whether lines moved up by `up` pixels while most of what stands to the right of them stayed."""
    stayed = [t for t in before if _at(t, after, 0.0)]
    moved = [t for t in before if t not in stayed and _at(t, after, up)]
    if len(moved) < _FEW:
        return False
    right = max(t.box.right for t in moved)
    beside = [t for t in before if t.box.x > right]
    still = sum(t in stayed for t in beside)
    return still >= _FEW and still >= _MOST * len(beside)


def _at(line: Text, others: Sequence[Text], up: float) -> bool:
    return any(
        abs(o.box.x - line.box.x) <= _NEAR and abs(o.box.y - line.box.y + up) <= _NEAR and o.text.casefold() == line.text.casefold()
        for o in others
    )
