"""Set-up's way of working: what is done is not done again, what fails is said, and a runtime that is too old is not taken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra import bootstrap, doctor, setup, system
from infra.toolchain import REPOSITORY, Toolchain, ToolchainError


def program(folder: Path, name: str, prints: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("prints", "version"), [("v24.19.0", 24), ("v8.1.0", 8), ("", None), ("nonsense", None)])
def test_node_versions(tmp_path: Path, prints: str, version: int | None) -> None:
    assert system.node_version(program(tmp_path, "node", prints)) == version


@pytest.mark.parametrize(
    ("prints", "version"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_392"', 8), ('openjdk version "25" 2025-09-16', 25), ("", None)],
)
def test_java_versions(tmp_path: Path, prints: str, version: int | None) -> None:
    assert system.java_version(program(tmp_path / "bin", "java", prints)) == version


def test_a_runtime_that_is_too_old_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "java", 'openjdk version "11.0.2"')
    program(tmp_path, "node", "v18.19.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert system.java(setup.OLDEST_JAVA) is None
    assert system.node(setup.OLDEST_NODE) is None


def test_a_new_node_without_npm_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "node", "v24.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.node(setup.OLDEST_NODE) is None


def test_steps_wait_for_what_they_need_and_failures_are_all_said() -> None:
    done: list[str] = []

    def fail() -> None:
        raise setup.SetupError("the disk is full")

    def step(name: str, *after: str, make: object = None) -> setup.Step:
        return setup.Step(name, lambda: False, make or (lambda: done.append(name)), after)  # type: ignore[arg-type]

    said: list[str] = []
    failures = setup.carry_out([step("c", "b"), step("b", "a"), step("a"), step("bad", make=fail), step("late", "bad")], said.append)
    assert done == ["a", "b", "c"]
    assert sorted(failures) == ["bad: the disk is full", "late: not tried, as bad failed"]
    assert [line.split(" ... ")[0] for line in said] == done


def test_stamps_fit_only_what_they_were_made_from(tmp_path: Path) -> None:
    stamps = setup.Stamps(tmp_path / "stamps")
    assert not stamps.fits("x", setup.digest("1"))
    stamps.write("x", setup.digest("1"))
    assert stamps.fits("x", setup.digest("1"))
    assert not stamps.fits("x", setup.digest("1", ""))


def test_certificates_reach_every_downloader_and_choices_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "UV_NATIVE_TLS", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/company.pem")
    monkeypatch.setenv("PIP_CERT", "/mine.pem")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    found = bootstrap.network_environment()
    assert found["REQUESTS_CA_BUNDLE"] == found["NODE_EXTRA_CA_CERTS"] == "/company.pem"
    assert found["UV_NATIVE_TLS"] == "1"
    assert found["UV_DEFAULT_INDEX"] == "https://packages.example/simple"
    assert "PIP_CERT" not in found


def test_every_locked_package_has_hashes_and_no_address() -> None:
    for lock in (REPOSITORY / "requirements").glob("*.lock"):
        text = lock.read_text()
        assert "://" not in text, lock
        for entry in re.split(r"\n(?=[A-Za-z0-9])", text):
            assert "--hash=sha256:" in entry, f"{lock}: {entry.splitlines()[0]}"
    assert '"resolved"' not in (setup.NODE_MANIFEST / "package-lock.json").read_text()


def test_the_second_run_has_nothing_to_do() -> None:
    """The tests run after set-up: once more must find every step ready, and say nothing."""
    again = subprocess.run(
        [sys.executable, str(REPOSITORY / "infra" / "bootstrap.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_who_is_not_root_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "missing_packages", lambda: ["libgl1", "bubblewrap"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup.SetupError, match="as root: apt-get install -y --no-install-recommends libgl1 bubblewrap"):
        setup.system_packages().make()


def test_after_set_up_the_doctor_finds_what_set_up_brings() -> None:
    brought = {"Python", "Python packages", "Java", "Node", "npm packages", "Kafka", "Chromium", "libraries and fonts"}
    checks = doctor.check()
    assert brought <= {c.name for c in checks}
    assert [c for c in checks if c.name in brought and not c.ok] == []
    assert all(c.found and c.needed and bool(c.how_to_get) is not c.ok for c in checks)


def test_the_doctor_says_how_to_get_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {c.name: c for c in doctor.check(Toolchain(tmp_path / "empty"))}
    for name in ("Java", "Node", "npm packages", "Kafka"):
        assert not checks[name].ok
        assert checks[name].how_to_get == "make setup"
    assert checks["Chromium"].how_to_get == "as root: apt-get install -y --no-install-recommends chromium-headless-shell"
    assert checks["sandbox"].how_to_get == "as root: apt-get install -y --no-install-recommends bubblewrap"


def test_without_set_up_the_toolchain_says_so(tmp_path: Path) -> None:
    empty = Toolchain(tmp_path)
    with pytest.raises(ToolchainError, match="run `make setup`"):
        empty.program("java")
    with pytest.raises(ToolchainError, match="run `make setup`"):
        empty.kafka_classpath()
