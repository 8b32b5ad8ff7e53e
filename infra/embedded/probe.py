"""Waiting for a child to answer."""

from __future__ import annotations

import time

import httpx

from infra.embedded.process import Child, ProcessError


def wait_for_http(child: Child, url: str, timeout: float) -> None:
    """Returns when ``url`` answers 200. Raises ProcessError if ``child`` ends before, or after ``timeout`` seconds."""
    until = time.monotonic() + timeout
    with httpx.Client(timeout=2, trust_env=False) as client:
        while True:
            child.require_running()
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError as error:
                if time.monotonic() > until:
                    raise ProcessError(f"{child.name} does not answer within {timeout:.0f} s: {error}; see {child.log}") from error
            child.ended_within(0.05)
