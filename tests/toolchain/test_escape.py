"""The escape suite: what hostile code would try in the sandbox, one attempt a test, each refused in a known way.

An attempt is a piece of Python that sets ``outcome``: ``ESCAPED`` where it got what it wanted, else what stopped it. A test holds the
outcome against the one expected, so an attempt that did not run at all fails, too. Where it does no harm the same attempt is
also made without the sandbox and must succeed there (``control``): otherwise it would prove nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from processors.toolchain.browser import Browsers, OutOfMemory
from processors.toolchain.build import build_sync
from processors.toolchain.node import Toolchain
from processors.toolchain.sandbox import Completed, Mount, run
from processors.toolchain.settings import Limits

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attempts name x86-64 system calls")

CANARY = "canary-8f1c2e77"
ROOT = os.geteuid() == 0
LIMITS = Limits(wall_s=10, cpu_s=8, memory_bytes=512 << 20, processes=32, file_bytes=1 << 20, open_files=64, scratch_bytes=16 << 20)

PREAMBLE = """
import ctypes, errno, json, mmap, os, resource, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
outcome = "DID NOT RUN"
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return "ESCAPED" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def reads(path):
    return "ESCAPED" if open(path, "rb").read(1) else "EMPTY"
try:
"""
EPILOGUE = """
except MemoryError:
    outcome = "MemoryError"
except OSError as error:
    outcome = errno.errorcode.get(error.errno, type(error).__name__)
except RuntimeError as error:
    outcome = str(error)
print(json.dumps(outcome), flush=True)
"""


@dataclass(frozen=True)
class Attempt:
    code: str
    stopped: tuple[str, ...]
    """What may stop it."""
    control: bool = False
    """Whether it succeeds, without harm, where there is no sandbox."""
    root_control: bool = False
    """The same, for root only."""


def syscall(
    number: int, *arguments: object, stopped: tuple[str, ...] = ("EPERM",), control: bool = False, root_control: bool = False
) -> Attempt:
    return Attempt(f"outcome = call({', '.join(map(str, (number, *arguments)))})", stopped, control, root_control)


NEW_USER = 0x10000000
ATTEMPTS = {
    # files of the machine
    "read a file of the machine": Attempt("outcome = reads({canary!r})", ("ENOENT",), control=True),
    "read /etc/passwd": Attempt("outcome = reads('/etc/passwd')", ("ENOENT",), control=True),
    "list the home folders": Attempt("os.listdir('/home'); os.listdir('/root'); outcome = 'ESCAPED'", ("ENOENT",), root_control=True),
    "list the machine's programs": Attempt("outcome = 'ESCAPED' if os.listdir('/usr/bin') else 'EMPTY'", ("ENOENT",), control=True),
    "go up and out": Attempt("outcome = reads('../' * 40 + {canary!r})", ("ENOENT",), control=True),
    "follow a link that it made": Attempt("os.symlink({canary!r}, '{scratch}/link1'); outcome = reads('{scratch}/link1')", ("ENOENT",), control=True),
    "make a hard link to a file given to read": Attempt("os.link('/in/given', '{scratch}/hard'); outcome = 'ESCAPED'", ("EXDEV", "EPERM", "EROFS")),
    "write a file given to read": Attempt("open('/in/given', 'w'); outcome = 'ESCAPED'", ("EROFS",)),
    "change the mode of a file given to read": Attempt("os.chmod('/in/given', 0o777); outcome = 'ESCAPED'", ("EROFS", "EPERM")),
    "write among the system's libraries": Attempt("open('/usr/lib/planted', 'w'); outcome = 'ESCAPED'", ("EROFS", "EACCES")),
    "write into the root folder": Attempt("open('/planted', 'w'); outcome = 'ESCAPED'", ("EROFS", "EACCES")),
    "write among the devices": Attempt("open('/dev/planted', 'w'); outcome = 'ESCAPED'", ("EROFS", "EACCES")),
    "make a device node": Attempt("os.mknod('{scratch}/disk', 0o60600, os.makedev(8, 0)); outcome = 'ESCAPED'", ("EPERM",), root_control=True),
    "make a set-user-id program": Attempt(
        "os.close(os.open('{scratch}/su', os.O_CREAT | os.O_WRONLY)); os.chown('{scratch}/su', 0, 0); outcome = 'ESCAPED'", ("EPERM", "EINVAL"), root_control=True
    ),
    "read the machine's memory": Attempt("outcome = reads('/dev/mem')", ("ENOENT",)),
    "read the kernel's memory": Attempt("outcome = reads('/proc/kcore')", ("EACCES", "EPERM", "ENOENT")),
    "read the kernel's log": Attempt("outcome = reads('/dev/kmsg')", ("ENOENT",)),
    "restart the machine by sysrq": Attempt("open('/proc/sysrq-trigger', 'w'); outcome = 'ESCAPED'", ("ENOENT", "EACCES", "EPERM", "EROFS")),
    "set what runs on a crash": Attempt("open('/proc/sys/kernel/core_pattern', 'w'); outcome = 'ESCAPED'", ("EACCES", "EROFS", "EPERM")),
    "reach files through the first process": Attempt("outcome = reads('/proc/1/root' + {canary!r})", ("EACCES", "ENOENT")),
    "read the first process's environment": Attempt(
        "outcome = 'ESCAPED' if b'{name}' in open('/proc/1/environ', 'rb').read() else 'NOTHING'", ("EACCES", "NOTHING")
    ),
    "change its own root": Attempt("os.chroot('/usr'); outcome = 'ESCAPED'", ("EPERM",), root_control=True),
    "open a file by its handle": syscall(304, -100, 0, 0),
    # what is inherited
    "read a secret in the environment": Attempt("outcome = 'ESCAPED' if {name!r} in ' '.join(os.environ.values()) else 'NOTHING'", ("NOTHING",), control=True),
    "use an inherited descriptor": Attempt(
        "outcome = 'NOTHING'\n"
        "for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "    try:\n"
        "        if b'{name}' in os.pread(fd, 100, 0): outcome = 'ESCAPED'\n"
        "    except OSError: pass",
        ("NOTHING",),
        control=True,
    ),
    "see other processes": Attempt(
        "seen = [p for p in os.listdir('/proc') if p.isdigit()]; outcome = 'ESCAPED' if len(seen) > 3 else 'NOTHING'", ("NOTHING",), control=True
    ),
    # networks
    "connect to the machine's loopback": Attempt("socket.create_connection(('127.0.0.1', {port}), 2); outcome = 'ESCAPED'", ("EPERM",), control=True),
    "send a datagram": Attempt(
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port})); outcome = 'ESCAPED'", ("EPERM",), control=True
    ),
    "connect over IPv6": Attempt("socket.socket(socket.AF_INET6); outcome = 'ESCAPED'", ("EPERM",)),
    "resolve a name": Attempt("socket.getaddrinfo('localhost', 80); outcome = 'ESCAPED'", ("gaierror",), control=True),
    "ask the cloud's metadata": Attempt("socket.create_connection(('169.254.169.254', 80), 2); outcome = 'ESCAPED'", ("EPERM",)),
    "open a raw socket": Attempt("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); outcome = 'ESCAPED'", ("EPERM",), root_control=True),
    "open a packet socket": Attempt("socket.socket(17, socket.SOCK_RAW); outcome = 'ESCAPED'", ("EPERM",), root_control=True),
    "open a netlink socket": Attempt("socket.socket(16, socket.SOCK_RAW); outcome = 'ESCAPED'", ("EPERM",), control=True),
    "open a socket to the hypervisor": Attempt("socket.socket(40, socket.SOCK_STREAM); outcome = 'ESCAPED'", ("EPERM",)),
    "open a socket to the kernel's ciphers": Attempt("socket.socket(38, 5); outcome = 'ESCAPED'", ("EPERM",)),
    "connect to an abstract socket": Attempt(
        "socket.socket(socket.AF_UNIX).connect(chr(0) + {name!r}); outcome = 'ESCAPED'", ("ECONNREFUSED",), control=True
    ),
    "connect to a socket in a folder": Attempt("socket.socket(socket.AF_UNIX).connect({unix!r}); outcome = 'ESCAPED'", ("ENOENT",), control=True),
    # other processes and more rights
    "trace the first process": syscall(101, 16, 1, 0, 0),
    "let itself be traced": syscall(101, 0, 0, 0, 0, control=True),
    "read another process's memory": syscall(310, "os.getpid()", 0, 0, 0, 0, 0, control=True),
    "write another process's memory": syscall(311, "os.getpid()", 0, 0, 0, 0, 0, control=True),
    "kill the process that started it": Attempt("os.kill({parent}, 0); outcome = 'ESCAPED'", ("ESRCH", "EPERM"), control=True),
    "stop the first process": Attempt("os.kill(1, signal.SIGSTOP); time.sleep(0.2); outcome = 'NOTHING'", ("NOTHING", "EPERM")),
    "become root": Attempt("os.setuid(0); outcome = 'ESCAPED'", ("EPERM", "EINVAL"), root_control=True),
    "take a capability": Attempt(
        "header, data = struct.pack('Ii', 0x20080522, 0), struct.pack('6I', 1 << 21, 1 << 21, 0, 0, 0, 0)\noutcome = call(126, header, data)", ("EPERM",), root_control=True
    ),
    "raise its own limits": Attempt(
        "try: resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)); outcome = 'ESCAPED'\nexcept ValueError: outcome = 'REFUSED'", ("REFUSED",)
    ),
    "run before all others": Attempt("os.setpriority(os.PRIO_PROCESS, 0, -20); outcome = 'ESCAPED'", ("EACCES", "EPERM"), root_control=True),
    "type into the terminal": Attempt("import fcntl; fcntl.ioctl(0, 0x5412, b'x'); outcome = 'ESCAPED'", ("EPERM",)),
    # namespaces and mounts
    "make a user namespace": syscall(272, NEW_USER, root_control=True),
    "make a mount namespace": syscall(272, 0x00020000, root_control=True),
    "clone into a user namespace": syscall(56, NEW_USER | 17, 0, 0, 0, 0),
    "clone by the newer call": syscall(435, 0, 0, stopped=("ENOSYS",)),
    "enter a namespace": Attempt("fd = os.open('/proc/self/ns/mnt', os.O_RDONLY); outcome = call(308, fd, 0)", ("EPERM", "EACCES"), root_control=True),
    "mount a file system": syscall(165, "b'none'", "b'/tmp'", "b'tmpfs'", 0, 0),
    "unmount the libraries": syscall(166, "b'/usr/lib'", 2),
    "swap the root": syscall(155, "b'/'", "b'/'"),
    "open a file system": syscall(430, "b'tmpfs'", 0, root_control=True),
    "clone a mount": syscall(428, -100, "b'/'", 1, root_control=True),
    # the kernel's surface
    "read a keyring": syscall(250, 0, -3, 0),
    "add a key": syscall(248, "b'user'", "b'name'", "b'x'", 1, -1),
    "request a key": syscall(249, "b'user'", "b'name'", 0, 0),
    "load a kernel program": syscall(321, 0, 0, 0),
    "watch performance counters": syscall(298, 0, 0, -1, -1, 0),
    "handle page faults": syscall(323, 0),
    "make an io_uring": syscall(425, 1, 0),
    "make a file without a name": syscall(319, "b'x'", 0, control=True),
    "make a secret file": syscall(447, 0),
    "load a kernel module": syscall(175, 0, 0, "b''"),
    "load another kernel": syscall(246, 0, 0, 0, 0),
    "restart the machine": syscall(169, 0, 0, 0, 0),
    "set the clock": syscall(227, 0, 0),
    "set the host name": syscall(170, "b'x'", 1),
    "use a file for swapping": syscall(167, "b'/tmp/x'", 0),
    "keep accounts": syscall(163, "b'/tmp/x'"),
    "read the kernel's messages": syscall(103, 3, 0, 0),
    "turn address randomisation off": syscall(135, 0x0040000, control=True),
    "touch the machine's ports": syscall(172, 3),
    "share memory that nothing counts": syscall(29, 0, 1 << 20, 0o1600, control=True),
    "share memory without a file": Attempt("mmap.mmap(-1, 1 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS); outcome = 'ESCAPED'", ("EPERM",), control=True),
    "change the segment table": syscall(154, 0, 0, 0, control=True),
    "change disk quotas": syscall(179, 0, 0, 0, 0),
    "use the other table of calls": syscall("0x40000000 | 39", stopped=("ENOSYS",)),
    # using everything up
    "start processes without end": Attempt(
        "count = 0\n"
        "while count < 400:\n"
        "    if os.fork() == 0: time.sleep(20); os._exit(0)\n"
        "    count += 1\n"
        "outcome = 'ESCAPED'",
        ("EAGAIN",),
    ),
    "start threads without end": Attempt(
        "for _ in range(400): threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\noutcome = 'ESCAPED'",
        ("can't start new thread",),
    ),
    "use three gigabytes": Attempt("big = bytearray(3 << 30); outcome = 'ESCAPED'", ("MemoryError",)),
    "use three gigabytes piece by piece": Attempt("kept = [bytearray(8 << 20) for _ in range(400)]; outcome = 'ESCAPED'", ("MemoryError",)),
    "fill the scratch folder": Attempt(
        "for i in range(500):\n    with open('{scratch}/%d' % i, 'wb') as f: f.write(bytes(1 << 20))\noutcome = 'ESCAPED'", ("ENOSPC",)
    ),
    "fill the shared memory": Attempt(
        "for i in range(500):\n    with open('/dev/shm/%d' % i, 'wb') as f: f.write(bytes(1 << 20))\noutcome = 'ESCAPED'", ("ENOSPC",)
    ),
    "write one huge file": Attempt("with open('{scratch}/big', 'wb') as f: f.write(bytes(8 << 20))\noutcome = 'ESCAPED'", ("EFBIG",), control=True),
    "reserve a huge file": Attempt("fd = os.open('{scratch}/big2', os.O_CREAT | os.O_RDWR); os.posix_fallocate(fd, 0, 1 << 33); outcome = 'ESCAPED'", ("EFBIG", "ENOSPC")),
    "open files without end": Attempt("kept = [os.dup(0) for _ in range(2000)]; outcome = 'ESCAPED'", ("EMFILE",)),
    "dump its core": Attempt("outcome = 'ESCAPED' if resource.getrlimit(resource.RLIMIT_CORE)[0] else 'NOTHING'", ("NOTHING",)),
}  # fmt: skip


@dataclass(frozen=True)
class Outside:
    """What lies outside the sandbox for the taking."""

    canary: str
    port: int
    unix: str
    parent: int
    name: str = CANARY

    def fill(self, code: str, scratch: str) -> str:
        for key in ("canary", "port", "unix", "parent", "name"):
            value = getattr(self, key)
            code = code.replace(f"{{{key}!r}}", repr(value)).replace(f"{{{key}}}", str(value))
        return code.replace("{scratch}", scratch)


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return Toolchain()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    canary = folder / "secret"
    canary.write_text(CANARY)
    tcp = socket.create_server(("127.0.0.1", 0))
    abstract, unix = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + CANARY)
    unix.bind(str(folder / "socket"))
    for server in (abstract, unix):
        server.listen()
    inherited = os.open(canary, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    os.environ["MILLRACE_TEST_SECRET"] = CANARY
    yield Outside(str(canary), tcp.getsockname()[1], str(folder / "socket"), os.getpid())
    del os.environ["MILLRACE_TEST_SECRET"]
    os.close(inherited)
    for server in (tcp, abstract, unix):
        server.close()


def python(source: str, toolchain: Toolchain, tmp_path: Path, limits: Limits = LIMITS, out: Path | None = None) -> Completed:
    """Run Python in the sandbox, with a file to read at /in/given and, where asked for, a folder to write at /out."""
    given = tmp_path / "in"
    given.mkdir(exist_ok=True)
    (given / "given").write_text("given")
    mounts = [Mount(Path(sys.base_prefix), "/python"), Mount(given, "/in")]
    if out is not None:
        mounts.append(Mount(out, "/out", writable=True))
    executable = f"/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    program = [executable, "-IS", "-c", source]
    return run(program, toolchain=toolchain, mounts=mounts, limits=limits)


def test_there_are_at_least_forty() -> None:
    assert len(ATTEMPTS) >= 40


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempt_is_refused(name: str, toolchain: Toolchain, outside: Outside, tmp_path: Path) -> None:
    attempt = ATTEMPTS[name]
    body = textwrap.indent(outside.fill(attempt.code, "/tmp"), "    ")
    done = python(PREAMBLE + body + EPILOGUE, toolchain, tmp_path)
    assert done.stdout, f"the attempt did not run: {done}"
    assert json.loads(done.stdout.splitlines()[-1]) in attempt.stopped, done.stderr


@pytest.mark.parametrize("name", [n for n, a in ATTEMPTS.items() if a.control or (a.root_control and ROOT)])
def test_attempt_would_succeed_without_the_sandbox(name: str, outside: Outside, tmp_path: Path) -> None:
    body = textwrap.indent(outside.fill(ATTEMPTS[name].code, str(tmp_path)), "    ")
    done = subprocess.run(
        [sys.executable, "-IS", "-c", PREAMBLE + body + EPILOGUE], capture_output=True, close_fds=False, timeout=30, check=False
    )
    assert json.loads(done.stdout.splitlines()[-1]) == "ESCAPED", done.stderr


# What is no single call: how a run ends.


def test_spinning_is_stopped(toolchain: Toolchain, tmp_path: Path) -> None:
    done = python("while True: pass", toolchain, tmp_path, LIMITS.model_copy(update={"wall_s": 1.0}))
    assert done.timed_out and done.exit is None


def test_cpu_time_is_counted(toolchain: Toolchain, tmp_path: Path) -> None:
    done = python("while True: pass", toolchain, tmp_path, LIMITS.model_copy(update={"cpu_s": 1}))
    assert done.exit in (128 + signal.SIGXCPU, 128 + signal.SIGKILL)


def test_memory_is_counted_over_all_processes(toolchain: Toolchain, tmp_path: Path) -> None:
    """Each of them keeps to its own limit; what they hold together ends all of them."""
    source = "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        held = bytearray(60 << 20)\n        time.sleep(60)\ntime.sleep(60)"
    began = time.monotonic()
    done = python(
        source, toolchain, tmp_path, LIMITS.model_copy(update={"memory_bytes": 100 << 20, "sandbox_bytes": 200 << 20, "wall_s": 50})
    )
    assert done.exhausted and not done.timed_out and done.exit is None, time.monotonic() - began
    assert not python(source.replace("60 << 20", "1 << 20"), toolchain, tmp_path, LIMITS.model_copy(update={"wall_s": 2.0})).exhausted


def test_a_build_that_takes_too_much_memory_is_stopped(toolchain: Toolchain) -> None:
    """And the next one, with what compilers need, is built."""
    page = b'<!doctype html><html><head></head><body><div id="root"></div><script type="module" src="/src/main.tsx"></script></body></html>'
    files = {"index.html": page, "src/main.tsx": b"export const one: number = 1;"}
    long = b"".join(b"export const v%d = [1, 2, 3].map(n => ({ n, m: n * %d })).filter(o => o.m > 2);\n" % (n, n) for n in range(12_000))
    little = toolchain.settings.build.model_copy(update={"sandbox_bytes": 20 << 20})
    stopped = build_sync(files | {"src/long.ts": long}, Toolchain(toolchain.settings.model_copy(update={"build": little})))
    assert not stopped.ok and {f.rule for f in stopped.findings} <= {"typecheck.memory", "build.memory"} and stopped.findings
    assert build_sync(files, toolchain).ok


@pytest.mark.browser
def test_a_page_that_takes_too_much_memory_is_stopped(toolchain: Toolchain) -> None:
    """Not in JavaScript's heap, which has a limit of its own; the next application gets a new browser."""
    limits = toolchain.settings.browser.model_copy(update={"sandbox_bytes": 700 << 20})
    hungry = b"const kept = []; setInterval(() => kept.push(new Uint8Array(32 << 20).fill(7)), 20);"
    page = b'<!doctype html><html lang="en"><head><title>t</title></head><body><h1>Hello</h1><script type="module" src="/assets/app.js"></script></body></html>'

    async def go() -> None:
        async with Browsers(Toolchain(toolchain.settings.model_copy(update={"browser": limits}))) as browsers:
            with pytest.raises(OutOfMemory):
                async with (
                    asyncio.timeout(60),
                    browsers.open({"dist/index.html": page, "dist/assets/app.js": hungry}, (800, 600)) as opened,
                ):
                    await opened.visit("/")
                    await opened.page.evaluate("new Promise(() => 0)")
            async with browsers.open({"dist/index.html": page, "dist/assets/app.js": b""}, (800, 600)) as opened:
                await opened.visit("/")
                assert opened.log.clean

    asyncio.run(go())


def test_ignoring_signals_does_not_help(toolchain: Toolchain, tmp_path: Path) -> None:
    source = "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    done = python(source, toolchain, tmp_path, LIMITS.model_copy(update={"wall_s": 1.0}))
    assert done.timed_out and done.stdout == b"up\n"


@pytest.mark.parametrize("stream", [1, 2])
def test_endless_output_is_stopped(stream: int, toolchain: Toolchain, tmp_path: Path) -> None:
    source = f"import os\nwhile True: os.write({stream}, b'x' * 65536)"
    done = python(source, toolchain, tmp_path, LIMITS.model_copy(update={"output_bytes": 100_000}))
    assert done.overflowed and done.exit is None
    assert len(done.stdout if stream == 1 else done.stderr) == 100_000


def test_nothing_outlives_the_program(toolchain: Toolchain, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while True: os.close(os.open('/out/beat%d' % time.monotonic_ns(), os.O_CREAT)); time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "while not os.listdir('/out'): time.sleep(0.01)\n"
    )
    done = python(source, toolchain, tmp_path, out=out)
    assert done.exit == 0
    beats = len(list(out.iterdir()))
    assert beats > 0
    time.sleep(0.2)  # no condition to wait for: that nothing happens is what is asked
    assert len(list(out.iterdir())) == beats


def test_stopping_the_launcher_leaves_nothing(tmp_path: Path) -> None:
    """The process that started a sandbox is killed the hard way: its sandbox goes with it."""
    out = tmp_path / "out"
    out.mkdir()
    program = tmp_path / "launcher.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from processors.toolchain.node import Toolchain\nfrom processors.toolchain.sandbox import Mount, run\n"
        f"source = \"import os, time\\nwhile True: os.close(os.open('/out/beat%d' % time.monotonic_ns(), os.O_CREAT)); time.sleep(0.01)\"\n"
        f"executable = '/python/bin/python{sys.version_info.major}.{sys.version_info.minor}'\n"
        f"mounts = [Mount(Path(sys.base_prefix), '/python'), Mount(Path({str(out)!r}), '/out', writable=True)]\n"
        "run([executable, '-IS', '-c', source], toolchain=Toolchain(), mounts=mounts)\n"
    )
    launcher = subprocess.Popen([sys.executable, str(program)])
    deadline = time.monotonic() + 20
    while not list(out.iterdir()):
        assert launcher.poll() is None and time.monotonic() < deadline, "the sandbox did not start"
        time.sleep(0.02)
    launcher.kill()
    launcher.wait()
    count, quiet = -1, 0
    while quiet < 5:  # the kernel takes a moment; then it must stay quiet
        assert time.monotonic() < deadline, "the sandbox outlives its launcher"
        time.sleep(0.05)
        now = len(list(out.iterdir()))
        count, quiet = now, quiet + 1 if now == count else 0


def test_one_run_sees_nothing_of_another(toolchain: Toolchain, tmp_path: Path) -> None:
    assert python("open('/tmp/left', 'w').write('x')", toolchain, tmp_path).ok
    assert python("import os; print(os.listdir('/tmp'))", toolchain, tmp_path).stdout == b"[]\n"


def test_a_program_cannot_pretend_that_the_sandbox_failed(toolchain: Toolchain, tmp_path: Path) -> None:
    done = python("import sys; sys.stderr.write('bwrap: execvp: no such file'); sys.exit(1)", toolchain, tmp_path)
    assert done.exit == 1 and done.stderr.startswith(b"bwrap")


def test_without_scratch_space_nothing_can_be_written(toolchain: Toolchain, tmp_path: Path) -> None:
    source = (
        "import os\nplaces = []\n"
        "for folder, _, _ in os.walk('/'):\n"
        "    if folder.startswith(('/proc', '/python', '/usr')): continue\n"
        "    try: os.close(os.open(folder + '/x', os.O_CREAT | os.O_WRONLY)); places.append(folder)\n"
        "    except OSError: pass\n"
        "print(places)"
    )
    done = python(source, toolchain, tmp_path, LIMITS.model_copy(update={"scratch_bytes": 0, "wall_s": 60, "cpu_s": 60}))
    assert done.stdout == b"[]\n", done.stderr


def test_concurrent_runs_do_not_see_each_other(toolchain: Toolchain, tmp_path: Path) -> None:
    """Two sandboxes at once: each counts its own processes only, and neither can signal the other's."""
    source = "import os, time\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]), flush=True)\ntime.sleep(0.5)"
    results: list[Completed] = []
    threads = [threading.Thread(target=lambda: results.append(python(source, toolchain, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.stdout for done in results] == [b"2\n"] * 3
