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
from processors.generate.model.settings import ModelSettings
from processors.generate.stage import GenerateSettings
from processors.plan.stage import PlanSettings
from processors.toolchain.settings import ToolchainSettings
from processors.validate.stage import ValidateSettings
from sinks.archive.writer import ArchiveSettings
from sinks.clickhouse.http import ClickHouseSettings
from sinks.objects import ObjectsSettings
from streams.admission import Limits
from streams.quota import QuotaSettings, read_tiers
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
    tiers: Path | None = Field(None, description="YAML that says which tenant may use how much a day, as streams/quota.py says")
    default_tier: str | None = Field(
        None, description="the tier of tenants that no file names: FREE, PRO, ENTERPRISE (the default), or one of the file's"
    )
    quota_counts: str | None = Field(
        None, pattern="^(paid|all)$", description="requests that count: paid (those that call a provider) or all generated ones"
    )
    cache: bool = Field(True, description="give again what the same tenant asked for before and what was validated")
    model_url: str | None = Field(
        None, description="a language model: the base of an OpenAI-compatible API, https://HOST/v1; unset: none is asked"
    )
    model: str | None = Field(None, description="which model is asked there")
    model_api_key: SecretStr | None = Field(None, description="where the API asks for one")
    model_provider: str = Field("", description="what usage and prices call the provider; else from the address")
    model_prices: Path | None = Field(None, description="YAML with prices of models, as processors/model_prices.yaml says")
    model_structured: str = Field(
        "json_schema",
        pattern="^(json_schema|json_object|none)$",
        description="how the API is told to answer in JSON: json_schema, json_object, none",
    )
    model_files: bool = Field(False, description="let the model write source files, too, not only a spec")
    model_recordings: bool = Field(False, description="let the model make applications of recordings, instead of reconstructing them")
    model_temperature: float = Field(0.0, ge=0, le=2, description="above 0 nothing a model says is cached")
    model_max_output: int = Field(8_000, ge=100, description="tokens of an answer")
    model_context: int = Field(16_000, ge=500, description="tokens of a prompt and of what is seen in a recording; the rest is left out")
    model_first_token_s: float = Field(30.0, gt=0, description="until a model must begin to answer")
    model_total_s: float = Field(120.0, gt=0, description="until it must have answered")
    browser_per_tenant: bool = Field(False, description="validate: give each tenant a browser of its own")
    metrics_host: str = Field("127.0.0.1", description="where metrics_port listens; 0.0.0.0 in a container")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="where a worker answers Prometheus; 0 picks a free port; unset: nowhere"
    )
    admission_in_flight: int = Field(100, ge=1, description="generate: requests at work at once in a worker, at most")
    admission_queued: int = Field(1000, ge=0, description="generate: requests that may wait in a priority class; 0: any number")
    admission_wait_s: float = Field(30.0, ge=0, description="generate: how long critical and high requests may wait; 0: for ever")
    otlp_url: str | None = Field(None, description="an OpenTelemetry collector, http[s]://HOST:4318; unset: nothing is traced")
    trace_sample: float = Field(1.0, ge=0, le=1, description="the share of requests that are traced")
    scale: str | None = Field(None, description="worker processes of the embedded stack, STAGE=MIN:MAX[,STAGE=MIN:MAX...]")
    stop_deadline_s: float = Field(5.0, gt=0, description="how long work in flight may go on after SIGTERM")
    archive_linger_s: float = Field(30.0, gt=0, description="archive: how long records collect before they are written as files")
    code_version: str | None = Field(None, description="what recorded outputs and dead letters say did it; else the release's version")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    worker_name: str | None = Field(None, description="what a worker calls itself in metrics; else made from host and process")


class Settings(BaseModel):
    """What a connected process needs."""

    model_config = ConfigDict(frozen=True)

    streams: StreamSettings
    clickhouse: ClickHouseSettings
    objects: ObjectsSettings
    archive: ArchiveSettings
    extract: ExtractStageSettings
    plan: PlanSettings
    generate: GenerateSettings
    validating: ValidateSettings
    toolchain: ToolchainSettings
    variables: Variables


def read_variables(environment: Mapping[str, str] | None = None) -> Variables:
    """``MILLRACE_*`` of the environment. Raises :class:`BadSettings`."""
    environment = os.environ if environment is None else environment
    given = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if k.startswith(PREFIX)}
    try:
        variables = Variables.model_validate({k: v for k, v in given.items() if v != ""})
    except ValidationError as error:
        known = ", ".join(PREFIX + name.upper() for name in Variables.model_fields)
        lines = [
            f"{PREFIX}{str(e['loc'][0]).upper()}: " + (f"not a setting; there are {known}" if e["type"] == "extra_forbidden" else e["msg"])
            for e in error.errors()
        ]
        raise BadSettings("\n".join(lines)) from error
    _model(variables)  # what is wrong with it is said before anything is started
    return variables


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


def _quota(variables: Variables) -> QuotaSettings:
    try:
        read = read_tiers(variables.tiers) if variables.tiers else QuotaSettings()
        said = {"default": variables.default_tier, "counts": variables.quota_counts}
        return QuotaSettings.model_validate(read.model_dump() | {name: value for name, value in said.items() if value is not None})
    except ValueError as error:
        raise BadSettings(f"{PREFIX}TIERS, {PREFIX}DEFAULT_TIER: {error}") from error


def assemble(variables: Variables, addresses: Mapping[str, str | None], *, embedded: bool) -> Settings:
    """Every layer's settings from variables and addresses. Raises :class:`BadSettings` with all that is wrong."""
    toolchain = ToolchainSettings(chromium=str(variables.chromium) if variables.chromium else None)
    toolchain = toolchain.model_copy(
        update={"browser_per_tenant": variables.browser_per_tenant} | ({"folder": variables.toolchain} if variables.toolchain else {})
    )
    model = _model(variables)
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
                stop_deadline_s=variables.stop_deadline_s,
                **({} if variables.code_version is None else {"code_version": variables.code_version}),
                admission=Limits(
                    in_flight=variables.admission_in_flight, queued=variables.admission_queued, wait_s=variables.admission_wait_s
                ),
                quota=_quota(variables),
                otlp_url=variables.otlp_url,
                trace_sample=variables.trace_sample,
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
            archive=ArchiveSettings(linger_s=variables.archive_linger_s),
            extract=ExtractStageSettings(processes=variables.extract_processes, craft={"workers": variables.extract_threads}),
            plan=PlanSettings(model=model is not None, recordings=model is not None and variables.model_recordings),
            generate=GenerateSettings(concurrency=variables.generate_concurrency, cache=variables.cache, model=model),
            validating=ValidateSettings(concurrency=variables.validate_concurrency, reuse=variables.cache),
            toolchain=toolchain,
            variables=variables,
        )
    except ValidationError as error:
        raise BadSettings("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error


def _model(variables: Variables) -> ModelSettings | None:
    """The language model, where one is configured. Raises :class:`BadSettings`."""
    if variables.model_url is None and variables.model is None:
        return None
    if variables.model_url is None or variables.model is None:
        raise BadSettings("a language model is named in part: set MILLRACE_MODEL_URL and MILLRACE_MODEL, or neither of them")
    named = ("provider", "structured", "files", "temperature", "max_output", "context", "first_token_s", "total_s")
    given = {name: getattr(variables, f"model_{name}") for name in named}
    try:
        return ModelSettings(url=variables.model_url, model=variables.model, api_key=variables.model_api_key or SecretStr(""), **given)
    except ValidationError as error:
        raise BadSettings("\n".join(f"MILLRACE_MODEL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())) from error
