"""Runs a program that is not trusted: bubblewrap, a seccomp filter, resource limits, an outer clock.

What the program sees: the files named in ``mounts`` (read-only unless said), the system's libraries, an empty ``/tmp`` in memory,
its own ``/proc`` and a minimal ``/dev``. No network, no other processes, no environment but what is given, no capabilities, nothing
of the launcher's environment either (bubblewrap itself starts with an empty one: its process could be read otherwise).

What it is: started by root, the payload is a user id of its own, used by nothing else, so concurrent sandboxes cannot even signal
each other; started by anyone else, it is ``nobody`` in a user namespace of its own.

When it ends: with its last output byte, at its wall-clock limit, when it writes more than it may, when its processes together hold more
memory than they may, when the awaiting task is cancelled, or when this process dies. In every case the kernel kills all processes of its namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from processors.toolchain import confine, seccomp
from processors.toolchain.node import Toolchain, ToolchainError
from processors.toolchain.settings import Limits

_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/lib", "/lib64")
_SETPRIV = "/run/setpriv"
_UIDS = itertools.count(1_000_000_000 + secrets.randbelow(500_000_000))


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine, as ``target`` in the sandbox. ``writable`` folders belong to the sandbox's user."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Completed:
    """How a run ended. ``exit`` is the program's code, 128 + n where signal n ended it, None where the sandbox was killed."""

    exit: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool
    overflowed: bool
    """Whether it was stopped for writing more than ``Limits.output_bytes``."""
    exhausted: bool
    """Whether it was stopped for holding more memory than ``Limits.sandbox_bytes``."""
    wall_s: float

    @property
    def ok(self) -> bool:
        return self.exit == 0


@dataclass(frozen=True)
class Plan:
    """A sandbox as a command line, before it is started. ``@SECCOMP``, ``@INFO`` and ``@BLOCK`` stand for descriptors."""

    argv: tuple[str, ...]
    seccomp: bytes
    limits: Mapping[str, int]
    memory: int
    """Bytes that all of its processes may hold together."""
    uid: int | None
    """The user id of the payload where we are root, else None."""


def plan(
    argv: Sequence[str],
    *,
    toolchain: Toolchain,
    mounts: Sequence[Mount] = (),
    limits: Limits | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    profile: seccomp.Profile = "script",
) -> Plan:
    """The command line for one sandbox. Raises :class:`ToolchainError` where this machine has no bubblewrap."""
    limits = limits or toolchain.settings.script
    uid = next(_UIDS) if os.geteuid() == 0 else None
    command = [toolchain.bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox"]
    if uid is None:
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    else:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    folders = {str(parent) for mount in mounts for parent in PurePosixPath(mount.target).parents} - {"/", "/tmp", "/dev", "/dev/shm"}
    for folder in sorted({"/run", "/usr"} | folders):  # those that bubblewrap makes itself only root may enter
        command += ["--perms", "0755", "--dir", folder]
    for folder in _SYSTEM:
        if Path(folder).is_symlink():
            command += ["--symlink", str(Path(folder).readlink()), folder]
        elif Path(folder).is_dir():
            command += ["--ro-bind", folder, folder]
    command += ["--proc", "/proc", "--dev", "/dev"]
    if limits.scratch_bytes:
        for folder in ("/tmp", "/dev/shm"):
            command += ["--perms", "1777", "--size", str(limits.scratch_bytes), "--tmpfs", folder]
    for mount in mounts:
        command += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    payload = list(argv)
    if uid is not None:
        command += ["--ro-bind", _setpriv(), _SETPRIV]
        payload = [_SETPRIV, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--", *payload]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", cwd]
    for name, value in {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", **(env or {})}.items():
        command += ["--setenv", name, value]
    command += ["--seccomp", "@SECCOMP", "--info-fd", "@INFO", "--block-fd", "@BLOCK", "--", *payload]
    rlimits = {
        "CPU": limits.cpu_s,
        "DATA": limits.memory_bytes,
        "NPROC": limits.processes,
        "FSIZE": limits.file_bytes,
        "NOFILE": limits.open_files,
        "CORE": 0,
    }
    return Plan(tuple(command), seccomp.program(profile), rlimits, limits.sandbox_bytes, uid)


class Running:
    """A sandboxed process with pipes for stdin, stdout and stderr."""

    def __init__(self, process: asyncio.subprocess.Process, first: int, block: int) -> None:
        self.process = process
        self._block = block
        self._first = first  # a pidfd: a pid might be somebody else's by the time it is killed
        self.exhausted = False
        """Whether it was ended for the memory that it held."""

    @property
    def began(self) -> bool:
        """Whether the payload was started: bubblewrap has then taken the byte that it waits for. Nothing printed can forge this."""
        return not select.select([self._block], [], [], 0)[0]

    async def watch(self, pid: int, memory: int) -> None:
        """End it when its processes hold more than ``memory`` bytes."""
        while confine.resident(pid) <= memory:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(confine.WATCH_S)
        with contextlib.suppress(OSError):  # it has ended, and what was counted had its pid
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
            self.exhausted = True

    async def kill(self) -> None:
        """End everything in the sandbox and wait until it is gone. Safe to call twice."""
        if self._first >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            os.close(self._first)
            self._first = -1
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@contextlib.asynccontextmanager
async def start(ready: Plan) -> AsyncIterator[Running]:
    """Start a planned sandbox; leaving the block kills what is left of it. Raises :class:`ToolchainError` if it cannot start."""
    filter_fd = os.memfd_create("seccomp")
    info_read, info_write = os.pipe()
    block_read, block_write = os.pipe()
    running: Running | None = None
    watching: asyncio.Task[None] | None = None
    try:
        os.write(filter_fd, ready.seccomp)
        os.lseek(filter_fd, 0, os.SEEK_SET)
        ours = {"@SECCOMP": filter_fd, "@INFO": info_write, "@BLOCK": block_read}
        try:
            process = await asyncio.create_subprocess_exec(
                *(str(ours.get(part, part)) for part in ready.argv),
                env={},
                cwd="/",
                pass_fds=tuple(ours.values()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=1 << 20,
            )
        finally:
            os.close(filter_fd)
            os.close(info_write)
        running = Running(process, -1, block_read)
        info = await _read_info(info_read)
        if not info:
            said = await process.stderr.read(4096) if process.stderr else b""
            raise ToolchainError(f"the sandbox does not start: {said.decode(errors='replace').strip()}")
        first = confine.first_process(info)
        running = Running(process, os.pidfd_open(first), block_read)
        confine.confine(first, ready.limits)
        watching = asyncio.create_task(running.watch(first, ready.memory))
        os.write(block_write, b"1")
        yield running
    finally:
        if watching:
            watching.cancel()
        for fd in (info_read, block_read, block_write):
            os.close(fd)
        if running:
            await asyncio.shield(running.kill())


async def _read_info(fd: int) -> bytes:
    """What bubblewrap says about itself; empty if it ended before."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    said = b""
    while b"}" not in said:
        readable = asyncio.Event()
        loop.add_reader(fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(fd)
        chunk = os.read(fd, 4096)
        if not chunk:
            return b""
        said += chunk
    return said


async def run_async(
    argv: Sequence[str],
    *,
    toolchain: Toolchain,
    mounts: Sequence[Mount] = (),
    limits: Limits | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    stdin: bytes = b"",
    profile: seccomp.Profile = "script",
) -> Completed:
    """Run a program to its end and return what it said. A bad exit is no exception; a sandbox that cannot start is a ToolchainError."""
    limits = limits or toolchain.settings.script
    ready = plan(argv, toolchain=toolchain, mounts=mounts, limits=limits, env=env, cwd=cwd, profile=profile)
    if ready.uid is not None:
        _give(mounts, ready.uid)
    began = time.monotonic()
    async with start(ready) as running:
        process = running.process
        assert process.stdin and process.stdout and process.stderr
        overflow = asyncio.Event()
        out = asyncio.create_task(_capture(process.stdout, limits.output_bytes, overflow))
        err = asyncio.create_task(_capture(process.stderr, limits.output_bytes, overflow))
        feed = asyncio.create_task(_feed(process.stdin, stdin))
        over = asyncio.create_task(overflow.wait())
        ended = asyncio.create_task(process.wait())
        timed_out = overflowed = False
        try:
            done, _ = await asyncio.wait({ended, over}, timeout=limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
            timed_out, overflowed = not done, over in done
            code = None if timed_out or overflowed else await ended
            await running.kill()  # what outlived the program holds the pipes open
            stdout, stderr = await out, await err
        finally:
            for task in (out, err, feed, over, ended):
                task.cancel()
        return Completed(
            None if running.exhausted else code, stdout, stderr, timed_out, overflowed, running.exhausted, time.monotonic() - began
        )


def run(
    argv: Sequence[str], *, toolchain: Toolchain, mounts: Sequence[Mount] = (), limits: Limits | None = None, stdin: bytes = b""
) -> Completed:
    """:func:`run_async` for callers without an event loop."""
    return asyncio.run(run_async(argv, toolchain=toolchain, mounts=mounts, limits=limits, stdin=stdin))


async def _capture(stream: asyncio.StreamReader, limit: int, overflow: asyncio.Event) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(1 << 16):
        kept += chunk[: limit - len(kept)]
        if len(kept) >= limit:
            overflow.set()
    return bytes(kept)


async def _feed(stream: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a program need not read its input
        stream.write(data)
        await stream.drain()
    stream.close()


def _give(mounts: Sequence[Mount], uid: int) -> None:
    """Make writable folders the sandbox user's own."""
    for mount in mounts:
        if mount.writable:
            os.chown(mount.source, uid, uid)


def _setpriv() -> str:
    found = shutil.which("setpriv")
    if found is None:
        raise ToolchainError("setpriv was not found: apt-get install util-linux")
    return found
