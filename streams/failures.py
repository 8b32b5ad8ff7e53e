"""What can go wrong with a record, and what then happens to it.

An exception's class decides: a :class:`Rejected` ends the request with a reason its producer can act on; a :class:`Refused` record goes
to the dead letters at once; everything else is retried in delay tiers and then given up.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from schemas.avro_codec import BadRecord
from schemas.ids import BadId
from schemas.names import BadName
from streams.objects import ObjectDamaged, ObjectMissing


class Rejected(Exception):
    """The request cannot be served, and trying again would not help: ``reason`` is a stable code, the message is for a person."""

    def __init__(self, reason: str, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        """When to hand it over again; 0 where that is no use."""


class Refused(Exception):
    """The record itself is wrong. It is dead-lettered at once under ``reason``."""

    def __init__(self, reason: str, message: str, *, ends_request: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.ends_request = ends_request


class Transient(Exception):
    """Something outside is not well; the same record may succeed later."""

    reason = "transient"


@dataclass(frozen=True, slots=True)
class Failure:
    """A classified exception: ``reason`` is the error class in dead letters and metrics."""

    reason: str
    message: str
    exception: str
    retry: bool
    ends_request: bool = True


def classify(error: BaseException) -> Failure:
    """The failure that an exception means. Unknown exceptions are retried: most are of the moment, and the tries are bounded."""
    message = f"{error}"[:2000] or type(error).__name__
    trace = "".join(traceback.format_exception(error))[-8000:]
    match error:
        case Refused():
            return Failure(error.reason, message, trace, False, error.ends_request)
        case BadRecord():
            return Failure(getattr(error, "reason", "bad_record"), message, trace, False)
        case BadName():
            return Failure("bad_name", message, trace, False)
        case BadId():
            return Failure("bad_id", message, trace, False)
        case ObjectDamaged():
            return Failure("object_damaged", message, trace, False)
        case ObjectMissing():
            # The producer may have published before its upload was visible everywhere.
            return Failure("object_missing", message, trace, True)
        case TimeoutError():
            return Failure("timeout", message, trace, True)
        case Transient():
            return Failure(error.reason, message, trace, True)
        case _:
            return Failure("handler_error", f"{type(error).__name__}: {message}", trace, True)
