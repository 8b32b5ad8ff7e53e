"""One suite over every object store: what the engine may rely on, whatever lies beneath."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sinks.objects import BadKey, open_store
from streams.objects import ObjectDamaged, ObjectMissing, ObjectStore, claim, claimed, get_content, put_content, put_content_file

ROUNDS = 12
RACERS = 8


def test_what_was_put_is_got(store: ObjectStore) -> None:
    for body in (b"", b"x", bytes(range(256)) * 5000):
        etag = store.put("a/b.c_d-e", body)
        stored = store.get("a/b.c_d-e")
        assert (stored.body, stored.etag) == (body, etag)


def test_etag_tells_contents_apart(store: ObjectStore) -> None:
    assert store.put("a", b"1") != store.put("a", b"2")


def test_missing(store: ObjectStore, tmp_path: Path) -> None:
    store.put("there/is", b"x")
    for key in ("none", "there", "there/is/not", "there/is-not"):
        with pytest.raises(ObjectMissing):
            store.get(key)
        with pytest.raises(ObjectMissing):
            store.get_file(key, tmp_path / "out")
        assert not store.exists(key)
        assert not store.replace(key, b"y", "0" * 32)
        store.delete(key)
    assert not (tmp_path / "out").exists()
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    assert list(store.keys("")) == ["there/is"]


def test_create_writes_once(store: ObjectStore) -> None:
    assert store.create("k", b"first")
    assert not store.create("k", b"second")
    assert store.get("k").body == b"first"
    store.delete("k")
    assert store.create("k", b"third")


def test_replace_compares(store: ObjectStore) -> None:
    old = store.put("k", b"1")
    assert store.replace("k", b"2", old)
    assert not store.replace("k", b"3", old)
    assert store.get("k").body == b"2"
    assert store.replace("k", b"4", store.get("k").etag)
    assert store.get("k").body == b"4"


def test_delete(store: ObjectStore) -> None:
    etag = store.put("k", b"1")
    store.delete("k")
    store.delete("k")
    assert not store.exists("k")
    assert not store.replace("k", b"2", etag)
    assert not store.exists("k")


def test_keys_in_order(store: ObjectStore) -> None:
    keys = ["a", "b/a", "b/c/d", "b-a", "b.a", "b0", "bb/1", "c/1"]
    for key in keys:
        store.put(key, b"")
    assert list(store.keys("")) == sorted(keys)
    assert list(store.keys("b")) == sorted(key for key in keys if key.startswith("b"))
    assert list(store.keys("b/")) == ["b/a", "b/c/d"]
    assert list(store.keys("b/c")) == ["b/c/d"]
    assert list(store.keys("b/c/d")) == ["b/c/d"]
    assert list(store.keys("nothing/here")) == []


def test_listings_of_several_pages(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.objects.s3.PAGE", 10)
    keys = [f"n/{number:04}" for number in range(45)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.create(key, b"x"), keys))
    assert list(store.keys("n/")) == keys


@pytest.mark.parametrize("size", [0, 1, (17 << 20) + 3])
def test_files(store: ObjectStore, tmp_path: Path, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "in").write_bytes(body)
    store.put_file("f/1", tmp_path / "in")
    store.get_file("f/1", tmp_path / "out")
    assert hashlib.sha256((tmp_path / "out").read_bytes()).digest() == hashlib.sha256(body).digest()
    store.put_file("f/1", tmp_path / "out")
    assert store.exists("f/1")
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "./a", "a\\b", "a b", "a\x00b", "ä", "a\n", "a:b", "%2e%2e/a", "a/" * 500 + "a", "x" * 300],
)  # fmt: skip
def test_keys_that_are_none(store: ObjectStore, tmp_path: Path, key: str) -> None:
    (tmp_path / "in").write_bytes(b"x")
    calls: list[Callable[[], Any]] = [
        lambda: store.get(key),
        lambda: store.put(key, b""),
        lambda: store.create(key, b""),
        lambda: store.replace(key, b"", "x"),
        lambda: store.delete(key),
        lambda: store.exists(key),
        lambda: store.put_file(key, tmp_path / "in"),
        lambda: store.get_file(key, tmp_path / "out"),
    ]
    for call in calls:
        with pytest.raises(BadKey):
            call()


def test_prefixes_that_are_none(store: ObjectStore) -> None:
    for prefix in ("..", "../", "/", "a/../b", "a b"):
        with pytest.raises(BadKey):
            list(store.keys(prefix))


def test_content_is_checked(store: ObjectStore, tmp_path: Path) -> None:
    ref = put_content(store, "tenant", b"body")
    assert put_content(store, "tenant", b"body") == ref
    assert get_content(store, str(ref)) == b"body"
    store.put(ref.key, b"bodx")
    with pytest.raises(ObjectDamaged):
        get_content(store, str(ref))
    (tmp_path / "in").write_bytes(b"from a file")
    of_file, size = put_content_file(store, "tenant", tmp_path / "in")
    assert (get_content(store, str(of_file)), size) == (b"from a file", 11)


def test_claim(store: ObjectStore) -> None:
    assert claimed(store, "x/1") is None
    assert claim(store, "x/1", b"mine") == (True, b"mine")
    assert claim(store, "x/1", b"yours") == (False, b"mine")
    assert claimed(store, "x/1") == b"mine"


def test_racing_creates_in_threads(store: ObjectStore) -> None:
    with ThreadPoolExecutor(RACERS) as pool:
        for round_ in range(ROUNDS):
            key = f"race/{round_}"
            won = list(pool.map(lambda racer, key=key: store.create(key, str(racer).encode()), range(RACERS)))
            assert won.count(True) == 1
            assert store.get(key).body == str(won.index(True)).encode()


def test_racing_replaces_in_threads(store: ObjectStore) -> None:
    """Each racer adds one to a counter, by compare and replace: no addition is lost."""
    store.put("counter", b"0")

    def add(_: int) -> None:
        done = False
        while not done:
            there = store.get("counter")
            done = store.replace("counter", str(int(there.body) + 1).encode(), there.etag)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(24)))
    assert store.get("counter").body == b"24"


RACER = """
import sys
from sinks.objects import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for round in range(int(sys.argv[3])):
    if store.create(f"race/{round}", sys.argv[2].encode()):
        print("won", round, flush=True)
for _ in range(int(sys.argv[3])):
    done = False
    while not done:
        there = store.get("counter")
        done = store.replace("counter", str(int(there.body) + 1).encode(), there.etag)
print("done", flush=True)
"""


def test_racing_processes(store_url: str) -> None:
    store = open_store(store_url)
    store.put("counter", b"0")
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, store_url, str(racer), str(ROUNDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for racer in range(3)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    won: dict[int, str] = {}
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    for number, racer in enumerate(racers):
        lines = racer.communicate()[0].splitlines()
        assert racer.returncode == 0 and lines[-1] == "done"
        for line in lines[:-1]:
            round_ = int(line.removeprefix("won "))
            assert round_ not in won, "two racers believe they came first"
            won[round_] = str(number)
    assert {round_: store.get(f"race/{round_}").body.decode() for round_ in range(ROUNDS)} == won
    assert store.get("counter").body == str(3 * ROUNDS).encode()
