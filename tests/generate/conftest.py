"""Fixtures of the generator's tests."""

from tests.streams.conftest import world

__all__ = ["world"]
