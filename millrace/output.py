"""What a person or a script sees. One JSON document on stdout with ``--json``; progress and errors on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

OK, REJECTED, USAGE, UNREACHABLE, TIMED_OUT = 0, 1, 2, 3, 4
"""Exit codes of the command line."""

# A table in a pipe or a file is for a program, or for a wider window: it is not folded.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: object) -> str:
    """Text from a video or a prompt, without what could steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(text))


def print_json(document: Any) -> None:
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2, default=_default).decode() + "\n")
    sys.stdout.flush()


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def fail(code: int, message: str) -> NoReturn:
    """Say what went wrong on stderr and end."""
    err.print(Text("millrace: ", style="bold red") + Text(plain(message)))
    raise SystemExit(code)


def print_table(columns: Sequence[str], rows: Iterable[Iterable[Any]], title: str | None = None) -> None:
    table = Table(title=title, title_justify="left", header_style="bold", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if v is None else plain(v)) for v in row))
    out.print(table)


def money(value: object) -> str:
    """A cost as a person reads it; 'not known' where it is NULL."""
    return "not known" if value is None else f"${Decimal(str(value)):.6f}"


STATE_STYLE: Mapping[str, str] = {"validated": "bold green", "rejected": "bold red", "running": "yellow", "accepted": "cyan"}


def state_text(state: str) -> Text:
    return Text(state, style=STATE_STYLE.get(state, ""))
