"""What a measurement needs to know of the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on what loses its parent below this process becomes its child. A sandbox's outer process ends without waiting for the inner one,
    whose CPU would otherwise be on nobody's account."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap() -> None:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def cpu_s(pid: int | None = None) -> float:
    """CPU seconds so far of a process and all that it started and is or was waited for; of this one (and of orphans) where none is given."""
    if pid is None:
        _reap()
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    spent = 0.0
    for one in tree:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    if pid is None:  # finer than the ticks of /proc
        own, waited = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        times = process.cpu_times()
        spent += own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime
        spent -= times.user + times.system + times.children_user + times.children_system
    return spent


class Account:
    """CPU seconds of this process and of all that it starts from now on, whoever they end up with: a control group's own account, where the machine
    lets one be made (``exact``); else the sum over the tree, which misses what a sandbox's inner processes did after their parents had gone."""

    def __init__(self) -> None:
        self._group: Path | None = None
        self._before = Path("/")
        for root, line in ((Path("/sys/fs/cgroup/cpuacct"), "cpuacct"), (Path("/sys/fs/cgroup"), "")):
            with contextlib.suppress(OSError, StopIteration):
                own = next(
                    parts[2].strip()
                    for parts in (entry.split(":", 2) for entry in Path("/proc/self/cgroup").read_text().splitlines())
                    if (line in parts[1].split(",") if line else parts[0] == "0")
                )
                group = root / own.lstrip("/") / f"bench-{os.getpid()}"
                group.mkdir()
                (group / "cgroup.procs").write_text(str(os.getpid()))
                self._group, self._before = group, group.parent
                break
        else:
            adopt_orphans()

    @property
    def exact(self) -> bool:
        return self._group is not None

    def spent(self) -> float:
        if self._group is None:
            return cpu_s()
        if (usage := self._group / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        stat = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def close(self) -> None:
        """Back to where this process was. A group in which something still runs stays."""
        if self._group is not None:
            (self._before / "cgroup.procs").write_text(str(os.getpid()))
            with contextlib.suppress(OSError):
                self._group.rmdir()
            self._group = None


def load() -> float:
    """How many processes want a core, the last minute's mean."""
    return psutil.getloadavg()[0]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
