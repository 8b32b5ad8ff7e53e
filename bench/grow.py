"""Grow the forests that tell elements (``processors/extract/elements.*.onnx``) from pictures of pages (``bench.pages``, ``bench.applications``).

    python -m bench.grow describe PAGES TABLES     guesses and evidence for every page, as the extractor makes them; needs the project alone
    python -m bench.grow grow TABLES OUT           two forests; needs lightgbm and onnx, in any environment
    python -m bench.grow grow TABLES OUT --hold gentelella mui ...    the same without these applications, and how well they are then told

Texts are taken from the page's truth, joined to lines as the reader would, so that a page costs a third of a second; pictures lose what a codec takes.
A guess is right where it overlaps an element by half, and close by three quarters. The first forest judges guesses one by one; the second also
hears what the first says of their neighbours, and is grown on what a first forest says of applications that it was not grown on.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from processors.extract.context import WORTH, context

KINDS = ("button", "link", "input", "checkbox", "radio", "select", "image", "heading", "table")
PARTS = (2, 14)  # manners of guesses that are parts of a line: candidates.RUN, candidates.PIECE
RIGHT, CLOSE = 0.5, 0.75  # overlap from which a guess covers an element, and from which it fits it
WRONG = 0.3  # overlap below which a guess is certainly wrong
THIN = 0.1  # share of the certainly wrong that is grown on: there are fifty for each right one
LIKELY, FIT = 0.35, 0.5  # as ``elements.ADDED`` for what is scored here, and ``elements.CLOSE``
PARTED = 2  # parts of the applications that the second forest is grown on, each told by a first forest of the other parts
TREES = {"first": 200, "second": 180, "kinds": 40}
MOST = 30  # pictures of one application
GROWTH = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 40,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.35,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5,
    "verbose": -1,
    "num_threads": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 7,
}
KINDS_GROWTH = {"objective": "multiclass", "num_class": len(KINDS), "num_leaves": 15, "learning_rate": 0.1}
SECOND_GROWTH = {"num_leaves": 24, "learning_rate": 0.06}
NARROW, WIDE = set("ilI.,:;'|!tjfr ()[]"), set("mwMWGOQ@HND%")


def lines_of(state: dict[str, Any], width: int, height: int) -> list[Any]:
    """The truth's texts as lines: pieces that a reader would see as one are joined, letters stand where a usual font has them."""
    from processors.extract.line import Line
    from processors.extract.recognise import Glyph, Reading

    pieces = [dict(t) for t in state["texts"]]
    pieces += [dict(t) for t in state["extra_texts"] if t["source"] in ("value", "placeholder", "option", "cut")]
    joined: list[dict[str, Any]] = []
    for piece in sorted(pieces, key=lambda t: (round((t["box"][1] + t["box"][3] / 2) / 4), t["box"][0])):
        x, y, w, h = piece["box"]
        for other in joined:
            ox, oy, ow, oh = other["box"]
            if abs((oy + oh / 2) - (y + h / 2)) <= 3 and 0 <= x - ox - ow <= 0.5 * min(h, oh) and abs(h - oh) <= 0.35 * h:
                other["text"] += " " + piece["text"]
                right, top = max(ox + ow, x + w), min(y, oy)
                other["box"] = [ox, top, right - ox, max(y + h, oy + oh) - top]
                break
        else:
            joined.append(piece)
    out = []
    for piece in joined:
        x, y, w, h = piece["box"]
        x0, y0, x1, y1 = max(0, int(x) - 2), max(0, int(y)), min(width, int(x + w) + 3), min(height, int(y + h) + 1)
        text = " ".join(piece["text"].split())
        if x1 - x0 < 4 or y1 - y0 < 5 or not text:
            continue
        advances = [0.45 if c in NARROW else 1.45 if c in WIDE else 1.0 for c in text]
        ends = np.cumsum(advances)
        middles = (ends - np.array(advances) / 2) / ends[-1] * (x1 - x0 - 5) + 2
        glyphs = tuple(Glyph(c, float(m), 0.99) for c, m in zip(text, middles, strict=True))
        out.append(Line((x0, y0, x1 - x0, y1 - y0), Reading(text, 0.99, glyphs)))
    return out


def worn(image: np.ndarray, grade: int) -> np.ndarray:
    """The picture with its colour at half the resolution and a little of a codec's noise."""
    import cv2

    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    halved = cv2.cvtColor(cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420)
    coded = cv2.imencode(".jpg", halved, [cv2.IMWRITE_JPEG_QUALITY, (97, 94, 91)[grade % 3]])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def describe(pages: Path, tables: Path) -> None:
    """One file of evidence for every page."""
    import cv2

    from processors.extract import regions, style
    from processors.extract.candidates import candidates
    from processors.extract.evidence import evidence, ious
    from processors.extract.page import Page, Text
    from processors.extract.rules import by_rules

    cv2.setNumThreads(1)
    tables.mkdir(parents=True, exist_ok=True)
    seen: Counter[str] = Counter()
    for n, png in enumerate(sorted(pages.glob("*.png"))):
        app = png.stem.rsplit("-", 1)[0]
        seen[app] += 1
        out = tables / f"{png.stem}.pickle"
        if seen[app] > MOST or out.exists():
            continue
        image = worn(cv2.imread(str(png)), n)
        state = json.loads(png.with_suffix(".json").read_text())
        looked = [Text(line, style.look(image, line)) for line in lines_of(state, image.shape[1], image.shape[0])]
        page = Page(image, looked, regions.regions(image))
        opinions = by_rules(page)
        guesses = candidates(page, opinions)
        names, rows = evidence(page, guesses, opinions)
        truth = [e for e in state["elements"] if e["kind"] in KINDS]
        boxes = np.array([g.box for g in guesses], np.float64).reshape(-1, 4)
        likeness = ious(boxes, np.array([e["box"] for e in truth], np.float64)) if truth else np.zeros((len(boxes), 1))
        kinds = [KINDS.index(truth[j]["kind"]) for j in likeness.argmax(axis=1)] if truth else [0] * len(boxes)
        out.write_bytes(
            pickle.dumps(
                {
                    "app": app,
                    "names": names,
                    "rows": rows,
                    "boxes": boxes,
                    "how": np.array([g.how for g in guesses]),
                    "text": np.array([g.text for g in guesses]),
                    "iou": likeness.max(axis=1),
                    "kind": np.array(kinds),
                    "truth": [(e["kind"], e["box"]) for e in truth],
                    "rules": [(e.kind, e.box) for e in opinions if e.kind in KINDS],
                }
            )
        )


Table = dict[str, Any]


def kit(app: str) -> str:
    """Themes of one kit are one application."""
    return app.split("-")[0]


@dataclass(frozen=True)
class Forest:
    """Trees that say whether a guess is ``right``, whether it is ``close`` (the second forest alone), and of what kind it is if it is right."""

    right: Any
    close: Any
    kinds: Any

    def judge(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As ``processors.extract.forest.Forest.judge``."""
        if not len(rows):
            return np.zeros((0, 10)), np.zeros(0)
        chance = self.right.predict(rows)
        judged = np.zeros((len(rows), 10))
        judged[:, 0] = 1 - chance
        some = chance > WORTH
        if some.any():
            judged[some, 1:] = self.kinds.predict(rows[some]) * chance[some, None]
        return judged, self.close.predict(rows) if self.close is not None else np.zeros(len(rows))


def grown(tables: list[Table], trees: int, thin: np.random.RandomState | None, **other: Any) -> Forest:
    """A forest, each application with nearly the same weight; ``thin``: only some of the certainly wrong guesses are used, and ``close`` is left out."""
    import lightgbm

    elements: Counter[str] = Counter()
    for t in tables:
        elements[kit(t["app"])] += len(t["truth"])
    some = [t["iou"] >= WRONG if thin is not None else t["iou"] >= 0 for t in tables]
    if thin is not None:
        some = [s | (thin.rand(len(s)) < THIN) for s in some]
    rows = np.concatenate([t["rows"][s] for t, s in zip(tables, some, strict=True)])
    iou = np.concatenate([t["iou"][s] for t, s in zip(tables, some, strict=True)])
    kind = np.concatenate([t["kind"][s] for t, s in zip(tables, some, strict=True)])
    weight = np.concatenate(
        [np.full(int(s.sum()), (1000 / max(100, elements[kit(t["app"])])) ** 0.5) for t, s in zip(tables, some, strict=True)]
    )
    heavy = weight * np.where(iou < WRONG, 1 / THIN if thin is not None else 1.0, 1.0)

    def trained(at: float) -> Any:
        doubt = np.where(np.abs(iou - at) < 0.04, 0.4, 1.0)
        return lightgbm.train({**GROWTH, **other}, lightgbm.Dataset(rows, (iou >= at).astype(float), weight=heavy * doubt), trees)

    right = iou >= RIGHT
    kinds = lightgbm.train({**GROWTH, **KINDS_GROWTH}, lightgbm.Dataset(rows[right], kind[right], weight=weight[right]), TREES["kinds"])
    return Forest(trained(RIGHT), trained(CLOSE) if thin is None else None, kinds)


def beside(t: Table, judged: np.ndarray) -> Table:
    """What the second forest is told: the guesses worth it, with the first one's opinion of their neighbours."""
    worth = np.flatnonzero(1 - judged[:, 0] > WORTH)
    names, columns = context(t["boxes"][worth], t["how"][worth], judged[worth].astype(np.float32), t["names"], t["rows"][worth])
    out = {**t, "names": [*t["names"], *names], "rows": np.concatenate([t["rows"][worth], columns], axis=1)}
    for key in ("boxes", "how", "text", "iou", "kind"):
        out[key] = t[key][worth]
    return out


def two_forests(tables: list[Table]) -> tuple[Forest, Forest, list[str]]:
    thin = np.random.RandomState(3)
    kits = sorted({kit(t["app"]) for t in tables})
    part = {kits[i]: n % PARTED for n, i in enumerate(np.random.RandomState(5).permutation(len(kits)))}
    second: list[Table] = []
    for k in range(PARTED):
        without = grown([t for t in tables if part[kit(t["app"])] != k], TREES["first"], thin)
        second += [beside(t, without.judge(t["rows"])[0]) for t in tables if part[kit(t["app"])] == k]
    return grown(tables, TREES["first"], thin), grown(second, TREES["second"], None, **SECOND_GROWTH), second[0]["names"]


def export(forest: Forest, columns: list[str], path: Path) -> None:
    """LightGBM's trees as nodes of ONNX: log odds of ``right`` and ``close``, chances of ``kinds``."""
    import onnx
    from onnx import TensorProto, helper

    outputs = [(forest.right, "right", 1), (forest.kinds, "kinds", len(KINDS))]
    if forest.close is not None:
        outputs.append((forest.close, "close", 1))
    graph = helper.make_graph(
        [as_node(trees, name, n) for trees, name, n in outputs],
        "elements",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(columns)])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n]) for _, name, n in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = 8
    entry = model.metadata_props.add()
    entry.key, entry.value = "columns", " ".join(columns)
    onnx.save(model, str(path))


def as_node(trees: Any, name: str, classes: int) -> Any:
    """Trees as one node of ONNX whose output is ``name``."""
    from onnx import helper

    given: dict[str, list[Any]] = defaultdict(list)
    for number, info in enumerate(trees.dump_model()["tree_info"]):
        nodes: list[tuple[Any, ...]] = []

        def walk(branch: dict[str, Any], nodes: list[tuple[Any, ...]] = nodes) -> int:
            place = len(nodes)
            nodes.append(())
            if "leaf_value" in branch:
                nodes[place] = ("LEAF", 0, 0.0, 0, 0, float(branch["leaf_value"]))
            else:
                left, right = walk(branch["left_child"]), walk(branch["right_child"])
                nodes[place] = ("BRANCH_LEQ", branch["split_feature"], float(np.float32(branch["threshold"])), left, right, None)
            return place

        walk(info["tree_structure"])
        for place, (mode, column, threshold, left, right, value) in enumerate(nodes):
            for key, v in zip(
                ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids"),
                (number, place, mode, column, threshold, left, right),
                strict=True,
            ):
                given[f"nodes_{key}"].append(v)
            if value is not None:
                for key, v in (("treeids", number), ("nodeids", place), ("ids", number % classes), ("weights", value)):
                    given[f"{'class' if classes > 1 else 'target'}_{key}"].append(v)
    if classes == 1:
        return helper.make_node("TreeEnsembleRegressor", ["rows"], [name], domain="ai.onnx.ml", n_targets=1, post_transform="NONE", **given)
    labels = list(range(classes))
    return helper.make_node(
        "TreeEnsembleClassifier",
        ["rows"],
        ["label", name],
        domain="ai.onnx.ml",
        classlabels_int64s=labels,
        post_transform="SOFTMAX",
        **given,
    )


def told(t: Table, judged: np.ndarray, close: np.ndarray, likely: float) -> list[tuple[str, np.ndarray]]:
    """What ``elements.choose`` would take, without what it needs of the project."""
    chance, kind = 1 - judged[:, 0], judged[:, 1:].argmax(axis=1)
    order = np.argsort(-(chance + FIT * close), kind="stable")
    order = order[chance[order] > likely]
    boxes = t["boxes"][order]
    common, size = in_common(boxes, boxes), boxes[:, 2] * boxes[:, 3]
    likeness = common / (size[:, None] + size - common)
    control = kind[order] <= KINDS.index("select")
    nested = common / np.minimum(size[:, None], size) * (control[:, None] & control)
    kept: list[int] = []
    said: set[tuple[int, bool]] = set()
    for n, i in enumerate(order.tolist()):
        if kept and (likeness[n, kept].max() > 0.45 or nested[n, kept].max() > 0.85):
            continue
        if t["text"][i] >= 0:
            key = (int(t["text"][i]), bool(kind[i] == KINDS.index("heading")))
            if t["how"][i] not in PARTS and key in said:
                continue
            said.add(key)
        kept.append(n)
    return [(KINDS[kind[order[n]]], boxes[n]) for n in kept]


def in_common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas that boxes have in common, ``(len(a), len(b))``."""
    w = np.minimum(a[:, None, 0] + a[:, None, 2], b[:, 0] + b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    h = np.minimum(a[:, None, 1] + a[:, None, 3], b[:, 1] + b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    return np.asarray(np.maximum(w, 0) * np.maximum(h, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Grow the forests that tell elements.")
    parser.add_argument("step", choices=["describe", "grow"])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hold", nargs="*", default=[], help="applications (or kits) that are only scored")
    args = parser.parse_args()
    if args.step == "describe":
        describe(args.source, args.out)
        return
    tables: list[Table] = [pickle.loads(p.read_bytes()) for p in sorted(args.source.glob("*.pickle"))]
    held = [t for t in tables if t["app"] in args.hold or kit(t["app"]) in args.hold]
    first, second, columns = two_forests([t for t in tables if t["app"] not in args.hold and kit(t["app"]) not in args.hold])
    export(first, tables[0]["names"], args.out / "elements.first.onnx")
    export(second, columns, args.out / "elements.second.onnx")
    if held:
        sys.path.insert(0, str(Path(__file__).parent / "scorers"))
        from score import score

        pairs: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = defaultdict(list)
        for t in held:
            table = beside(t, first.judge(t["rows"])[0])
            found = told(table, *second.judge(table["rows"]), LIKELY)
            real: dict[str, Any] = {"t": 0.0, "texts": [], "elements": [{"kind": k, "text": "", "box": list(b)} for k, b in t["truth"]]}
            said: dict[str, Any] = {
                "t_start": 0,
                "t_end": 1,
                "texts": [],
                "elements": [{"kind": k, "text": "", "box": list(b)} for k, b in found],
            }
            pairs[t["app"]].append(({"screens": [said], "actions": []}, {"screens": [real], "actions": []}))
        everything = [p for mine in pairs.values() for p in mine]
        for app, some in [*sorted(pairs.items()), ("all", everything)]:
            s = score(some)
            print(f"{app:22} iou50 {s['elements_iou50']['f1']:.3f} iou75 {s['elements_iou75']['f1']:.3f} kind {s['element_kind']:.3f}")


if __name__ == "__main__":
    main()
