"""Seccomp filters for the sandbox, assembled as classic BPF for x86-64 and AArch64.

Namespaces take away files, network and other processes; what is left is the kernel's own surface. A filter takes away the
calls that generated code and its build never need and that escapes are made of: tracing, keyrings, io_uring, BPF, mounting,
new namespaces, memory that no limit counts. A denied call fails with EPERM, so that a runtime may fall back.

Two profiles: ``script`` (node, tsc, esbuild) and ``browser``, which keeps what Chromium builds its own inner sandbox from
(user, pid and network namespaces, chroot) and shares memory with.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Literal

Profile = Literal["script", "browser"]

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Numbers: (x86-64, AArch64); None where the architecture has no such call. From the kernel's syscall tables.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # keyrings
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # large kernel surfaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "vmsplice": (278, 75),
    # mounts
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # the machine
    "setns": (308, 268),
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "nfsservctl": (180, 42),
    # shared memory that no resource limit counts
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "memfd_secret": (447, 447),
}
_DENIED_TO_SCRIPTS: dict[str, tuple[int | None, int | None]] = {
    "unshare": (272, 97),
    "chroot": (161, 51),
    "memfd_create": (319, 279),
    "seccomp": (317, 277),
    "mknod": (133, None),
    "mknodat": (259, 33),
}
_CLONE, _CLONE3, _SOCKET, _IOCTL, _MMAP, _PERSONALITY = (56, 220), (435, 435), (41, 198), (16, 29), (9, 222), (135, 92)

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; clone cannot make a time namespace
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SHARED_ANONYMOUS = 0x21  # MAP_SHARED | MAP_ANONYMOUS
_FAMILIES: dict[Profile, tuple[int, ...]] = {"script": (1,), "browser": (1, 2, 10, 16)}  # AF_UNIX; AF_INET, AF_INET6, AF_NETLINK

_LD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NR, _ARCH_OFFSET = 0, 4


def _errno(code: int) -> int:
    return 0x00050000 | code


def _argument(n: int) -> int:
    """Offset of the low 32 bits of argument ``n`` in ``struct seccomp_data`` (both architectures are little-endian)."""
    return 16 + 8 * n


def program(profile: Profile, machine: str | None = None) -> bytes:
    """The filter as an array of ``struct sock_filter``, as ``bwrap --seccomp`` reads it. Raises ``NotImplementedError`` for other machines."""
    machine = machine or platform.machine()
    if machine not in _ARCH:
        raise NotImplementedError(f"no seccomp filter for {machine}")
    column = 0 if machine == "x86_64" else 1
    code: list[tuple[int, int, int, int]] = []

    def emit(op: int, k: int, jt: int = 0, jf: int = 0) -> None:
        code.append((op, jt, jf, k))

    def on(number: int | None, body: list[tuple[int, int, int, int]]) -> None:
        """Run ``body`` for one call; it ends in a return, everyone else jumps over it."""
        if number is not None:
            emit(_JEQ, number, 0, len(body))
            code.extend(body)

    def op(o: int, k: int, jt: int = 0, jf: int = 0) -> tuple[int, int, int, int]:
        return (o, jt, jf, k)

    deny, allow = op(_RET, _errno(errno.EPERM)), op(_RET, _ALLOW)
    emit(_LD, _ARCH_OFFSET)
    emit(_JEQ, _ARCH[machine], 1, 0)
    emit(_RET, _KILL)
    emit(_LD, _NR)
    if machine == "x86_64":  # the x32 table would be a way around every number below
        emit(_JGE, 0x40000000, 0, 1)
        emit(_RET, _errno(errno.ENOSYS))
    denied = {**_DENIED, **(_DENIED_TO_SCRIPTS if profile == "script" else {})}
    for numbers in denied.values():
        on(numbers[column], [deny])
    on(_CLONE3[column], [op(_RET, _errno(errno.ENOSYS))])  # its flags lie in memory a filter cannot read; libc falls back to clone
    if profile == "script":
        on(_CLONE[column], [op(_LD, _argument(0)), op(_JSET, _NEW_NAMESPACES, 0, 1), deny, allow])
        on(_MMAP[column], [op(_LD, _argument(3)), op(_AND, _SHARED_ANONYMOUS), op(_JEQ, _SHARED_ANONYMOUS, 0, 1), deny, allow])
    families = _FAMILIES[profile]
    body = [op(_LD, _argument(0))]
    body += [op(_JEQ, family, len(families) - i, 0) for i, family in enumerate(families)]
    on(_SOCKET[column], [*body, deny, allow])
    on(_IOCTL[column], [op(_LD, _argument(1)), op(_JEQ, _TIOCSTI, 1, 0), op(_JEQ, _TIOCLINUX, 0, 1), deny, allow])
    on(_PERSONALITY[column], [op(_LD, _argument(0)), op(_JEQ, 0, 2, 0), op(_JEQ, 0xFFFFFFFF, 1, 0), deny, allow])
    emit(_RET, _ALLOW)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
