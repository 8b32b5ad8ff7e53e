"""The cache, single flight and prices, as plain values: nothing here asks a model."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from processors import validated
from processors.generate.model.cache import Cache, Entry, key
from processors.generate.model.flight import Flights
from processors.generate.model.lease import SHARED_S, Answered, Held, Leases
from processors.generate.model.making import cache_key
from processors.generate.model.settings import ModelSettings
from processors.model_prices import ModelPrices, default_prices
from processors.task import Task
from sinks.objects import FolderStore
from streams.objects import ObjectMissing, Shelf, put_content

DAY_MS = 86_400_000


class Counting(FolderStore):
    """A store that counts what is read."""

    reads = 0

    def get(self, key: str):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().get(key)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path, durable=False)


def entry(store: FolderStore, body: bytes = b"app", tenant: str = "acme", cost: str | None = "0.001") -> Entry:
    uri = str(put_content(store, tenant, body))
    return Entry(method="model", artifact_uri=uri, artifact_size=len(body), artifact_digest="d", request_id="r", cost_usd=cost)


def test_a_candidate_is_found_once_its_artifact_was_validated(store: Counting) -> None:
    cache, made = Cache(Shelf(store)), entry(store)
    cache.offer("acme", "ab" * 32, made)
    assert cache.find("acme", "ab" * 32) is None
    validated.mark(Shelf(store), "acme", made.artifact_uri, "v1", {})
    assert cache.find("acme", "ab" * 32) == made
    assert cache.find("other", "ab" * 32) is None and cache.find("acme", "cd" * 32) is None


def test_a_validated_answer_stays_and_a_candidate_gives_way(store: Counting) -> None:
    cache, bad, good, late = Cache(Shelf(store)), entry(store, b"bad"), entry(store, b"good"), entry(store, b"late")
    cache.offer("acme", "k" * 64, bad)
    cache.offer("acme", "k" * 64, good)
    validated.mark(Shelf(store), "acme", good.artifact_uri, "v1", {})
    cache.offer("acme", "k" * 64, late)
    validated.mark(Shelf(store), "acme", late.artifact_uri, "v1", {})
    assert Cache(Shelf(store)).find("acme", "k" * 64) == good


def test_what_is_dear_or_asked_again_is_kept_in_memory_for_an_hour(store: Counting) -> None:
    now = [0.0]
    cache = Cache(Shelf(store), entries=2, clock=lambda: now[0])
    cheap, dear = entry(store, b"cheap"), entry(store, b"dear", cost="0.5")
    for name, made in (("c" * 64, cheap), ("d" * 64, dear)):
        cache.offer("acme", name, made)
        validated.mark(Shelf(store), "acme", made.artifact_uri, "v1", {})
    cache.find("acme", "c" * 64)
    assert cache.in_memory() == 0
    cache.find("acme", "d" * 64)
    assert cache.in_memory() == 1
    cache.find("acme", "c" * 64)
    assert cache.in_memory() == 2
    before = store.reads
    assert cache.find("acme", "c" * 64) == cheap and cache.find("acme", "d" * 64) == dear and store.reads == before
    now[0] = 3601.0
    assert cache.find("acme", "c" * 64) == cheap and store.reads > before
    for i in range(5):
        cache.offer("acme", f"{i}" * 64, dear)
        cache.find("acme", f"{i}" * 64)
    assert cache.in_memory() == 2


def test_what_another_version_wrote_is_asked_anew(store: Counting) -> None:
    store.put(f"cache/acme/kk/{'k' * 64}", b'{"method": "model", "colour": "red"}')
    assert Cache(Shelf(store)).find("acme", "k" * 64) is None


def test_a_mark_is_of_one_tenant_and_one_validator(store: Counting) -> None:
    made = entry(store)
    validated.mark(Shelf(store), "acme", made.artifact_uri, "v1", {"state": "validated"})
    assert validated.said(Shelf(store), "acme", made.artifact_uri, "v1") == {"state": "validated"}
    assert validated.said(Shelf(store), "acme", made.artifact_uri, "v2") is None and validated.known(
        Shelf(store), "acme", made.artifact_uri
    )
    for call in (validated.known, lambda *a: validated.said(*a, "v1"), lambda *a: validated.mark(*a, "v1", {})):
        with pytest.raises(ValueError, match="not of tenant"):
            call(Shelf(store), "other", made.artifact_uri)
    theirs = put_content(store, "other", b"app")
    assert not validated.known(Shelf(store), "other", str(theirs)), "the same bytes of another tenant are theirs to prove"


def test_the_key_holds_whatever_can_change_the_answer() -> None:
    def of(prompt: str = "a fleet", tenant: str = "acme", version: str = "v1", features: str = "", **changes: object) -> str | None:
        settings = ModelSettings.model_validate({"url": "https://a.example/v1", "model": "m"} | changes)
        return cache_key(tenant, Task(prompt=prompt, features_uri=features), settings, version)

    base = of()
    assert base == of() == of("a fleet \r\n") == of(api_key="another", total_s=5, connect_s=1, provider="p")
    others = [
        of("A fleet"), of("a  fleet"), of(tenant="other"), of(version="v2"), of(features="object:acme/1"), of(model="m2"), of(url="https://b.example/v1"), of(seed=8), of(seed=None),
        of(structured="none"), of(files=True), of(max_output=500), of(context=900),
    ]  # fmt: skip
    assert len({base, *others}) == len(others) + 1 and None not in others
    assert of(temperature=0.1) is None
    assert key("ab", "c") != key("a", "bc")


# ---- single flight -----------------------------------------------------------------------------------------------------------


def test_followers_hear_what_came_before_and_after_they_joined() -> None:
    async def main() -> None:
        flights: Flights[str] = Flights()
        go, heard = asyncio.Event(), {n: [] for n in "abc"}
        asked = []

        async def ask(partial):  # type: ignore[no-untyped-def]
            asked.append(1)
            partial("one")
            await go.wait()
            partial("one two")
            return "one two three"

        leader = asyncio.create_task(flights.join("k", heard["a"].append, ask))
        await asyncio.sleep(0)
        followers = [asyncio.create_task(flights.join("k", heard[n].append, ask)) for n in "bc"]
        await asyncio.sleep(0)
        go.set()
        assert await leader == ("one two three", False)
        assert await asyncio.gather(*followers) == [("one two three", True)] * 2
        assert all(texts == ["one", "one two"] for texts in heard.values()) and len(asked) == 1
        assert (await flights.join("k", print, ask))[1] is False and len(asked) == 2, "what is over is over: the cache remembers, not this"

    asyncio.run(main())


def test_a_failure_is_shared_and_a_cancelled_leader_is_followed() -> None:
    async def main() -> None:
        flights: Flights[str] = Flights()
        calls = []

        async def fails(partial):  # type: ignore[no-untyped-def]
            calls.append(1)
            await asyncio.sleep(0.01)
            raise RuntimeError("down")

        results = await asyncio.gather(*(flights.join("k", lambda _: None, fails) for _ in range(3)), return_exceptions=True)
        assert [type(r) for r in results] == [RuntimeError] * 3 and len(calls) == 1

        async def slow(partial):  # type: ignore[no-untyped-def]
            calls.append(2)
            await asyncio.sleep(0.05)
            return "late"

        tasks = [asyncio.create_task(flights.join("k", lambda _: None, slow)) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        rest = await asyncio.gather(*tasks[1:])
        assert sorted(rest) == [("late", False), ("late", True)] and calls.count(2) == 2
        tasks = [asyncio.create_task(flights.join("k", lambda _: None, slow)) for _ in range(2)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        assert await tasks[0] == ("late", False)
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]

    asyncio.run(main())


# ---- prices ------------------------------------------------------------------------------------------------------------------

BOOK = """
- {provider: p, model: m, valid_from: 2026-01-01, in_uncached: "1", in_cache_read: "0.1", out_text: "4"}
- {provider: p, model: m, valid_from: 2026-06-01, in_uncached: "2", in_cache_read: "0.2", in_cache_write: "2.5", out_text: "8", out_reasoning: "6"}
"""


def at(year: int, month: int, day: int) -> int:
    import datetime as dt

    return int(dt.datetime(year, month, day, 12, tzinfo=dt.UTC).timestamp() * 1000)


def test_the_price_is_that_of_the_day_and_what_is_not_known_is_null() -> None:
    book = ModelPrices.read(BOOK, seed=False)
    all_kinds = {"in_uncached": 1_000_000, "in_cache_read": 500_000, "out_text": 100_000, "out_reasoning": 100_000}
    assert book.cost("p", "m", all_kinds, at(2026, 3, 1)) == (Decimal("1.85"), "p/m@2026-01-01")
    assert book.cost("p", "m", all_kinds, at(2026, 6, 1)) == (Decimal("3.5"), "p/m@2026-06-01")
    assert book.cost("p", "m", {"in_cache_write": 1}, at(2026, 3, 1)) == (None, ""), "a category without a price is not free"
    assert book.cost("p", "m", all_kinds, at(2025, 12, 31)) == (None, "") and book.cost("p", "other", all_kinds, at(2026, 7, 1)) == (
        None,
        "",
    )


def test_what_the_book_lacks_comes_from_the_collected_prices() -> None:
    cost, version = default_prices().cost("openai", "gpt-4o-mini", {"in_uncached": 1_000_000, "out_text": 1_000_000}, at(2026, 1, 1))
    assert cost == Decimal("0.75") and version.startswith("genai-prices-")
    cached, _ = default_prices().cost("openai", "gpt-4o-mini", {"in_cache_read": 1_000_000}, at(2026, 1, 1))
    assert cached == Decimal("0.075"), "disjoint here, overlapping there"
    assert default_prices().cost("openai", "no-such-model", {"in_uncached": 1}, at(2026, 1, 1)) == (None, "")
    assert default_prices().cost("127.0.0.1", "gpt-4o-mini", {"in_uncached": 1}, at(2026, 1, 1)) == (None, ""), (
        "the same name elsewhere is another price"
    )


@pytest.mark.parametrize("text", ["- {provider: p}", "- {provider: p, model: m, valid_from: soon, in_uncached: 1, out_text: 1}", '- {provider: p, model: m, valid_from: 2026-01-01, in_uncached: "-1", out_text: 1}', "- 3", "- {provider: p, model: m, valid_from: 2026-01-01, in_uncached: 1, out_text: 1, colour: red}"])  # fmt: skip
def test_a_book_that_is_wrong_says_where(text: str) -> None:
    with pytest.raises(ValueError, match="model price 1"):
        ModelPrices.read(text)


def test_a_lease_is_one_owner_s_until_it_answers_gives_up_or_runs_out(tmp_path: Path) -> None:
    now = [1000.0]
    leases = Leases(FolderStore(tmp_path, durable=False), ObjectMissing, clock=lambda: now[0])
    assert leases.take("t", "q", "a", 30, asked_at=990) is None
    assert leases.take("t", "q", "a", 30, asked_at=990) is None, "back after a crash"
    assert leases.take("t", "q", "b", 30, asked_at=999) == Held(30.0)
    assert leases.take("other", "q", "b", 30, asked_at=999) is None, "what one tenant asks is no other's"
    now[0] += 5
    leases.answered("t", "q", "a", {"entry": 1})
    assert leases.take("t", "q", "b", 30, asked_at=999) == Answered({"entry": 1})
    assert leases.take("t", "q", "a", 30, asked_at=990) is None, "its own answer is in its ledger"
    leases.answered("t", "q", "a", {"entry": 1})
    assert leases.take("t", "q", "c", 30, asked_at=1006) is None, "who comes after the answer asks the cache, and then the model"
    leases.release("t", "q", "a")
    assert leases.take("t", "q", "b", 30, asked_at=999) == Held(30.0), "nobody ends another's lease"
    leases.release("t", "q", "c")
    assert leases.take("t", "q", "b", 30, asked_at=999) is None
    now[0] += 31
    assert leases.take("t", "q", "d", 30, asked_at=999) is None
    leases.answered("t", "q", "d", {"entry": 2})
    now[0] += SHARED_S + 1
    assert leases.take("t", "q", "e", 30, asked_at=999) is None
