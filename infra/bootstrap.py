"""The first step of set-up, for a Python that has nothing yet: makes ``.venv``, puts the installer into it, hands over to ``infra.setup``.

Run by ``make setup`` as a bare script with any Python >= 3.11; imports the standard library only. Anything after the script's name is
handed on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
LOCK = REPOSITORY / "requirements" / "bootstrap.lock"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything has looked
        sys.exit(
            f"set-up: Python 3.11 or newer is needed, this is {sys.version.split()[0]}: name another by `make PYTHON=/path/to/python3.11`"
        )
    os.environ.update(network_environment())
    python = VENV / "bin" / "python"
    stamp = VENV / "bootstrap.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        started = time.monotonic()
        if not python.exists():
            make_venv()
        run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)])
        stamp.write_text(wanted)
        print(f"set-up: virtual environment ... {time.monotonic() - started:.1f} s", flush=True)
    os.chdir(REPOSITORY)
    os.execv(python, [str(python), "-m", "infra.setup", *sys.argv[1:]])


def make_venv() -> None:
    """``.venv`` with pip. Debian keeps what that takes in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.exit(f"set-up: this Python cannot make virtual environments; as root: apt-get install -y {package}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], environment)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], environment)
    shutil.rmtree(VENV, ignore_errors=True)  # what a broken attempt left
    run([sys.executable, "-m", "venv", str(VENV)])


def network_environment() -> dict[str, str]:
    """What makes every downloader (pip, uv, npm, jgo) trust what the system trusts, where the caller has not said otherwise.

    Behind a company's proxy the certificates that count are the system's, or those that ``SSL_CERT_FILE`` names; each tool looks in a
    place of its own.
    """
    found = {}
    bundle = os.environ.get("SSL_CERT_FILE") or (str(SYSTEM_CERTIFICATES) if SYSTEM_CERTIFICATES.exists() else None)
    if bundle:
        found = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), bundle) | {"UV_NATIVE_TLS": "1"}
    if "PIP_INDEX_URL" in os.environ:
        found["UV_DEFAULT_INDEX"] = os.environ["PIP_INDEX_URL"]
    found["UV_HTTP_TIMEOUT"] = "180"
    return {name: value for name, value in found.items() if name not in os.environ}


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Runs a command to its end; leaves with its output if it fails."""
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"set-up: {' '.join(command)} failed:\n{done.stdout.strip()}")


if __name__ == "__main__":
    main()
