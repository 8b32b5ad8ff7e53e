"""The command: see the package's page for what a round is. Exit code 1 where anything is off."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench.chaos as package
from bench.chaos import report
from bench.chaos.count import CHECKS
from bench.chaos.plan import KINDS, as_json
from bench.chaos.round import Options, run_round
from millrace.commands.common import quiet_logs

SHORT = {"faults": 24, "warm_up_s": 3.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.chaos", description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kinds of faults:\n" + "\n".join(f"  {kind:<16}{what}" for kind, (_, what) in KINDS.items())
        + "\n\nchecks:\n" + "\n".join(f"  {check:<22}{what}" for check, what in CHECKS.items()),
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1, help="each on a stack of its own, with the next seed")
    parser.add_argument("--faults", type=int, help="a round (100; with --short 24)")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="between faults on average (0.8; real stages 1.2)")
    parser.add_argument("--rate", type=float, help="requests a second, synthetic stages (12)")
    parser.add_argument("--stages", choices=("synthetic", "real"), default="synthetic")
    parser.add_argument("--kinds", help="only these, separated by commas")
    parser.add_argument("--short", action="store_true", help="24 faults: what CI runs")
    parser.add_argument("--plan", action="store_true", help="print what would be done and do nothing")
    parser.add_argument("--out", type=Path, help="append each round's result to this file as a line of JSON")
    parser.add_argument("--keep", type=Path, help="keep each round's folder (logs, topics, objects) below this one")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    parser.add_argument(
        "--report", type=Path, nargs="+", metavar="FILE", help="print what --out wrote as tables in Markdown and do nothing"
    )
    given = parser.parse_args()
    if given.report:
        print(report.markdown(report.read(given.report)))
        return
    kinds = tuple(given.kinds.split(",")) if given.kinds else ()
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"no fault is called {', '.join(unknown)}; there are {', '.join(KINDS)}")
    real = given.stages == "real"
    base = {"faults": 100, "every_s": 1.2 if real else 0.8, "rate": 12.0} | (SHORT if given.short else {})
    base |= {k: v for k, v in {"faults": given.faults, "every_s": given.every, "rate": given.rate}.items() if v is not None}
    rounds = [Options(seed=given.seed + n, kinds=kinds, real=real, **base) for n in range(given.rounds)]  # type: ignore[arg-type]
    if given.plan:
        print(json.dumps([{"seed": o.seed, "faults": as_json(o.schedule())} for o in rounds], indent=1))
        return
    quiet_logs()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started and mounted is stopped and taken down
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", file=sys.stderr, flush=True)

    results = []
    for options in rounds:
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{options.seed}-", dir=given.keep))
        say(f"seed {options.seed}: {options.faults} faults, {folder}")
        try:
            result = run_round(options, folder, say)
        finally:
            if not given.keep:
                shutil.rmtree(folder, ignore_errors=True)
        say(f"seed {options.seed}: " + ("exact" if result["exact"] else f"OFF: { {k: v for k, v in result['off'].items() if v} }"))
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(result) + "\n")
        results.append(result)
    document: dict[str, Any] = {**report.summary(results), "results": results}
    print(json.dumps(document, indent=1) if given.json else report.text(results))
    whole = all(r["faults"] == r["planned"] for r in results)
    sys.exit(0 if whole and document["exact"] and document["unexplained_s"] == 0 else 1)


if __name__ == "__main__":
    main()
