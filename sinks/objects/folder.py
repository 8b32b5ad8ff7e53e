"""An object store in a folder, for one machine: any number of threads and processes, any of which may be killed at any time.

On disk::

    ROOT/data/<key>          the objects
    ROOT/tmp/<0..f>/<name>   bodies being written; what a killed writer left there is removed when a store is opened a day later
    ROOT/locks/<000..fff>    lock files, shared by the keys that hash to them

Invariants:

1. A body is complete, and (where ``durable``) on the disk, before it gets its name. A name never shows half a body.
2. A name is given by ``link`` (fails where there is one: create) or ``rename`` (put, replace). Both are atomic.
3. Whatever overwrites or removes a name holds the key's lock, so nothing changes between a replace's comparison and its rename.
   A create needs no lock: it succeeds only where nothing is, and a replace only where something is.
4. Locks are ``flock``: the kernel releases them when their holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sinks.objects.keys import BadKey, StoreUnreachable, check_key, check_prefix
from streams.objects import ObjectMissing, Stored

_SHARDS = "0123456789abcdef"
_LOCKS = 4096
_STALE_S = 24 * 3600
_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


class FolderStore:
    """Implements :class:`streams.objects.ObjectStore`.

    ``durable`` says whether an object also survives the machine's death (an fsync of the file and of its folder, 0.4 ms where
    this was measured) or only its writer's. A key may not lie below another object's key (``a`` and ``a/b``): :class:`BadKey`.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self._data, self._tmp, self._locks = root / "data", root / "tmp", root / "locks"
        self._durable = durable
        for folder in (self._data, self._locks, *(self._tmp / shard for shard in _SHARDS)):
            folder.mkdir(parents=True, exist_ok=True)
        self._sweep()

    # -- the port ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Stored:
        path = self._path(key)
        with _well(key):
            body = self._read(path)
        if body is None:
            raise ObjectMissing(key)
        return Stored(body, _etag(body))

    def put(self, key: str, body: bytes) -> str:
        path = self._path(key)
        with _well(key), self._written(body) as temporary, self._lock(key):
            self._rename(temporary, path)
        return _etag(body)

    def create(self, key: str, body: bytes) -> bool:
        path = self._path(key)
        if path.is_file():  # the cheap answer to most redeliveries; the link below is what decides
            self._sync(path.parent)
            return False
        with _well(key), self._written(body) as temporary:
            self._make_folder(path.parent)
            try:
                os.link(temporary, path)
                created = True
            except FileExistsError:
                if path.is_dir():
                    raise BadKey(f"{key!r} is taken: other objects lie below it") from None
                created = False
            # The loser too: it is about to rely on an object whose winner may not have come to this line.
            self._sync(path.parent)
        return created

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        path = self._path(key)
        with _well(key), self._written(body) as temporary, self._lock(key):
            there = self._read(path)
            if there is None or _etag(there) != etag:
                return False
            self._rename(temporary, path)
        return True

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _well(key), self._lock(key):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return
            self._sync(path.parent)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        folder, _, _ = check_prefix(prefix).rpartition("/")
        yield from self._walk(self._data / folder, f"{folder}/" if folder else "", prefix)

    def put_file(self, key: str, path: Path) -> None:
        target = self._path(key)
        with _well(key), self._temporary() as temporary:
            shutil.copyfile(path, temporary)
            self._sync(temporary)
            with self._lock(key):
                self._rename(temporary, target)

    def get_file(self, key: str, path: Path) -> None:
        source = self._path(key)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            with source.open("rb") as reading, part.open("xb") as writing:
                shutil.copyfileobj(reading, writing, 1 << 20)
            part.replace(path)
        except (NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(key) from None
        except FileNotFoundError:
            if source.is_file():  # then it is the caller's folder that is not there
                raise
            raise ObjectMissing(key) from None
        finally:
            part.unlink(missing_ok=True)

    # -- names and bodies ----------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        return self._data / check_key(key)

    @staticmethod
    def _read(path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A name under ``tmp`` that nobody else has; what is left there afterwards is removed."""
        name = uuid.uuid4().hex
        path = self._tmp / name[0] / name
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _written(self, body: bytes) -> Iterator[Path]:
        with self._temporary() as path:
            with path.open("xb", buffering=0) as file:
                view = memoryview(body)
                while view:
                    view = view[file.write(view) :]
                if self._durable:
                    os.fsync(file.fileno())
            yield path

    def _rename(self, temporary: Path, path: Path) -> None:
        self._make_folder(path.parent)
        try:
            temporary.rename(path)
        except IsADirectoryError:
            raise BadKey(f"{path.relative_to(self._data).as_posix()!r} is taken: other objects lie below it") from None
        self._sync(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Make ``folder`` and those above it, each on the disk before something lies in it."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BadKey(f"an object lies at {folder.relative_to(self._data).as_posix()!r}; nothing can lie below it") from None
        self._sync(folder.parent)

    def _sync(self, path: Path) -> None:
        if self._durable:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _walk(self, folder: Path, at: str, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                # A folder sorts as its keys do, with the slash: 'a-b' comes before 'a/b'.
                names = sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            key = at + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(folder / name, key, prefix)
            elif key.startswith(prefix):
                yield key

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        stripe = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=2).digest(), "big") % _LOCKS
        # Opened anew each time: flock belongs to the open file, and threads must exclude each other too.
        descriptor = os.open(self._locks / f"{stripe:03x}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what killed writers left. A day is longer than any write takes."""
        oldest = time.time() - _STALE_S
        for shard in _SHARDS:
            for path in (self._tmp / shard).iterdir():
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < oldest:
                        path.unlink()


@contextmanager
def _well(key: str) -> Iterator[None]:
    """Tell a disk that is full or broken from what is wrong with a key or a body."""
    try:
        yield
    except OSError as error:
        if error.errno in _TROUBLE:
            raise StoreUnreachable(f"{key!r}: {error.strerror}") from error
        raise


def _etag(body: bytes) -> str:
    """Of the content, as S3's is. Never of the file's time and number: a number is used again within a clock tick."""
    return hashlib.sha256(body).hexdigest()
