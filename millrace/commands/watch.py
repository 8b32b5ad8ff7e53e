"""Commands that watch the engine: lag, metrics."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from millrace.commands.common import Data, Json, connected
from millrace.output import USAGE, err, fail, money, out, print_json, print_table
from streams import metrics as engine_metrics
from streams.admin import BrokerUnreachable
from streams.health import HealthServer
from streams.lag import LagReader, StageLag
from streams.members import Members, Unknown
from streams.settings import StreamSettings

_EVERY_S = 5.0
_READY_S = 30.0


def lag(
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Go on, and answer Prometheus on /metrics: what KEDA scales by (infra/k8s).")
    ] = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """How far each stage is behind: records, the age of the oldest in seconds, workers. From the broker alone, whether workers run or not."""
    with connected(data) as c:
        if listen is not None:
            _serve(Exporter(c.settings.streams), *_address(listen))
            return
        found = LagReader(c.settings.streams).read()
        workers = Workers(c.settings.streams).read(found)
    if json:
        print_json([asdict(stage) | {"workers": workers.get(stage.stage)} for stage in found.values()])
    else:
        print_table(
            ["stage", "records behind", "oldest (s)", "workers", "partitions"],
            [(s.stage, s.records, f"{s.seconds:.1f}", workers.get(s.stage, "?"), s.partitions) for s in found.values()],
        )


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        fail(USAGE, f"--listen {listen!r} is not HOST:PORT")
    return host, int(port)


class Workers:
    """Counts the members of stages' consumer groups."""

    def __init__(self, streams: StreamSettings) -> None:
        self._streams, self._members = streams, Members(streams.bootstrap_servers)

    def read(self, stages: Iterable[str]) -> dict[str, int]:
        """By stage; empty where nobody could say."""
        groups = {f"{self._streams.group_prefix}.{stage}": stage for stage in stages}
        try:
            return {groups[group]: len(members) for group, members in self._members.read(groups).items()}
        except Unknown as error:
            err.print(f"workers are not known: {error}", markup=False)
            return {}


class Exporter:
    """Reads the lag again and again and tells Prometheus; where the broker does not answer, nothing is told, rather than what was."""

    def __init__(self, streams: StreamSettings) -> None:
        self._reader, self._workers = LagReader(streams), Workers(streams)
        self._read_at = float("-inf")
        self._why = "the broker has not been asked yet"

    def wrong(self) -> list[str]:
        return []  # a broker that is away comes back without this process being started again

    def not_ready(self) -> list[str]:
        return [] if time.monotonic() < self._read_at + _READY_S else [self._why]

    def turn(self) -> None:
        try:
            found = self._reader.read()
        except BrokerUnreachable as error:
            self._why = str(error)
            for gauge in (engine_metrics.STAGE_LAG_RECORDS, engine_metrics.STAGE_LAG_SECONDS, engine_metrics.STAGE_WORKERS):
                gauge.clear()
            err.print(self._why, markup=False)
        else:
            self._read_at = time.monotonic()
            tell(found.values(), self._workers.read(found))


def tell(stages: Iterable[StageLag], workers: Mapping[str, int]) -> None:
    engine_metrics.STAGE_WORKERS.clear()
    for stage in stages:
        engine_metrics.STAGE_LAG_RECORDS.labels(stage.stage).set(stage.records)
        engine_metrics.STAGE_LAG_SECONDS.labels(stage.stage).set(stage.seconds)
    for name, count in workers.items():
        engine_metrics.STAGE_WORKERS.labels(name).set(count)


def _serve(exporter: Exporter, host: str, port: int) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = HealthServer(exporter, host, port)
    except OSError as error:
        fail(USAGE, f"--listen {host}:{port}: {error.strerror}")
    err.print(f"{server.url}/metrics", markup=False)
    while True:
        exporter.turn()
        if stop.wait(_EVERY_S):
            break
    server.close()


def metrics(markdown: Annotated[bool, typer.Option("--markdown", help="As the page docs/METRICS.md.")] = False, json: Json = False) -> None:
    """Every metric that the engine tells Prometheus, with its labels and meaning."""
    if markdown:
        out.print(engine_metrics.page(), end="", markup=False, soft_wrap=True)
    elif json:
        print_json([asdict(d) for d in engine_metrics.CATALOGUE])
    else:
        print_table(
            ["metric", "kind", "labels", "meaning"], [(d.name, d.kind, ", ".join(d.labels), d.help) for d in engine_metrics.CATALOGUE]
        )


def windows(
    tenant: Annotated[str | None, typer.Option(help="This one alone.")] = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """What is being used right now, per tenant, minute, hour and day, and what is usual in each stage: live estimates of 'worker windows'.

    What was out of the ordinary: millrace query "SELECT * FROM anomalies_by_stage". What counts in the end: millrace query "SELECT * FROM usage_by_tenant_day"
    """
    from millrace.windows import read_windows

    with connected(data) as c:
        found = read_windows(c.settings.streams)
    tenants = [t for t in found["tenants"] if tenant in (None, t["tenant"])]
    if json:
        print_json({"tenants": tenants, "stages": found["stages"]})
        return
    rows = [
        (t["tenant"], size, time.strftime("%Y-%m-%d %H:%M", time.gmtime(w["start"] / 1000)), w["events"], w["tokens"], money(w["cost_usd"]), w["unpriced"])
        for t in tenants
        for size, w in (("minute", t["minutes"][-1] if t["minutes"] else None), ("hour", t["hour"]), ("day", t["day"]))
        if w
    ]  # fmt: skip
    print_table(["tenant", "window", "from (UTC)", "events", "tokens", "cost", "unpriced"], rows)
    if found["stages"]:
        out.print()
        print_table(
            ["stage", "metric", "usual", "deviation", "minutes known"],
            [
                (s["stage"], m, f"{u['mean']:.4g}", f"{u['deviation']:.3g}", u["minutes"])
                for s in found["stages"]
                for m, u in s["usual"].items()
            ],
        )
