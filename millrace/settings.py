"""All settings in one place: each layer's own, assembled from ``MILLRACE_*`` variables, and all that is wrong said at once.

A command talks either to a remote stack, named by variables, or to the embedded one in a data folder, which wrote its addresses into
``ready.json``. Variables win.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from processors.extract.stage import ExtractStageSettings
from processors.generate.stage import GenerateSettings
from processors.toolchain.settings import ToolchainSettings
from processors.validate.stage import ValidateSettings
from sinks.clickhouse.http import ClickHouseSettings
from sinks.objects import ObjectsSettings
from streams.settings import StreamSettings

PREFIX = "MILLRACE_"


class BadSettings(ValueError):
    """The message lists every variable that is wrong and how."""


class StackNotFound(ConnectionError):
    """Neither variables nor a data folder name a running stack."""


class Variables(BaseModel):
    """Every variable there is. The name is ``MILLRACE_`` and the field in capitals; an unknown one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path | None = Field(None, description="the data folder of the embedded stack")
    bootstrap_servers: str | None = Field(None, description="Kafka brokers, host:port[,host:port...]")
    registry_url: str | None = Field(None, description="a schema registry that speaks Confluent's HTTP API")
    clickhouse_url: str | None = Field(None, description="http[s]://[USER[:PASSWORD]@]HOST:PORT[/?database=NAME]")
    clickhouse_user: str | None = Field(None, description="where it is not in the address")
    clickhouse_password: SecretStr | None = Field(None, description="where it is not in the address")
    objects_url: str | None = Field(None, description="file:///FOLDER or s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME]")
    objects_access_key: str | None = Field(None, description="S3 only; else the usual AWS places are looked at")
    objects_secret_key: SecretStr | None = Field(None, description="S3 only")
    objects_durable: bool = Field(True, description="folder only: flush every object to the disk before going on")
    topic_prefix: str = Field("", description="put before every topic name")
    group_prefix: str = Field("millrace", description="consumer groups are called PREFIX.STAGE")
    group_protocol: str = Field("consumer", description="consumer (KIP-848) or classic")
    replication_factor: int = Field(1, description="of topics created on start")
    partitions: int = Field(4, description="of request topics created on start")
    toolchain: Path | None = Field(None, description="folder of Node packages; made by set-up")
    chromium: Path | None = Field(None, description="the browser, where it is not on PATH")
    extract_processes: int = Field(1, ge=1, description="recordings at once in a worker")
    extract_threads: int = Field(2, ge=1, description="threads that read text, a recording")
    generate_concurrency: int = Field(2, ge=1, description="projects built at once in a worker")
    validate_concurrency: int = Field(2, ge=1, description="projects validated at once in a worker")
    browser_per_tenant: bool = Field(False, description="validate: give each tenant a browser of its own")
    metrics_host: str = Field("127.0.0.1", description="where metrics_port listens; 0.0.0.0 in a container")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="where a worker answers Prometheus; 0 picks a free port; unset: nowhere"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    worker_name: str | None = Field(None, description="what a worker calls itself in metrics; else made from host and process")


class Settings(BaseModel):
    """What a connected process needs."""

    model_config = ConfigDict(frozen=True)

    streams: StreamSettings
    clickhouse: ClickHouseSettings
    objects: ObjectsSettings
    extract: ExtractStageSettings
    generate: GenerateSettings
    validating: ValidateSettings
    toolchain: ToolchainSettings
    variables: Variables


def read_variables(environment: Mapping[str, str] | None = None) -> Variables:
    """``MILLRACE_*`` of the environment. Raises :class:`BadSettings`."""
    environment = os.environ if environment is None else environment
    given = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if k.startswith(PREFIX)}
    try:
        return Variables.model_validate({k: v for k, v in given.items() if v != ""})
    except ValidationError as error:
        known = ", ".join(PREFIX + name.upper() for name in Variables.model_fields)
        lines = [
            f"{PREFIX}{str(e['loc'][0]).upper()}: " + (f"not a setting; there are {known}" if e["type"] == "extra_forbidden" else e["msg"])
            for e in error.errors()
        ]
        raise BadSettings("\n".join(lines)) from error


def data_folder(given: Path | None, variables: Variables) -> Path:
    """``--data``, else ``MILLRACE_DATA``, else the nearest ``.millrace`` upwards from here, else ``./.millrace``."""
    chosen = given or variables.data
    if chosen:
        return chosen.absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".millrace").is_dir():
            return folder / ".millrace"
    return here / ".millrace"


ADDRESSES = ("bootstrap_servers", "registry_url", "clickhouse_url", "objects_url")


def connect(data: Path | None = None, variables: Variables | None = None) -> Settings:
    """Settings for a running stack: the one in ``data`` if given, else the remote one that variables name, else the embedded one nearby.

    Raises :class:`BadSettings`, also where variables name only a part of a stack, or :class:`StackNotFound`.
    """
    variables = variables or read_variables()
    named = {n: getattr(variables, n) for n in ADDRESSES}
    if data is None and any(named.values()):
        if missing := [PREFIX + n.upper() for n, value in named.items() if value is None]:
            raise BadSettings(f"a remote stack is named in part: set {', '.join(missing)} too, or none of them")
        return assemble(variables, named, embedded=False)
    folder = data_folder(data, variables)
    try:
        addresses = json.loads((folder / "ready.json").read_text())
    except FileNotFoundError:
        raise StackNotFound(
            f"no stack runs on {folder}: start one with 'millrace up --data {folder}', or name a remote one with "
            + ", ".join(PREFIX + n.upper() for n in ADDRESSES)
        ) from None
    addresses["objects_url"] = (folder / "objects").as_uri()
    return assemble(variables, addresses, embedded=True)


def assemble(variables: Variables, addresses: Mapping[str, str | None], *, embedded: bool) -> Settings:
    """Every layer's settings from variables and addresses. Raises :class:`BadSettings` with all that is wrong."""
    toolchain = ToolchainSettings(chromium=str(variables.chromium) if variables.chromium else None)
    toolchain = toolchain.model_copy(
        update={"browser_per_tenant": variables.browser_per_tenant} | ({"folder": variables.toolchain} if variables.toolchain else {})
    )
    try:
        return Settings(
            streams=StreamSettings(
                bootstrap_servers=addresses["bootstrap_servers"] or "",
                registry_url=addresses["registry_url"] or "",
                topic_prefix=variables.topic_prefix,
                group_prefix=variables.group_prefix,
                group_protocol=variables.group_protocol,
                replication_factor=variables.replication_factor,
                partitions=variables.partitions,
            ),
            clickhouse=ClickHouseSettings(
                url=addresses["clickhouse_url"] or "",
                user=variables.clickhouse_user or "",
                password=variables.clickhouse_password or SecretStr(""),
            ),
            objects=ObjectsSettings(
                url=addresses["objects_url"] or "",
                # The embedded Kafka leaves flushing to the system too: both survive any process's death.
                durable=variables.objects_durable and not embedded,
                access_key=variables.objects_access_key,
                secret_key=variables.objects_secret_key,
            ),
            extract=ExtractStageSettings(processes=variables.extract_processes, craft={"workers": variables.extract_threads}),
            generate=GenerateSettings(concurrency=variables.generate_concurrency),
            validating=ValidateSettings(concurrency=variables.validate_concurrency),
            toolchain=toolchain,
            variables=variables,
        )
    except ValidationError as error:
        raise BadSettings("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error
