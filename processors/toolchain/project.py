"""A generated application as a value: ``dict[str, bytes]`` from POSIX relative path to content, and its packed form.

Names come from generators, models and archives, so they are hostile until :func:`check_name` let them pass: whatever is
written to a disk or unpacked goes through here.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

Files = dict[str, bytes]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: packing the same files twice gives the same bytes
_SEGMENT = re.compile(r"[A-Za-z0-9_@()\[\]$+,=~.-][A-Za-z0-9_@()\[\]$+,=~. -]*")
_RESERVED = {"node_modules", ".git", ".hg", ".svn", ".ssh"}


class ProjectError(ValueError):
    """The files are not a project that may be written, packed or unpacked; the message says which and why."""


class ProjectLimits(BaseModel):
    """How large a project may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int = 1_000
    """Files in all."""
    file_bytes: int = 8 * 2**20
    """Bytes of one file."""
    total_bytes: int = 32 * 2**20
    """Bytes of all files together, unpacked."""
    name_length: int = 200
    """Characters of one path."""


def check_name(name: str, limits: ProjectLimits | None = None) -> None:
    """Raise :class:`ProjectError` unless ``name`` is a plain relative path that stays inside its folder on every file system."""
    limits = limits or ProjectLimits()
    if not name or len(name) > limits.name_length:
        raise ProjectError(f"path is empty or longer than {limits.name_length} characters: {name[:80]!r}")
    for part in name.split("/"):
        if part in ("", ".", "..") or not _SEGMENT.fullmatch(part) or part.endswith((".", " ")):
            raise ProjectError(f"path is not a plain relative one: {name!r}")
        if part.casefold() in _RESERVED:
            raise ProjectError(f"path uses a reserved folder: {name!r}")


def check(files: Mapping[str, bytes], limits: ProjectLimits | None = None) -> None:
    """Raise :class:`ProjectError` unless every name is safe, no two collide and all limits hold."""
    limits = limits or ProjectLimits()
    if len(files) > limits.files:
        raise ProjectError(f"{len(files)} files, at most {limits.files}")
    total = 0
    seen: dict[str, str] = {}
    for name, content in files.items():
        check_name(name, limits)
        if len(content) > limits.file_bytes:
            raise ProjectError(f"{name} has {len(content)} bytes, at most {limits.file_bytes}")
        total += len(content)
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise ProjectError(f"{name!r} and {other!r} differ in case only")
    if total > limits.total_bytes:
        raise ProjectError(f"{total} bytes in all, at most {limits.total_bytes}")
    for name in files:
        parts = name.split("/")
        for i in range(1, len(parts)):
            if "/".join(parts[:i]).casefold() in seen:
                raise ProjectError(f"{'/'.join(parts[:i])!r} is both a file and a folder")


def pack(files: Mapping[str, bytes]) -> bytes:
    """The project as a zip: sorted names, one fixed date and mode, so that the same files are the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return out.getvalue()


def unpack(data: bytes, limits: ProjectLimits | None = None) -> Files:
    """The files of a zip. Raises :class:`ProjectError` for odd names, links, duplicates, encryption and bombs.

    Sizes are counted while reading: what the archive claims about itself is not believed.
    """
    limits = limits or ProjectLimits()
    files: Files = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > 2 * limits.files:
                raise ProjectError(f"{len(entries)} entries, at most {limits.files} files")
            for entry in entries:
                if entry.is_dir():
                    check_name(entry.filename.rstrip("/"), limits)
                    continue
                kind = (entry.external_attr >> 16) & 0o170000
                if kind not in (0, 0o100000):
                    raise ProjectError(f"{entry.filename!r} is not a plain file")
                if entry.flag_bits & 0x1:
                    raise ProjectError(f"{entry.filename!r} is encrypted")
                # ZipInfo cuts a name at a NUL byte: the name as stored is the one to judge.
                check_name(entry.orig_filename, limits)
                if entry.filename in files:
                    raise ProjectError(f"{entry.filename!r} is there twice")
                with archive.open(entry) as stream:
                    content = stream.read(min(limits.file_bytes, limits.total_bytes - total) + 1)
                total += len(content)
                if len(content) > limits.file_bytes or total > limits.total_bytes:
                    raise ProjectError(f"unpacked size over the limit at {entry.filename!r}")
                files[entry.filename] = content
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        if isinstance(error, ProjectError):
            raise
        raise ProjectError(f"not a readable zip: {error}") from error
    except Exception as error:  # zlib.error has no common base class with the rest
        if type(error).__module__ != "zlib":
            raise
        raise ProjectError(f"not a readable zip: {error}") from error
    check(files, limits)
    return files


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over names and contents, each length-framed: the identity of a project, whatever packed it."""
    h = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            h.update(len(part).to_bytes(8, "big"))
            h.update(part)
    return h.hexdigest()


def write(files: Mapping[str, bytes], folder: Path, limits: ProjectLimits | None = None) -> None:
    """Write a project into an empty or missing folder. Raises :class:`ProjectError` if a name or size is refused."""
    check(files, limits)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def remove(name: str, folder: Path) -> None:
    """Take a file that was written away, and the folders that are empty without it."""
    path = folder / name
    path.unlink()
    for parent in path.parents:
        if parent == folder or any(parent.iterdir()):
            break
        parent.rmdir()


def read(folder: Path, limits: ProjectLimits | None = None) -> Files:
    """The project in a folder; ``node_modules`` and hidden folders are left out, links are refused."""
    limits = limits or ProjectLimits()
    files: Files = {}
    total = 0
    pending = [folder]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise ProjectError(f"{name!r} is a link")
            if path.is_dir():
                if path.name not in _RESERVED and not path.name.startswith("."):
                    pending.append(path)
                continue
            if not path.is_file():
                raise ProjectError(f"{name!r} is not a plain file")
            total += (size := path.stat().st_size)
            if size > limits.file_bytes or total > limits.total_bytes or len(files) >= limits.files:
                raise ProjectError(f"the project is over its limits at {name!r}")
            files[name] = path.read_bytes()
    check(files, limits)
    return files
