"""Logs of long-running processes: one JSON object a line on stderr, secrets removed at the one place all lines pass."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"pass(word)?|secret|token|authorization|api_?key|access_?key", re.I)
_SECRET_TEXTS = re.compile(
    r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)|\b(sk|pk|ghp|xox[abp])[-_][A-Za-z0-9_-]{12,}|\bAKIA[0-9A-Z]{16}\b|\bBearer\s+\S+"
)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values whose name speaks of a secret, and texts that look like one, become ``[secret]``."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "[secret]"
        elif isinstance(value, str):
            event[name] = _SECRET_TEXTS.sub("[secret]", value)
    return event


def log_json(level: str = "info") -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
