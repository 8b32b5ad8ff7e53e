"""What the machine itself brings: runtimes that are new enough, and the system packages that no other installer has.

Imports the standard library only: set-up asks before anything is installed.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def java(oldest: int) -> Path | None:
    """The machine's Java if it is ``oldest`` or newer: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    candidates = [Path(home, "bin", "java")] if home else []
    if found := shutil.which("java"):
        candidates.append(Path(found))
    return next((path.resolve() for path in candidates if (java_version(path) or 0) >= oldest), None)


def java_version(program: Path) -> int | None:
    """The feature release (17 for 17.0.15), None where it does not run."""
    # The runtime's own note of what it is: starting a Java takes a third of a second.
    release = program.resolve().parent.parent / "release"
    text = release.read_text() if release.exists() else _output([str(program), "-version"])
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def node(oldest: int) -> Path | None:
    """The Node on PATH if it is ``oldest`` or newer and has npm beside it."""
    found = shutil.which("node")
    if not found:
        return None
    path = Path(found).resolve()
    return path if (node_version(path) or 0) >= oldest and npm(path) else None


def node_version(program: Path) -> int | None:
    """The major version (24 for v24.1.0), None where it does not run."""
    match = re.match(r"v(\d+)\.", _output([str(program), "--version"]))
    return int(match[1]) if match else None


def npm(program: Path) -> Path | None:
    """npm's own script, beside a Node: its distribution's, a wheel's, or what ``npm`` on PATH links to."""
    beside = program.resolve().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if beside.exists():
        return beside
    on_path = shutil.which("npm")
    resolved = Path(on_path).resolve() if on_path else None
    return resolved if resolved and resolved.suffix == ".js" else None


def chromium() -> str | None:
    """Path of a Chromium, by its usual names."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def missing_packages() -> list[str]:
    """The Debian packages whose contents are not there, however they might have come."""
    wanted = {
        "bubblewrap": bool(shutil.which("bwrap")),
        "chromium-headless-shell": bool(chromium()),
        "libgl1": loads("libGL.so.1"),  # opencv-python links it, and a bare machine lacks it
        "libglib2.0-0": loads("libgthread-2.0.so.0"),
        "libx11-6": loads("libX11.so.6"),
        # Without them every text is rendered in one face, or in none.
        "fonts-dejavu-core": has_font("DejaVuSans.ttf"),
        "fonts-liberation": has_font("LiberationSans-Regular.ttf"),
    }
    return [package for package, there in wanted.items() if not there]


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_font(file: str) -> bool:
    places = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts", Path.home() / ".local/share/fonts")
    return any(next(place.rglob(file), None) for place in places if place.is_dir())


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
