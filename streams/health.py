"""What a worker answers to those who watch it: is it alive, is it ready, how is it doing.

Alive is judged by progress, not by turns of a loop: slow work is alive up to its stage's own time limit, and what only waits for somebody
else (a broker that is away, a destination that is not well) is alive too, since starting again would not help. The answers come from a
thread of their own, so that they also come where the event loop hangs; a process that is stopped gives none.

- ``/healthz``: 200, or 503 with what is wrong. Whoever supervises starts the worker again.
- ``/readyz``: 200 when each stage is a member of its group in the broker's eyes (``streams.members``), else 503.
- ``/metrics``: for Prometheus.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from streams.members import Members, Unknown
from streams.settings import StreamSettings
from streams.source import Source

GRACE_S = 60.0
"""Beyond a stage's time limit: for what the runner does around a handler (claims, recording), and for a machine that is busy."""
POLL_THREAD_S = 120.0
"""The poll thread may wait for a rebalance's work and for a broker that comes back, not longer."""
_READY_FOR_S = 3.0
"""How long an answer of the broker is believed: probes may come often."""


@dataclass(slots=True)
class Pulse:
    """One stage's signs of life. Written by its event loop, read by the server's threads."""

    stage: str
    source: Source[Any]
    limit_s: float
    """What one piece of work may take."""
    working_since: float | None = None
    """``time.monotonic()`` of the start of the longest running piece of work, None where nothing runs."""
    beaten_at: float = field(default_factory=time.monotonic)

    def beat(self, working_since: float | None) -> None:
        """The event loop got to this stage's once-a-second duties."""
        self.beaten_at, self.working_since = time.monotonic(), working_since

    def wrong(self) -> Iterator[str]:
        """What does not go on, and will not by itself."""
        now = time.monotonic()
        if self.source.finished.done():
            yield f"{self.stage}: takes no records any more"
        elif (silent := now - self.source.poll.turned_at) > POLL_THREAD_S:
            yield f"{self.stage}: has not polled for {silent:.0f} s"
        started = self.working_since
        limit = self.limit_s + GRACE_S
        if started is not None and now - started > limit:
            yield f"{self.stage}: a record has been at work for {now - started:.0f} s, beyond its limit of {self.limit_s:g} s"
        elif (silent := now - self.beaten_at) > limit:
            yield f"{self.stage}: the event loop has not turned for {silent:.0f} s"


class Health:
    """A worker's answers. Until its stages have started it is alive and not ready."""

    def __init__(self) -> None:
        self._pulses: Sequence[Pulse] = ()
        self._members: Members | None = None
        self._asking = threading.Lock()
        self._answer: tuple[float, list[str]] = (float("-inf"), [])

    def watch(self, pulses: Sequence[Pulse], settings: StreamSettings) -> None:
        self._pulses, self._members = pulses, Members(settings.bootstrap_servers)

    def wrong(self) -> list[str]:
        return [line for pulse in self._pulses for line in pulse.wrong()]

    def not_ready(self) -> list[str]:
        """What is missing, as the broker sees it: asked at most every few seconds."""
        with self._asking:
            if time.monotonic() > self._answer[0] + _READY_FOR_S:
                self._answer = (time.monotonic(), self._ask())
            return self._answer[1]

    def _ask(self) -> list[str]:
        if self._members is None:
            return ["no stage has started"]
        try:
            members = self._members.read([p.source.group for p in self._pulses], timeout_s=3)
        except Unknown as error:
            return [f"membership is not known: {error}"]
        return [
            f"{p.stage}: not a member of group {p.source.group} yet"
            for p in self._pulses
            if p.source.poll.client_id not in members[p.source.group]
        ]

    def close(self) -> None:
        """No more questions come."""
        if self._members:
            self._members.close()


class Answers(Protocol):
    """What the server asks; each gives the lines that are wrong, none where all is well. Called from any thread."""

    def wrong(self) -> list[str]: ...
    def not_ready(self) -> list[str]: ...


class HealthServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` from daemon threads until closed. Port 0 picks a free one."""

    def __init__(self, health: Answers, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(health))
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing does not keep its thread

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._say(200, encode(REGISTRY), kind)
            elif path in ("/healthz", "/readyz"):
                found = health.wrong() if path == "/healthz" else health.not_ready()
                self._say(503 if found else 200, ("\n".join(found or ["ok"]) + "\n").encode(), "text/plain; charset=utf-8")
            else:
                self._say(404, b"/metrics, /healthz, /readyz\n", "text/plain; charset=utf-8")

        def _say(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):  # whoever asked did not wait
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
