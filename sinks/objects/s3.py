"""The object store on S3 or anything that speaks its protocol with conditional writes (``If-None-Match``, ``If-Match``)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnection

from sinks.objects.keys import StoreUnreachable, check_key, check_prefix
from streams.objects import ObjectMissing, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = {"404", "NoSuchKey", "NotFound"}
_CONFLICT = {"409", "ConditionalRequestConflict", "OperationAborted"}
_REFUSED = {"412", "PreconditionFailed"}
PAGE = 1000
"""Keys asked for at once in a listing."""
_RACES = 50
_WRITER = "millrace-writer"
"""Metadata that tells our own write from another's, when an answer was lost and the request was sent again."""


class S3Store:
    """Implements :class:`streams.objects.ObjectStore` on one bucket, all keys below ``prefix``. Safe for threads."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        connections: int = 32,
    ) -> None:
        self._bucket = bucket
        self._prefix = check_prefix(prefix.strip("/")) + "/" if prefix.strip("/") else ""
        self._s3: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=connections,
                # A bucket's name is no host name at a store with an endpoint of its own.
                s3={"addressing_style": "path"} if endpoint else None,
            ),
        )
        self._transfer = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20, max_concurrency=4)

    # -- the port ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Stored:
        with self._asking(key):
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(key))
            return Stored(answer["Body"].read(), answer["ETag"])

    def put(self, key: str, body: bytes) -> str:
        with self._asking(key):
            return self._s3.put_object(Bucket=self._bucket, Key=self._key(key), Body=body)["ETag"]

    def create(self, key: str, body: bytes) -> bool:
        return self._conditional(key, body, {"IfNoneMatch": "*"})

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        return self._conditional(key, body, {"IfMatch": etag})

    def delete(self, key: str) -> None:
        with self._asking(key):
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(key))

    def exists(self, key: str) -> bool:
        try:
            self._head(key)
        except ObjectMissing:
            return False
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        start = self._prefix + check_prefix(prefix)
        with self._asking(prefix):
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=start, PaginationConfig={"PageSize": PAGE}
            ):
                for entry in page.get("Contents", []):
                    yield entry["Key"][len(self._prefix) :]

    def put_file(self, key: str, path: Path) -> None:
        with self._asking(key):
            self._s3.upload_file(str(path), self._bucket, self._key(key), Config=self._transfer)

    def get_file(self, key: str, path: Path) -> None:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("xb") as file, self._asking(key):
                self._s3.download_fileobj(self._bucket, self._key(key), file, Config=self._transfer)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    # -- beneath it ----------------------------------------------------------------------------------------------------

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _head(self, key: str) -> Any:
        with self._asking(key):
            return self._s3.head_object(Bucket=self._bucket, Key=self._key(key))

    def _conditional(self, key: str, body: bytes, condition: dict[str, str]) -> bool:
        """Write under ``condition``; whether it held.

        S3 answers 409 to a write that raced another: neither yes nor no, so it is asked again. And where an answer was lost and the
        client sent the request again, 412 may be the echo of our own success: then the object bears this call's mark.
        """
        mark = uuid.uuid4().hex
        with self._asking(key):
            for _ in range(_RACES):
                try:
                    self._s3.put_object(Bucket=self._bucket, Key=self._key(key), Body=body, Metadata={_WRITER: mark}, **condition)  # type: ignore[arg-type]
                    return True
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code in _CONFLICT:
                        continue
                    if code in _REFUSED:
                        sent_again = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                        return sent_again and self._head(key)["Metadata"].get(_WRITER) == mark
                    if code in _MISSING and "IfMatch" in condition:
                        return False
                    raise
        raise StoreUnreachable(f"{key!r}: {_RACES} conditional writes in a row met another one")

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Turn the client's errors into the port's."""
        try:
            yield
        except ClientError as error:
            raise self._told(key, error) from error
        except S3UploadFailedError as error:  # the transfer manager wraps what it got
            cause = error.__context__
            raise (self._told(key, cause) if isinstance(cause, ClientError) else StoreUnreachable(str(error))) from error
        except (HTTPClientError, NoConnection, IncompleteReadError, RetriesExceededError) as error:
            raise StoreUnreachable(f"the object store does not answer: {error}") from error

    @staticmethod
    def _told(key: str, error: ClientError) -> Exception:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _MISSING:
            return ObjectMissing(key)
        if status >= 500 or status == 429:
            return StoreUnreachable(f"the object store answered {code} for {key!r}")
        return error
