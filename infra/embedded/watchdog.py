"""Replaces workers that are there and do nothing: stopped, hung, or by their own word beyond help.

A worker says by itself when a record has been at work longer than its stage allows (``streams.health``); slow work within its limit is
well. One that gives no answer at all may only be kept from the processor for a while, so it is given time, and is let be while there is
nothing for it to do. Replacing is for what starting again can help: each next time is waited for longer, so that nothing is killed in a loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import httpx

from infra.embedded.supervisor import Supervisor

Answer = Literal["well", "sick", "silent"]
_ASK_EVERY_S = 2.0
_ANSWER_WITHIN_S = 3.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 3600.0


class Patience:
    """With one process. Decides by times (seconds of one clock); does nothing."""

    def __init__(self, silent_s: float = 30.0, sick_s: float = 5.0) -> None:
        self._limits: dict[Answer, float] = {"silent": silent_s, "sick": sick_s}
        self._since: float | None = None
        self._answer: Answer = "well"
        self._pause = 0.0
        self._not_before = float("-inf")

    def seen(self, now: float, answer: Answer, behind: bool) -> bool:
        """Whether to replace it now. ``behind``: there is work that it, or another, should do."""
        if answer == "well":
            self._since = None
            if now > self._not_before + _LONGEST_PAUSE_S:
                self._pause = 0.0
            return False
        if self._since is None or answer != self._answer:
            self._since, self._answer = now, answer
        if now < self._since + self._limits[answer] or now < self._not_before or (answer == "silent" and not behind):
            return False
        self._pause = min(_LONGEST_PAUSE_S, self._pause * 2 or _FIRST_PAUSE_S)
        self._not_before, self._since = now + self._pause, None
        return True


class Watchdog:
    """Runs beside a supervisor until told to stop. ``behind`` says whether a process has work waiting; asked only where it gives no answer."""

    def __init__(self, behind: Callable[[str], bool], silent_s: float = 30.0) -> None:
        self._behind, self._silent_s = behind, silent_s
        self._patience: dict[str, Patience] = {}

    def __call__(self, supervisor: Supervisor, stop: threading.Event) -> None:
        with httpx.Client(timeout=_ANSWER_WITHIN_S, trust_env=False) as client:
            while not stop.wait(_ASK_EVERY_S):
                addresses = supervisor.addresses()
                self._patience = {name: p for name, p in self._patience.items() if name in addresses}
                for name, url in addresses.items():
                    answer, why = _ask(client, url)
                    patience = self._patience.setdefault(name, Patience(self._silent_s))
                    behind = answer == "silent" and self._behind(name)
                    if patience.seen(time.monotonic(), answer, behind) and not stop.is_set():
                        supervisor.replace(name, why)


def _ask(client: httpx.Client, url: str) -> tuple[Answer, str]:
    try:
        said = client.get(f"{url}/healthz")
    except httpx.HTTPError:
        return "silent", "it gives no answer, and there is work for it"
    return ("well", "") if said.status_code == 200 else ("sick", said.text.strip())
