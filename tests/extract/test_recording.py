"""The sample recording, read whole: a floor under the scores, and the same bytes whatever the number of threads."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from processors.extract.document import SCHEMA, Features, frames_folder, read
from processors.extract.pipeline import Timings, extract
from processors.extract.settings import ExtractSettings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "sqlite_web.mp4"


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Features, Path, list[tuple[float, str]]]:
    out = tmp_path_factory.mktemp("features") / "sample.json"
    told: list[tuple[float, str]] = []
    features = extract(SAMPLE, out, ExtractSettings(workers=2), lambda share, what: told.append((share, what)))
    return features, out, told


def scores(features: Features) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("score", ROOT / "bench" / "scorers" / "score.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    truth = json.loads(SAMPLE.with_name("sqlite_web.truth.json").read_bytes())
    found: dict[str, Any] = module.score([(features.document, truth)])
    return found


def test_scores_stay_above_their_floor(extracted: tuple[Features, Path, list[tuple[float, str]]]) -> None:
    found = scores(extracted[0])
    assert found["words"]["f1"] >= 0.97
    assert found["words_located"] >= 0.97
    assert found["actions"]["f1"] >= 0.95
    assert found["elements_iou50"]["f1"] >= 0.80


def test_the_document_hangs_together(extracted: tuple[Features, Path, list[tuple[float, str]]]) -> None:
    features, out, told = extracted
    document = features.document
    assert document["schema"] == SCHEMA and not document["video"]["damaged"]
    ids = {s["id"] for s in document["screens"]}
    assert all(t["from"] in ids and t["to"] in ids for t in document["transitions"])
    assert all(a["before"] in ids and a["after"] in ids for a in document["actions"])
    names = {s["keyframe"] for s in document["screens"]}
    assert names == {p.name for p in frames_folder(out).iterdir()} == set(features.keyframes)
    assert [s for s, _ in told] == sorted(s for s, _ in told) and told[-1][0] == 1.0
    revisited = [s["screen"] for s in document["screens"]]
    assert len(set(revisited)) < len(revisited)


def test_same_bytes_with_another_number_of_threads(extracted: tuple[Features, Path, list[tuple[float, str]]]) -> None:
    features, out, _ = extracted
    timings = Timings()
    again = extract(SAMPLE, settings=ExtractSettings(workers=1), timings=timings)
    assert again.to_json() == features.to_json() == out.read_bytes()
    assert dict(again.keyframes) == dict(features.keyframes)
    assert timings.counts["frames"] == features.document["video"]["frames"]


def test_a_features_file_is_read_back(extracted: tuple[Features, Path, list[tuple[float, str]]], tmp_path: Path) -> None:
    features, out, _ = extracted
    back = read(out)
    assert back.document == features.document and dict(back.keyframes) == dict(features.keyframes)
    other = tmp_path / "other.json"
    other.write_text('{"schema": "something"}')
    with pytest.raises(ValueError, match="no features file"):
        read(other)
