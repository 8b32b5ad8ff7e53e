"""Which guesses are taken, and what a guess is told of its neighbours."""

from __future__ import annotations

import numpy as np

from processors.extract.candidates import BLOCK, LINE, REGION, Candidate
from processors.extract.context import context
from processors.extract.elements import choose
from processors.extract.evidence import KINDS


def judged(*told: tuple[str, float]) -> np.ndarray:
    rows = np.zeros((len(told), 10), np.float32)
    for row, (kind, chance) in zip(rows, told, strict=True):
        row[0], row[1 + KINDS.index(kind)] = 1 - chance, chance
    return rows


def test_a_control_within_a_control_is_not_taken_but_a_link_in_a_heading_is() -> None:
    button, word = Candidate((100, 100, 120, 40), REGION, region=0), Candidate((120, 112, 60, 16), LINE, text=0)
    both = judged(("button", 0.9), ("link", 0.8))
    assert choose([button, word], both, np.zeros(2), 0.3) == [0]
    heading = Candidate((100, 100, 600, 40), BLOCK, text=0)
    assert choose([heading, word], judged(("heading", 0.9), ("link", 0.8)), np.zeros(2), 0.3) == [0, 1]


def test_of_two_guesses_as_likely_the_one_that_fits_is_taken() -> None:
    wide, narrow = Candidate((100, 100, 200, 20), BLOCK, text=0), Candidate((100, 100, 120, 20), LINE, text=0)
    rows = judged(("heading", 0.6), ("heading", 0.6))
    assert choose([wide, narrow], rows, np.array([0.1, 0.5]), 0.3) == [1]
    assert choose([wide, narrow], rows, np.array([0.5, 0.1]), 0.3) == [0]
    assert choose([wide, narrow], rows, np.array([0.5, 0.1]), 0.7) == []


def test_a_guess_hears_of_peers_in_its_own_style_alone() -> None:
    asked = ["t_weight", "t_vivid", "t_blue", "t_contrast", "t_bigger"]
    blue, grey = [400, 200, 150, 180, 1.0], [400, 0, 0, 180, 1.0]
    boxes = np.array([(10, 10, 50, 16), (300, 200, 70, 16), (500, 300, 60, 16)], np.float64)
    names, columns = context(
        boxes, np.full(3, LINE), judged(("link", 0.9), ("link", 0.4), ("link", 0.4)), asked, np.array([blue, blue, grey], np.float32)
    )
    assert columns.shape == (3, len(names)) and len(set(names)) == len(names)
    mean = columns[:, names.index("style_mean")]
    assert mean[1] > 0.85 and mean[2] == 0, "the blue one has a likely peer, the grey one none"
