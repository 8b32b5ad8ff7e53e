"""The part of the generate stage that pays: a question to a model goes through the ledger, and what it took onto the bill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import structlog

from processors.generate.model.cache import key
from processors.generate.model.port import Model, Partial, Question, Reply, tokens_of
from processors.generate.model.settings import ModelSettings
from processors.model_prices import ModelPrices
from schemas import ids
from streams.breaker import breaker
from streams.contract import Context
from streams.failures import ProviderFailed, Rejected
from streams.ledger import Answer, Metered

log = structlog.get_logger()
RETRY_AFTER_S = 60
"""When a request that no model answered may be handed over again, where the provider does not say."""
_BAD_ANSWERS = frozenset({"truncated", "overlong"})
"""Whole calls with answers of no use: the provider is well, and the breaker must not open for them."""


class Paying:
    """Asks for one step. Implements ``making.Asking``."""

    def __init__(self, settings: ModelSettings, model: Model, prices: ModelPrices, context: Context, partial: Partial) -> None:
        self._settings, self._model, self._prices, self._context, self._partial = settings, model, prices, context, partial
        self._breaker = breaker(f"llm:{model.provider}/{model.name}")

    async def __call__(self, asked: Question, dims: Mapping[str, str]) -> tuple[Reply, Decimal | None]:
        """The reply, and what its call cost (None where that is not known). Raises ``Rejected`` and what ``Context.paid`` raises."""
        s = self._settings

        async def ask(call: int) -> Answer:
            reply = await self._model.ask(asked, self._partial)
            return Answer(
                body=reply.to_json(),
                ok=reply.ok or reply.error in _BAD_ANSWERS,
                error=f"{reply.error}: {reply.message}" if reply.error else "",
                retry=not reply.final,
                retry_after_s=reply.retry_after_s,
                metered=self._metered(reply, dims),
            )

        try:
            answer = await self._context.paid(
                ask,
                input_hash=self._hash(asked),
                time_limit_s=s.total_s + s.connect_s,
                bill=Metered(kind="llm.call", provider=self._model.provider, model=self._model.name),
                calls=s.calls,
                estimate_usd=self._at_most(asked),
                breaker=self._breaker,
            )
        except ProviderFailed as failure:
            raise _rejection(failure) from failure
        return Reply.from_json(answer.body), answer.metered.cost_usd if answer.metered else None

    def _hash(self, asked: Question) -> str:
        s = self._settings
        said = [[m.role, m.text] for m in asked.messages]
        return key("question", s.url, s.model, json.dumps([s.temperature, s.seed, s.max_output, said, asked.schema], sort_keys=True))

    def _at_most(self, asked: Question) -> Decimal | None:
        """What a call may cost, as a reservation: all that may be said in answer is reckoned with. None where the price is not known."""
        read = sum(tokens_of(m.text) for m in asked.messages) + tokens_of(json.dumps(asked.schema))
        return self._cost({"in_uncached": read, "out_text": self._settings.max_output})[0]

    def _cost(self, tokens: Mapping[str, int]) -> tuple[Decimal | None, str]:
        return self._prices.cost(self._model.provider, self._model.name, tokens, ids.now_ms())

    def _metered(self, reply: Reply, dims: Mapping[str, str]) -> Metered:
        tokens: dict[str, Any] = asdict(reply.tokens)
        cost, version = self._cost(tokens) if reply.tokens.total else (Decimal(0), "")
        if cost is None:
            log.warning("no known price", provider=self._model.provider, model=self._model.name)
        more = {"first_token_ms": str(reply.first_token_ms), "total_ms": str(reply.total_ms)}
        if reply.error:
            more["error"] = reply.error
        if reply.usage_source == "estimated":
            more["tokens_at_most"] = str(reply.tokens_at_most)
        if reply.model and reply.model != self._model.name:
            more["answered_by"] = reply.model
        return Metered(
            kind="llm.call",
            quantity=reply.tokens.total,
            unit="token",
            cost_usd=cost,
            provider=self._model.provider,
            model=self._model.name,
            usage_source=reply.usage_source,
            price_version=version,
            dims={**dims, **more},
            **tokens,
        )


def _rejection(failure: ProviderFailed) -> Rejected:
    """What a request whose model did not answer is told."""
    answer = getattr(failure, "answer", None)
    if answer is not None and not answer.retry:
        return Rejected("model_refused", f"the model's provider refused the question ({answer.error[:500]})")
    wait = max(RETRY_AFTER_S, round(answer.retry_after_s) if answer is not None else 0)
    return Rejected("model_unavailable", f"the model gave no answer: {failure}"[:1000], retry_after_s=wait)
