"""The effective-dated price book: what a metered unit cost at a time. Unknown is None, never 0."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

PLACES = Decimal("0.0000000001")


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one unit of a kind of work, from a day (UTC) on."""

    kind: str
    unit: str
    valid_from: dt.date
    usd: Decimal

    @property
    def version(self) -> str:
        """What a usage row says it was priced by."""
        return f"{self.kind}/{self.unit}@{self.valid_from.isoformat()}"


class PriceBook:
    """Entries in any order; the latest that is not after the time in question counts."""

    def __init__(self, entries: Iterable[Price]) -> None:
        self._entries = sorted(entries, key=lambda p: p.valid_from)

    @classmethod
    def read(cls, text: str) -> PriceBook:
        """From YAML. Raises ``ValueError`` naming the entry that is wrong."""
        entries = []
        for i, raw in enumerate(yaml.safe_load(text) or []):
            try:
                entries.append(Price(str(raw["kind"]), str(raw["unit"]), raw["valid_from"], Decimal(str(raw["usd"]))))
                if entries[-1].usd < 0 or not isinstance(entries[-1].valid_from, dt.date):
                    raise ValueError("usd must not be negative, valid_from must be a day")
            except (KeyError, TypeError, ArithmeticError, ValueError) as error:
                raise ValueError(f"price {i + 1}: {error!r}; needs kind, unit, valid_from (a day) and usd") from error
        return cls(entries)

    def at(self, kind: str, unit: str, unix_ms: int) -> Price | None:
        day = dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).date()
        return next((p for p in reversed(self._entries) if p.kind == kind and p.unit == unit and p.valid_from <= day), None)


@cache
def default_book() -> PriceBook:
    return PriceBook.read(files("processors").joinpath("prices.yaml").read_text())


def priced(kind: str, unit: str, quantity: float, unix_ms: int, book: PriceBook | None = None) -> dict[str, Any]:
    """``quantity``, ``unit``, ``cost_usd`` and ``price_version`` for a usage event."""
    price = (book or default_book()).at(kind, unit, unix_ms)
    cost = None if price is None else (Decimal(str(quantity)) * price.usd).quantize(PLACES)
    return {"quantity": quantity, "unit": unit, "cost_usd": cost, "price_version": price.version if price else ""}
