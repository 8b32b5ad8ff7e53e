"""What a model's tokens cost, by day: the operator's own book first, then the prices that genai-prices collects. Unknown is None, never 0."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from importlib import metadata
from importlib.resources import files
from typing import Any

import yaml

from processors.pricing import PLACES

CATEGORIES = ("in_uncached", "in_cache_read", "in_cache_write", "out_text", "out_reasoning")
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """USD for a million tokens of each category, from a day (UTC) on; None where it is not known. Reasoning costs as text does unless told apart."""

    provider: str
    model: str
    valid_from: dt.date
    in_uncached: Decimal
    out_text: Decimal
    in_cache_read: Decimal | None = None
    in_cache_write: Decimal | None = None
    out_reasoning: Decimal | None = None

    def of(self, category: str) -> Decimal | None:
        price: Decimal | None = getattr(self, category)
        return self.out_text if price is None and category == "out_reasoning" else price


class ModelPrices:
    """Entries in any order; the latest that is not after the time in question counts."""

    def __init__(self, entries: Iterable[ModelPrice] = (), *, seed: bool = True) -> None:
        self._entries = sorted(entries, key=lambda p: p.valid_from)
        self._seed = seed

    @classmethod
    def read(cls, text: str, *, seed: bool = True) -> ModelPrices:
        """From YAML: a list of maps with the fields of :class:`ModelPrice`. Raises ``ValueError`` naming the entry that is wrong."""
        entries = []
        known = {f.name for f in fields(ModelPrice)}
        for i, raw in enumerate(yaml.safe_load(text) or []):
            try:
                if unknown := set(raw) - known:
                    raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
                prices = {c: Decimal(str(raw[c])) for c in CATEGORIES if raw.get(c) is not None}
                if not isinstance(raw["valid_from"], dt.date) or any(not p.is_finite() or p < 0 for p in prices.values()):
                    raise ValueError("valid_from must be a day, a price must not be negative")
                entries.append(ModelPrice(provider=str(raw["provider"]), model=str(raw["model"]), valid_from=raw["valid_from"], **prices))
            except (KeyError, TypeError, ArithmeticError, ValueError) as error:
                raise ValueError(
                    f"model price {i + 1}: {error!r}; needs provider, model, valid_from (a day), and USD a million tokens: in_uncached, out_text; "
                    "in_cache_read, in_cache_write, out_reasoning where they differ"
                ) from error
        return cls(entries, seed=seed)

    def cost(self, provider: str, model: str, tokens: Mapping[str, int], unix_ms: int) -> tuple[Decimal | None, str]:
        """What ``tokens`` (by category) cost at a time, in USD, and by which price. None where a price that is needed is not known."""
        at = dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC)
        own = next(
            (p for p in reversed(self._entries) if (p.provider, p.model) == (provider, model) and p.valid_from <= at.date()),
            None,
        )
        if own is not None:
            cost = Decimal(0)
            for category in CATEGORIES:
                if count := tokens.get(category, 0):
                    if (price := own.of(category)) is None:
                        return None, ""
                    cost += price * count / MILLION
            return cost.quantize(PLACES), f"{provider}/{model}@{own.valid_from.isoformat()}"
        return _seeded(provider, model, tokens, at) if self._seed else (None, "")


def _seeded(provider: str, model: str, tokens: Mapping[str, int], at: dt.datetime) -> tuple[Decimal | None, str]:
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None, ""
    count: dict[str, Any] = {c: tokens.get(c, 0) for c in CATEGORIES}
    usage = Usage(  # there the categories overlap
        input_tokens=count["in_uncached"] + count["in_cache_read"] + count["in_cache_write"],
        cache_read_tokens=count["in_cache_read"] or None,
        cache_write_tokens=count["in_cache_write"] or None,
        output_tokens=count["out_text"] + count["out_reasoning"],
    )
    try:
        found = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return None, ""
    return Decimal(found.total_price).quantize(
        PLACES
    ), f"genai-prices-{metadata.version('genai-prices')}:{found.provider.id}/{found.model.id}"


@cache
def default_prices() -> ModelPrices:
    return ModelPrices.read(files("processors").joinpath("model_prices.yaml").read_text())
