"""Commands for the embedded stack: up, doctor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from millrace import settings as settings_module
from millrace.commands.common import Data, Json, explained
from millrace.output import OK, REJECTED, UNREACHABLE, USAGE, fail, out, print_json

if TYPE_CHECKING:
    from infra.embedded.supervisor import Endpoints, ProcessSpec

WORKERS = {
    "worker-extract": ["extract"],
    "worker-plan-generate": ["plan", "generate"],
    "worker-validate": ["validate"],
    "worker-sink": ["sink"],
}
"""The processes of the embedded stack and their stages: what may crash on hostile input has a process of its own."""


def worker_specs(endpoints: Endpoints, variables: settings_module.Variables) -> list[ProcessSpec]:
    """A worker for each of :data:`WORKERS`, told where the stack is."""
    from infra.embedded.supervisor import ProcessSpec

    environment: Mapping[str, str] = {
        **{settings_module.PREFIX + name.upper(): value for name, value in _addresses(endpoints).items()},
        "MILLRACE_OBJECTS_DURABLE": "false",
        "MILLRACE_LOG_LEVEL": variables.log_level,
    }
    specs = []
    for name, stages in WORKERS.items():
        ready = Path(endpoints.data) / "run" / f"{name}.ready"
        ready.parent.mkdir(exist_ok=True)
        argv = [sys.executable, "-m", "millrace.cli", "worker", *stages, "--ready-file", str(ready)]
        specs.append(ProcessSpec(name, argv, env={**environment, "MILLRACE_WORKER_NAME": name}, ready_file=ready))
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
) -> None:
    """Run the embedded stack and every stage in the foreground: Kafka, ClickHouse, registry, object store, workers. Ctrl-C stops it."""
    try:
        from infra.embedded.process import ProcessError
        from infra.embedded.supervisor import StackError, StackSettings, Supervisor
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

    def ready(endpoints: Endpoints) -> None:
        prepare(settings_module.assemble(variables, _addresses(endpoints), embedded=True))

    try:
        with explained():
            Supervisor(
                StackSettings(
                    data=folder, ready_file=ready_file, kafka_port=kafka_port, registry_port=registry_port, clickhouse_port=clickhouse_port
                ),
                specs=lambda endpoints: worker_specs(endpoints, variables),
                prepare=ready,
            ).run()
    except (StackError, ProcessError) as error:
        fail(UNREACHABLE, str(error))
    except ToolchainError as error:
        fail(USAGE, f"{error} ('millrace doctor' says more)")


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
