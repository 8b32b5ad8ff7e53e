"""What commands share: the connection to a stack, and errors said as a person needs them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer

from millrace.doors import Door
from millrace.output import UNREACHABLE, USAGE, fail
from millrace.reports import Reports
from millrace.settings import BadSettings, Settings, StackNotFound, connect
from sinks.clickhouse import ClickHouse, ClickHouseError, SchemaChanged
from sinks.objects import BadStoreUrl, StoreUnreachable
from streams.admin import BrokerUnreachable, TopicsMissing, admin
from streams.failures import Transient
from streams.objects import ObjectStore
from streams.runner import UnsafeStage

Data = Annotated[
    Path | None, typer.Option("--data", help="The embedded stack's folder (default: the nearest .millrace upwards, else ./.millrace).")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; progress goes to stderr.")]


class Connected:
    """A stack one can talk to; each part is opened when first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clickhouse: ClickHouse | None = None
        self._objects: ObjectStore | None = None
        self._door: Door | None = None

    def clickhouse(self) -> ClickHouse:
        self._clickhouse = self._clickhouse or ClickHouse(self.settings.clickhouse)
        return self._clickhouse

    def objects(self) -> ObjectStore:
        if self._objects is None:
            self._objects = self.settings.objects.open()
        return self._objects

    def reports(self) -> Reports:
        return Reports(self.clickhouse())

    def door(self) -> Door:
        if self._door is None:
            admin(self.settings.streams, timeout_s=5)
            self._door = Door(self.settings.streams, self.objects())
        return self._door

    def close(self) -> None:
        if self._clickhouse:
            self._clickhouse.close()


@contextmanager
def explained() -> Iterator[None]:
    """What a stack that is not there raises becomes a line on stderr and exit code 3; what is wrong with settings, 2."""
    try:
        yield
    except (StackNotFound, BrokerUnreachable, TopicsMissing, StoreUnreachable, Transient) as error:
        fail(UNREACHABLE, str(error))
    except (BadSettings, BadStoreUrl, UnsafeStage, ClickHouseError, SchemaChanged) as error:
        fail(USAGE, str(error))


@contextmanager
def connected(data: Path | None) -> Iterator[Connected]:
    """A connection to the stack, closed at the end; errors as :func:`explained`."""
    quiet_logs()
    with explained():
        connection = Connected(connect(data))
        try:
            yield connection
        finally:
            connection.close()


def quiet_logs() -> None:
    """A command speaks for itself: only warnings are logged, on stderr."""
    # The stream is looked up for each line: whoever runs commands in a process of its own may replace it between two.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), logger_factory=lambda *_: structlog.PrintLogger(sys.stderr)
    )
