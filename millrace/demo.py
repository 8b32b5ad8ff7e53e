"""The demonstration: a real stack, a real recording, a prompt, two applications, and what they took.

    python -m millrace.demo [--out DIR] [--data DIR]

Starts the embedded stack in a folder of its own, submits the sample recording and a prompt, follows both, writes the applications and
their reports into ``demo-out/``, answers in SQL what they cost, and stops everything it started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from millrace import reports
from millrace.commands.common import Connected, quiet_logs
from millrace.doors import Sender
from millrace.output import fail, money, out, plain, print_table
from millrace.settings import connect
from processors.toolchain import project
from streams.objects import get_content

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "sqlite_web.mp4"
PROMPT = "an inventory app with products (name, price, stock) and suppliers (name, country)"
LIMIT_S = 300
COST_SQL = """
SELECT kind, title, state, method, round(date_diff('millisecond', submitted_at, ended_at) / 1000, 1) AS seconds, usage_events, cost_usd
FROM requests ORDER BY submitted_at
"""
USAGE_SQL = "SELECT stage, kind, sum(quantity) AS quantity, any(unit) AS unit, sum(cost_usd) AS cost_usd FROM usage GROUP BY stage, kind ORDER BY stage, kind"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m millrace.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where the two applications go (emptied first)")
    parser.add_argument("--data", type=Path, help="the stack's data folder (default: a temporary one, removed at the end)")
    options = parser.parse_args()
    quiet_logs()
    with contextlib.ExitStack() as stack:
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-demo-")))
        if options.out.exists():
            marker = options.out / ".millrace-demo"
            if not marker.exists() and any(options.out.iterdir()):
                fail(2, f"{options.out} holds something that is not an earlier demo's; choose another with --out")
            shutil.rmtree(options.out)
        options.out.mkdir(parents=True)
        (options.out / ".millrace-demo").touch()
        started = time.monotonic()
        try:
            stack.enter_context(running_stack(data))
        except StackNotStarted as error:
            fail(3, str(error))
        out.print(
            f"The stack is ready after {time.monotonic() - started:.1f} s: Kafka, ClickHouse, a schema registry, an object store, five stages."
        )
        ok = demonstrate(Connected(connect(data)), options.out, started)
        out.print(f"\nStopping the stack; the demo took {time.monotonic() - started:.1f} s.")
    sys.exit(0 if ok else 1)


class StackNotStarted(RuntimeError):
    """The message holds the end of its log."""


@contextlib.contextmanager
def running_stack(data: Path) -> Iterator[dict[str, Any]]:
    """``millrace up`` as a process, from ready to stopped. Yields its ready file. Raises :class:`StackNotStarted`."""
    ready = data / "ready.json"
    data.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    log = (data / "up.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace.cli", "up", "--data", str(data)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 90
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackNotStarted(f"the stack did not start:\n{(data / 'up.log').read_text()[-3000:]}")
            time.sleep(0.1)  # polls for the ready file, with a deadline
        yield json.loads(ready.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def demonstrate(c: Connected, target: Path, started: float) -> bool:
    door = c.door()
    video = door.video(SAMPLE, Sender("demo", "recorded")).request_id
    prompt = door.prompt(PROMPT, Sender("demo", "prompted")).request_id
    door.flush()
    names = {video: "recording", prompt: "prompt"}
    out.print(f"\n  recording  {video}  {SAMPLE.name}\n  prompt     {prompt}  {PROMPT!r}\n")

    def news(item: dict[str, Any]) -> None:
        head = Text(f"{time.monotonic() - started:6.1f} s  {names[item['request_id']]:<9}  ")
        out.print(head + Text(f"{item['stage'] or item['what']:<9}", style="bold") + Text(f" {plain(item['detail'])}"))

    rows, complete = reports.wait_for(c.reports(), [video, prompt], LIMIT_S, news)
    if not complete:
        out.print(Text(f"not finished after {LIMIT_S} s", style="bold red"))
    out.print()
    for request, name in names.items():
        row = rows.get(request, {})
        folder = target / name
        verdict = Text(f"{name:<10} ") + Text(
            str(row.get("state", "unknown")), style="bold green" if row.get("state") == "validated" else "bold red"
        )
        if row.get("state") == "validated":
            project.write(project.unpack(get_content(c.objects(), row["artifact_uri"])), folder)
            scores = ", ".join(f"{k} {v:.2f}" for k, v in sorted((row.get("scores") or {}).items()))
            verdict.append(
                f"  version {row['version']}, {row['errors']} errors, {row['warnings']} warnings, {money(row['cost_usd'])}"
                + (f"  ({scores})" if scores else "")
            )
        else:
            verdict.append(f"  {row.get('reason', '')}: {plain(row.get('message', ''))}")
        out.print(verdict)
        if row.get("report_uri"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "validation-report.html").write_bytes(get_content(c.objects(), row["report_uri"]))
            out.print(f"           report   {folder / 'validation-report.html'}")
        if row.get("state") == "validated":
            out.print(f"           open it  {Path(sys.executable)} -m millrace.serve {folder}")
    for title, sql in (("What the requests took (SQL: requests)", COST_SQL), ("What was metered (SQL: usage)", USAGE_SQL)):
        found = c.clickhouse().rows(sql)
        out.print()
        print_table(list(found[0]) if found else [], [r.values() for r in found], title)
    return complete and all(rows[r]["state"] == "validated" for r in names)


if __name__ == "__main__":
    main()
