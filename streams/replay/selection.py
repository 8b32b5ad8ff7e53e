"""Which records a replay takes up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from schemas import ids
from streams.steps import AHEAD_MS
from streams.topics import CATALOGUE, PIPELINE, READ_BY

INPUTS = {stage: tuple(topic.name for topic in READ_BY[stage]) for stage in PIPELINE}
"""What each stage of the pipeline reads."""
ENTRIES = tuple(t.name for t in CATALOGUE.values() if t.entry)
READER = {topic: stage for stage, topics in INPUTS.items() for topic in topics}


class BadSelection(ValueError):
    """A selection that cannot mean anything; the message says all that is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """A stretch of one partition, both ends included. ``last`` None: up to its end."""

    partition: int
    first: int
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> Offsets:
        """``PARTITION:FIRST-LAST``, ``PARTITION:FIRST-`` or ``PARTITION:OFFSET``. Raises :class:`BadSelection`."""
        partition, colon, span = text.partition(":")
        first, dash, last = span.partition("-")
        if not (colon and partition.isdecimal() and first.isdecimal() and (last.isdecimal() or (dash and not last) or not dash)):
            raise BadSelection(f"{text[:80]!r} is no range of offsets: PARTITION:FIRST-LAST, PARTITION:FIRST- or PARTITION:OFFSET")
        found = cls(partition=int(partition), first=int(first), last=int(last) if last else None if dash else int(first))
        if found.last is not None and found.last < found.first:
            raise BadSelection(f"{text!r} ends before it begins")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All that is given must hold. Times are milliseconds since 1970, of the records; ``topics`` are those of the catalogue."""

    topics: tuple[str, ...]
    since: int | None = None
    until: int | None = None
    offsets: tuple[Offsets, ...] = ()
    key: str | None = None
    tenant: str | None = None
    requests: tuple[str, ...] | None = None
    of_run: str = ""
    """Whose records: the run they are replayed as children of."""
    code_version: str | None = None
    """Only where the step that took the record was done by this version of the code."""
    max: int = 100_000

    @property
    def first_stage(self) -> str:
        """The earliest stage that the records go to."""
        return min((READER[t] for t in self.topics), key=PIPELINE.index)

    @property
    def stages(self) -> tuple[str, ...]:
        """Every stage that the records may pass."""
        return PIPELINE[PIPELINE.index(self.first_stage) :]


def topics_for(topics: tuple[str, ...], stage: str | None) -> tuple[str, ...]:
    """The topics that are read: those named, those of a stage, or (with neither) the submissions. Raises :class:`BadSelection`."""
    if topics and stage:
        raise BadSelection("name topics or a stage, not both: a stage stands for the topics it reads")
    if stage:
        if stage not in INPUTS:
            raise BadSelection(f"no stage {stage!r} takes up a request; there are {', '.join(INPUTS)}")
        return INPUTS[stage]
    for topic in topics:
        if topic not in READER:
            known = topic in CATALOGUE
            hint = (
                "no stage of the pipeline reads it; 'millrace archive restore' writes its records again as they are"
                if known
                else "no topic"
            )
            raise BadSelection(f"{topic!r}: {hint}. A replay starts from {', '.join(READER)}")
    return topics or ENTRIES


def checked(selection: Selection) -> Selection:
    """The selection, if it is one. Raises :class:`BadSelection` with all that is wrong."""
    found = []
    if selection.since is not None and selection.until is not None and selection.since >= selection.until:
        found.append("the time range ends before it begins")
    if selection.offsets and len(selection.topics) != 1:
        found.append("offsets count within one topic: name it with --topic")
    if selection.offsets and (selection.since is not None or selection.until is not None):
        found.append("give offsets or a time range, not both")
    partitions = [o.partition for o in selection.offsets]
    if len(set(partitions)) < len(partitions):
        found.append("give one range of offsets a partition")
    if selection.code_version is not None and "plan" in {READER[t] for t in selection.topics}:
        found.append(
            "plan's steps are not recorded, so their code version is not known: start at extract, generate or validate with --stage"
        )
    if selection.max < 1:
        found.append("at most 0 records are none")
    if found:
        raise BadSelection("; ".join(found))
    return selection


def bounded(selection: Selection) -> Selection:
    """The same selection, with a beginning where it names requests and says none: an id says when its request was made, and its records lie after
    that, but for the clocks' difference that is allowed at the door. So one request is not looked for through a whole topic."""
    if selection.requests and selection.since is None and not selection.offsets:
        return replace(selection, since=min(map(ids.id_time_ms, selection.requests)) - AHEAD_MS)
    return selection
