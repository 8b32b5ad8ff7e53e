"""A provider over real HTTP that counts its calls itself: ``python provider.py PORT_FILE JOURNAL DELAY_S``.

``POST /`` with ``{"step": ..., "call": N}``. Every call is a line in JOURNAL when it arrives and another when its answer was sent, by this
process's own clock. What becomes of a call is decided by a hash of step and number: an answer, an error (500), a refusal with a retry-after
(429), an answer that breaks off in the middle, or one that never comes. Prices differ from call to call, so that a wrong bill shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from schemas.records import UsageRecorded
from streams.ledger import Answer, Metered

BILL = Metered(kind="llm.call", provider="test", model="test-1")


def fate(step: str, call: int) -> str:
    """How a call ends: two in three well."""
    n = hashlib.sha256(f"{step}/{call}".encode()).digest()[0]
    return "error" if n < 26 else "busy" if n < 46 else "cut" if n < 61 else "never" if n < 71 else "ok"


def price(step: str, call: int) -> Decimal:
    return Decimal(1 + hashlib.sha256(f"price {step}/{call}".encode()).digest()[0]) / 10_000


class Handler(BaseHTTPRequestHandler):
    journal: Any
    delay_s: float

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        step, call = asked["step"], asked["call"]
        end = fate(step, call)
        self._note(asked, "arrived", end)
        time.sleep(self.delay_s * (0.5 + hashlib.sha256(step.encode()).digest()[1] / 256))
        if end == "never":
            time.sleep(3600)  # the caller hangs up
        if end in ("error", "busy"):
            self.send_response(500 if end == "error" else 429)
            self.send_header("retry-after", "0.2")
            self.end_headers()
        else:
            body = json.dumps({"answer": f"answer {call} to {step}", "usd": str(price(step, call))}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if end == "cut" else body)
        self._note(asked, "answered", end)

    def _note(self, asked: dict[str, Any], what: str, end: str) -> None:
        self.journal.write(json.dumps({**asked, "what": what, "end": end, "at": time.time()}) + "\n")

    def log_message(self, *_: Any) -> None: ...


def main() -> None:
    Handler.delay_s = float(sys.argv[3])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with Path(sys.argv[2]).open("a", buffering=1) as Handler.journal:
        part = Path(sys.argv[1] + ".part")
        part.write_text(str(server.server_port))
        part.replace(sys.argv[1])
        server.serve_forever()


# ---- its client -------------------------------------------------------------------------------------------------------------


async def ask(port: int, step: str, call: int) -> Answer:
    """One call. An answer that breaks off raises ``EOFError``: nobody knows what it would have said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        asked = json.dumps({"step": step, "call": call}).encode()
        writer.write(b"POST / HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(asked) + asked)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        status = int(head.split()[1])
        if status != 200:
            return Answer(
                ok=False, error=f"HTTP {status}", retry_after_s=float(headers["retry-after"]), metered=replace(BILL, cost_usd=Decimal(0))
            )
        said = json.loads(await reader.readexactly(int(headers["content-length"])))
    finally:
        writer.close()
    return Answer(body=said["answer"].encode(), metered=replace(BILL, cost_usd=Decimal(said["usd"])))


# ---- starting it, and its word against the bill ------------------------------------------------------------------------------


class Provider:
    """The process. ``port`` once it runs; :meth:`calls` is its count."""

    def __init__(self, folder: Path, delay_s: float = 0.1) -> None:
        self._journal, port_file = folder / "provider.jsonl", folder / "provider.port"
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(port_file), str(self._journal), str(delay_s)], env={"PYTHONPATH": root}, cwd=root
        )
        while not port_file.exists():
            assert self._process.poll() is None, "the provider did not start"
            time.sleep(0.02)
        self.port = int(port_file.read_text())

    def calls(self) -> list[Counted]:
        found: dict[tuple[str, int], Counted] = {}
        order: list[Counted] = []
        for line in self._journal.read_text().splitlines():
            said = json.loads(line)
            place = said["step"], said["call"]
            if said["what"] == "arrived":
                order.append(Counted(*place, said["end"], said["at"]))
                found[place] = order[-1]
            else:
                found[place].answered = True
        return order

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Counted:
    """A call as the provider saw it."""

    step: str
    number: int
    end: str
    at: float
    answered: bool = False


@dataclass
class Report:
    """What is wrong between the provider's count and the bill, and what there was."""

    wrong: list[str] = field(default_factory=list)
    calls: int = 0
    second_calls: int = 0
    in_doubt: int = 0
    corrected: int = 0
    cost: Decimal = Decimal(0)


def compare(calls: Iterable[Counted], rows: Iterable[UsageRecorded], intents: dict[tuple[str, int], int]) -> Report:
    """Hold the provider's count against the usage events. ``intents`` says when each call's intent expires, ms.

    Every call must be on the bill once, as what it was: answered, failed, or in doubt. A second call must come after an error on the bill,
    or after the expiry of an intent whose call is (or was, before it was corrected) in doubt.
    """
    report = Report()
    revisions: dict[tuple[str, int], dict[int, UsageRecorded]] = defaultdict(dict)
    for row in rows:
        known = revisions[row.request_id, row.call].setdefault(row.revision, row)
        if known != row:
            report.wrong.append(f"{row.request_id} call {row.call} revision {row.revision} says two things")
    seen: dict[tuple[str, int], Counted] = {}
    for call in calls:
        place = call.step, call.number
        report.calls += 1
        if place in seen:
            report.wrong.append(f"{place} was called twice")
        seen[place] = call
        on_bill = revisions.get(place)
        if on_bill is None:
            report.wrong.append(f"{place} is on no bill")
            continue
        last = on_bill[max(on_bill)]
        if last.outcome == "ok" and (call.end != "ok" or last.cost_usd != price(*place)):
            report.wrong.append(f"{place} ended as {call.end} for {price(*place)} and is billed as {last.outcome} for {last.cost_usd}")
        if last.outcome == "error" and call.end not in ("error", "busy"):
            report.wrong.append(f"{place} ended as {call.end} and is billed as {last.outcome}")
        if call.number:
            report.second_calls += 1
            before = revisions.get((call.step, call.number - 1), {}).get(0)
            expired = call.at * 1000 >= intents[call.step, call.number - 1]
            if before is None or not (before.outcome == "error" or (before.outcome == "in_doubt" and expired)):
                report.wrong.append(f"{place} was made after {before and before.outcome}, expired: {expired}")
    for place, on_bill in revisions.items():
        last = on_bill[max(on_bill)]
        report.cost += last.cost_usd or 0
        report.in_doubt += on_bill[0].outcome == "in_doubt" if 0 in on_bill else 0
        report.corrected += len(on_bill) > 1
        if place not in seen and last.outcome not in ("in_doubt",) and last.cost_usd != 0:
            report.wrong.append(f"{place} is billed as {last.outcome} and was never made")
    return report


if __name__ == "__main__":
    main()
