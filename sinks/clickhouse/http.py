"""ClickHouse's HTTP interface: the one way in, to a server as to the embedded engine."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from streams.failures import Transient

# Codes of ClickHouse's ErrorCodes.cpp that speak of the moment, not of the statement or its data.
_OF_THE_MOMENT = frozenset({
    3,    # UNEXPECTED_END_OF_FILE, as a broken connection shows
    74,   # CANNOT_READ_FROM_FILE_DESCRIPTOR
    75,   # CANNOT_WRITE_TO_FILE_DESCRIPTOR: a disk that fills up in the middle of an insert; an INSERT of no rows would still do
    76,   # CANNOT_OPEN_FILE
    77,   # CANNOT_CLOSE_FILE
    88,   # CANNOT_TRUNCATE_FILE
    159,  # TIMEOUT_EXCEEDED
    160,  # TOO_SLOW
    173,  # CANNOT_ALLOCATE_MEMORY
    202,  # TOO_MANY_SIMULTANEOUS_QUERIES
    203,  # NO_FREE_CONNECTION
    209,  # SOCKET_TIMEOUT
    210,  # NETWORK_ERROR
    225,  # NO_ZOOKEEPER
    236,  # ABORTED
    241,  # MEMORY_LIMIT_EXCEEDED
    242,  # TABLE_IS_READ_ONLY
    243,  # NOT_ENOUGH_SPACE
    252,  # TOO_MANY_PARTS
    285,  # TOO_FEW_LIVE_REPLICAS
    319,  # UNKNOWN_STATUS_OF_INSERT
    394,  # QUERY_WAS_CANCELLED
    425,  # SYSTEM_ERROR
    439,  # CANNOT_SCHEDULE_TASK
    473,  # DEADLOCK_AVOIDED
    499,  # S3_ERROR, where its disks lie there
    745,  # SERVER_OVERLOADED
    999,  # KEEPER_EXCEPTION
})  # fmt: skip
# A parameter's text is read as a field of TabSeparated is.
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
_CODE = re.compile(r"Code: (\d+)")


class ClickHouseUnavailable(Transient):
    """ClickHouse does not answer, or cannot just now. The same statement may succeed later. ``code`` as in :class:`ClickHouseError`."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ClickHouseError(Exception):
    """ClickHouse refuses a statement. ``code`` is one of its ErrorCodes, 0 where it did not tell."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ClickHouseSettings(BaseModel):
    """Where ClickHouse is and how patient to be with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an address may hold a password

    url: str = "http://127.0.0.1:8123"
    """``http[s]://[USER[:PASSWORD]@]HOST:PORT[/?database=NAME]``."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_without_password(url)!r} is no address of ClickHouse: http://HOST:PORT/?database=NAME")
        return url

    user: str = ""
    """Instead of the one in the address."""
    password: SecretStr = SecretStr("")
    """With ``user``."""
    timeout_s: float = Field(60.0, gt=0)
    """Of one statement."""
    block_rows: int = Field(100_000, ge=1, le=500_000)
    """Rows of one INSERT at most; ClickHouse inserts so many at once, or none of them."""
    block_bytes: int = Field(32 << 20, ge=1)
    """The same in bytes of Avro."""
    tries: int = Field(6, ge=1)
    """Of an INSERT, before the batch is given back undone."""
    backoff_s: float = Field(0.2, ge=0)
    """Before the second try; doubled before each further one, ten seconds at most."""


class ClickHouse:
    """A thin client. Safe for threads. Statements are sent as they are: values go in as parameters, never into the text."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.settings = settings
        parts = urlsplit(settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_without_password(settings.url)!r} is no address of ClickHouse: http://HOST:PORT/?database=NAME")
        user = settings.user or unquote(parts.username or "")
        password = settings.password.get_secret_value() or unquote(parts.password or "")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._http = httpx.Client(
            base_url=urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, "/", "", "")),
            params={name: values[-1] for name, values in parse_qs(parts.query).items()},
            headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": password} if user else {},
            timeout=httpx.Timeout(settings.timeout_s, connect=5.0),
            trust_env=False,  # a proxy for the web is none for a database
        )

    def command(self, sql: str, *, parameters: dict[str, str] | None = None) -> str:
        """Run one statement and return what it says. Raises :class:`ClickHouseError`, :class:`ClickHouseUnavailable`."""
        return self._ask({}, sql.encode(), parameters).decode()

    def rows(self, sql: str, *, parameters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """The rows of a SELECT. 64-bit integers and decimals come as text, so that none is rounded on the way."""
        rows: list[dict[str, Any]] = self._json(sql, parameters, {})["data"]
        return rows

    def read(self, sql: str) -> tuple[list[str], list[dict[str, Any]]]:
        """Columns and rows of a statement of somebody's own, which may read and do nothing else. Raises :class:`ClickHouseError` too where it
        names a format or is none that answers with rows."""
        answer = self._json(sql, None, {"readonly": "2"})
        return [column["name"] for column in answer["meta"]], answer["data"]

    def _json(self, sql: str, parameters: dict[str, str] | None, more: dict[str, str]) -> Any:
        settings = {"default_format": "JSON", "output_format_json_quote_64bit_integers": "1", "output_format_json_quote_decimals": "1"}
        body = self._ask(settings | more, sql.encode(), parameters)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ClickHouseError(0, "the answer is not rows: leave FORMAT away, and ask with SELECT, SHOW, DESCRIBE or EXPLAIN") from error
        if not isinstance(answer, dict) or not {"meta", "data"} <= answer.keys():
            raise ClickHouseError(0, "the answer is not rows: leave FORMAT away")
        return answer

    def insert(self, table: str, columns: list[str], avro: bytes) -> None:
        """Insert an Avro file. ``table`` and ``columns`` are ours, never a record's."""
        names = ", ".join(f"`{column}`" for column in columns)
        # Not asynchronously, which newer servers may do by themselves: a refusal must be this block's own.
        settings = {"query": f"INSERT INTO {table} ({names}) FORMAT Avro", "async_insert": "0", "wait_end_of_query": "1"}
        self._ask(settings, avro, None)

    def close(self) -> None:
        self._http.close()

    def _ask(self, settings: dict[str, str], body: bytes, parameters: dict[str, str] | None) -> bytes:
        query = settings | {f"param_{name}": value.translate(_ESCAPED) for name, value in (parameters or {}).items()}
        try:
            answer = self._http.post("/", params=query, content=body)
        except httpx.HTTPError as error:
            raise ClickHouseUnavailable(f"ClickHouse does not answer: {type(error).__name__}: {error}") from error
        if answer.status_code == 200 and "X-ClickHouse-Exception-Code" not in answer.headers:
            return answer.content
        text = answer.text.strip()
        found = _CODE.search(text)
        code = int(answer.headers.get("X-ClickHouse-Exception-Code") or (found[1] if found else 0))
        message = text[:1000] or f"HTTP {answer.status_code}"
        if code in _OF_THE_MOMENT or (code == 0 and (answer.status_code >= 500 or answer.status_code in (408, 429))):
            raise ClickHouseUnavailable(f"ClickHouse cannot just now: {message}", code)
        raise ClickHouseError(code, message)


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//", url)
