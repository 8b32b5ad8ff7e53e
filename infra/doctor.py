"""What is there, what is missing, and how to get it.

``check`` looks and changes nothing; ``python -m infra.doctor`` prints it (``millrace doctor`` does so with the rest of the command
line). Imports the standard library only, so that it can say what is missing when everything is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra import jars, setup, system
from infra.toolchain import Toolchain

_SETUP = "make setup"


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool
    found: str
    """What is there; for what is not, ``nothing`` or what is wrong with it."""
    needed: str
    how_to_get: str
    """A command, where it is not ok; else empty."""


def check(toolchain: Toolchain | None = None) -> list[Check]:
    """Every part that the embedded stack, the stages and the tests need. Takes about a second."""
    toolchain = toolchain or Toolchain.default()
    return [
        _python(),
        _step("Python packages", setup.python_packages(), "as requirements/millrace.lock says", "installed as locked"),
        _java(toolchain),
        _node(toolchain),
        _step("npm packages", setup.npm_packages(toolchain), "as package-lock.json says", str(toolchain.node_modules)),
        _kafka(toolchain),
        _chromium(),
        _bubblewrap(),
        _libraries(),
        _memory(),
        _disk(toolchain),
    ]


def _one(name: str, ok: bool, found: str, needed: str, how: str) -> Check:
    return Check(name, ok, found, needed, "" if ok else how)


def _apt(*packages: str) -> str:
    return f"as root: apt-get install -y --no-install-recommends {' '.join(packages)}"


def _step(name: str, step: setup.Step, needed: str, found: str) -> Check:
    ready = step.ready()
    return _one(name, ready, found if ready else "not as locked", needed, _SETUP)


def _python() -> Check:
    return _one("Python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} at {sys.executable}", ">= 3.11", "install python3.11")


def _java(toolchain: Toolchain) -> Check:
    link = toolchain.root / "bin" / "java"
    version = system.java_version(link) if link.exists() else None
    found = f"{version} at {link.resolve()}" if version else "nothing"
    return _one("Java", (version or 0) >= setup.OLDEST_JAVA, found, f">= {setup.OLDEST_JAVA}", _SETUP)


def _node(toolchain: Toolchain) -> Check:
    link = toolchain.root / "bin" / "node"
    version = system.node_version(link) if link.exists() else None
    found = f"{version} at {link.resolve()}" if version else "nothing"
    return _one("Node", (version or 0) >= setup.OLDEST_NODE, found, f">= {setup.OLDEST_NODE}", _SETUP)


def _kafka(toolchain: Toolchain) -> Check:
    wanted = jars.listed()
    missing = jars.missing(toolchain.kafka, wanted)
    found = f"{len(wanted) - len(missing)} of {len(wanted)} jars as listed"
    return _one("Kafka", not missing, found, jars.ENDPOINTS[0], _SETUP)


def _chromium() -> Check:
    found = system.chromium()
    return _one("Chromium", bool(found), found or "nothing", "a headless Chromium", _apt("chromium-headless-shell"))


def _bubblewrap() -> Check:
    program = shutil.which("bwrap")
    if not program:
        return Check("sandbox", False, "nothing", "bubblewrap", _apt("bubblewrap"))
    trial = [program, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=20, check=False)
    found = program if done.returncode == 0 else f"{program}, but: {done.stderr.strip() or f'status {done.returncode}'}"
    how = "allow unprivileged user namespaces (in a container: seccomp and AppArmor profiles that let bubblewrap make them)"
    return _one("sandbox", done.returncode == 0, found, "bubblewrap that may make namespaces", how)


def _libraries() -> Check:
    missing = [package for package in system.missing_packages() if package not in ("bubblewrap", "chromium-headless-shell")]
    found = f"missing: {', '.join(missing)}" if missing else "all there"
    return _one("libraries and fonts", not missing, found, "what opencv links, and two families of fonts", _apt(*missing))


def _memory() -> Check:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return _one("memory", gib >= 4, f"{gib:.1f} GiB", ">= 4 GiB", "a larger machine")


def _disk(toolchain: Toolchain) -> Check:
    place: Path = next(p for p in (toolchain.root, *toolchain.root.parents) if p.exists())
    gib = shutil.disk_usage(place).free / 2**30
    return _one("disk", gib >= 2, f"{gib:.1f} GiB free at {place}", ">= 2 GiB free", "free some space")


def main() -> int:
    checks = check()
    width = max(len(c.name) for c in checks)
    for c in checks:
        print(
            f"{'ok     ' if c.ok else 'MISSING'}  {c.name:<{width}}  {c.found}" + ("" if c.ok else f"; needed: {c.needed}; {c.how_to_get}")
        )
    return 0 if all(c.ok for c in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
