"""Navigation: entries in a row (bars, tabs) and entries under one another (side menus), told by their even spacing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from processors.extract.geometry import Box, centre, inside, overlap, union
from processors.extract.tables import in_rows

TOGETHER = 12  # pixels between an icon and its text, or a text and its chevron
GAPS = (14, 72)  # pixels between two entries of a row
UNEVEN = 12  # by how much such gaps may differ
PITCH = (24, 130)  # pixels from one entry of a side menu to the next, a group's name in between included


@dataclass(frozen=True)
class Entry:
    """One entry. ``texts`` index the inks given."""

    box: Box
    texts: tuple[int, ...]
    across: bool


def clusters(inks: Sequence[Box], icons: Sequence[Box]) -> list[list[tuple[Box, tuple[int, ...]]]]:
    """Rows of texts with the icons that stand next to them, as (box, texts), from left to right."""
    atoms = [*inks, *icons]
    out = []
    for row in in_rows(atoms):
        groups: list[tuple[Box, tuple[int, ...]]] = []
        for i in row:
            mine = (i,) if i < len(inks) else ()
            if groups and atoms[i][0] - groups[-1][0][0] - groups[-1][0][2] <= TOGETHER and not (mine and groups[-1][1]):
                groups[-1] = (union([groups[-1][0], atoms[i]]), groups[-1][1] + mine)
            else:
                groups.append((atoms[i], mine))
        out.append([g for g in groups if g[1]])
    return out


def across(
    inks: Sequence[Box], wordy: Sequence[bool], icons: Sequence[Box], width: int, regions: Sequence[Box], bars: Sequence[Box] = ()
) -> list[Entry]:
    """Entries of bars: four or more short texts (``wordy``: made of letters, not figures) in a row, evenly spaced, with nothing of the kind
    right below; in one of the page's ``bars`` two will do."""
    rows = clusters(inks, icons)
    out: list[Entry] = []
    for n, row in enumerate(rows):
        for run in _even(row):
            few = 2 if any(all(inside(b, bar, 1) for b, _ in run) for bar in bars) else 4
            if len(run) < few or not all(any(wordy[i] for i in texts) for _, texts in run) or any(b[3] > 30 or b[2] > 200 for b, _ in run):
                continue
            below = rows[n + 1] if n + 1 < len(rows) else []
            top = min(b[1] for b, _ in run)
            if any(abs(b[0] - r[0]) <= 6 and b[1] - top < 44 for b, _ in below for r, _ in run):
                continue
            out.extend(_boxes(run, regions))
    return out


def _even(row: list[tuple[Box, tuple[int, ...]]]) -> list[list[tuple[Box, tuple[int, ...]]]]:
    runs: list[list[tuple[Box, tuple[int, ...]]]] = []
    first_gap = 0
    for entry in row:
        if runs:
            last = runs[-1][-1][0]
            gap = entry[0][0] - last[0] - last[2]
            if GAPS[0] <= gap <= GAPS[1] and (len(runs[-1]) == 1 or abs(gap - first_gap) <= UNEVEN):
                if len(runs[-1]) == 1:
                    first_gap = gap
                runs[-1].append(entry)
                continue
        runs.append([entry])
    return runs


def _boxes(run: list[tuple[Box, tuple[int, ...]]], regions: Sequence[Box]) -> list[Entry]:
    whole = union(b for b, _ in run)
    gaps = [b[0][0] - a[0][0] - a[0][2] for a, b in itertools.pairwise(run)]
    pad = sorted(gaps)[len(gaps) // 2] / 2
    bars = [r for r in regions if inside(whole, r, 1) and r[3] <= 64 and r[2] < 4 * whole[2]]
    middle = centre(whole)[1]
    high = min(48, *(b[3] for b in bars)) if bars else max(36, min(48, whole[3] + 2 * pad))
    return [Entry((round(b[0] - pad), round(middle - high / 2), round(b[2] + 2 * pad), round(high)), texts, True) for b, texts in run]


def down(inks: Sequence[Box], icons: Sequence[Box], active: Sequence[Box], width: int, height: int, regions: Sequence[Box]) -> list[Entry]:
    """Entries of side menus: three or more rows at one left edge, evenly under one another, in a narrow panel at the page's left."""
    heads = sorted(
        (
            row_entry
            for row in clusters(inks, icons)
            for row_entry in row
            if row_entry[0][0] < 0.2 * width and row_entry[0][2] < 0.24 * width
        ),
        key=lambda e: (e[0][0] // 6, e[0][1]),
    )
    out: list[Entry] = []
    for run in _columns(heads):
        whole = union(b for b, _ in run)
        pitches = [round(centre(b[0])[1] - centre(a[0])[1]) for a, b in itertools.pairwise(run)]
        pitch = min(pitches)
        panels = [r for r in regions if inside(whole, r, 1) and r[0] <= 8 and r[2] <= 340 and r[3] > 0.5 * height]
        chosen = [
            a
            for a in active
            if sum(inside(b, a, 1) for b, _ in run) == 1
            and a[2] >= 0.8 * whole[2]
            and a[2] <= 340
            and a[0] <= whole[0]
            and a[0] >= whole[0] - 60
            and a[1] >= whole[1] - 80
            and a[1] <= whole[1] + whole[3] + 80
            and 20 <= a[3] <= min(64, pitch + 4)
            and any(abs(centre(a)[1] - centre(b)[1]) <= 5 for b, _ in run)
        ]
        if not panels and not chosen:
            continue
        left, wide = (chosen[0][0], chosen[0][2]) if chosen else (panels[0][0], panels[0][2])
        high = chosen[0][3] if chosen else min(64, pitch)
        for b, texts in run:
            out.append(Entry((left, round(centre(b)[1] - high / 2), wide, high), texts, False))
    return out


def _columns(heads: list[tuple[Box, tuple[int, ...]]]) -> list[list[tuple[Box, tuple[int, ...]]]]:
    runs: list[list[tuple[Box, tuple[int, ...]]]] = []
    for entry in heads:
        fits = [
            r
            for r in runs
            if abs(r[-1][0][0] - entry[0][0]) <= 4
            and PITCH[0] <= centre(entry[0])[1] - centre(r[-1][0])[1] <= PITCH[1]
            and not overlap(r[-1][0], entry[0])
        ]
        if fits:
            fits[-1].append(entry)
        else:
            runs.append([entry])
    return [r for r in runs if len(r) >= 2]
