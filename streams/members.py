"""Who is in a consumer group, in the broker's eyes: asked by a child process, which may die of asking.

There is no other way to ask than the client's asynchronous one, which ends its process now and then (``streams.offsets``). Whoever wants to know
is not to end with it: then the answer is not known this time, and the next question starts another child. It ends with its parent.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

_START_S = 10.0
"""What a child may take to start beside answering."""


class Unknown(LookupError):
    """The broker did not say, or whoever asked it died."""


class Members:
    """Asks a broker about groups. Blocks; safe for threads."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._child: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()

    def read(self, groups: Iterable[str], timeout_s: float = 5.0) -> dict[str, list[str]]:
        """The client ids of each group's members; none where there is no such group. Raises :class:`Unknown`."""
        with self._asking:
            try:
                answer = self._ask(json.dumps({"groups": list(groups), "timeout_s": timeout_s}), timeout_s + _START_S)
            except (OSError, ValueError) as error:
                self._end()
                raise Unknown(f"who asked about groups ended before there was an answer: {error}") from error
        if "error" in answer:
            raise Unknown(answer["error"])
        found: dict[str, list[str]] = answer["members"]
        return found

    def _ask(self, question: str, within_s: float) -> Any:
        child = self._child
        if child is None or child.poll() is not None:
            # As a script, so that it needs no path to this package, and nothing of this package lies before the standard library (-P).
            command = [sys.executable, "-P", __file__, self._servers]
            child = self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert child.stdin and child.stdout
        child.stdin.write(question.encode() + b"\n")
        child.stdin.flush()
        if not select.select([child.stdout], [], [], within_s)[0]:
            raise TimeoutError(f"no answer within {within_s:.0f} s")
        return json.loads(child.stdout.readline())

    def _end(self) -> None:
        if self._child:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def close(self) -> None:
        with self._asking:
            self._end()


def _answer(admin: Any, groups: list[str], timeout_s: float) -> dict[str, Any]:
    from confluent_kafka import KafkaError, KafkaException

    members: dict[str, list[str]] = {}
    end = time.monotonic() + timeout_s
    try:
        for group, answer in admin.describe_consumer_groups(groups, request_timeout=timeout_s).items():
            try:
                members[group] = [m.client_id for m in answer.result(max(0.1, end - time.monotonic())).members]
            except KafkaException as error:
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise
                members[group] = []
    except (KafkaException, TimeoutError) as error:
        return {"error": f"the broker does not answer ({type(error).__name__}: {error})"}
    return {"members": members}


def _main(servers: str) -> None:
    """A question a line of the input, an answer a line of the output, until the input ends."""
    from confluent_kafka.admin import AdminClient

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is its parent's to follow
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    with contextlib.suppress(BrokenPipeError):
        for line in sys.stdin:
            sys.stdout.write(json.dumps(_answer(admin, **json.loads(line))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1])
