"""Settings: every variable known, all that is wrong said at once, and where the data folder is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace import settings
from millrace.settings import BadSettings, StackNotFound

REMOTE = {
    "MILLRACE_BOOTSTRAP_SERVERS": "broker:9092",
    "MILLRACE_REGISTRY_URL": "http://registry:8081",
    "MILLRACE_CLICKHOUSE_URL": "http://clickhouse:8123",
    "MILLRACE_OBJECTS_URL": "s3://bucket/millrace",
}


def test_variables_name_a_remote_stack():
    found = settings.connect(None, settings.read_variables({**REMOTE, "MILLRACE_TOPIC_PREFIX": "eu.", "HOME": "/x"}))
    assert found.streams.bootstrap_servers == "broker:9092" and found.streams.topic_prefix == "eu." and found.objects.durable


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(BadSettings) as error:
        settings.read_variables({"MILLRACE_BOOTSTRAP": "x", "MILLRACE_METRICS_PORT": "lots", "MILLRACE_LOG_LEVEL": "loud"})
    assert all(name in str(error.value) for name in ("MILLRACE_BOOTSTRAP:", "MILLRACE_METRICS_PORT:", "MILLRACE_LOG_LEVEL:"))
    with pytest.raises(BadSettings, match="no address of ClickHouse"):
        settings.connect(None, settings.read_variables({**REMOTE, "MILLRACE_CLICKHOUSE_URL": "foo"}))
    with pytest.raises(BadSettings, match="group_protocol"):
        settings.connect(None, settings.read_variables({**REMOTE, "MILLRACE_GROUP_PROTOCOL": "newest"}))


def test_an_embedded_stack_is_found_by_its_folder(tmp_path, monkeypatch):
    data = tmp_path / ".millrace"
    data.mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with pytest.raises(StackNotFound, match="millrace up"):
        settings.connect(None, settings.read_variables({}))
    (data / "ready.json").write_text(
        json.dumps({"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:2", "clickhouse_url": "http://127.0.0.1:3"})
    )
    found = settings.connect(None, settings.read_variables({}))
    assert (
        found.streams.bootstrap_servers == "127.0.0.1:1" and found.objects.url == (data / "objects").as_uri() and not found.objects.durable
    )
    with pytest.raises(BadSettings, match="MILLRACE_REGISTRY_URL"):
        settings.connect(None, settings.read_variables({"MILLRACE_BOOTSTRAP_SERVERS": "other:9"}))
    remote = settings.read_variables(REMOTE)
    assert settings.connect(None, remote).streams.bootstrap_servers == "broker:9092"
    assert settings.connect(data, remote).streams.bootstrap_servers == "127.0.0.1:1"
    assert settings.data_folder(Path("here"), settings.read_variables({})) == below / "here"


def test_quotas_come_from_a_file_and_from_variables(tmp_path):
    assert settings.connect(None, settings.read_variables(REMOTE)).streams.quota.of("anyone")[0] == "ENTERPRISE"
    file = tmp_path / "tiers.yaml"
    file.write_text("default: PRO\ntenants: {acme: FREE}\n")
    found = settings.connect(None, settings.read_variables({**REMOTE, "MILLRACE_TIERS": str(file), "MILLRACE_QUOTA_COUNTS": "all"}))
    assert [found.streams.quota.of(t)[0] for t in ("acme", "other")] == ["FREE", "PRO"] and found.streams.quota.counts == "all"
    for wrong in ({"MILLRACE_DEFAULT_TIER": "GOLD"}, {"MILLRACE_TIERS": str(tmp_path / "none.yaml")}):
        with pytest.raises(BadSettings, match=r"GOLD|none\.yaml"):
            settings.connect(None, settings.read_variables({**REMOTE, **wrong}))


def test_secrets_do_not_show():
    found = settings.read_variables({"MILLRACE_OBJECTS_SECRET_KEY": "hunter2-hunter2", "MILLRACE_CLICKHOUSE_PASSWORD": "hunter3-hunter3"})
    assert "hunter" not in repr(found) and "hunter" not in str(
        settings.connect(None, found.model_copy(update={k.removeprefix("MILLRACE_").lower(): v for k, v in REMOTE.items()}))
    )


def test_a_language_model_is_named_whole_or_not_at_all():
    key = "sk-canary-0123456789"
    addresses = dict.fromkeys(settings.ADDRESSES, "http://h") | {"objects_url": "file:///tmp/objects"}
    address = {"MILLRACE_MODEL_URL": "http://127.0.0.1:9/v1", "MILLRACE_MODEL": "m", "MILLRACE_MODEL_API_KEY": key}
    named = settings.assemble(settings.read_variables(address), addresses, embedded=True)
    assert named.plan.model and named.generate.model and named.generate.model.api_key.get_secret_value() == key
    assert key not in repr(named)
    unnamed = settings.assemble(settings.read_variables({}), addresses, embedded=True)
    assert not unnamed.plan.model and unnamed.generate.model is None and unnamed.generate.cache and unnamed.validating.reuse
    for wrong in (
        {"MILLRACE_MODEL": "m"},
        {"MILLRACE_MODEL_URL": "http://h/v1"},
        {**address, "MILLRACE_MODEL_URL": f"http://u:{key}@h/v1"},
    ):
        with pytest.raises(BadSettings, match="MILLRACE_MODEL") as caught:
            settings.read_variables(wrong)
        assert key not in str(caught.value)


def test_only_the_worker_that_generates_gets_the_models_key(tmp_path):
    from types import SimpleNamespace

    from millrace.commands.stack import worker_specs

    names = ("bootstrap_servers", "registry_url", "clickhouse_url")
    endpoints = SimpleNamespace(data=str(tmp_path), **dict.fromkeys(names, "http://h"))
    (tmp_path / "run").mkdir()
    specs = worker_specs(endpoints, settings.read_variables({}))
    emptied = {s.name for s in specs if (s.env or {}).get("MILLRACE_MODEL_API_KEY") == ""}
    assert emptied == {s.name for s in specs if "generate" not in s.argv} and len(emptied) < len(specs)
