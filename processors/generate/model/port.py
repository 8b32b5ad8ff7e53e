"""The port to a language model: one question, one reply, whatever happens on the way.

A reply is written into the ledger before anything is made of it, an error as well as an answer; so :meth:`Model.ask` returns both as
values and retries nothing: a retry is a call of its own, with a record of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """In disjoint categories: their sum is what was processed. Providers report overlapping ones; see ``openai_endpoint``."""

    in_uncached: int = 0
    in_cache_read: int = 0
    in_cache_write: int = 0
    out_text: int = 0
    out_reasoning: int = 0

    @property
    def total(self) -> int:
        return self.in_uncached + self.in_cache_read + self.in_cache_write + self.out_text + self.out_reasoning


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    """``system``, ``user`` or ``assistant``."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    messages: tuple[Message, ...]
    schema_name: str
    schema: Mapping[str, Any]
    """JSON schema of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. ``error`` is empty for a whole answer, else a stable code; ``text`` then holds what had arrived."""

    text: str = ""
    error: str = ""
    message: str = ""
    final: bool = False
    """Whether asking again is of no use: the key is wrong, the question is refused."""
    retry_after_s: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)
    usage_source: str = "provider"
    """``provider``: its own count; ``estimated``: it gave none (an interrupted stream), see :func:`estimated`."""
    tokens_at_most: int = 0
    """Where estimated: a bound that holds for every tokenizer that works on bytes."""
    model: str = ""
    """The one that answered, by its own word."""
    first_token_ms: int = 0
    total_ms: int = 0

    @property
    def ok(self) -> bool:
        return not self.error

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Reply:
        document = json.loads(data)
        return cls(**{**document, "tokens": Tokens(**document["tokens"])})


Partial = Callable[[str], None]
"""Called with the whole text so far whenever more of it has arrived."""


class Model(Protocol):
    """A model at a provider. ``ask`` returns within its time limits and raises only when cancelled."""

    provider: str
    name: str

    async def ask(self, question: Question, partial: Partial) -> Reply: ...
    async def close(self) -> None: ...


BYTES_PER_TOKEN = 4
"""Of English text and of code, as a rule of thumb; there is no tokenizer here to count by."""
PER_MESSAGE = 4


def tokens_of(text: str) -> int:
    """A guess at how many tokens a text has."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def estimated(question: Question, text: str, pieces: int) -> tuple[Tokens, int]:
    """Tokens where the provider did not say, and how many there can be at most.

    Output: a piece of a stream holds at least a token, so never fewer than pieces. The bound: a token of a tokenizer that works on bytes holds at
    least one byte.
    """
    asked = [m.text for m in question.messages] + [json.dumps(question.schema)]
    read = sum(tokens_of(t) + PER_MESSAGE for t in asked)
    bound = sum(len(t.encode()) + PER_MESSAGE for t in asked) + len(text.encode())
    return Tokens(in_uncached=read, out_text=max(pieces, tokens_of(text))), bound
