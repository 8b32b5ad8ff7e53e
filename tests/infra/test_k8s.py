"""The manifests against what they name: no cluster runs here, so every setting, stage, port and metric in them is held against the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.embedded.scaling import ScalingSettings
from millrace import settings as settings_module
from millrace.workers import STAGES, WINDOWS
from streams import metrics
from streams.topics import READ_BY

FOLDER = Path(__file__).resolve().parents[2] / "infra/k8s"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
DOCUMENTS: list[dict[str, Any]] = [d for name in KUSTOMIZATION["resources"] for d in yaml.safe_load_all((FOLDER / name).read_text())]
SECRETS = {d["metadata"]["name"]: d for d in yaml.safe_load_all((FOLDER / "secret.example.yaml").read_text())}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for d in DOCUMENTS if d["kind"] == kind}


CONFIG = of_kind("ConfigMap")["millrace"]["data"]
DEPLOYMENTS = of_kind("Deployment")
WORKERS = {n: d for n, d in DEPLOYMENTS.items() if d["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"}
POOLS = [n for n in WORKERS if n != "millrace-windows"]
SANDBOXED = {"millrace-generate", "millrace-validate"}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_every_file_is_in_and_every_kind_is_expected() -> None:
    files = {p.name for p in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert files == set(KUSTOMIZATION["resources"])
    kinds = {"ConfigMap", "Deployment", "PodDisruptionBudget", "ScaledObject", "PodMonitor", "PrometheusRule", "NetworkPolicy"}
    assert {d["kind"] for d in DOCUMENTS} == kinds


def test_every_stage_that_has_a_lag_has_a_deployment_of_its_own() -> None:
    assert {n.removeprefix("millrace-") for n in POOLS} == set(READ_BY) == set(STAGES)
    for name, deployment in WORKERS.items():
        stage = name.removeprefix("millrace-")
        assert container(deployment)["args"] == ["worker", stage] and stage in (*STAGES, WINDOWS)
        assert deployment["spec"]["template"]["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
        assert ("replicas" in deployment["spec"]) == (name not in POOLS), "the autoscaler's to say"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_environment_is_one_that_millrace_takes(name: str) -> None:
    found = container(DEPLOYMENTS[name])
    assert [e.get("configMapRef", e.get("secretRef"))["name"] for e in found["envFrom"]] == ["millrace", "millrace"]
    given = CONFIG | dict.fromkeys(SECRETS["millrace"]["stringData"], "chosen")
    for entry in found.get("env", []):
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        if source:
            assert source["key"] in SECRETS[source["name"]]["stringData"]
        given[entry["name"]] = entry.get("value", "x")
    assert all(isinstance(v, str) for v in given.values()), "Kubernetes takes texts alone"
    settings = settings_module.connect(variables=settings_module.read_variables(given))
    assert settings.variables.metrics_port in [p["containerPort"] for p in found["ports"]]
    assert settings.streams.replication_factor == 3


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_are_asked_and_stopped_as_they_answer(name: str) -> None:
    spec, found = DEPLOYMENTS[name]["spec"]["template"]["spec"], container(DEPLOYMENTS[name])
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert [p["name"] for p in found["ports"]] == ["metrics"]
    assert found["resources"]["requests"].keys() == {"cpu", "memory"} and "memory" in found["resources"]["limits"]
    if name in WORKERS:
        # The work's deadline, ten seconds for the last acknowledgements, and the leave of the group.
        assert spec["terminationGracePeriodSeconds"] >= float(CONFIG["MILLRACE_STOP_DEADLINE_S"]) + 10 + 10


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nobody_is_root_and_only_what_needs_the_sandbox_gets_its_room(name: str) -> None:
    spec, found = DEPLOYMENTS[name]["spec"]["template"]["spec"], container(DEPLOYMENTS[name])
    pod, own = spec["securityContext"], found["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] == 10001
    assert own["capabilities"] == {"drop": ["ALL"]} and own["allowPrivilegeEscalation"] is False and "privileged" not in own
    assert spec["automountServiceAccountToken"] is False
    if name in SANDBOXED:
        assert pod["seccompProfile"]["type"] == pod["appArmorProfile"]["type"] == "Unconfined"
        assert own["procMount"] == "Unmasked" and spec["hostUsers"] is False, "the one needs the other"
        assert any(m["mountPath"] == "/dev/shm" for m in found["volumeMounts"])
    else:
        assert pod["seccompProfile"]["type"] == "RuntimeDefault" and own["readOnlyRootFilesystem"]
        assert "procMount" not in own and "appArmorProfile" not in pod
    mounted = {m["name"] for m in found.get("volumeMounts", [])}
    assert mounted == {v["name"] for v in spec.get("volumes", [])}


@pytest.mark.parametrize("name", POOLS)
def test_pools_are_scaled_by_the_lag_that_we_tell(name: str) -> None:
    stage = name.removeprefix("millrace-")
    scaled, defaults = of_kind("ScaledObject")[name]["spec"], ScalingSettings()
    assert scaled["scaleTargetRef"]["name"] == name
    (trigger,) = scaled["triggers"]
    metric, label = re.fullmatch(r'max\((\w+)\{stage="(\w+)"\}\)', trigger["metadata"]["query"]).groups()  # type: ignore[union-attr]
    assert metric in {d.name for d in metrics.CATALOGUE} and label == stage
    assert float(trigger["metadata"]["threshold"]) == defaults.target_s
    assert trigger["metricType"] == "Value" and trigger["metadata"]["ignoreNullValues"] == "false"
    partitions = sum(t.partitions or int(CONFIG["MILLRACE_PARTITIONS"]) for t in READ_BY[stage])
    assert 1 <= scaled["minReplicaCount"] <= scaled["maxReplicaCount"] <= partitions
    behaviour = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == defaults.quiet_s
    assert behaviour["scaleUp"]["policies"][0]["value"] == 100
    budget = of_kind("PodDisruptionBudget")[name]["spec"]
    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": {"millrace/stage": stage}}}


def test_the_exporter_is_the_command_that_there_is() -> None:
    from typer.testing import CliRunner

    from millrace.cli import app

    args = container(DEPLOYMENTS["millrace-lag"])["args"]
    assert args == ["lag", "--listen", f"0.0.0.0:{CONFIG['MILLRACE_METRICS_PORT']}"]
    assert "--listen" in CliRunner().invoke(app, ["lag", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output


def test_the_rules_are_those_of_prometheus() -> None:
    own = yaml.safe_load((FOLDER.parent / "prometheus/alerts.yml").read_text())
    assert of_kind("PrometheusRule")["millrace"]["spec"] == own
    monitor = of_kind("PodMonitor")["millrace"]["spec"]
    assert monitor["podMetricsEndpoints"][0]["port"] == "metrics"
    assert all(monitor["selector"]["matchLabels"].items() <= d["metadata"]["labels"].items() for d in DEPLOYMENTS.values())


def test_the_network_lets_through_what_the_settings_name_and_nobody_in_but_prometheus() -> None:
    policy = of_kind("NetworkPolicy")["millrace"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (ingress,) = policy["ingress"]
    assert [p["port"] for p in ingress["ports"]] == [int(CONFIG["MILLRACE_METRICS_PORT"])]
    open_ports = {
        (to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in policy["egress"]
        for to in rule["to"]
        for port in rule["ports"]
    }
    named = set()
    for key in ("MILLRACE_BOOTSTRAP_SERVERS", "MILLRACE_REGISTRY_URL", "MILLRACE_CLICKHOUSE_URL", "MILLRACE_OBJECTS_URL"):
        namespace, port = re.search(r"(?:^|//|=http://)[\w-]+\.(\w+):(\d+)", CONFIG[key]).groups()  # type: ignore[union-attr]
        named.add((namespace, int(port)))
    assert named <= open_ports
    model = of_kind("NetworkPolicy")["millrace-model"]["spec"]
    assert model["podSelector"]["matchLabels"] == {"millrace/stage": "generate"}


def test_no_secret_is_in_them() -> None:
    assert set(SECRETS) == {"millrace", "millrace-model"}
    assert not any(v for s in SECRETS.values() for v in s["stringData"].values())
    assert not any(re.search("PASSWORD|KEY", key) for key in CONFIG)
