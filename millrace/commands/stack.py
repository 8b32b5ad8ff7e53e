"""Commands for the embedded stack: up, doctor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from millrace import settings as settings_module
from millrace.commands.common import Data, Json, explained
from millrace.output import OK, REJECTED, UNREACHABLE, USAGE, err, fail, out, print_json
from streams.admin import BrokerUnreachable
from streams.settings import StreamSettings
from streams.topics import READ_BY

if TYPE_CHECKING:
    from infra.embedded.supervisor import Endpoints, ProcessSpec, Supervisor

WORKERS = {
    "worker-extract": ["extract"],
    "worker-plan-generate": ["plan", "generate"],
    "worker-validate": ["validate"],
    "worker-sink": ["sink", "archive"],
    "worker-windows": ["windows"],
}
"""The processes of the embedded stack and their stages: what may crash on hostile input has a process of its own."""


def processes(sizes: Mapping[str, int] = MappingProxyType({})) -> dict[str, list[str]]:
    """The worker processes and their stages: :data:`WORKERS`, and beside them, for a stage of size n, n - 1 that run this stage alone."""
    more = {f"worker-{stage}-{i}": [stage] for stage, size in sizes.items() for i in range(2, size + 1)}
    return WORKERS | more


def worker_specs(
    endpoints: Endpoints, variables: settings_module.Variables, sizes: Mapping[str, int] = MappingProxyType({})
) -> list[ProcessSpec]:
    """A worker for each of :func:`processes`, told where the stack is."""
    from infra.embedded.supervisor import ProcessSpec

    environment: Mapping[str, str] = {
        **{settings_module.PREFIX + name.upper(): value for name, value in _addresses(endpoints).items()},
        "MILLRACE_OBJECTS_DURABLE": "false",
        "MILLRACE_LOG_LEVEL": variables.log_level,
        # Each answers on a port of its own, on loopback; ready.json says where.
        "MILLRACE_METRICS_HOST": "127.0.0.1",
        "MILLRACE_METRICS_PORT": "0",
    }
    specs = []
    for name, stages in processes(sizes).items():
        ready = Path(endpoints.data) / "run" / f"{name}.ready"
        ready.parent.mkdir(exist_ok=True)
        argv = [sys.executable, "-m", "millrace.cli", "worker", *stages, "--ready-file", str(ready)]
        # Only what asks a model gets to know its key.
        keyless = {} if "generate" in stages else {"MILLRACE_MODEL_API_KEY": ""}
        specs.append(ProcessSpec(name, argv, env={**environment, **keyless, "MILLRACE_WORKER_NAME": name}, ready_file=ready))
    return specs


def up(
    data: Data = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="JSON with addresses and pids, written when all is ready and rewritten when a process is replaced.")
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: a free one, the same again on the same folder.")
    ] = None,
    registry_port: Annotated[int | None, typer.Option(min=1, max=65535, help="As --kafka-port.")] = None,
    clickhouse_port: Annotated[int | None, typer.Option(min=1, max=65535, help="As --kafka-port.")] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=MIN:MAX",
            help="Let a stage have MIN to MAX worker processes, by how late it is; several times, or with commas (also MILLRACE_SCALE). Default: one each.",
        ),
    ] = None,
) -> None:
    """Run the embedded stack and every stage in the foreground: Kafka, ClickHouse, registry, object store, workers. Ctrl-C stops it."""
    try:
        from infra.embedded.process import ProcessError
        from infra.embedded.scaling import Scaler, parse_scale
        from infra.embedded.supervisor import StackError, StackSettings, Supervisor
        from infra.embedded.watchdog import Watchdog
        from infra.toolchain import ToolchainError
    except ImportError as error:
        fail(USAGE, f"the embedded stack is not installed ({error}); install millrace[embedded], or run 'make setup' in a checkout")
    from millrace.workers import prepare

    try:
        variables = settings_module.read_variables()
    except settings_module.BadSettings as error:
        fail(USAGE, str(error))
    remote = [n for n in settings_module.ADDRESSES if getattr(variables, n)]
    if remote:
        named = ", ".join("MILLRACE_" + n.upper() for n in remote)
        fail(
            USAGE,
            f"{named} name a remote stack; unset them to run the embedded one, or run stages against the remote one with 'millrace worker'",
        )
    folder = settings_module.data_folder(data, variables)

    stages = dict.fromkeys(stage for runs in WORKERS.values() for stage in runs if stage in READ_BY)
    try:
        bounds = parse_scale(scale or ([variables.scale] if variables.scale else []), stages)
    except ValueError as error:
        fail(USAGE, f"--scale: {error}")
    smallest = {stage: b.low for stage, b in bounds.items()}

    def connected(endpoints: Endpoints) -> settings_module.Settings:
        return settings_module.assemble(variables, _addresses(endpoints), embedded=True)

    def beside(endpoints: Endpoints) -> list[Callable[[Supervisor, Event], None]]:
        streams = connected(endpoints).streams
        lag = Behind(streams)
        tasks: list[Callable[[Supervisor, Event], None]] = [Watchdog(lag)]
        if any(b.high > b.low for b in bounds.values()):
            tasks.append(Scaler(bounds, streams, lambda sizes: worker_specs(endpoints, variables, sizes), err.print))
        return tasks

    try:
        with explained():
            Supervisor(
                StackSettings(
                    data=folder, ready_file=ready_file, kafka_port=kafka_port, registry_port=registry_port, clickhouse_port=clickhouse_port
                ),
                specs=lambda endpoints: worker_specs(endpoints, variables, smallest),
                prepare=lambda endpoints: prepare(connected(endpoints)),
                beside=beside,
            ).run()
    except (StackError, ProcessError) as error:
        fail(UNREACHABLE, str(error))
    except ToolchainError as error:
        fail(USAGE, f"{error} ('millrace doctor' says more)")


class Behind:
    """Whether a worker process has work waiting, by its stages' lag. Unknown (the broker is away) is no."""

    def __init__(self, streams: StreamSettings) -> None:
        self._streams = streams

    def __call__(self, name: str) -> bool:
        from streams.lag import LagReader

        stages = [s for s in WORKERS.get(name, [name.removeprefix("worker-").rpartition("-")[0]]) if s in READ_BY]
        if not stages:
            return True  # nothing here knows its lag, so being silent is enough
        try:
            reader = LagReader(self._streams, stages)
        except BrokerUnreachable:
            return False
        try:
            return any(lag.records for lag in reader.read().values())
        except BrokerUnreachable:
            return False
        finally:
            reader.close()


def _addresses(endpoints: Endpoints) -> dict[str, str]:
    return {
        "bootstrap_servers": endpoints.bootstrap_servers,
        "registry_url": endpoints.registry_url,
        "clickhouse_url": endpoints.clickhouse_url,
        "objects_url": (Path(endpoints.data) / "objects").as_uri(),
    }


def doctor(json: Json = False) -> None:
    """What is there, what is missing, and how to get it."""
    from infra.doctor import check

    checks = check()
    if json:
        print_json([{"name": c.name, "ok": c.ok, "found": c.found, "needed": c.needed, "how_to_get": c.how_to_get} for c in checks])
    else:
        for c in checks:
            mark = Text("ok      ", style="green") if c.ok else Text("missing ", style="bold red")
            out.print(mark + Text(f"{c.name:<22} {c.found or c.needed}"))
            if not c.ok:
                out.print(Text(f"        {c.how_to_get}"))
    raise SystemExit(OK if all(c.ok for c in checks) else REJECTED)
