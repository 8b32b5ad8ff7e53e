"""What the first opinion about its neighbours says about a guess: rivals for its place, and peers that line up with it.

Things on a screen come in rows and columns of their kind: an entry between two links is a link. Needs numpy alone.
"""

from __future__ import annotations

import numpy as np

WORTH = 0.03  # chance from which a guess is looked at a second time
CLASSES = 10
# What makes two texts look the same, and by how much each may differ.
STYLE = {"t_vivid": 24.0, "t_blue": 24.0, "t_contrast": 30.0, "t_bigger": 0.12, "t_weight": 150.0}
# What may stand in one another, by its column in ``judged``.
HOLDERS = {"button": 1, "link": 2, "input": 3, "select": 6, "heading": 8, "table": 9}
HELD = {"button": 1, "link": 2, "input": 3, "checkbox": 4, "image": 7}


def context(
    boxes: np.ndarray, how: np.ndarray, judged: np.ndarray, names_told: list[str], told: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Names of the columns, and float32 ``(guesses, columns)``, of guesses with ``boxes`` (x, y, w, h), made in manner ``how``, with evidence ``told``
    (columns ``names_told``), and ``judged`` once."""
    chance = 1 - judged[:, 0]
    kind = judged[:, 1:].argmax(axis=1)
    x, y, w, h = boxes.astype(np.float64).T
    common = np.maximum(0, np.minimum((x + w)[:, None], x + w) - np.maximum(x[:, None], x)) * np.maximum(
        0, np.minimum((y + h)[:, None], y + h) - np.maximum(y[:, None], y)
    )
    size = w * h
    likeness = common / (size[:, None] + size - common)
    others = ~np.eye(len(x), dtype=bool)
    within = (common > 0.8 * size[:, None]) & (size[None, :] > 1.2 * size[:, None])
    names = [f"p{n}" for n in range(CLASSES)]
    columns = [judged[:, n] for n in range(CLASSES)]

    def best(where: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(where, chance[None, :], 0).max(axis=1, initial=0))

    def add(name: str, values: np.ndarray) -> None:
        names.append(name)
        columns.append(values)

    rivals = (likeness > 0.3) & others
    add("rival", best(rivals))
    add("rival_same", best(rivals & (kind[:, None] == kind)))
    add("rank", (np.where(rivals, chance[None, :], -1) > chance[:, None]).sum(axis=1))
    add("best_around", best(within))
    add("best_inside", best(within.T))
    add("inside", (within.T & (chance > 0.3)[None, :]).sum(axis=1))
    for name, k in HOLDERS.items():
        add("in_" + name, np.where(within, judged[None, :, k], 0).max(axis=1, initial=0))
    for name, k in HELD.items():
        add("holds_" + name, np.where(within.T, judged[None, :, k], 0).max(axis=1, initial=0))
    add("votes", np.where(likeness > 0.5, chance[None, :], 0).sum(axis=1))
    alike = how[:, None] == how

    def near(a: np.ndarray, by: float = 3) -> np.ndarray:
        return np.asarray(np.abs(a[:, None] - a) <= by)

    apart = likeness < 0.05
    styled = (told[:, names_told.index("t_weight")] >= 0)[:, None] & apart
    for column, by in STYLE.items():
        styled &= near(told[:, names_told.index(column)].astype(np.float64), by)
    for name, where in (
        ("style", styled & alike),
        ("column", near(x) & near(h) & apart),
        ("row", near(y) & near(h) & apart),
        ("size", near(w) & near(h) & apart & alike),
    ):
        count = where.sum(axis=1)
        add(name + "_count", count)
        add(name + "_mean", np.where(where & alike, chance[None, :], 0).sum(axis=1) / np.maximum(1, (where & alike).sum(axis=1)))
        agree = np.where(where & (kind[:, None] == kind) & (chance > 0.3)[None, :], chance[None, :], 0)
        add(name + "_agree", agree.sum(axis=1))
        add(name + "_best", best(where & (kind[:, None] == kind)))
    return names, np.stack([np.asarray(c, np.float32) for c in columns], axis=1) if len(x) else np.zeros((0, len(names)), np.float32)
