"""The committed list of Kafka's jars, and that nothing else gets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import jars
from infra.toolchain import Toolchain


def test_the_list_is_one_kafka() -> None:
    listed = jars.listed()
    versions = {c.split(":")[2] for c in listed if c.startswith("org.apache.kafka:")}
    assert versions == {jars.ENDPOINTS[0].split(":")[2]}, "jars of different releases do not work together"
    assert all(len(digest) == 64 and int(digest, 16) for digest in listed.values())
    names = [jars.file_name(c) for c in listed]
    assert len(set(names)) == len(names)


def test_what_set_up_fetched_is_what_is_listed() -> None:
    assert jars.missing(Toolchain.default().kafka, jars.listed()) == []


def test_a_jar_that_was_changed_or_is_not_listed_is_found(tmp_path: Path) -> None:
    content = b"a jar"
    (tmp_path / "a-1.jar").write_bytes(content)
    wanted = {"g:a:1": jars.sha256(tmp_path / "a-1.jar")}
    assert jars.missing(tmp_path, wanted) == []
    (tmp_path / "stray-2.jar").write_bytes(content)
    assert jars.fetch(tmp_path, wanted) == 0
    assert [p.name for p in tmp_path.glob("*.jar")] == ["a-1.jar"]
    (tmp_path / "a-1.jar").write_bytes(content + b"!")
    assert jars.missing(tmp_path, wanted) == ["g:a:1"]


def test_what_comes_over_the_network_is_checked_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the network: a file that is not what the list says."""
    from jgo.maven import PythonResolver

    def download(self: object, artifact: object) -> Path:
        path = tmp_path / "came.jar"
        path.write_bytes(b"not what was asked for")
        return path

    monkeypatch.setattr(PythonResolver, "download", download)
    with pytest.raises(jars.JarError, match=r"g:a:1: SHA-256 is \w+, the list says 00"):
        jars.fetch(tmp_path / "kafka", {"g:a:1": "00" * 32})
    assert list((tmp_path / "kafka").glob("*.jar")) == []
