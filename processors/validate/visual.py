"""How alike two pictures of one screen are, in quantities whose definitions stand here.

On lines of text, after Design2Code (its ``visual_score.py``), with three differences that are said because they change values: lines are
those of the document and of the features, not of an OCR of both; they are matched greedily by string and then by place, not by
the Hungarian method, and neighbours are not merged; colour is the mean inside the two boxes, not of the text's pixels.

``block``     share of the area of all lines, of both sides, that belongs to matched lines (string ratio of 0.5 or better)
``text``      mean ratio of matched strings (difflib's), case-folded
``position``  mean of 1 - the larger offset of the centres, in shares of the picture's width and height
``colour``    mean of 1 - CIE76 distance / 100 of the mean Lab colours of matched boxes
``ssim``      structural similarity (Wang et al. 2004: 11x11 Gaussian, sigma 1.5, on luma, L = 255), mean over the picture
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Line = Mapping[str, Any]


def decode(picture: bytes) -> Image | None:
    """A PNG or JPEG as BGR; None where it is neither."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def shrink(picture: bytes, width: int = 960, quality: int = 80) -> bytes:
    """A picture for the report: JPEG of at most ``width`` pixels across. What is no picture comes back as it is."""
    image = decode(picture)
    if image is None:
        return picture
    if image.shape[1] > width:
        image = np.asarray(
            cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])), interpolation=cv2.INTER_AREA), np.uint8
        )
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes() if ok else picture


def compare(app: Sequence[Line], wanted: Sequence[Line], shot: Image, frame: Image) -> dict[str, float]:
    """All five quantities. ``app`` and ``wanted`` are lines {text, box} in pixels of their pictures, which show the same viewport."""
    if shot.shape != frame.shape:
        shot = np.asarray(cv2.resize(shot, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_AREA), np.uint8)
    pairs = match(app, wanted, frame.shape[1], frame.shape[0])
    matched = sum(_area(app[i]) + _area(wanted[j]) for _, _, i, j in pairs)
    total = sum(map(_area, app)) + sum(map(_area, wanted))
    colours = [
        max(0.0, 1 - float(np.linalg.norm(_mean(shot, app[i]["box"]) - _mean(frame, wanted[j]["box"]))) / 100) for _, _, i, j in pairs
    ]
    return {
        "block": matched / total if total else 1.0,
        "text": _average([ratio for ratio, *_ in pairs]),
        "position": _average([1 - offset for _, offset, *_ in pairs]),
        "colour": _average(colours),
        "ssim": ssim(shot, frame),
    }


def match(app: Sequence[Line], wanted: Sequence[Line], width: int, height: int) -> list[tuple[float, float, int, int]]:
    """Pairs (ratio, offset, index in ``app``, index in ``wanted``), best first, each line at most once."""
    left, right = ([line["text"].casefold() for line in lines] for lines in (app, wanted))

    def greedy(candidates: list[tuple[float, int, int]]) -> list[tuple[float, float, int, int]]:
        placed = [(ratio, _offset(app[i]["box"], wanted[j]["box"], width, height), i, j) for ratio, i, j in candidates]
        placed.sort(key=lambda c: (-c[0], c[1], c[2], c[3]))
        pairs = []
        for pair in placed:
            if pair[2] in free_left and pair[3] in free_right:
                free_left.discard(pair[2])
                free_right.discard(pair[3])
                pairs.append(pair)
        return pairs

    # Equal strings have the best ratio there is, so they are matched first either way; the costly comparison is for what is left.
    free_left, free_right = set(range(len(left))), set(range(len(right)))
    by_text: dict[str, list[int]] = {}
    for j, text in enumerate(right):
        by_text.setdefault(text, []).append(j)
    pairs = greedy([(1.0, i, j) for i, text in enumerate(left) for j in by_text.get(text, ())])
    candidates = []
    for j in sorted(free_right):
        matcher = SequenceMatcher(None, "", right[j])
        for i in sorted(free_left):
            matcher.set_seq1(left[i])
            if matcher.real_quick_ratio() >= 0.5 and matcher.quick_ratio() >= 0.5 and (ratio := matcher.ratio()) >= 0.5:
                candidates.append((ratio, i, j))
    return pairs + greedy(candidates)


def ssim(a: Image, b: Image) -> float:
    """Mean structural similarity of two pictures of one size."""
    x, y = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32) for image in (a, b))

    def blur(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), np.float32)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    score = ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(score.mean())


def _area(line: Line) -> float:
    return float(line["box"][2] * line["box"][3])


def _offset(a: Sequence[float], b: Sequence[float], width: int, height: int) -> float:
    dx = abs(a[0] + a[2] / 2 - b[0] - b[2] / 2) / width
    dy = abs(a[1] + a[3] / 2 - b[1] - b[3] / 2) / height
    return float(max(dx, dy))


def _mean(image: Image, box: Sequence[float]) -> npt.NDArray[Any]:
    """Mean Lab colour inside a box."""
    height, width = image.shape[:2]
    left, top = min(max(0, int(box[0])), width - 1), min(max(0, int(box[1])), height - 1)
    part = image[top : max(top + 1, int(box[1] + box[3]) + 1), left : max(left + 1, int(box[0] + box[2]) + 1)]
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    return np.asarray(lab.reshape(-1, 3).mean(axis=0))


def _average(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
