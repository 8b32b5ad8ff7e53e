"""Any endpoint that speaks OpenAI's chat completions, through its SDK, streaming."""

from __future__ import annotations

import asyncio
import email.utils
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.generate.model.port import Partial, Question, Reply, Tokens, estimated
from processors.generate.model.settings import ModelSettings

if TYPE_CHECKING:
    import openai

MOST_BYTES_PER_TOKEN = 16
"""A stream that holds more bytes than the tokens asked for can is cut: a provider that never stops must not fill the memory."""
LONGEST_RETRY_AFTER_S = 3600.0
_KEYS = re.compile(r"\b(?:sk|key|Bearer)[-_ ][A-Za-z0-9_*.-]{8,}")


class OpenAIEndpoint:
    """Implements :class:`~processors.generate.model.port.Model`."""

    def __init__(self, settings: ModelSettings) -> None:
        import openai

        self.provider, self.name = settings.provider_name, settings.model
        self._settings = settings
        self._client = openai.AsyncOpenAI(
            base_url=settings.url,
            api_key=settings.api_key.get_secret_value() or "none",
            max_retries=0,  # every call is recorded by itself: see the port
            timeout=openai.Timeout(settings.total_s, connect=settings.connect_s),
        )

    async def close(self) -> None:
        await self._client.close()

    async def ask(self, question: Question, partial: Partial) -> Reply:
        """One call. Errors: ``unreachable``, ``timeout``, ``rate_limited``, ``provider_error``, ``unauthorised``, ``refused``, ``cut`` (a stream
        that ended early), ``truncated`` (out of tokens), ``filtered``, ``overlong``."""
        course = _Course(question)
        try:
            async with asyncio.timeout(self._settings.total_s):
                await self._stream(question, course, partial)
        except TimeoutError:
            course.error, course.message = "timeout", f"no whole answer within {self._settings.total_s:g} s"
        except Exception as error:
            if not self._explained(error, course):
                raise
        return course.reply()

    async def _stream(self, question: Question, course: _Course, partial: Partial) -> None:
        s = self._settings
        request: dict[str, Any] = {
            "model": s.model,
            "messages": [{"role": m.role, "content": m.text} for m in question.messages],
            "temperature": s.temperature,
            # OpenAI's own newer name is not known everywhere, the older one no more by its own newer models.
            "max_completion_tokens" if self.provider == "openai" else "max_tokens": s.max_output,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if s.structured == "json_schema":
            named = {"name": question.schema_name, "schema": question.schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        elif s.structured == "json_object":
            request["response_format"] = {"type": "json_object"}
        if s.seed is not None:
            request["seed"] = s.seed
        course.sent = True
        try:
            async with asyncio.timeout(s.first_token_s) as first:
                stream: Any = await self._client.chat.completions.create(**request)
                course.answering = True
                async with stream:
                    async for chunk in stream:
                        if course.take(chunk):
                            first.reschedule(None)  # the limit on the whole call goes on
                            partial(course.text)
                            if len(course.text) > s.max_output * MOST_BYTES_PER_TOKEN:
                                course.error, course.message = "overlong", f"more than {s.max_output} tokens can hold"
                                return
        except TimeoutError:
            if not first.expired():
                raise
            course.error, course.message = "timeout", f"no first token within {s.first_token_s:g} s"
            return
        course.ended()

    def _explained(self, error: Exception, course: _Course) -> bool:
        """Tell what an exception of the SDK means; False where it is none of those a call can have."""
        import httpx2
        import openai

        course.message = self._without_key(str(error))[:500]
        match error:
            case openai.APITimeoutError():
                course.error = "timeout"
            case openai.APIConnectionError():
                course.error = "cut" if course.answering else "unreachable"
            case openai.APIStatusError():
                course.rejected(error)
            case (
                openai.APIError() | httpx2.TransportError() | ValueError()
            ):  # within a stream: an error event, a cut, a line that is no JSON
                course.error = "cut"
            case _:
                return False
        return True

    def _without_key(self, text: str) -> str:
        key = self._settings.api_key.get_secret_value()
        return _KEYS.sub("***", text.replace(key, "***") if key else text)


@dataclass
class _Course:
    """What is known of one call so far."""

    question: Question
    text: str = ""
    pieces: int = 0
    error: str = ""
    message: str = ""
    final: bool = False
    retry_after_s: float = 0.0
    finish: str = ""
    refusal: str = ""
    usage: Any = None
    model: str = ""
    sent: bool = False
    answering: bool = False
    began: float = 0.0
    first_token_ms: int = 0
    unbilled: bool = False
    """The provider refused the call before it did anything."""

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def take(self, chunk: Any) -> bool:
        """Whether there is more text."""
        self.model = getattr(chunk, "model", "") or self.model
        self.usage = getattr(chunk, "usage", None) or self.usage
        more = False
        for choice in getattr(chunk, "choices", None) or ():
            delta = choice.delta
            if delta is not None and delta.content:
                self.text += delta.content
                self.pieces += 1
                more = True
            if delta is not None and getattr(delta, "refusal", None):
                self.refusal += str(delta.refusal)
            self.finish = choice.finish_reason or self.finish
        if more and not self.first_token_ms:
            self.first_token_ms = self._ms()
        return more

    def ended(self) -> None:
        if self.refusal:
            self.error, self.message, self.final = "refused", f"the model declined: {self.refusal[:300]}", True
        elif self.finish == "length":
            self.error, self.message = "truncated", "the answer is longer than it may be"
        elif self.finish == "content_filter":
            self.error, self.message, self.final = "filtered", "the provider's filter stopped the answer", True
        elif not self.finish:
            self.error, self.message = "cut", "the stream ended before the answer did"

    def rejected(self, error: openai.APIStatusError) -> None:
        self.unbilled = True
        self.retry_after_s = retry_after(error.response.headers)
        code = error.status_code
        if code == 429:
            self.error = "rate_limited"
        elif code >= 500 or code in (408, 409):
            self.error = "provider_error"
        else:
            self.error, self.final = ("unauthorised" if code in (401, 403) else "refused"), True
        self.message = f"HTTP {code}: {self.message}"[:500]

    def reply(self) -> Reply:
        tokens, source, bound = self._tokens()
        return Reply(
            text=self.text,
            error=self.error,
            message=self.message,
            final=self.final,
            retry_after_s=self.retry_after_s,
            tokens=tokens,
            usage_source=source,
            tokens_at_most=bound,
            model=self.model,
            first_token_ms=self.first_token_ms,
            total_ms=self._ms(),
        )

    def _tokens(self) -> tuple[Tokens, str, int]:
        if self.usage is not None:
            return tokens_reported(self.usage), "provider", 0
        if self.unbilled or not self.sent or self.error == "unreachable":
            return Tokens(), "provider", 0
        tokens, bound = estimated(self.question, self.text, self.pieces)
        return tokens, "estimated", bound

    def _ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)


def tokens_reported(usage: Any) -> Tokens:
    """Disjoint categories from a provider's report. OpenAI's ``prompt_tokens`` includes what was cached, ``completion_tokens`` what was reasoned."""

    def number(of: Any, name: str) -> int:
        value = getattr(of, name, None) if of is not None else None
        return max(0, int(value)) if isinstance(value, (int, float)) else 0

    details = getattr(usage, "prompt_tokens_details", None)
    read, written = number(details, "cached_tokens"), number(details, "cache_write_tokens")
    reasoned = number(getattr(usage, "completion_tokens_details", None), "reasoning_tokens")
    return Tokens(
        in_uncached=max(0, number(usage, "prompt_tokens") - read - written),
        in_cache_read=read,
        in_cache_write=written,
        out_text=max(0, number(usage, "completion_tokens") - reasoned),
        out_reasoning=reasoned,
    )


def retry_after(headers: Any) -> float:
    """Seconds that a response asks to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as a date; 0 where it says nothing usable."""
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return min(LONGEST_RETRY_AFTER_S, max(0.0, float(ms) / 1000))
    except ValueError:
        pass
    said = headers.get("retry-after")
    if said is None:
        return 0.0
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(LONGEST_RETRY_AFTER_S, max(0.0, seconds)) if seconds == seconds else 0.0
