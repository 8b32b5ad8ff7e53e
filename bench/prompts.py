"""Prompts to applications, scored: understand -> compose -> build -> use it as a person would.

    python -m bench.prompts [PROMPTS.json ...] [--only ID ...] [--keep DIR] [--json]

A file of prompts has the form of the scorer's: [{id, prompt, expect: validated|rejected, entities: [{name, plural, fields}]}].
Without one, every file in bench/prompts/ is taken. What is expected to be rejected must be rejected with needs_model; the rest is
built in the sandbox and scored by bench/scorers/score_prompt.py in headless Chromium. The exit code is 1 where a verdict differs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from processors.generate.compose import compose
from processors.plan.errors import PromptError
from processors.plan.understand import understand
from processors.toolchain import project
from processors.toolchain.build import build
from processors.toolchain.compilers import Compilers
from processors.toolchain.node import Toolchain

HERE = Path(__file__).parent


def scorer() -> ModuleType:
    """The scorer as a module: it is a program beside this one and no package."""
    path = HERE / "scorers" / "score_prompt.py"
    spec = importlib.util.spec_from_file_location("score_prompt", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def make(prompt: dict[str, Any], folder: Path, compilers: Compilers) -> dict[str, Any]:
    """Build one prompt's application into `folder`; says its verdict, and how long each step took in milliseconds."""
    start = time.perf_counter()
    try:
        spec = understand(prompt["prompt"])
    except PromptError as error:
        return {"id": prompt["id"], "verdict": "rejected", "reason": error.reason, "message": error.message}
    understood = time.perf_counter()
    files = compose(spec)
    composed = time.perf_counter()
    built = await build(files, compilers)
    took = {
        "understand": round((understood - start) * 1000, 1),
        "compose": round((composed - understood) * 1000, 1),
        "build": round((time.perf_counter() - composed) * 1000),
    }
    findings = [f"{f.rule} {f.file}:{f.line} {f.message}" for f in built.findings]
    if not built.ok:
        return {"id": prompt["id"], "verdict": "rejected", "reason": "build", "message": "; ".join(findings[:5]), "ms": took}
    await asyncio.to_thread(folder.mkdir, parents=True)
    project.write({**files, **built.dist}, folder)
    return {"id": prompt["id"], "verdict": "validated", "ms": took}


async def run(prompts: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Make every prompt's application, then score those that were made."""
    async with Compilers(Toolchain()) as compilers:
        made = {p["id"]: await make(p, folder / p["id"], compilers) for p in prompts}
    wrong = []
    for prompt in prompts:
        verdict = made[prompt["id"]]
        understood = verdict["verdict"] == prompt["expect"] and (prompt["expect"] == "validated" or verdict["reason"] == "needs_model")
        if not understood:
            wrong.append({"expected": prompt["expect"], **verdict})
    scored = [p for p in prompts if p["entities"]]
    pairs = [(folder / p["id"], p["id"]) for p in scored if made[p["id"]]["verdict"] == "validated"]
    results = await scorer().main({p["id"]: p for p in scored}, pairs) if pairs else []
    points = [r["score"] for r in results] + [0.0] * (len(scored) - len(results))
    return {
        "prompts": len(prompts),
        "verdicts_as_expected": len(prompts) - len(wrong),
        "mean": round(sum(points) / len(points), 4) if points else None,
        "console": sum(r["console"] for r in results),
        "external": sum(r["external"] for r in results),
        "wrong": wrong,
        "apps": [{**made[r["id"]], **r} for r in results],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Score applications made from prompts.")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="a folder, not there yet, for the applications")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = arguments.files or sorted((HERE / "prompts").glob("*.json"))
    prompts = [p for file in files for p in json.loads(file.read_text()) if not arguments.only or p["id"] in arguments.only]
    with tempfile.TemporaryDirectory() as scratch:
        result = asyncio.run(run(prompts, arguments.keep or Path(scratch, "apps")))
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        for app in result["apps"]:
            failed = [f"{entity}.{check}" for entity, checks in app["entities"].items() for check, ok in checks.items() if not ok]
            print(f"{app['id']:16} {app['score']:.3f}  {' '.join(failed)}")
        for verdict in result["wrong"]:
            print(
                f"{verdict['id']:16} expected {verdict['expected']}, got {verdict['verdict']} {verdict.get('reason', '')} {verdict.get('message', '')}"
            )
        print(
            f"mean {result['mean']}, verdicts as expected {result['verdicts_as_expected']}/{result['prompts']}, console errors {result['console']}"
        )
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
