"""What measurements know of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.machine import Account

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_an_account_holds_what_children_and_their_children_used() -> None:
    group = Path("/proc/self/cgroup").read_text()
    account = Account()
    try:
        before = account.spent()
        subprocess.run([sys.executable, "-c", BURN], check=True)
        child = account.spent() - before
        subprocess.run(
            [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}], check=True)"], check=True
        )
        grandchild = account.spent() - before - child
    finally:
        account.close()
    assert child >= 0.29 and grandchild >= 0.29
    assert Path("/proc/self/cgroup").read_text() == group
