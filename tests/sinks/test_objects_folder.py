"""What only the folder must prove: its writers may be killed at any time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sinks.objects import BadKey, BadStoreUrl, FolderStore, ObjectsSettings, open_store

WRITER = """
import sys
from pathlib import Path
from sinks.objects import FolderStore
store = FolderStore(Path(sys.argv[1]), durable=False)
print("ready", flush=True)
number = int(sys.argv[2])
while True:
    body = bytes([number % 256]) * 200_000
    store.put("one", body)
    store.create(f"many/{number}", body)
    store.replace("one", body, store.get("one").etag)
    number += 1
"""


def test_killed_writers_leave_whole_objects_and_no_lock(tmp_path: Path) -> None:
    draw = random.Random(7)
    for attempt in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(attempt * 1000)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(draw.uniform(0.01, 0.1))
        writer.kill()
        writer.wait()
    store = FolderStore(tmp_path)
    written = list(store.keys(""))
    assert "one" in written and len(written) > 10
    for key in written:
        body = store.get(key).body
        assert len(body) == 200_000 and len(set(body)) == 1
    assert store.replace("one", b"after", store.get("one").etag)
    assert store.get("one").body == b"after"


def test_what_killed_writers_left_is_swept_a_day_later(tmp_path: Path) -> None:
    FolderStore(tmp_path)
    old, new = tmp_path / "tmp" / "0" / "0old", tmp_path / "tmp" / "0" / "0new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    store = FolderStore(tmp_path)
    assert not old.exists() and new.exists()
    assert list(store.keys("")) == []


def test_no_temporary_stays(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", b"1")
    store.create("a", b"2")
    store.replace("a", b"3", "not the tag")
    store.put_file("b", Path(__file__))
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


FULL = """
import sys
from pathlib import Path
from sinks.objects import FolderStore, StoreUnreachable
store = FolderStore(Path(sys.argv[1]), durable=True)
store.put("first", b"1" * 10_000)
number = 0
try:
    while True:
        store.create(f"many/{number}", b"x" * 20_000)
        number += 1
except StoreUnreachable as error:
    assert number > 3 and "No space left" in str(error), error
for write in (store.put, store.create, lambda key, body: store.replace(key, body, store.get("first").etag)):
    try:
        write("first", b"2" * 60_000)
    except StoreUnreachable:
        pass
    else:
        assert write == store.create, "a create of what is there needs no room"
assert store.get("first").body == b"1" * 10_000
assert not store.exists(f"many/{number}")
assert not [path for path in (store.root / "tmp").rglob("*") if path.is_file()]
store.delete("many/0")
assert store.create(f"many/{number}", b"x" * 20_000)
"""


def test_a_full_disk_is_no_keys_fault_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a file system of a megabyte, in a mount namespace of its own."""
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def test_nothing_lies_below_an_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", b"1")
    with pytest.raises(BadKey):
        store.put("a/b", b"2")
    with pytest.raises(BadKey):
        store.create("a/b/c", b"2")
    store.put("d/e", b"1")
    with pytest.raises(BadKey):
        store.put("d", b"2")
    with pytest.raises(BadKey):
        store.create("d", b"2")


def test_get_file_into_no_folder_is_the_callers_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put("a", b"1")
    with pytest.raises(FileNotFoundError):
        store.get_file("a", tmp_path / "none" / "out")


@pytest.mark.parametrize(
    "url", ["", "x", "file:objects", "file://host/objects", "ftp://a/b", "s3:///prefix", "s3://b?endpont=x", "file:///a?x=1", "http://a"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(BadStoreUrl):
        open_store(url)


def test_settings_open_a_folder(tmp_path: Path) -> None:
    store = ObjectsSettings(url=(tmp_path / "a b").as_uri(), durable=False).open()
    assert store.create("k", b"v")
    assert (tmp_path / "a b" / "data" / "k").read_bytes() == b"v"
