"""Sets limits on a sandbox between its making and its first instruction. Standard library only: it also runs as a program.

bubblewrap makes the namespaces, says through ``--info-fd`` which process is the sandbox's first, and waits on ``--block-fd``.
In between the limits are set on that process from outside. So processes are counted per sandbox, not per user, nothing has to
run between fork and exec here, and no helper has to lie inside the sandbox.

As a program (``python confine.py SPEC.json ARGUMENT...``) it starts a sandbox on behalf of another program that wants an
executable, as playwright does: all its descriptors go through to the payload, it stays as the parent and returns its exit code.
It dies with the program that started it, and the sandbox with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1

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


def main() -> int:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died in between
        return 1
    with open(sys.argv[1]) as file:  # noqa: PTH123
        spec = json.load(file)
    inherited = sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2)  # noqa: PTH208
    inherited = [fd for fd in inherited if _open(fd)]
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
            confine(first_process(info), spec["limits"])
            os.write(block_write, b"1")
            break
    os.close(block_write)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:  # the descriptor that listed the folder
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
