"""Ends what a killed supervisor leaves behind.

A supervisor that is killed with SIGKILL cannot stop its children, and ``PR_SET_PDEATHSIG`` reaches only the children, not what they
started themselves (and fires when the *thread* that started a child ends).  So the guard, a process in a session of its own, reads
process groups from a pipe (``+123`` started, ``-123`` gone) and, when the pipe closes, kills those that are left.

Runs as a bare script (``python -I -S guard.py``): it imports nothing of ours, to start in 10 ms and weigh little.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main() -> None:
    # The supervisor decides when the guard goes: by closing the pipe.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    # Until they are gone: a lock that was inherited is let go by leaving. A few seconds at most, as a zombie counts as there.
    until = time.monotonic() + 5
    while groups and time.monotonic() < until:
        for group in list(groups):
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                groups.discard(group)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
