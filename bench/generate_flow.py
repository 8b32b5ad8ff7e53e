"""The whole way over Kafka, timed from the outside: from before the door is asked to the verdict's record in a consumer's hands."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.burst import prompts
from bench.fake_model import FakeModel, Says, answer, spec
from bench.machine import Account, cpu_s, load, percentile
from millrace import reports
from millrace.commands.common import Connected
from millrace.demo import running_stack
from millrace.doors import Sender
from millrace.settings import connect

TOPICS = ("prompt.submitted", "generation.requested.normal", "artifact.generated", "artifact.validated", "artifact.rejected")
ENDS = TOPICS[-2:]


class Watch(threading.Thread):
    """Reads the pipeline's topics and notes when each request's records came."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 5,
                "fetch.error.backoff.ms": 5,
            }
        )
        places = []
        for topic in TOPICS:
            for partition in self._consumer.list_topics(topic, timeout=20).topics[topic].partitions:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
                places.append(TopicPartition(topic, partition, high))
        self._consumer.assign(places)
        self.seen: dict[str, dict[str, float]] = {}
        self._changed = threading.Condition()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() or message.key() is None:
                continue
            with self._changed:
                self.seen.setdefault(message.key().decode(), {})[message.topic()] = time.monotonic()
                self._changed.notify_all()
        self._consumer.close()

    def ended(self, request: str) -> str | None:
        """The topic of the request's verdict, if it has one."""
        return next((t for t in ENDS if t in self.seen.get(request, {})), None)

    def wait(self, requests: list[str], timeout_s: float) -> int:
        """How many have a verdict, once all have or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: all(self.ended(r) for r in requests), timeout_s)
            return sum(self.ended(r) is not None for r in requests)

    def close(self) -> None:
        self._over.set()
        self.join(10)


@contextlib.contextmanager
def _stack(**variables: str) -> Iterator[tuple[Path, Connected, Watch]]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        with tempfile.TemporaryDirectory(prefix="millrace-generate-") as folder, running_stack(Path(folder)) as ready:
            connected = Connected(connect(Path(folder)))
            watch = Watch(ready["bootstrap_servers"])
            watch.start()
            try:
                yield Path(folder), connected, watch
            finally:
                watch.close()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _ms(values: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(1000 * percentile(values, 0.5), 1),
        "p95_ms": round(1000 * percentile(values, 0.95), 1),
        "max_ms": round(1000 * max(values), 1),
    }


def cache(n: int) -> dict[str, Any]:
    """``n`` times an answer from the cache, one after the other, of a model and of a composed one."""
    text = "Flottenverwaltung mit Lastwagen und Fahrern"
    says = Says(answer(spec("Fleet", trucks=["plate", "mileage: integer"], drivers=["name"])))
    result: dict[str, Any] = {}
    with (
        FakeModel(lambda _, __: says) as fake,
        _stack(MILLRACE_MODEL_URL=fake.url, MILLRACE_MODEL="fake", MILLRACE_MODEL_PROVIDER="fake") as (_, c, watch),
    ):
        door = c.door()
        for kind, prompt in (("model", text), ("composed", "an app to manage trucks (plate, mileage) and drivers (name)")):
            first = _timed(door, watch, prompt)
            hits = [_timed(door, watch, prompt) for _ in range(n + 5)][5:]
            hops = {f"to {topic}": _ms([h[topic] for h in hits]) for topic in TOPICS if all(topic in h for h in hits)}
            result[kind] = {
                "first_ms": round(1000 * first["verdict"]),
                "hits": n,
                "door_to_verdict": _ms([h["verdict"] for h in hits]),
                "until": hops,
            }
        rows = c.clickhouse().rows
        deadline = time.monotonic() + 60
        counted: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            counted = rows(
                "SELECT kind, outcome, count() AS n, sum(cost_usd) AS usd, sum(saved_usd) AS saved FROM usage GROUP BY kind, outcome ORDER BY kind, outcome"
            )
            if sum(int(r["n"]) for r in counted) >= 2 * 2 * (n + 6):
                break
            time.sleep(0.5)
        result |= {"usage": counted, "calls_of_the_model": fake.calls, "load": load()}
    return result


def _timed(door: Any, watch: Watch, text: str) -> dict[str, float]:
    begun = time.monotonic()
    request = door.prompt(text, Sender("bench")).request_id
    door.flush()
    if not watch.wait([request], 300):
        raise RuntimeError(f"no verdict on {request} within 300 s; seen: {watch.seen.get(request)}")
    seen = {topic: at - begun for topic, at in watch.seen[request].items()}
    topic = watch.ended(request)
    if topic != "artifact.validated":
        raise RuntimeError(f"{request} ended as {topic}")
    return seen | {"verdict": seen[topic]}


def flow(n: int, seed: int) -> dict[str, Any]:
    """``n`` distinct prompts at once, then as many at half the rate that was reached."""
    account = Account()
    with _stack(MILLRACE_CACHE="false") as (folder, c, watch):
        door = c.door()
        for text in prompts(4, seed + 1000):  # warm: browser, database, code
            _timed(door, watch, text)
        pids = {name: pid for name, pid in json.loads((folder / "ready.json").read_text())["processes"].items() if name != "supervisor"}
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        begun, busy = time.monotonic(), account.spent()
        ids = []
        for text in prompts(n, seed):
            ids.append(door.prompt(text, Sender("bench")).request_id)
        door.flush()
        done = watch.wait(ids, 3600)
        took = time.monotonic() - begun
        busy = account.spent() - busy
        spent = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        validated = sum(watch.ended(i) == "artifact.validated" for i in ids)
        print(f"flow: {validated} of {n} validated in {took:.1f} s", file=sys.stderr)
        half = _half(door, watch, prompts(2 * n, seed)[n:], n / took / 2)
        complete = reports.wait_for(c.reports(), ids, 300, lambda _: None, lambda _: None, interval_s=2.0)[1]
    exact = account.exact
    account.close()
    return {
        "prompts": n, "ended": done, "validated": validated, "complete": complete, "all_s": round(took, 1), "per_hour": round(3600 * validated / took),
        "cpu_ms_per_artifact_without_sandboxed_tools": {name: round(1000 * s / n) for name, s in sorted(spent.items(), key=lambda kv: -kv[1]) if s > 0},
        # The whole stack with its sandboxes, and this program.
        "cpu_ms_per_artifact": round(1000 * busy / n), "account_exact": exact, "half_load": half, "load": load(),
    }  # fmt: skip


def _half(door: Any, watch: Watch, texts: list[str], per_s: float) -> dict[str, Any]:
    """An open loop: each comes when it is due, whatever became of the ones before."""
    begun: dict[str, float] = {}
    start = time.monotonic()
    for number, text in enumerate(texts):
        time.sleep(max(0.0, start + number / per_s - time.monotonic()))
        at = time.monotonic()
        begun[door.prompt(text, Sender("bench")).request_id] = at
        door.flush()
    watch.wait(list(begun), 3600)
    took = [watch.seen[i][end] - at for i, at in begun.items() if (end := watch.ended(i))]
    return {"per_hour": round(3600 * per_s), "requests": len(texts), "ended": len(took), "door_to_verdict": _ms(took)}
