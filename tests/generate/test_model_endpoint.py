"""The port over real HTTP and the real SDK: each fault is a value with its name, its tokens and what to do about it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bench.fake_model import Says, answer, running, spec
from processors.generate.model.openai_endpoint import OpenAIEndpoint, retry_after, tokens_reported
from processors.generate.model.port import Message, Question, Reply, Tokens
from processors.generate.model.question import schema
from processors.generate.model.settings import ModelSettings

KEY = "sk-very-secret-1234567890abcdef"
GOOD = answer(spec("Fleet", trucks=["plate", "mileage: integer"]))
QUESTION = Question(
    messages=(Message("system", "rules"), Message("user", "a fleet")), schema_name="application", schema=schema(files=False)
)


def ask(*says: Says, partial: Callable[[str], None] = lambda _: None, **changes: Any) -> tuple[Reply, Any]:
    with running(*says) as fake:

        async def once() -> Reply:
            settings = ModelSettings(url=fake.url, model="m-1", api_key=SecretStr(KEY), **changes)
            endpoint = OpenAIEndpoint(settings)
            try:
                return await endpoint.ask(QUESTION, partial)
            finally:
                await endpoint.close()

        return asyncio.run(once()), fake


def test_a_whole_answer_with_its_parts_as_they_come() -> None:
    heard: list[str] = []
    reply, fake = ask(Says(GOOD, pieces=5), partial=heard.append)
    assert reply.ok and reply.text == GOOD and reply.model == "m-1" and reply.usage_source == "provider"
    assert len(heard) == 5 and heard[-1] == GOOD and all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
    assert Reply.from_json(reply.to_json()) == reply
    [body] = fake.asked
    assert body["stream"] and body["temperature"] == 0 and body["max_tokens"] == 8000 and fake.keys == [f"Bearer {KEY}"]
    assert body["response_format"]["json_schema"]["strict"] and body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("says", "error", "final"),
    [
        (Says(status=429, headers={"retry-after": "7"}), "rate_limited", False),
        (Says(status=500), "provider_error", False),
        (Says(status=503), "provider_error", False),
        (Says(status=401, text=f"Incorrect API key provided: {KEY}"), "unauthorised", True),
        (Says(status=400), "refused", True),
        (Says(status=404), "refused", True),
        (Says(GOOD, cut_after=3), "cut", False),
        (Says(GOOD, finish="length"), "truncated", False),
        (Says(GOOD, finish="content_filter"), "filtered", True),
        (Says(GOOD, event="this is no JSON"), "cut", False),
        (Says(GOOD, event=json.dumps({"error": {"message": "overloaded", "code": 500}})), "cut", False),
        (Says(never=True), "timeout", False),
        (Says(GOOD, first_token_s=5), "timeout", False),
        (Says(GOOD, pieces=50, piece_s=0.1), "timeout", False),
        (Says("x" * 20_000, pieces=4), "overlong", False),
    ],
)
def test_each_fault_has_its_name(says: Says, error: str, final: bool) -> None:
    reply, fake = ask(says, total_s=1.2, first_token_s=0.6, max_output=1000)
    assert (reply.error, reply.final) == (error, final), reply
    assert reply.message and KEY not in repr(reply)
    assert fake.calls == 1, "the port repeats nothing: every call is on the bill by itself"


def test_what_was_asked_to_wait_is_heard() -> None:
    assert ask(Says(status=429, headers={"retry-after": "7"}))[0].retry_after_s == 7
    assert retry_after({"retry-after-ms": "1500"}) == 1.5
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) == 3600
    for nonsense in ("soon", "-3", "nan", ""):
        assert retry_after({"retry-after": nonsense}) == 0
    assert retry_after({}) == 0


def test_nobody_there() -> None:
    async def once() -> Reply:
        endpoint = OpenAIEndpoint(ModelSettings(url="http://127.0.0.1:9/v1", model="m"))
        try:
            return await endpoint.ask(QUESTION, lambda _: None)
        finally:
            await endpoint.close()

    reply = asyncio.run(once())
    assert reply.error == "unreachable" and reply.tokens == Tokens() and reply.tokens_at_most == 0


def test_an_interrupted_stream_is_billed_by_an_estimate_that_says_so() -> None:
    """The provider counts at the end of a stream: one that is cut has no count, and is not free."""
    reply, _ = ask(Says(GOOD, pieces=20, cut_after=10))
    assert reply.usage_source == "estimated"
    assert reply.tokens.out_text >= 10 and reply.tokens.in_uncached > 100
    assert reply.tokens.total <= reply.tokens_at_most
    refused, _ = ask(Says(status=429))
    assert refused.tokens.total == 0 and refused.usage_source == "provider"


def test_tokens_fall_into_one_category_each() -> None:
    reply, _ = ask(
        Says(
            GOOD,
            usage={
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
                "completion_tokens_details": {"reasoning_tokens": 350},
            },
        )
    )
    assert reply.tokens == Tokens(in_uncached=300, in_cache_read=600, in_cache_write=100, out_text=150, out_reasoning=350)
    assert reply.tokens.total == 1500

    class Odd:
        prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details = 10, None, None, None

    assert tokens_reported(Odd()) == Tokens(in_uncached=10)


def test_cancelling_a_call_hangs_up() -> None:
    with running(Says(never=True)) as fake:

        async def once() -> None:
            endpoint = OpenAIEndpoint(ModelSettings(url=fake.url, model="m"))
            task = asyncio.create_task(endpoint.ask(QUESTION, lambda _: None))
            while not fake.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await endpoint.close()

        asyncio.run(once())
        for _ in range(100):
            if fake.hung_up:
                break
            asyncio.run(asyncio.sleep(0.05))
        assert fake.hung_up == 1


@pytest.mark.parametrize("url", ["ftp://x/v1", "https://", "https://user:pass@host/v1", "https://host/v1?key=1", "host"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValidationError):
        ModelSettings(url=url, model="m")


def test_the_key_is_in_no_text_of_the_settings() -> None:
    settings = ModelSettings(url="https://api.openai.com/v1", model="m", api_key=SecretStr(KEY))
    assert KEY not in repr(settings) and KEY not in settings.model_dump_json() and settings.provider_name == "openai"
    assert ModelSettings(url="http://127.0.0.1:8000/v1", model="m").provider_name == "127.0.0.1"
