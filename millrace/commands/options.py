"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from millrace.output import USAGE, fail

Since = Annotated[str | None, typer.Option(help="At or after this time (UTC, e.g. 2026-11-21 or '2026-11-21 08:00').")]
Until = Annotated[str | None, typer.Option(help="Before this time (UTC).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]


def moment(text: str | None, option: str) -> int | None:
    """A time as ms since 1970; without an offset it is UTC. What is none ends the command."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(USAGE, f"{option} {text!r} is no time: 2026-11-21, '2026-11-21 08:00' or 2026-11-21T08:00:00+01:00")
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def told(unix_ms: int) -> str:
    """A time as a person reads it, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def actor() -> str:
    """Who does it, for the audit record."""
    return f"cli:{getpass.getuser()}"
