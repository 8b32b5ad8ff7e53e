"""Closed classes of words are written as running text, which stays readable where a list of strings does not."""

from __future__ import annotations


def lexicon(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
