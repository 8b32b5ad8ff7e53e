"""A line of text as it was read."""

from __future__ import annotations

from dataclasses import dataclass

from processors.extract.geometry import Box
from processors.extract.recognise import Reading


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text. ``box`` in video pixels; ``reading`` with the place of every character within ``box``."""

    box: Box
    reading: Reading

    @property
    def text(self) -> str:
        return self.reading.text
