"""Many prompts at once, and workers killed on the way: is everything validated, and everything counted once?

    python -m bench.burst [--prompts 200] [--kills 5] [--seed 1] [--json]

Starts the embedded stack in a temporary folder, submits the prompts at once, kills random workers with SIGKILL at random times while they
work, waits until all have ended, and asks SQL and the topics. ``--kills 0`` is the run without disturbance. Exit code 1 where a count is off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from millrace import reports
from millrace.commands.common import Connected, quiet_logs
from millrace.demo import running_stack
from millrace.doors import Sender
from millrace.settings import connect

THINGS = [
    "product",
    "supplier",
    "patient",
    "appointment",
    "ticket",
    "agent",
    "book",
    "member",
    "invoice",
    "customer",
    "vehicle",
    "driver",
    "room",
    "booking",
    "recipe",
    "ingredient",
    "plant",
    "garden",
    "song",
    "artist",
]
FIELDS = [
    "name, price, stock",
    "title, author, year",
    "name, email, phone",
    "subject, status, priority (low, medium or high)",
    "name, country, start date",
]


def prompts(n: int, seed: int) -> list[str]:
    """``n`` different prompts of a kind that needs no model."""
    chance = random.Random(seed)
    made = []
    for i in range(n):
        one, two = chance.sample(THINGS, 2)
        made.append(f"an app number {i} to manage {one}s ({chance.choice(FIELDS)}) and {two}s ({chance.choice(FIELDS)})")
    return made


class Killer(threading.Thread):
    """Kills workers that prompts pass through with SIGKILL, spread over the work. Which ones comes from the seed."""

    def __init__(self, data: Path, kills: int, seed: int, progress: Any) -> None:
        super().__init__(daemon=True)
        self.data, self.kills, self.progress = data, kills, progress
        self.chance = random.Random(seed)
        self.killed: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        for k in range(self.kills):
            while self.progress() < (k + 1) / (self.kills + 1) and not self.over.wait(0.2):
                pass  # the next kill comes when its share of the work is done
            if self.over.is_set():
                return
            workers = {
                n: p
                for n, p in json.loads((self.data / "ready.json").read_text())["processes"].items()
                if n.startswith("worker") and n != "worker-extract"
            }
            name = self.chance.choice(sorted(workers))
            try:
                os.kill(workers[name], signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed.append(name)
            print(f"killed {name} (pid {workers[name]})", file=sys.stderr)


def measure(n: int, kills: int, seed: int, timeout_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="millrace-burst-") as folder:
        data = Path(folder)
        started = time.monotonic()
        with running_stack(data):
            ready_s = time.monotonic() - started
            c = Connected(connect(data))
            door = c.door()
            began = time.monotonic()
            ids = [door.prompt(text, Sender("burst")).request_id for text in prompts(n, seed)]
            door.flush()
            submitted_s = time.monotonic() - began
            ended = [0.0]
            killer = Killer(data, kills, seed, lambda: ended[0])
            killer.start()

            def rows(found: dict[str, dict[str, Any]]) -> None:
                ended[0] = sum(r["state"] in reports.ENDED for r in found.values()) / n
                print(f"{time.monotonic() - began:6.1f} s  {ended[0]:4.0%} ended", file=sys.stderr)

            found, complete = reports.wait_for(c.reports(), ids, timeout_s, lambda item: None, rows, interval_s=2.0)
            took = time.monotonic() - began
            killer.over.set()
            killer.join()
            counts = c.clickhouse().rows(
                "SELECT (SELECT count() FROM requests) AS requests, (SELECT countIf(state = 'validated') FROM requests) AS validated, (SELECT count() FROM usage) AS usage_events, "
                "(SELECT uniqExact(request_id, stage, kind) FROM usage) AS metered_steps, (SELECT count() FROM usage_recorded) AS usage_rows_stored, (SELECT sum(cost_usd) FROM usage) AS cost_usd, "
                "(SELECT uniqExact(version) FROM requests) AS versions, (SELECT max(version) FROM requests) AS highest_version, (SELECT count() FROM dead_letters) AS dead_letters"
            )[0]
    counts = {k: float(v) if "." in str(v) else int(v) for k, v in counts.items()}
    exact = (
        complete and counts["requests"] == counts["validated"] == counts["versions"] == n
        and counts["usage_events"] == counts["metered_steps"] == 2 * n and counts["dead_letters"] == 0
    )  # fmt: skip
    return {
        "prompts": n, "kills": len(killer.killed), "killed": killer.killed, "seed": seed, "ready_s": round(ready_s, 1), "submit_s": round(submitted_s, 1), "all_ended_s": round(took, 1),
        "per_minute": round(60 * n / took, 1), "complete": complete,
        "rejections": sorted({f"{r['reason']}: {r['message'][:200]}" for r in found.values() if r["state"] == "rejected"}), "states": {s: sum(r["state"] == s for r in found.values()) for s in ("validated", "rejected", "running", "accepted")},
        **counts, "exact": exact,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.burst", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=1500)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout (the default, and all there is)")
    options = parser.parse_args()
    quiet_logs()
    result = measure(options.prompts, options.kills, options.seed, options.timeout)
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["exact"] else 1)


if __name__ == "__main__":
    main()
