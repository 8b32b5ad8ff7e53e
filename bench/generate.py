"""What generation by a model costs and yields, and what the whole way takes.

    python -m bench.generate --json [--parts context,repair,gates,cache,flow] [--requests 24] [--seed 1]

context   tokens that selection and compression spare, and whether what is wanted is still there
repair    answers with typical faults: how many pass each gate at first and after repair, what an accepted artifact costs
gates     CPU of one artifact's validation, by gate
cache     an answer from the cache, from the door to the verdict, over Kafka
flow      distinct prompts to validated artifacts over Kafka, every gate on, cache off; then at half of what was reached

No language model is at hand: an endpoint over real HTTP plays one (``bench/fake_model.py``). So ``repair`` says what gates, fixers and rounds make of
given faults, not how often a real model makes them; and ``context`` takes an answer for accepted when an application of all that was wanted can be
made from nothing but the words that the model got to see.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.fake_model import FAULTS, GOOD_HOME, FakeModel, Says, answer, data_of, spec
from bench.in_process import Course, InProcess
from bench.machine import Account, load
from processors.generate.model import question as questions
from processors.generate.model.answer import read_answer
from processors.generate.model.context import Selected, compress, normalised, select
from processors.generate.model.port import tokens_of
from processors.generate.model.settings import ModelSettings
from processors.generate.stage import GenerateSettings
from processors.model_prices import ModelPrices
from processors.plan.understand import understand
from processors.task import Task
from sinks.objects import FolderStore
from streams.objects import get_content

PROMPTS = Path(__file__).resolve().parents[1] / "tests" / "plan"
PRICES = ModelPrices.read(
    '- {provider: fake, model: fake, valid_from: 2020-01-01, in_uncached: "2", in_cache_read: "0.5", out_text: "8"}', seed=False
)
"""USD a million tokens: of the order of what a middling hosted model costs."""
PARTS = ("context", "repair", "gates", "cache", "flow")


# ---- context -----------------------------------------------------------------------------------------------------------------


def _wanted() -> list[tuple[str, dict[str, list[str]]]]:
    """Prompts of many people with the things and fields each must lead to."""
    cases = [c for f in sorted(PROMPTS.glob("prompts_people*.yaml")) for c in yaml.safe_load(f.read_text()) if not c.get("needs_model")]
    return [(c["prompt"], {name: [_field(f) for f in fields or ()] for name, fields in c["entities"].items()}) for c in cases]


def _field(said: Any) -> str:
    """A field's name; the cases say ``name``, ``name: type`` or a map of them."""
    return str(next(iter(said)) if isinstance(said, dict) else said).split(":")[0].rstrip("*!")


CHATTER = [
    "Thanks a lot in advance, I really appreciate your help with this.", "So, where do I begin, it has been quite a week over here.", "My cousin said that this would be easy, but she says that of all things.",
    "Anyway, sorry for the long message, I will get to the point soon.", "We met on Tuesday and talked about it for hours without a result.", "Please take your time, there is no hurry at all from our side.",
    "The weather was awful, so nobody came and we had coffee instead.", "I hope this reaches you well and that everything is fine.",
]  # fmt: skip


def _readable(text: str, wanted: dict[str, list[str]]) -> bool:
    """Whether an application of all that is wanted can be made of nothing but these words: read by the same code that reads a model's answer."""
    known = set(text.casefold().replace("_", " ").replace("-", " ").split()) | {w.strip(".,;:()\"'") for w in text.casefold().split()}

    def there(name: str) -> bool:
        return all(any(part[:5] in word for word in known) for part in name.casefold().split())

    entities = {e: [f for f in fields if there(f)] for e, fields in wanted.items() if there(e.rstrip("s"))}
    if entities != wanted:
        return False
    made = read_answer(answer(spec("App", **{e: f or ["name"] for e, f in entities.items()})), files=False)
    return len(made.spec.entities) == len(wanted)


def _summary(rows: list[tuple[Selected, bool, bool]]) -> dict[str, Any]:
    before, after = sum(r[0].tokens_before for r in rows), sum(r[0].tokens_after for r in rows)
    whole, cut = sum(r[1] for r in rows), sum(r[2] for r in rows)
    return {"cases": len(rows), "tokens_before": before, "tokens_after": after, "saved": round(1 - after / before, 3), "accepted_uncut": round(whole / len(rows), 3), "accepted": round(cut / len(rows), 3)}  # fmt: skip


def context(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    cases = [(prompt, wanted) for prompt, wanted in _wanted() if _readable(prompt, wanted)]
    found: dict[str, Any] = {}
    for share in (1.0, 0.5, 0.25, 0.1):
        rows = []
        for prompt, wanted in cases:
            padding = chance.choices(CHATTER, k=max(8, 3 * len(prompt) // 60))
            at = chance.randrange(len(padding))
            talk = "\n".join(
                [*(f"{s} ({i})" for i, s in enumerate(padding[:at])), prompt, *(f"{s} ({i})" for i, s in enumerate(padding[at:]))]
            )
            cut = compress(talk, max(50, int(tokens_of(normalised(talk)) * share)))
            rows.append((cut, True, _readable(cut.value, wanted)))
        found[f"compression, budget {share:.0%} of a prompt padded with small talk"] = _summary(rows)
    for budget in (2000, 500, 250):
        rows = []
        for prompt, wanted in cases:
            features, everything = _recording(wanted, chance)
            cut = select(features, prompt[:80], budget)
            rows.append((cut, _readable(everything, wanted), _readable(" ".join(t for s in cut.value for t in s["texts"]), wanted)))
        found[f"selection, {budget} tokens of a made-up recording"] = _summary(rows)
    found["fixed_part_tokens"] = tokens_of(questions.SYSTEM) + tokens_of(json.dumps(questions.schema(files=False)))
    return found


def _recording(wanted: dict[str, list[str]], chance: random.Random) -> tuple[dict[str, Any], str]:
    """Screens of an application as a recording would show them: the same navigation everywhere, a table and a form for each thing, rows and rows."""
    nav = [*wanted, "Settings", "Help", "Log out", "Search", "Home"]
    screens = []
    for number, (entity, fields) in enumerate(wanted.items()):
        for visit in range(3):
            texts = [{"text": n, "box": [8, 30 * i, 80, 12], "role": "link"} for i, n in enumerate(nav)]
            texts += [{"text": f, "box": [200 + 120 * i, 40, 90, 12], "role": "th"} for i, f in enumerate(fields)]
            for row in range(25):
                texts += [{"text": f"{chance.choice(('Alva', 'Brook', 'Cyan', 'Dune'))} {chance.randrange(9999)}", "box": [200 + 120 * i, 70 + 24 * row, 90, 12], "role": ""} for i, _ in enumerate(fields)]  # fmt: skip
            screens.append(
                {"screen": f"list{number}.{visit % 2}", "texts": [{"text": entity, "box": [200, 8, 90, 20], "role": "heading"}, *texts]}
            )
        form = [{"text": f, "box": [200, 60 + 40 * i, 90, 12], "role": "label"} for i, f in enumerate(fields)]
        screens.append(
            {"screen": f"form{number}", "texts": [{"text": f"New {entity.rstrip('s')}", "box": [200, 8, 90, 20], "role": "heading"}, *form]}
        )
    return {"screens": screens}, " ".join(t["text"] for s in screens for t in s["texts"])


# ---- repair ------------------------------------------------------------------------------------------------------------------

MIX = {
    None: 40, "missing import": 10, "html attribute": 6, "type error": 12, "hidden request": 6, "hidden picture": 4, "endless loop": 3, "foreign import": 6, "throws": 6, "bad sql": 4,
    "fenced": 6, "malformed": 4, "truncated": 3, "server error": 5,
}  # fmt: skip
"""How often a first answer has which fault, in percent of about a hundred: roughly what the literature tells of models asked for applications."""
MENDS = 0.75
"""How often an answer to findings mends them; else it leaves the fault (half of the time) or brings another."""


class Typical:
    """A model that makes typical faults, and mends most of them when it is told."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._faults: dict[str, str | None] = {}

    def __call__(self, number: int, body: dict[str, Any]) -> Says:
        usage = {"prompt_tokens": len(json.dumps(body["messages"])) // 4, "completion_tokens": 900}
        data = data_of(body)
        asked = data["request"]
        told = "found" in data
        if not told and asked not in self._faults:
            self._faults[asked] = self._chance.choices(list(MIX), list(MIX.values()))[0]
        fault = self._faults[asked]
        made = spec(f"App {number}", trucks=["plate", "mileage: integer"], drivers=["name", "licence"])
        if told:
            if self._chance.random() < MENDS:
                mended = {"supabase/migrations/0002_more.sql": "SELECT 1;\n"} if fault == "bad sql" else GOOD_HOME
                return Says(answer(None, mended), usage=usage)
            if self._chance.random() < 0.5:
                self._faults[asked] = fault = self._chance.choice(list(FAULTS))
            return Says(answer(None, FAULTS.get(fault or "", FAULTS["type error"])), usage=usage)
        if fault in ("malformed", "truncated", "server error"):
            self._faults[asked] = None  # said once
            return {
                "malformed": Says("Here is the application you asked for! It has trucks.", usage=usage),
                "truncated": Says(answer(made)[:-30], finish="length", usage=usage),
                "server error": Says(status=500),
            }[fault]
        if fault == "fenced":
            return Says(f"```json\n{answer(made)}\n```", usage=usage)
        return Says(answer(made, FAULTS[fault] if fault else None), usage=usage)


def repair(requests: int, seed: int) -> dict[str, Any]:
    script = Typical(seed)
    with tempfile.TemporaryDirectory(prefix="millrace-repair-") as folder, FakeModel(script) as fake:
        store = FolderStore(Path(folder), durable=False)
        model = ModelSettings(url=fake.url, model="fake", provider="fake", files=True)

        async def everything() -> list[Course]:
            courses = []
            async with InProcess.running(store, GenerateSettings(model=model, cache=False), prices=PRICES) as pipeline:
                for n in range(requests):
                    courses.append(await pipeline.prompt(f"Flottenverwaltung Nummer {n} mit Lastwagen und Fahrern"))
                    print(f"repair {n + 1}/{requests}", file=sys.stderr)
            return courses

        courses = asyncio.run(everything())
        first, after = Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
        for course in courses:
            reports = [_report(store, a.report_json_uri) for a in _attempts(store, course)]
            assert course.verdict
            last = _report(store, course.verdict.report_json_uri) if course.verdict.report_json_uri else None
            for counter, report in ((first, reports[0] if reports else last), (after, last)):
                for gate in (report or {"gates": [{"gate": "answer", "ok": False}]})["gates"]:
                    counter[gate["gate"], gate["ok"]] += 1
    accepted = [c for c in courses if c.verdict and c.verdict.state == "validated"]
    spent = sum((u.cost_usd or Decimal(0) for c in courses for u in c.usage), Decimal(0))
    model_spent = sum((u.cost_usd or Decimal(0) for c in courses for u in c.usage if u.kind == "llm.call"), Decimal(0))
    at_once = [c for c in accepted if c.verdict and c.verdict.round == 0]
    return {
        "requests": requests, "calls": fake.calls, "faults_of_first_answers": {str(k): v for k, v in Counter(script._faults.values()).items()},
        "accepted_first_pass": round(len(at_once) / requests, 3), "accepted_after_repair": round(len(accepted) / requests, 3),
        "rounds": dict(sorted(Counter(c.verdict.round for c in accepted if c.verdict).items())),
        "gates": {g: {"first_pass": _rate(first, g), "after_repair": _rate(after, g)} for g in sorted({g for g, _ in first + after})},
        "rejected": dict(Counter(c.verdict.reason for c in courses if c.verdict and c.verdict.state == "rejected")),
        "usd_per_accepted_artifact": str((spent / max(1, len(accepted))).quantize(Decimal("0.000001"))), "of_that_the_model": str((model_spent / max(1, len(accepted))).quantize(Decimal("0.000001"))),
        "unpriced_events": sum(u.cost_usd is None for c in courses for u in c.usage),
    }  # fmt: skip


def _attempts(store: FolderStore, course: Course) -> list[Any]:
    from schemas.records import GenerationRequested

    asked = [r for r in course.all(GenerationRequested) if r.round > 0]
    return list(Task.from_json(get_content(store, asked[-1].spec_uri)).attempts) if asked else []


def _report(store: FolderStore, uri: str) -> Any:
    return json.loads(get_content(store, uri))


def _rate(counter: Counter[tuple[str, bool]], gate: str) -> str:
    """Passed of those that came as far as this gate."""
    passed, failed = counter[gate, True], counter[gate, False]
    return f"{passed}/{passed + failed}"


# ---- gates -------------------------------------------------------------------------------------------------------------------


def gates(n: int) -> dict[str, Any]:
    """CPU of all processes, medians over ``n`` applications made from prompts, warm; each gate alone, one after the other, then all as they come."""
    from bench.burst import prompts
    from processors.generate.compose import compose
    from processors.toolchain.browser import Browsers, Script
    from processors.toolchain.build import build
    from processors.toolchain.compilers import Compilers
    from processors.toolchain.node import Toolchain
    from processors.validate import backend, links, render, static
    from processors.validate.database import Database
    from processors.validate.policy import ValidationPolicy
    from processors.validate.validator import Validator

    account, toolchain, policy = Account(), Toolchain(), ValidationPolicy()
    axe = Script(render.plain(toolchain.axe.read_text()))
    rows: list[dict[str, float]] = []

    async def measured() -> None:
        database = Database(toolchain)
        async with Validator(toolchain, policy) as validator, Compilers(toolchain) as compilers, Browsers(toolchain) as browsers:
            await browsers.compile(axe)
            for number, text in enumerate(prompts(n + 2, 1)):
                row: dict[str, float] = {}
                begun = account.spent()

                def lap(name: str, row: dict[str, float] = row) -> None:
                    nonlocal begun
                    now = account.spent()
                    row[name] = row.get(name, 0.0) + now - begun
                    begun = now

                sources = compose(understand(text))
                lap("(generate) compose")
                built = await build(sources, compilers, typecheck=False)
                lap("build")
                await build(sources, compilers)
                lap("typecheck")
                code = (await build(sources, compilers, typecheck=False, transpile=True)).code
                lap("static")
                row["typecheck"] -= row["build"]
                row["static"] -= row["build"]
                static.check({**sources, **built.dist}, code, policy)
                lap("static")
                await backend.check({**sources, **built.dist}, code, database, policy)
                lap("backend")
                async with browsers.open(built.dist, policy.viewport) as opened:
                    await opened.visit("/", policy.load_timeout_s)
                    await render.settle(opened, unseen=True)
                    await render.read(opened)
                    await opened.page.thumbnail()
                    lap("render")
                    await render.accessibility(opened, axe, policy)
                    lap("render: axe")
                    await links.follow(opened, policy)
                    lap("links")
                lap("render")
                found = await validator.validate({**sources, **built.dist})
                lap("validation, every gate")
                assert found.state == "validated", found.message
                if number > 1:  # the first ones warm compilers, browsers and databases
                    rows.append(row)
        await database.close()

    asyncio.run(measured())
    exact = account.exact
    account.close()
    medians = {name: round(1000 * median(r[name] for r in rows)) for name in rows[0]}
    return {"artifacts": n, "cpu_ms_p50": medians, "account_exact": exact, "load": load()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.generate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout (the default, and all there is)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"which, of {', '.join(PARTS)}")
    parser.add_argument("--requests", type=int, default=24, help="repair: requests; flow: prompts; cache: three times as many hits")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    from millrace.commands.common import quiet_logs

    quiet_logs()
    from bench import generate_flow

    n, seed = options.requests, options.seed
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "context": lambda: context(seed),
        "repair": lambda: repair(n, seed),
        "gates": lambda: gates(max(3, n // 4)),
        "cache": lambda: generate_flow.cache(3 * n),
        "flow": lambda: generate_flow.flow(n, seed),
    }
    result: dict[str, Any] = {}
    for part in parts:
        result[part] = measures[part]()
        print(f"{part}: {json.dumps(result[part])}", file=sys.stderr)  # a later part may be given up
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
