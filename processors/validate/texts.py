"""Gate ``texts``: the first screen reads as the recording's first screen does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.toolchain.findings import Finding
from processors.validate.policy import ValidationPolicy
from processors.validate.words import Screen, differences, likeness

GATE = "texts"


def expected(screen: Mapping[str, Any]) -> Screen:
    """A screen of the features as :mod:`words` compares it: what lies in fields may stand in the application as a value or placeholder."""
    fields = [{"text": e.get("text") or ""} for e in screen.get("elements") or () if e.get("kind") in ("input", "select")]
    fields += [{"text": e["placeholder"]} for e in screen.get("elements") or () if e.get("placeholder")]
    return {"texts": screen.get("texts") or (), "extra_texts": fields}


def check(snapshot: Screen, features: Mapping[str, Any], policy: ValidationPolicy) -> tuple[float, list[Finding]]:
    """The word F1 against the first screen, and a finding where it is below the threshold."""
    screens = features.get("screens") or ()
    if not screens:
        return 0.0, [Finding(GATE, "texts.no_screens", "the features hold no screen to compare with")]
    wanted = expected(screens[0])
    score = likeness(snapshot, wanted)
    if score >= policy.texts:
        return score, []
    missing, surplus = differences(wanted, snapshot)
    message = f"the first screen's words agree by {score:.2f}, needed are {policy.texts:.2f}"
    return score, [Finding(GATE, "texts.differ", message, evidence={"missing": missing, "surplus": surplus})]
