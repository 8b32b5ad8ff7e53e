"""Balances are changed by conditional replace: every store must let them be exact under competition."""

from __future__ import annotations

from streams.objects import ObjectStore
from tests.streams.test_quota import race_for_ten_places


def test_ten_places_go_to_ten_requests_on_every_store(store: ObjectStore) -> None:
    race_for_ten_places(store)
