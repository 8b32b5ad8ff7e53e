"""Sets limits on a sandbox between its making and its first instruction. Standard library only: it also runs as a program.

bubblewrap makes the namespaces, says through ``--info-fd`` which process is the sandbox's first, and waits on ``--block-fd``.
In between the limits are set on that process from outside. So processes are counted per sandbox, not per user, nothing has to
run between fork and exec here, and no helper has to lie inside the sandbox.

As a program (``python confine.py SPEC ARGUMENT...``, the spec as JSON) it starts a sandbox whose payload has a socket as its descriptors 3 and
4, and stays as its parent. It dies with the program that started it, and the sandbox with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1

EXHAUSTED = 77
"""Exit code of the program where it ended a sandbox that took more memory than all of it may."""
WATCH_S = 0.5
"""Seconds between two looks at a sandbox's memory: what it can take beyond its limit is what it can touch in this time."""

LIMITS = {name: getattr(resource, f"RLIMIT_{name}") for name in ("CPU", "DATA", "NPROC", "FSIZE", "NOFILE", "CORE")}


def first_process(info: bytes) -> int:
    """The pid of the sandbox's first process, from what bubblewrap wrote to its info descriptor."""
    return int(json.loads(info)["child-pid"])


def confine(pid: int, limits: Mapping[str, int]) -> None:
    """Set the resource limits of process ``pid``, and make it the first that the kernel kills when memory runs out."""
    for name, value in limits.items():
        resource.prlimit(pid, LIMITS[name], (value, value))
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:  # noqa: PTH123 - a container may forbid it; no wall
        file.write("1000")


def resident(first: int) -> int:
    """Bytes of memory that a sandbox's processes hold, files apart; what several of them share counts for each. 0 for one that has ended.

    A limit for each process (``RLIMIT_DATA``) does not bound their sum, and a control group is not everywhere ours to make. All of a
    sandbox are descendants of its first process: it is the init of their namespace, and inherits those that lose their parent.
    """
    held, pending = 0, [first]
    while pending:
        place = f"/proc/{pending.pop()}"
        threads: list[str] = []
        with contextlib.suppress(OSError):  # whatever of it has ended meanwhile
            with open(f"{place}/status") as file:  # noqa: PTH123
                held += sum(int(line.split()[1]) << 10 for line in file if line.startswith(("RssAnon:", "RssShmem:")))
            threads = os.listdir(f"{place}/task")  # noqa: PTH208
        for thread in threads:
            with contextlib.suppress(OSError), open(f"{place}/task/{thread}/children") as file:  # noqa: PTH123
                pending += map(int, file.read().split())
    return held


def main() -> int:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died in between
        return 1
    spec = json.loads(sys.argv[1])
    inherited = (3, 4)
    for fd in inherited:
        os.dup2(spec["socket"], fd)
    if spec["socket"] not in inherited:
        os.close(spec["socket"])
    filter_fd = os.memfd_create("seccomp")
    os.write(filter_fd, bytes.fromhex(spec["seccomp"]))
    os.lseek(filter_fd, 0, os.SEEK_SET)
    info_read, info_write = os.pipe()
    block_read, block_write = os.pipe()
    ours = {"SECCOMP": filter_fd, "INFO": info_write, "BLOCK": block_read}
    argv = [str(ours.get(part.removeprefix("@"), part)) if part.startswith("@") else part for part in spec["argv"]]
    process = subprocess.Popen([*argv, *sys.argv[2:]], env={}, pass_fds=(*inherited, *ours.values()))
    for fd in (*inherited, *ours.values()):  # a copy kept here would keep the other side's pipe open after the payload is gone
        os.close(fd)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: process.kill())
    info = b""
    while chunk := os.read(info_read, 4096):
        info += chunk
        if b"}" in info:
            first = first_process(info)
            sandbox = os.pidfd_open(first)
            confine(first, spec["limits"])
            os.write(block_write, b"1")
            break
    else:
        return process.wait()
    os.close(block_write)
    ended = os.pidfd_open(process.pid)
    while not select.select([ended], [], [], WATCH_S)[0]:
        if resident(first) > spec["memory"]:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(sandbox, signal.SIGKILL)
            process.wait()
            return EXHAUSTED
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
