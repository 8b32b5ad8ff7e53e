"""The engine beside a bare client loop, Quix Streams and Faust: ``python -m bench.engine [--json] [--peers-python VENV/bin/python]``.

All sides run one after the other in one run on one machine, over the same records in the same real broker:

- *pure*: decode, change, encode, publish, acknowledge each record; ours with ids, metrics and trace headers on;
- *waiting*: 100 ms a record, 256 at once, 4 partitions; the ideal is 2,560 records/s;
- *latency*: two stages one behind the other at 500 records/s, from produce to the reader behind the second;
- *usage*: usage events from Kafka into ClickHouse, beside the same records inserted as Avro files without Kafka, and as rows decoded in Python;
- *rebalance*: eight workers, one leaving while its handler hangs (``bench/engine_rebalance.py``);
- *memory*: resident memory of one worker by quarters of a long run; only with ``--only memory``, since ten million records take minutes.

Each side is a process of its own (``bench/engine_sides.py``, ``bench/engine_peers.py``) and times itself from its first record to the
moment when every output is acknowledged by the broker and every input may be committed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench import engine_sink
from bench.broker import broker
from infra.embedded.clickhouse import ClickHouse, ClickHouseSettings
from schemas import ids
from schemas.avro_codec import schema_text
from schemas.records import GenerationRequested
from streams.admin import ensure_topics
from streams.codec import Codec
from streams.registry import Registry as Schemas
from streams.settings import StreamSettings
from streams.topics import CATALOGUE, GENERATION_REQUESTED

IN = GENERATION_REQUESTED["normal"]
HERE = Path(__file__).parent
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def fill(settings: StreamSettings, count: int) -> None:
    """``count`` records of about 200 bytes, evenly over the partitions, with the headers that our stages write."""
    codec = Codec(Schemas(settings.registry_url))
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20, "queue.buffering.max.messages": 2_000_000})
    for n in range(count):
        request = ids.new_id()
        record = GenerationRequested(
            event_id=request, request_id=request, tenant="acme", project="demo", occurred_at=1_790_000_000_000, method="compose", spec=f"record {n:08d} " + "x" * 60
        )  # fmt: skip
        headers = [("millrace-event-id", request.encode()), ("millrace-tenant", b"acme"), TRACE]
        producer.produce(
            settings.topic_prefix + IN.name, codec.encode(IN, record), request, partition=n % settings.partitions, headers=headers
        )
        if n % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise SystemExit("the broker did not take the records")


def side(
    name: str, config: dict[str, Any], python: str = sys.executable, script: str = "engine_sides.py", timeout_s: float = 600
) -> dict[str, Any]:
    """Run one side; its last line of output is its result."""
    call = ["-m", f"bench.{script.removesuffix('.py')}"] if python == sys.executable else [str(HERE / script)]
    done = subprocess.run([python, *call, name, json.dumps(config)], capture_output=True, text=True, timeout=timeout_s, cwd=HERE.parent)
    if done.returncode or not done.stdout.strip():
        return {"error": done.stderr[-2000:]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=300_000, help="for the pure stage and for memory (then 10_000_000 is the goal)")
    parser.add_argument("--usage-records", type=int, default=300_000, help="for the sink")
    parser.add_argument("--rounds", type=int, default=3, help="each side of the pure stage is run so often, in turn; the best round counts")
    parser.add_argument("--faust-records", type=int, default=30_000, help="fewer, as it is slower")
    parser.add_argument(
        "--peers-python", help="interpreter of an environment with quixstreams and faust-streaming; without it they are missing"
    )
    parser.add_argument("--only", choices=["pure", "waiting", "latency", "usage", "rebalance", "memory"])
    options = parser.parse_args()
    with broker() as real:
        result = measure(real.bootstrap_servers, real.registry_url, str(real.folder), options)
    print(json.dumps(result, indent=None if options.json else 2))


def measure(bootstrap: str, registry: str, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    settings = StreamSettings(bootstrap_servers=bootstrap, registry_url=registry, max_in_flight=5_000)
    result: dict[str, Any] = {}
    number = 0

    def world(**changes: Any) -> dict[str, Any]:
        """A config with topics of its own."""
        nonlocal number
        number += 1
        made = settings.model_copy(update={"topic_prefix": f"b{number}.", "group_prefix": f"b{number}"} | changes)
        ensure_topics(made, CATALOGUE.values())
        return {
            "settings": made.model_dump(mode="json"),
            "folder": folder,
            "in": made.topic_prefix + IN.name,
            "out": made.topic_prefix + "artifact.generated",
            "schema_in": schema_text("generation.requested"),
            "schema_out": schema_text("artifact.generated"),
        }

    def again(config: dict[str, Any]) -> dict[str, Any]:
        """The same records for another group."""
        nonlocal number
        number += 1
        return config | {"settings": config["settings"] | {"group_prefix": f"b{number}"}}

    if options.only in (None, "pure"):
        config = world()
        fill(StreamSettings(**config["settings"]), options.records)
        config |= {"records": options.records}
        sides = {"bare": ("engine_sides.py", sys.executable, options.records), "ours": ("engine_sides.py", sys.executable, options.records)}
        if options.peers_python:
            sides["quix"] = ("engine_peers.py", options.peers_python, options.records)
            sides["faust"] = ("engine_peers.py", options.peers_python, options.faust_records)
        rates: dict[str, list[float]] = {name: [] for name in sides}
        cpu: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, (script, python, records) in sides.items():
                got = side(name, again(config) | {"records": records}, python, script)
                if "error" in got:
                    result.setdefault("errors", {})[name] = got["error"]
                else:
                    rates[name].append(records / got["seconds"])
                    cpu[name] += [got["cpu_us"]] if "cpu_us" in got else []
        best = {name: max(r) for name, r in rates.items() if r}
        result["pure"] = {f"{name}_per_s": round(rate) for name, rate in best.items()}
        result["pure"]["cpu_us_per_record"] = {name: round(min(c), 1) for name, c in cpu.items() if c}
        result["pure"]["rounds"] = {name: [round(r) for r in found] for name, found in rates.items()}
        for peer in ("bare", "quix", "faust"):
            if "ours" in best and peer in best:
                result[f"ratio_{peer}"] = round(best["ours"] / best[peer], 3)
        if not options.peers_python:
            result["missing"] = "quix and faust: give --peers-python"
    if options.only in (None, "waiting"):
        config = world(max_in_flight=2000)
        fill(StreamSettings(**config["settings"]), 10_240)
        got = side("waiting", config | {"records": 10_240, "wait_s": 0.1, "at_once": 256})
        result["waiting"] = (
            got
            if "error" in got
            else {"per_s": round(10_240 / got["seconds"]), "ideal_per_s": 2560, "ratio_ideal": round(10_240 / got["seconds"] / 2560, 3)}
        )
    if options.only in (None, "latency"):
        result["latency"] = {name: side(f"latency-{name}", world() | {"records": 5000, "per_s": 500}) for name in ("bare", "ours")}
        bare, ours = result["latency"]["bare"], result["latency"]["ours"]
        if "error" not in bare and "error" not in ours:
            result["latency"] |= {f"ratio_{q}": round(ours[q] / bare[q], 2) for q in ("p50_ms", "p99_ms")}
    if options.only in (None, "usage"):
        result["usage"] = usage(world(), folder, options)
    if options.only in (None, "rebalance"):
        config = world(partitions=16)
        result["rebalance"] = side("rebalance", config, script="engine_rebalance.py")
        if "error" not in result["rebalance"]:
            found = result["rebalance"]
            found["beyond_deadline_s"] = round(found["others_go_on_s"] - found["deadline_s"], 2)
    if options.only == "memory":
        result["memory"] = memory(world(), options.records)
    return result


def usage(config: dict[str, Any], folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """The sink beside its limit and beside what one writes first, in turn; the best round of each counts."""
    clickhouse = ClickHouse(ClickHouseSettings(data=Path(folder, "clickhouse"), log=Path(folder, "clickhouse.log")))
    clickhouse.start()
    try:
        clickhouse.ready()
        config |= {"clickhouse": clickhouse.url, "records": options.usage_records}
        engine_sink.fill(StreamSettings(**config["settings"]), options.usage_records)
        rates: dict[str, list[float]] = {"sink": [], "files": [], "decoded": []}
        found: dict[str, Any] = {}
        for number in range(options.rounds):
            for name in rates if number == 0 else ("files", "sink"):
                settings = config["settings"] | {"group_prefix": f"usage{number}"}
                got = side(name, config | {"settings": settings}, script="engine_sink.py")
                if "error" in got:
                    found.setdefault("errors", {})[name] = got["error"]
                elif got["rows"] != options.usage_records:
                    found.setdefault("errors", {})[name] = f"{got['rows']} rows of {options.usage_records}"
                else:
                    rates[name].append(options.usage_records / got["seconds"])
                    if "cpu_us" in got:
                        found["cpu_us_per_row"] = round(min(got["cpu_us"], found.get("cpu_us_per_row", got["cpu_us"])), 1)
    finally:
        clickhouse.stop()
    best = {name: max(r) for name, r in rates.items() if r}
    found |= {f"{name}_per_s": round(rate) for name, rate in best.items()}
    return found | {f"ratio_{n}": round(best["sink"] / best[n], 3) for n in ("files", "decoded") if "sink" in best and n in best}


def memory(config: dict[str, Any], records: int) -> dict[str, Any]:
    """Records are fed while they are read, so that the broker's disk and the page cache stay small."""
    got = side("memory", config | {"records": records}, timeout_s=7200)
    if "error" not in got:
        got["ratio_last_to_second_quarter"] = round(got["rss_mib"][3] / got["rss_mib"][1], 3)
    return got


if __name__ == "__main__":
    main()
