"""Where objects lie: a folder or S3, behind the engine's port ``streams.objects.ObjectStore``."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from sinks.objects.folder import FolderStore
from sinks.objects.keys import BadKey, StoreUnreachable
from streams.objects import ObjectStore

__all__ = ["BadKey", "BadStoreUrl", "FolderStore", "ObjectsSettings", "StoreUnreachable", "open_store"]


class BadStoreUrl(ValueError):
    """An address that names no object store."""


class ObjectsSettings(BaseModel):
    """Where objects lie and how safely."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = "file:///var/lib/millrace/objects"
    """``file:///FOLDER`` or ``s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME]``."""
    durable: bool = True
    """Folder only: whether an object is on the disk before a write returns. False: it survives its writer's death, not the machine's."""
    access_key: str | None = None
    """S3 only; without it the usual AWS places are looked at (environment, profile, instance role)."""
    secret_key: SecretStr | None = None
    """S3 only, with ``access_key``."""

    def open(self) -> ObjectStore:
        secret = self.secret_key.get_secret_value() if self.secret_key else None
        return open_store(self.url, durable=self.durable, access_key=self.access_key, secret_key=secret)


def open_store(url: str, *, durable: bool = True, access_key: str | None = None, secret_key: str | None = None) -> ObjectStore:
    """The store at ``url``; its forms are in :class:`ObjectsSettings`. Raises :class:`BadStoreUrl`.

    A folder is made where there is none. A bucket is not: whoever grants it decides its region and its rights.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = set(options) - ({"endpoint", "region"} if parts.scheme == "s3" else set())
    if unknown:
        raise BadStoreUrl(f"{url!r}: unknown option {', '.join(sorted(unknown))}")
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc or not parts.path or not path.is_absolute():
            raise BadStoreUrl(f"{url!r} names no folder: file:///absolute/path")
        return FolderStore(path, durable=durable)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise BadStoreUrl(f"{url!r} names no bucket: s3://BUCKET/PREFIX")
        from sinks.objects.s3 import S3Store

        return S3Store(
            parts.netloc,
            parts.path,
            endpoint=options.get("endpoint", [None])[0],
            region=options.get("region", [None])[0],
            access_key=access_key,
            secret_key=secret_key,
        )
    raise BadStoreUrl(f"{url!r} is no object store's address: file:///FOLDER or s3://BUCKET/PREFIX")
