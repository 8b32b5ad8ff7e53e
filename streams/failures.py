"""What can go wrong with a record, and what then happens to it.

An exception's class decides: a :class:`Rejected` ends the request with a reason its producer can act on; a :class:`Refused` record goes
to the dead letters at once; a :class:`Waiting` one comes again later without having spent a try; everything else is retried in delay tiers
and then given up.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.avro_codec import BadRecord
from schemas.ids import BadId
from schemas.names import BadName
from streams.objects import ObjectDamaged, ObjectMissing

if TYPE_CHECKING:
    from streams.ledger import Answer


def printable(text: str) -> str:
    """The text as any record can hold it: half characters (surrogates, as a provider's JSON or a file's name may have) written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, characters: int) -> str:
    """The text, :func:`printable`, with its end left out where it is longer."""
    return printable(text if len(text) <= characters else f"{text[:characters]}...")


REASON, MESSAGE = 100, 2000
"""Characters that a reason and a message may have: they are said again in verdicts, letters and headers."""


class Rejected(Exception):
    """The request cannot be served, and trying again would not help: ``reason`` is a stable code, the message is for a person."""

    def __init__(self, reason: str, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(printable(message))
        self.reason = shortened(reason, REASON)
        self.retry_after_s = retry_after_s
        """When to hand it over again; 0 where that is no use."""


class Refused(Exception):
    """The record itself is wrong. It is dead-lettered at once under ``reason``."""

    def __init__(self, reason: str, message: str, *, ends_request: bool = True) -> None:
        super().__init__(message)
        self.reason = shortened(reason, REASON)
        self.ends_request = ends_request


class Transient(Exception):
    """Something outside is not well; the same record may succeed later."""

    reason = "transient"


class Unavailable(Transient):
    """What every record needs (the object store, the schema registry) is not well, which is no record's fault: as with :class:`Waiting`, it
    comes again from a delay tier without having spent a try.
    """

    reason = "unavailable"
    wait_s = 5.0


class Waiting(Exception):
    """It is not this record's turn yet: somebody else is at it, or what it depends on is not well. It waits in the delay tiers, not in a
    slot, and that is no try. ``seconds`` is when to look again at the earliest; longer waits go round a tier several times.
    """

    def __init__(self, reason: str, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.reason = shortened(reason, REASON)
        self.seconds = seconds


class ProviderFailed(Exception):
    """A provider gave no usable answer in all the calls a step may make. Trying the record again would make none: the ledger remembers them."""

    def __init__(self, message: str, *, reason: str = "provider_failed", answer: Answer | None = None) -> None:
        super().__init__(message)
        self.reason = shortened(reason, REASON)
        self.answer = answer
        """The last one, an error; None where no call was answered."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A classified exception: ``reason`` is the error class in dead letters and metrics."""

    reason: str
    message: str
    exception: str
    retry: bool
    ends_request: bool = True
    wait_s: float | None = None
    """Of a :class:`Waiting` or :class:`Unavailable`: retried, but no try."""


def classify(error: BaseException) -> Failure:
    """The failure that an exception means. Unknown exceptions are retried: most are of the moment, and the tries are bounded."""
    message = shortened(f"{error}", MESSAGE) or type(error).__name__
    trace = printable("".join(traceback.format_exception(error))[-8000:])
    match error:
        case Waiting():
            return Failure(error.reason, message, "", True, wait_s=max(0.05, error.seconds))
        case ProviderFailed():
            return Failure(error.reason, message, trace, False)
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
        case Unavailable():
            return Failure(error.reason, message, trace, True, wait_s=error.wait_s)
        case Transient():
            return Failure(error.reason, message, trace, True)
        case _:
            return Failure("handler_error", f"{type(error).__name__}: {message}", trace, True)
