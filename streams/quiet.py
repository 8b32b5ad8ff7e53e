"""Asks the broker after partitions from which nothing comes, so that nothing lies there unseen.

A client can lose sight of a partition, or of a commit, without a word: after a broker's restart a partition may not be fetched for minutes, and no
error says so. Nothing else would notice: what the client tells of a partition's end is of the last fetch.

G6  A partition that was silent for ``QUIET_S``, and is to be fetched, is compared with the broker. What lies there undelivered at two looks in a row is
    fetched anew, in the same window: what comes twice is known there (A4). A commit that the broker does not have is made again.

It costs a request or two a silent partition at each look; the poll thread makes them, and where the broker is slow it asks again later.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.acknowledgement import Window
from streams.offsets import committed

log = structlog.get_logger()
QUIET_S = 20.0
LOOK_EVERY_S = 10.0
_WITHIN_S = 1.0
"""What one look may hold up the poll thread."""


class Quiet:
    """Belongs to the poll thread."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._looked_at = 0.0
        self._still: dict[Window, tuple[int | None, int | None, float]] = {}
        """Where each window stood (delivered, committed) and since when."""
        self._unseen: dict[Window, int] = {}
        """Windows with undelivered records at the last look, and how far was delivered."""

    def look(self, consumer: Consumer, windows: Collection[Window], now: float | None = None) -> list[TopicPartition]:
        """The partitions to fetch anew and from where. ``windows``: those that are to be fetched now. ``now``: of ``time.monotonic``."""
        now = time.monotonic() if now is None else now
        if now < self._looked_at + LOOK_EVERY_S:
            return []
        self._looked_at = now
        self._still = {w: self._stood(w, now) for w in windows}
        quiet = [w for w, (_, _, since) in self._still.items() if now - since >= QUIET_S]
        unseen: dict[Window, int] = {}
        again: list[TopicPartition] = []
        try:
            self._commits(consumer, quiet)
            until = time.monotonic() + _WITHIN_S
            for window in quiet:
                if (left := until - time.monotonic()) <= 0:
                    break
                place = TopicPartition(window.topic, window.partition)
                low, high = consumer.get_watermark_offsets(place, timeout=left)
                at = next((o for o in (window.next, window.committed) if o is not None), low)
                if high <= max(low, at):
                    continue
                if self._unseen.get(window) == at:
                    log.warning(
                        "a partition was not fetched; fetching it anew",
                        group=self._group,
                        place=f"{place.topic}/{place.partition}",
                        at=at,
                        end=high,
                    )
                    again.append(TopicPartition(place.topic, place.partition, max(low, at)))
                else:
                    unseen[window] = at
        except KafkaException:
            pass  # the broker is away: the next look asks again
        self._unseen = unseen
        return again

    def _stood(self, window: Window, now: float) -> tuple[int | None, int | None, float]:
        was = self._still.get(window)
        here = window.next, window.committed
        return was if was is not None and was[:2] == here else (*here, now)

    def _commits(self, consumer: Consumer, quiet: list[Window]) -> None:
        """Have those commits made again that the broker does not have."""
        asked = {(w.topic, w.partition): w for w in quiet if w.committed is not None}
        if not asked:
            return
        for found in committed(consumer, [TopicPartition(*place) for place in asked], _WITHIN_S):
            window = asked[found.topic, found.partition]
            if window.committed is not None and found.offset < window.committed:
                log.warning(
                    "a commit was lost; committing again", group=self._group, place=f"{found.topic}/{found.partition}", found=found.offset
                )
                window.committed = None
