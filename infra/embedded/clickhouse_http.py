"""ClickHouse's HTTP interface before chDB: the process that owns the data path.

``python -m infra.embedded.clickhouse_http --data DIR --port PORT`` serves what clients use of the interface: queries and commands by
GET and POST, ``param_*``, settings, ``database``, ``default_format``, sessions, compressed and chunked request bodies, INSERTs with
streamed data, the exception and summary headers, ``/ping``.  Left out: users and roles, external tables, progress headers, compressed
responses (all on loopback), a client's cancelling by closing its connection (queries are limited in time instead).

Invariants:

- Every request has a chDB connection of its own: on a shared one a short query waits behind a long one. A session has one for as long
  as it lives, and takes one request at a time, as in the server.
- An INSERT is committed only after its whole body has been read: a body that breaks off commits nothing.
- One connection is open from start to stop, so that the engine never closes between requests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame  # type: ignore[import-untyped]
from backports import zstd
from chdb import ChdbError

from infra.embedded.room import leave_without_room, wait_for_room
from infra.embedded.sql import Statement, StatementError, from_file, parse, refusal

logger = logging.getLogger("clickhouse")

CHUNK = 1 << 20
# The server's max_query_size: what of a body is looked at to find where a statement ends and its data begins.
HEAD = 256 * 1024
# A statement without data (a long IN list, many VALUES computed by SELECT) may be larger than the head; this much is read in all.
LARGEST_STATEMENT = 64 * 1024 * 1024
LARGEST_FORM = 16 * 1024 * 1024

# Every connection starts with these. chDB is clickhouse-local at heart, which allows what a server does not.
_SERVER_DEFAULTS = {"implicit_select": "0", "allow_introspection_functions": "0"}
# Nobody's query may hold the machine: one may ask for other limits, but has some in any case. What writes is not cut off in time.
_LIMITS = {"max_execution_time": "60", "max_threads": "2", "max_result_bytes": str(1 << 30), "max_memory_usage": str(2 << 30)}
_WRITER = {"max_execution_time": "0"}
_READERS = frozenset(["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "FROM", "("])

# Parameters of the interface that are no settings of the engine.
_TRANSPORT = frozenset(
    [
        "query",
        "database",
        "default_format",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "user",
        "password",
        "quota_key",
        "role",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        "stacktrace",
        "close_session",
    ]
)
# Settings of the server's HTTP layer: the engine knows the names, but they mean nothing here.
_HTTP_SETTINGS = re.compile(
    r"(send_progress_in_http_headers|enable_http_compression|cancel_http_readonly_queries_on_client_close|http_\w+)$"
)
_SETTING_NAME = re.compile(r"[A-Za-z_]\w{0,127}$", re.ASCII)

# The server's own table (src/Server/HTTP/exceptionCodeToHTTPStatus): everything else is 500.
_STATUS = {
    **dict.fromkeys((36, 6, 25, 26, 27, 38, 41, 72, 349, 62, 117, 53, 69, 70, 168, 167, 457, 461, 620), 400),
    **dict.fromkeys((60, 46, 47, 50, 56, 81, 115, 103, 63, 73, 336, 119, 511), 404),
    48: 501,
}
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Pretty": "text/plain; charset=UTF-8",
}


class QueryError(Exception):
    """An error as ClickHouse numbers it; ``text`` is the whole body of the answer."""

    def __init__(self, code: int, text: str, status: int | None = None):
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status or _STATUS.get(code, 500)

    @classmethod
    def of(cls, code: int, name: str, message: str) -> QueryError:
        return cls(code, f"Code: {code}. DB::Exception: {message} ({name})")

    @classmethod
    def from_engine(cls, error: Exception) -> QueryError:
        """chDB's exceptions carry the server's text, some behind a prefix of chDB's own."""
        text = str(error)
        match = re.search(r"(?:std::exception\. )?Code: (\d+)", text)
        return (
            cls(int(match[1]), text[match.start() :].strip())
            if match
            else cls(1002, f"Code: 1002. DB::Exception: {text} (UNKNOWN_EXCEPTION)")
        )


class Decoder(Protocol):
    """What zlib, lz4 and zstd have in common: one frame's decompressor."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def decoder(encoding: str) -> Decoder:
    """What undoes one frame of a Content-Encoding. Raises QueryError for one that the server does not know either."""
    if encoding in ("gzip", "deflate"):
        return cast(Decoder, zlib.decompressobj(zlib.MAX_WBITS | 32))  # either header
    if encoding == "lz4":
        return cast(Decoder, lz4.frame.LZ4FrameDecompressor())
    if encoding == "zstd":
        return cast(Decoder, zstd.ZstdDecompressor())
    raise QueryError.of(89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression method: {encoding}")


class Sessions:
    """Connections that outlive a request: temporary tables and what was SET stay until nobody asked for ``session_timeout`` seconds."""

    @dataclass
    class Session:
        connection: Any
        lock: threading.Lock = field(default_factory=threading.Lock)
        expires: float = 0.0

    def __init__(self, connect: Callable[[], Any]):
        self._connect = connect
        self._sessions: dict[str, Sessions.Session] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def use(self, name: str, timeout: float, must_exist: bool) -> Iterator[Any]:
        """The session's connection, for one request at a time. Raises QueryError where another request has it."""
        with self._lock:
            self._expire()
            session = self._sessions.get(name)
            if session is None:
                if must_exist:
                    raise QueryError.of(372, "SESSION_NOT_FOUND", f"Session {name} not found")
                session = self._sessions[name] = Sessions.Session(self._connect())
            if not session.lock.acquire(blocking=False):
                raise QueryError.of(373, "SESSION_IS_LOCKED", f"Session {name} is locked by a concurrent client")
        try:
            yield session.connection
        finally:
            session.expires = time.monotonic() + timeout
            session.lock.release()

    def close(self) -> None:
        with self._lock:
            for session in self._sessions.values():
                session.connection.close()
            self._sessions.clear()

    def _expire(self) -> None:
        now = time.monotonic()
        for name, session in list(self._sessions.items()):
            if not session.lock.locked() and session.expires < now:
                session.connection.close()
                del self._sessions[name]


class Engine:
    """The one owner of a data path."""

    def __init__(self, data: Path, concurrent: int = 24):
        data.mkdir(parents=True, exist_ok=True)
        self._path = str(data)
        self.spool = data / "spool"
        shutil.rmtree(self.spool, ignore_errors=True)  # what a killed predecessor had not read
        self.spool.mkdir()
        self._concurrent = concurrent
        self._owner = self.connect()
        self.sessions = Sessions(self.connect)
        # More queries at once only slow each other down on one machine; the rest wait their turn.
        self.slots = threading.BoundedSemaphore(concurrent)
        self.timezone = self._owner.query("SELECT timezone()", "TSV").bytes().decode().strip()

    def connect(self) -> Any:
        """A connection as the server would give it, with limits. The caller closes it."""
        connection = chdb.connect(self._path)
        apply(connection, _SERVER_DEFAULTS | _LIMITS)
        return connection

    def close(self, within: float) -> None:
        """Waits up to ``within`` seconds for what is running, then closes."""
        until = time.monotonic() + within
        idle = all(self.slots.acquire(timeout=max(0.0, until - time.monotonic())) for _ in range(self._concurrent))
        if not idle:
            # Closing a connection under a running query would wait for it: leave, as a crash would; parts are written whole or not at all.
            logger.warning("leaving running queries behind")
            return
        self.sessions.close()
        self._owner.close()


def apply(connection: Any, settings: Mapping[str, str | None]) -> None:
    """SETs settings on a connection, None to the engine's default; the values are the client's text. Raises QueryError."""
    for name in settings:
        if not _SETTING_NAME.match(name):
            raise QueryError.of(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
    if settings:
        assignments = (f"{name} = DEFAULT" if value is None else f"{name} = {_quoted(value)}" for name, value in settings.items())
        run(connection, "SET " + ", ".join(assignments))


def run(connection: Any, sql: str, format_name: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Any:
    """A statement's result, as chDB gives it. Raises QueryError."""
    try:
        return connection.query(sql, format_name, params=dict(parameters or {}))
    except (ChdbError, RuntimeError) as error:
        raise QueryError.from_engine(error) from error


def _quoted(value: str, mark: str = "'") -> str:
    return mark + value.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


class Handler(BaseHTTPRequestHandler):
    """One client connection; the methods named ``do_*`` serve one request each."""

    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse"
    sys_version = ""
    engine: Engine  # set on the subclass that ``serve`` makes
    timeout = 3600  # of an idle client

    def setup(self) -> None:
        super().setup()
        # Answers are written in two pieces (headers, body); do not let the second wait for the first's acknowledgement.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        if urlsplit(self.path).path in ("/ping", "/replicas_status") or self.path == "/":
            self._answer(200, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
        else:
            self._serve(read_only=True)

    def do_POST(self) -> None:
        self._serve(read_only=False)

    def do_HEAD(self) -> None:
        self._answer(200, b"", {})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing a request: errors are logged where they are answered."""

    # -- one request ---------------------------------------------------------------------------------------------------------------

    def _serve(self, read_only: bool) -> None:
        started = time.monotonic()
        query_id = ""
        body: Iterator[bytes] = iter(())
        try:
            parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            query_id = parameters.get("query_id") or str(uuid.uuid4())
            for name in ("Database", "Format"):
                if self.headers.get(f"X-ClickHouse-{name}"):
                    parameters.setdefault({"Database": "database", "Format": "default_format"}[name], self.headers[f"X-ClickHouse-{name}"])
            body = self._body()
            if self.headers.get_content_type() == "multipart/form-data":
                parameters.update(self._form(body))
            statement, data = self._statement(parameters.get("query", "").encode(), body)
            if read_only and statement.first_word not in _READERS:
                raise QueryError.of(
                    164, "READONLY", "Cannot execute query in readonly mode: for queries over HTTP, method GET implies readonly"
                )
            with self.engine.slots, self._connection(parameters, statement) as connection:
                if statement.insert is not None:
                    answer, summary = b"", self._insert(connection, statement, data, body)
                else:
                    answer, summary = self._query(connection, statement, parameters)
            summary["elapsed_ns"] = str(int((time.monotonic() - started) * 1e9))
            format_name = statement.format or parameters.get("default_format") or "TabSeparated"
            headers = {
                "X-ClickHouse-Summary": json.dumps(summary),
                "X-ClickHouse-Query-Id": query_id,
                "X-ClickHouse-Format": format_name,
                "X-ClickHouse-Timezone": self.engine.timezone,
                "Content-Type": _CONTENT_TYPES.get(format_name, "application/octet-stream"),
            }
            self._answer(200, answer, headers)
        except QueryError as error:
            self._fail(error, query_id, body)
        except StatementError as error:
            self._fail(QueryError.of(error.code, error.name, str(error)), query_id, body)
        except (ConnectionError, TimeoutError, EOFError) as error:
            # The client went away in the middle of its body: nothing was committed, nobody is there to be told.
            logger.info("a client left: %s", error)
            self.close_connection = True

    def _statement(self, prefix: bytes, body: Iterator[bytes]) -> tuple[Statement, bytes]:
        """What the request asks for, and the part of an INSERT's data that has been read from the body with it."""
        head, complete = _read(body, HEAD)
        text = prefix + b"\n" + head if prefix and head else prefix + head
        statement = parse(text)
        if statement.insert is None and not complete:
            rest, complete = _read(body, LARGEST_STATEMENT)
            if not complete:
                raise QueryError.of(307, "TOO_MANY_BYTES", f"The statement is larger than {LARGEST_STATEMENT} bytes")
            statement = parse(text + rest)
        refused = refusal(statement.text)
        if refused:
            raise QueryError.of(344, "SUPPORT_IS_DISABLED", refused)
        return statement, text[statement.data :]

    def _query(self, connection: Any, statement: Statement, parameters: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        values = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
        result = run(connection, statement.text, parameters.get("default_format") or "TabSeparated", values)
        summary = {
            "read_rows": str(result.storage_rows_read()),
            "read_bytes": str(result.storage_bytes_read()),
            "written_rows": str(result.rows_written()),
            "written_bytes": str(result.bytes_written()),
            "result_rows": str(result.rows_read()),
            "result_bytes": str(result.bytes_read()),
        }
        return result.bytes(), summary

    def _insert(self, connection: Any, statement: Statement, first: bytes, body: Iterator[bytes]) -> dict[str, str]:
        """Insert what follows the statement, from a temporary file.

        Not by chDB's ``send_insert``: it takes an error of the table (a constraint, too many partitions, no memory, no space) for
        success, and the rows are gone.
        """
        assert statement.insert is not None
        with tempfile.NamedTemporaryFile(dir=self.engine.spool) as file:
            file.write(first)
            for chunk in body:
                file.write(chunk)
            file.flush()
            result = run(connection, from_file(statement.insert, file.name, statement.format or "TabSeparated"))
        rows, size = str(result.rows_written()), str(result.bytes_written())
        return {
            "read_rows": rows,
            "read_bytes": size,
            "written_rows": rows,
            "written_bytes": size,
            "result_rows": rows,
            "result_bytes": size,
        }

    @contextlib.contextmanager
    def _connection(self, parameters: dict[str, str], statement: Statement) -> Iterator[Any]:
        """A connection with the request's database and settings: the session's, or a new one."""
        settings = {} if statement.first_word in _READERS else dict(_WRITER)
        settings |= {
            name: value
            for name, value in parameters.items()
            if name not in _TRANSPORT and not name.startswith("param_") and not _HTTP_SETTINGS.match(name)
        }
        session = parameters.get("session_id")
        if session:
            timeout = min(float(parameters.get("session_timeout") or 60), 3600.0)
            with self.engine.sessions.use(session, timeout, parameters.get("session_check") == "1") as connection:
                _prepare(connection, parameters.get("database"), settings)
                try:
                    yield connection
                finally:
                    # What came with the request held for the request; what was SET in the session stays.
                    apply(connection, {name: _LIMITS.get(name) for name in settings})
        else:
            with contextlib.closing(self.engine.connect()) as connection:
                _prepare(connection, parameters.get("database"), settings)
                yield connection

    # -- the wire ------------------------------------------------------------------------------------------------------------------

    def _body(self) -> Iterator[bytes]:
        """The request's body, decoded, in pieces. Raises EOFError where it breaks off."""
        raw = self._chunked() if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower() else self._sized()
        encoding = (self.headers.get("Content-Encoding") or "").strip().lower()
        return raw if encoding in ("", "identity") else _decoded(raw, encoding)

    def _sized(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, CHUNK))
            if not piece:
                raise EOFError(f"{left} bytes of the body are missing")
            left -= len(piece)
            yield piece

    def _chunked(self) -> Iterator[bytes]:
        while True:
            line = self.rfile.readline(1024)
            if not line:
                raise EOFError("the chunked body breaks off")
            left = int(line.split(b";")[0], 16)
            if not left:
                while self.rfile.readline(8192).strip():
                    pass
                return
            while left:
                piece = self.rfile.read(min(left, CHUNK))
                if not piece:
                    raise EOFError("the chunked body breaks off")
                left -= len(piece)
                yield piece
            self.rfile.readline(8)

    def _form(self, body: Iterator[bytes]) -> dict[str, str]:
        """The fields of a multipart form: ``query`` and ``param_*``. External tables (files) are not served."""
        data, complete = _read(body, LARGEST_FORM)
        if not complete:
            raise QueryError.of(307, "TOO_MANY_BYTES", f"The form is larger than {LARGEST_FORM} bytes")
        message: EmailMessage = BytesParser(policy=HTTP).parsebytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + data
        )
        fields: dict[str, str] = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            if not isinstance(name, str) or part.get_filename() is not None:
                raise QueryError.of(48, "NOT_IMPLEMENTED", "External tables are not available in the embedded engine")
            fields[name] = bytes(part.get_payload(decode=True) or b"").decode()
        return fields

    def _fail(self, error: QueryError, query_id: str, body: Iterator[bytes]) -> None:
        logger.info("%s", error.text.splitlines()[0][:500])
        try:
            # A client that is still sending would take a closed connection for a broken one, and not read the reason.
            for _ in body:
                pass
        except (QueryError, ConnectionError, TimeoutError, EOFError):
            self.close_connection = True
        headers = {
            "X-ClickHouse-Exception-Code": str(error.code),
            "X-ClickHouse-Query-Id": query_id,
            "Content-Type": "text/plain; charset=UTF-8",
        }
        with contextlib.suppress(ConnectionError):
            self._answer(error.status, f"{error.text}\n".encode(), headers)

    def _answer(self, status: int, data: memoryview | bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("X-ClickHouse-Server-Display-Name", "millrace")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _prepare(connection: Any, database: str | None, settings: Mapping[str, str]) -> None:
    if database:
        run(connection, "USE " + _quoted(database, "`"))
    apply(connection, settings)


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Raises QueryError for a body that is not what its Content-Encoding says, EOFError for one that breaks off."""
    undo = decoder(encoding)
    begun = False
    for piece in pieces:
        while piece:
            if undo.eof:  # a body may be several compressed frames, one after the other
                undo = decoder(encoding)
            begun = True
            try:
                data = undo.decompress(piece)
            except (zlib.error, RuntimeError, ValueError, EOFError, zstd.ZstdError) as error:
                raise QueryError.of(271, "CANNOT_DECOMPRESS", f"Cannot decompress the body: {error}") from error
            yield data
            piece = (undo.unused_data or b"") if undo.eof else b""
    if begun and not undo.eof:
        raise EOFError("the compressed body breaks off")


def _read(stream: Iterator[bytes], limit: int) -> tuple[bytes, bool]:
    """Reads until ``limit`` bytes or the end: what was read (a piece more than ``limit`` at most), and whether that was all."""
    pieces: list[bytes] = []
    size = 0
    for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size >= limit:
            return b"".join(pieces), False
    return b"".join(pieces), True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True


def serve(data: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT; then lets running requests finish for a few seconds and closes the engine."""
    engine = Engine(data)
    server = Server(("127.0.0.1", port), type("EngineHandler", (Handler,), {"engine": engine}))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    print(f"serving {data} on http://127.0.0.1:{port}", flush=True)
    stopping.wait()
    server.shutdown()
    server.server_close()
    engine.close(within=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    arguments.data.mkdir(parents=True, exist_ok=True)
    wait_for_room(arguments.data, logger.warning)
    leave_without_room(arguments.data, logger.warning)
    serve(arguments.data, arguments.port)


if __name__ == "__main__":
    main()
