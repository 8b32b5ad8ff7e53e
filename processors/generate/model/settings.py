"""Which model is asked, and within which bounds."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class ModelSettings(BaseModel):
    """An OpenAI-compatible endpoint. Times are seconds, limits are tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """The API's base, as ``https://host/v1``."""
    model: str = Field(min_length=1, max_length=200)
    api_key: SecretStr = SecretStr("")
    provider: str = Field("", max_length=64)
    """What usage and prices call it; the host where empty."""
    temperature: float = Field(0.0, ge=0, le=2)
    """Above 0 nothing is cached: the same question is then meant to be answered anew."""
    seed: int | None = 7
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the endpoint is told to answer in JSON. Whatever it says, the answer is checked here."""
    files: bool = False
    """Whether a model may write source files too, within the allow-listed tree, where a spec cannot say what is wanted."""
    max_output: int = Field(8_000, ge=100)
    context: int = Field(16_000, ge=500)
    """Of a prompt and of what is seen in a recording; what is over it is left out, the least relevant first."""
    connect_s: float = Field(5.0, gt=0)
    first_token_s: float = Field(30.0, gt=0)
    total_s: float = Field(120.0, gt=0)
    """A whole call."""
    calls: int = Field(3, ge=1, le=10)
    """Calls for one answer: the first, and again after errors of the provider."""
    at_once: int = Field(16, ge=1)
    """Questions under way in a worker; what is built of the answers waits for the worker's own places."""

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http(s) URL, as https://host/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no credentials or query: the key has a setting of its own")
        return url.rstrip("/")

    @property
    def provider_name(self) -> str:
        if self.provider:
            return self.provider
        host = urlsplit(self.url).hostname or ""
        labels = host.split(".")
        return labels[-2] if len(labels) > 1 and not labels[-1].isdigit() else host
