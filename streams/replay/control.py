"""How far a replay has come, and what an operator wants of it: one small object a run, changed by conditional replace.

``replays/RUN/plan`` holds what was chosen and never changes. ``replays/RUN/state`` is written by two sides that never overwrite each other's word: the *owner* (the process that feeds the run) writes state and
position, an *operator* (any terminal) writes ``wanted``. The owner beats every second or so; one that is silent for :data:`SILENT_MS` is taken for
dead, and whoever resumes the run becomes its owner. A resumed run goes on at the position saved last; what was fed after it is fed again under the
same ids, which is a redelivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from schemas import ids
from streams.objects import ObjectMissing, ObjectStore
from streams.replay.log import Slice
from streams.replay.selection import Offsets, Selection

FOLDER = "replays"
SILENT_MS = 20_000
OPEN = ("opened", "feeding", "finishing")
"""States in which a run has, or should have, an owner."""
ENDED = ("done", "cancelled")


class UnknownReplay(LookupError):
    """No replay of that run was ever started."""


class Busy(RuntimeError):
    """Another process is feeding the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One replay. Everything but what the owner writes stands from the start."""

    run: str
    kind: str
    parent: str
    mode: str
    isolated: bool
    effects: str
    actor: str
    started_ms: int
    selection: Selection | None
    slices: tuple[Slice, ...]
    stages: tuple[str, ...]
    """Who takes the records to their end."""
    total: int
    """Records to feed."""
    requests: int
    """Requests among them."""
    estimated_usd: str | None
    budget_usd: str | None
    rate: float
    """Records a second; 0 for as fast as it goes."""
    window: int
    """Requests under way at once; 0 for any number."""
    wait: bool

    state: str = "opened"
    """opened, feeding, finishing (all is fed, verdicts are awaited), paused, over_budget, failed, done or cancelled."""
    reason: str = ""
    wanted: str = ""
    """``pause`` or ``cancel``: what an operator asked for and the owner has not done yet."""
    owner: str = ""
    beat_ms: int = 0
    positions: tuple[int, ...] = ()
    """For each slice the offset to be read next."""
    fed: int = 0
    fed_requests: int = 0
    ended: int = 0
    """Requests with a verdict in the run and all its usage."""
    spent_usd: str = "0"
    skipped: dict[str, int] = field(default_factory=dict)

    def alive(self, now_ms: int | None = None) -> bool:
        """Whether an owner feeds it right now, as far as one can tell."""
        return self.state in OPEN and bool(self.owner) and (now_ms or ids.now_ms()) - self.beat_ms < SILENT_MS


_PLAN = ("selection", "slices")


def dump(progress: Progress) -> tuple[bytes, bytes]:
    """A replay's plan and its state."""
    values = asdict(progress)
    plan = {name: values.pop(name) for name in _PLAN}
    return orjson.dumps(plan), orjson.dumps(values)


def load(plan: bytes, state: bytes) -> Progress:
    values: dict[str, Any] = orjson.loads(state) | orjson.loads(plan)
    if values["selection"] is not None:
        chosen = values["selection"]
        chosen["topics"] = tuple(chosen["topics"])
        chosen["offsets"] = tuple(Offsets(**o) for o in chosen["offsets"])
        chosen["requests"] = None if chosen["requests"] is None else tuple(chosen["requests"])
        values["selection"] = Selection(**chosen)
    values["slices"] = tuple(Slice(**s) for s in values["slices"])
    values["positions"], values["stages"] = tuple(values["positions"]), tuple(values["stages"])
    return Progress(**values)


class Control:
    """The object of one run."""

    def __init__(self, store: ObjectStore, run: str) -> None:
        self._store, self.run = store, run
        self._plan, self._state = f"{FOLDER}/{run}/plan", f"{FOLDER}/{run}/state"
        self._planned: bytes | None = None

    def create(self, progress: Progress) -> None:
        """Write it for the first time; the same run again changes nothing."""
        plan, state = dump(progress)
        self._store.create(self._plan, plan)
        self._store.create(self._state, state)

    def read(self) -> Progress:
        """Raises :class:`UnknownReplay`."""
        return self._read()[0]

    def change(self, how: Callable[[Progress], Progress]) -> Progress:
        """Change it, whoever else does at the same time: ``how`` is asked again for what they wrote."""
        while True:
            found, etag = self._read()
            wanted = how(found)
            if wanted == found or self._store.replace(self._state, dump(wanted)[1], etag):
                return wanted

    def take(self, owner: str) -> Progress:
        """Become the owner. Raises :class:`Busy` where another one is at work, ``UnknownReplay``."""

        def mine(found: Progress) -> Progress:
            if found.alive() and found.owner != owner:
                raise Busy(
                    f"run {self.run} is being fed by {found.owner}; pause it first, or wait {SILENT_MS // 1000} s after its process has died"
                )
            return replace(found, owner=owner, beat_ms=ids.now_ms(), state="feeding", wanted="", reason="")

        return self.change(mine)

    def save(self, me: str, /, **changes: Any) -> Progress:
        """The owner's word. Raises :class:`Busy` where somebody else took over meanwhile."""

        def said(found: Progress) -> Progress:
            if found.owner != me:
                raise Busy(f"run {self.run} was taken over by {found.owner}")
            return replace(found, beat_ms=ids.now_ms(), **changes)

        return self.change(said)

    def ask(self, wanted: str) -> Progress:
        """An operator's word: ``pause`` or ``cancel``. Where no owner is alive to hear it, it is so at once. What has ended stays ended."""

        def asked(found: Progress) -> Progress:
            if found.state in ENDED:
                return found
            if found.alive():
                return replace(found, wanted=wanted)
            return replace(found, wanted="", owner="", state="paused" if wanted == "pause" else "cancelled")

        return self.change(asked)

    def note_requests(self, requests: Iterable[str]) -> None:
        """Which requests were fed: kept for those who ask what is missing."""
        self._store.put(f"{FOLDER}/{self.run}/requests", "\n".join(requests).encode())

    def requests(self) -> list[str]:
        """As :meth:`note_requests` left it; empty before the feed first stopped."""
        try:
            return self._store.get(f"{FOLDER}/{self.run}/requests").body.decode().split()
        except ObjectMissing:
            return []

    def _read(self) -> tuple[Progress, str]:
        try:
            stored = self._store.get(self._state)
            self._planned = self._planned or self._store.get(self._plan).body
        except ObjectMissing:
            raise UnknownReplay(f"no replay has the run {self.run}") from None
        return load(self._planned, stored.body), stored.etag


def all_replays(store: ObjectStore) -> Iterator[Progress]:
    """Every replay, the latest last."""
    for key in store.keys(f"{FOLDER}/"):
        if key.endswith("/state"):
            yield Control(store, key.split("/")[1]).read()
