"""Just enough of ClickHouse's grammar to carry a statement over HTTP: where an INSERT's data begins, which format is asked for.

ClickHouse itself parses and judges every statement; what is decided here is only what its HTTP handler decides before that, and what
the embedded engine must not be asked to do (``refusal``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
    (?P<space> \s+ | --[^\n]* | \#[!\s][^\n]* | /\*.*?\*/ )
  | (?P<string> '(?:[^'\\]|\\.|'')*' )
  | (?P<quoted> "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<other> \d[\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_TABLE_FUNCTIONS = frozenset({"FILE", "FILECLUSTER", "EXECUTABLE", "PYTHON", "URL", "URLCLUSTER"})
# In chDB a table that consumes from a broker makes the whole data path unusable at the next start; the others have no use here.
_ENGINES = frozenset({"KAFKA", "RABBITMQ", "NATS", "FILELOG", "FILE", "EXECUTABLE", "EXECUTABLEPOOL", "PYTHON"})


@dataclass(frozen=True)
class Token:
    kind: str
    """``string``, ``quoted`` (an identifier), ``word`` or ``other`` (numbers and signs)."""
    text: str
    """A word in upper case, anything else as written."""
    start: int
    end: int
    depth: int
    """How many brackets are open around it."""


@dataclass(frozen=True)
class Statement:
    """What a request asks for.

    ``insert``: the INSERT without its FORMAT clause, if data follows it (else None); ``data``: where in the text the data begins.
    ``format``: the FORMAT named, of the data for an insert, of the result for anything else.
    """

    text: str
    insert: str | None
    data: int
    format: str | None
    first_word: str


class StatementError(Exception):
    """A text that is no single statement. ``code`` is ClickHouse's number for it."""

    def __init__(self, code: int, name: str, message: str):
        super().__init__(message)
        self.code, self.name = code, name


def tokens(text: bytes) -> Iterator[Token]:
    """The tokens of a statement. Comments and white space are left out; what is not closed ends the stream."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "space" or kind is None:
            continue
        raw = match.group()
        if kind == "other" and raw in b"'\"`":
            return
        if kind == "other" and raw in b")]}":
            depth = max(0, depth - 1)
        word = raw.decode(errors="replace")
        yield Token(kind, word.upper() if kind == "word" else word, match.start(), match.end(), depth)
        if kind == "other" and raw in b"([{":
            depth += 1


def parse(text: bytes) -> Statement:
    """Splits a request's text, whose end may be (the beginning of) an INSERT's data.

    Raises StatementError for an empty text and for more than one statement, as ClickHouse does.
    """
    stream = tokens(text)
    first = next(stream, None)
    if first is None:
        raise StatementError(62, "SYNTAX_ERROR", "Empty query")
    if first.text == "INSERT":
        found = _insert(text, stream)
        if found:
            return found
        stream = tokens(text)
    return _other(text, stream, first)


def _insert(text: bytes, stream: Iterator[Token]) -> Statement | None:
    """The INSERT whose data follows in the text, None for one that computes it (``INSERT ... SELECT``)."""
    for token in stream:
        if token.depth or token.kind != "word":
            continue
        if token.text in ("SELECT", "WITH", "FROM"):
            return None
        if token.text == "VALUES":
            return Statement(text[: token.end].decode(), text[: token.start].decode(), token.end, "Values", "INSERT")
        if token.text == "FORMAT":
            name = next(stream, None)
            if name is None or name.kind != "word":
                raise StatementError(62, "SYNTAX_ERROR", "Syntax error: a format's name is expected after FORMAT")
            written = text[name.start : name.end].decode()
            return Statement(text[: name.end].decode(), text[: token.start].decode(), _data_start(text, name.end), written, "INSERT")
    raise StatementError(62, "SYNTAX_ERROR", "Syntax error: INSERT without FORMAT, VALUES or SELECT")


def _data_start(text: bytes, position: int) -> int:
    """ClickHouse's rule: data starts after the first newline, if only spaces are before it, else after the spaces."""
    match = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?").match(text, position)
    return match.end() if match else position


def _other(text: bytes, stream: Iterator[Token], first: Token) -> Statement:
    format_name: str | None = None
    after_format = False
    end: int | None = None
    for token in stream:
        if end is not None:
            raise StatementError(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if token.text == ";" and token.kind == "other":
            end = token.start
        elif after_format and token.kind == "word":
            format_name = text[token.start : token.end].decode()
        after_format = token.kind == "word" and token.text == "FORMAT" and token.depth == 0
    try:
        return Statement(text[:end].decode(), None, len(text), format_name, first.text)
    except UnicodeDecodeError:
        raise StatementError(62, "SYNTAX_ERROR", "Syntax error: the statement is not UTF-8") from None


def from_file(insert: str, path: str, format_name: str) -> str:
    """The INSERT (without its FORMAT clause), reading its data from a file. Its SETTINGS come after that, says the grammar."""
    settings = next((t.start for t in tokens(insert.encode()) if t.text == "SETTINGS" and t.kind == "word" and not t.depth), None)
    raw = insert.encode()
    head, tail = raw[:settings].decode(), raw[settings:].decode() if settings is not None else ""
    quoted = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"{head} FROM INFILE '{quoted}' {tail} FORMAT {format_name}"


def refusal(text: str) -> str | None:
    """Why the embedded engine must not run this statement, or None.

    It runs with its owner's rights and has no grants, so what reaches outside its own tables is refused by name.
    """
    found = list(tokens(text.encode()))
    for this, after in zip(found, [*found[1:], None], strict=True):
        if this.kind != "word":
            continue
        if this.text in _TABLE_FUNCTIONS and after and after.text == "(":
            return f"the table function {this.text.lower()} is not available in the embedded engine"
        if this.text in ("OUTFILE", "INFILE"):
            return f"{this.text} is not available over HTTP"
    for index, this in enumerate(found):
        if this.kind == "word" and this.text == "ENGINE":
            name = next((t for t in found[index + 1 : index + 3] if t.text != "="), None)
            if name and name.text.upper().strip('`"') in _ENGINES:
                return f"the table engine {name.text} is not available in the embedded engine"
    return None
