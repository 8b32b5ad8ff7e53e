"""Free ports on loopback."""

from __future__ import annotations

import random
import socket

# Below the range from which the kernel hands out ports for outgoing connections (32768 upwards on Linux), so that a port that was
# free when it was chosen is not taken by somebody's connection before the server binds it, nor while the server is being restarted.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could bind 127.0.0.1:port now."""
    with socket.socket() as probe:
        # As servers do: a port is not taken by the last server's connections in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """``preferred`` if it is free (a stack started again keeps its address), else a free port chosen at random."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    for port in random.sample(_RANGE, 500):
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1 between 20000 and 31999")
