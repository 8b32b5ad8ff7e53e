"""How good reconstruction is, by recording: `python -m bench.reconstruct --json [--from truth|video|features] RECORDING.truth.json ...`

`truth` draws the application from what was really on the screen: the ceiling of reconstruction alone. `video` extracts the
features first, `features` takes RECORDING.features.json (with RECORDING.frames/) beside the truth or in `--features DIR`.
Every application is built in the sandbox and driven by `bench/scorers/score_app.py`. Twice the same features must give
the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from processors.generate.reconstruct import reconstruct
from processors.generate.reconstruct.typography import height_em, width_em
from processors.toolchain import project
from processors.toolchain.build import build_sync
from processors.toolchain.node import Toolchain

SCORER = Path(__file__).parent / "scorers" / "score_app.py"
_FACES = {"liberation-sans": "sans", "dejavu-sans": "sans", "dejavu-mono": "mono", "liberation-mono": "mono", "liberation-serif": "serif"}
Keyframes = dict[str, bytes]


def truth_features(truth_path: Path) -> tuple[dict[str, Any], Keyframes]:
    """Features without a fault, from a recording's truth: texts, elements and actions as they were, pictures from the video."""
    truth = json.loads(truth_path.read_text())
    video = cv2.VideoCapture(str(truth_path).replace(".truth.json", ".mp4"))
    screens: list[dict[str, Any]] = []
    keyframes: Keyframes = {}
    for i, state in enumerate(truth["screens"]):
        video.set(cv2.CAP_PROP_POS_MSEC, max(0, state["t"] - 0.05) * 1000)
        ok, frame = video.read()
        name = f"{i:04}.png"
        if ok:
            keyframes[name] = cv2.imencode(".png", frame)[1].tobytes()
        shown = [*state["texts"], *(t for t in state["extra_texts"] if t["source"] in ("value", "placeholder", "option"))]
        placeholders = [t["text"] for t in state["extra_texts"] if t["source"] == "placeholder"]
        screens.append(
            {
                "id": f"s{i:04}",
                "screen": f"s{i:04}",
                "t_start": state["t"] - 0.2,
                "t_end": state["t"] + 0.25,
                "keyframe": name,
                "texts": [_line(t, f"t{k}") for k, t in enumerate(shown)],
                "elements": [
                    {"id": f"e{k}", **e, **({"placeholder": e["text"]} if e["kind"] == "input" and e["text"] in placeholders else {})}
                    for k, e in enumerate(state["elements"])
                ],
            }
        )
    actions = []
    for a in truth["actions"]:
        before = max((i for i, s in enumerate(truth["screens"]) if s["t"] <= a["t"]), default=0)
        after = min((i for i, s in enumerate(truth["screens"]) if s["t"] > a["t"]), default=before)
        kept = {k: a[k] for k in ("t", "kind", "x", "y", "dy", "text") if k in a}
        actions.append({**kept, "before": f"s{before:04}", "after": f"s{after:04}", "target": _target(a, screens[before])})
    return {"schema": "millrace.features/1", "video": truth["video"], "screens": screens, "actions": actions}, keyframes


def _line(text: Mapping[str, Any], ident: str) -> dict[str, Any]:
    """A line with the face, weight and size that make it as wide and as high as it was, in capitals if that fits better."""
    x, y, w, h = text["box"]
    best: tuple[float, dict[str, Any]] | None = None
    for face, family in _FACES.items():
        for weight in (400, 700):
            for said in dict.fromkeys((text["text"], text["text"].upper())):
                size = h / height_em(face)
                misfit = abs(math.log(w / (width_em(said, face, weight) * size)))
                # Whatever fits nearly as well is the plainer one: what people read is rarely bold, capital, or of another family.
                misfit += (
                    0.03 * (weight == 700)
                    + 0.03 * (said != text["text"])
                    + (0 if face == "liberation-sans" else 0.04 if family == "sans" else 0.08)
                )
                if best is None or misfit < best[0]:
                    best = misfit, {"text": said, "family": family, "weight": weight, "font_size": round(size, 2)}
    assert best is not None
    return {"id": ident, "box": [x, y, w, h], "confidence": 1.0, **best[1]}


def _target(action: Mapping[str, Any], screen: Mapping[str, Any]) -> str | None:
    box = action.get("target", {}).get("box")
    if box is None:
        return None
    near = [e["id"] for e in screen["elements"] if max(abs(a - b) for a, b in zip(e["box"], box, strict=True)) <= 2]
    return str(near[0]) if near else None


def read_features(path: Path) -> tuple[dict[str, Any], Keyframes]:
    """A features file with the keyframes beside it."""
    features: dict[str, Any] = json.loads(path.read_text())
    folder = path.with_name(path.name.removesuffix(".json").removesuffix(".features") + ".frames")
    return features, {p.name: p.read_bytes() for p in sorted(folder.glob("*.png"))}


def make(features: dict[str, Any], keyframes: Keyframes, out: Path) -> dict[str, Any]:
    """Reconstruct twice, build, and write the application to `out`. Returns what that took."""
    started = time.perf_counter()
    files = reconstruct(features, keyframes)
    seconds = time.perf_counter() - started
    result = build_sync(files, Toolchain())
    for f in result.findings:
        print(f"{out.name}: {f.gate}/{f.rule} {f.file}:{f.line} {f.message}", file=sys.stderr)
    if not result.ok:
        raise SystemExit(f"{out.name} does not build")
    shutil.rmtree(out, ignore_errors=True)
    project.write({**files, **result.dist}, out)
    return {
        "reconstruct_s": round(seconds, 3),
        "build_ms": result.ms,
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "same_bytes": reconstruct(features, keyframes) == files,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truths", nargs="+", type=Path)
    parser.add_argument("--from", dest="source", choices=("truth", "video", "features"), default="truth")
    parser.add_argument("--features", type=Path, help="folder of NAME.features.json")
    parser.add_argument("--out", type=Path, help="keep the applications here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        made, pairs = {}, []
        for truth in options.truths:
            name = truth.name.removesuffix(".truth.json")
            if options.source == "truth":
                features, keyframes = truth_features(truth)
            elif options.source == "features":
                features, keyframes = read_features((options.features or truth.parent) / f"{name}.features.json")
            else:
                features, keyframes = _extract(truth.with_name(f"{name}.mp4"))
            made[name] = make(features, keyframes, out / name)
            pairs += [str(out / name), str(truth)]
        env = {**os.environ, "CHROMIUM": os.environ.get("CHROMIUM", "/usr/bin/chromium-headless-shell")}
        scored = json.loads(
            subprocess.run([sys.executable, str(SCORER), *pairs], check=True, capture_output=True, text=True, env=env).stdout
        )
    report = {"source": options.source, "made": made, **scored}
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        for row in [*scored["recordings"], {"recording": "mean", **scored["mean"]}]:
            print(row)


def _extract(video: Path) -> tuple[dict[str, Any], Keyframes]:
    from processors.extract.pipeline import extract  # heavy: the OCR models

    features = extract(video)
    return dict(features.document), dict(features.keyframes)


if __name__ == "__main__":
    main()
