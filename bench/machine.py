"""What a measurement needs to know of the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

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


def busy_s() -> float:
    """CPU seconds that this machine has worked since it started, whoever for: a measure of one's own work only where nobody else is at it."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0))


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


def load() -> float:
    """How many processes want a core, the last minute's mean."""
    return psutil.getloadavg()[0]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
