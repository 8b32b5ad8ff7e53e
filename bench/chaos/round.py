"""One round: start the parts, feed, strike, come to rest, count."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.chaos.count import Count, topics_read
from bench.chaos.faults import Injector
from bench.chaos.feed import Feeder
from bench.chaos.plan import Fault, schedule
from bench.chaos.recovery import recovery
from bench.chaos.stack import GUESTS, REAL, REAL_GUESTS, ROOT, SYNTHETIC, Stack
from bench.chaos.watch import Watch, backlog, everything, wait_for
from sinks.clickhouse import ClickHouse, ClickHouseSettings
from streams.codec import Codec
from streams.registry import Registry
from streams.topics import SINK, SUNK

WARM_UP_S = 8.0
"""Seconds from when the first requests were caught up with to the first fault: what undisturbed looks like."""
CAUGHT_UP_S = 5.0
REST_S = 300.0
"""How long a round may take to come to rest after its last fault, before what is still open counts as off."""


@dataclasses.dataclass(frozen=True)
class Options:
    """A round. The faults are a function of ``seed``, ``faults``, ``kinds``, ``every_s`` and ``real`` alone."""

    seed: int = 1
    faults: int = 100
    kinds: tuple[str, ...] = ()
    every_s: float = 0.8
    rate: float = 12.0
    warm_up_s: float = WARM_UP_S
    real: bool = False

    def schedule(self) -> list[Fault]:
        from bench.chaos.plan import KINDS

        return schedule(
            self.seed,
            self.faults,
            workers=sorted(REAL if self.real else SYNTHETIC),
            guests=sorted(REAL_GUESTS if self.real else GUESTS),
            kinds=self.kinds or tuple(KINDS),
            every_s=self.every_s,
        )


def run_round(options: Options, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The round's figures; ``exact`` says whether all is as it must be."""
    plan = options.schedule()
    began = time.monotonic()
    code = code_state()
    with Stack(folder, real=options.real) as stack:
        ready_s = time.monotonic() - began
        settings = stack.settings
        say(f"ready after {ready_s:.1f} s; {'file systems of their own' if stack.mounted else 'a store that says ENOSPC'} for full disks")
        codec = Codec(Registry(settings.registry_url))
        if options.real:
            from bench.chaos.real import DoorFeeder

            feeder: Any = DoorFeeder(stack, options.seed)
        else:
            feeder = Feeder(settings, options.rate, options.seed)
        watch = Watch(settings, stack.endpoints.clickhouse_url)
        watch.start()
        feeder.start()

        def caught_up() -> bool:
            """What was submitted while the members were joining has been worked off."""
            old = time.time() - CAUGHT_UP_S
            return bool(watch.ended) and all(r in watch.ended for r, s in list(feeder.ledger.items()) if s.made_at < old)

        wait_for(caught_up, 120)
        warm_from = time.time()
        time.sleep(options.warm_up_s)
        injector = Injector(stack, feeder, lambda: watch.last_end, say)
        injector.at_rest_s = 20.0 if options.real else 0.0
        struck_from = time.time()
        injector.run(plan)
        struck_until = time.time()
        say(f"{len(plan)} faults over; {len(feeder.ledger)} submitted, {len(watch.ended)} ended; coming to rest")
        feeder.stop()

        def ended() -> bool:
            return all(r in watch.ended for r, s in feeder.ledger.items() if s.accepted_at is not None)

        all_ended = wait_for(ended, REST_S)
        until = time.time()
        reads = _reads()
        left: dict[str, int] = {}

        def at_rest() -> bool:
            left.clear()
            left.update(backlog(settings, reads))
            return not left

        wait_for(at_rest, REST_S / 2)
        rest_s = time.time() - until
        say(f"{'all ended' if all_ended else 'NOT all ended'}; {'at rest' if not left else f'not committed: {left}'}; counting")
        watch.stop()
        stack.stop_workers()
        messages = everything(settings, topics_read())
        counting = Count(feeder.ledger, messages, codec, synthetic=not options.real)
        counted = counting.all(ClickHouse(ClickHouseSettings(url=stack.endpoints.clickhouse_url)), stack.provider_file, stack.objects)
        for where, records in left.items():
            counted.wrong("not_settled", f"{where}: {records}", records)
        done = [s for s in injector.struck if s.struck_at is not None]
        result = {
            "seed": options.seed,
            "stages": "real" if options.real else "synthetic",
            "code": code,
            "code_after": code_state(),
            "faults": len(done),
            "planned": len(plan),
            "by_kind": dict(Counter(s.fault.kind for s in done)),
            "not_done": [f"{s.fault.number} {s.fault.kind} {s.fault.victim}: {s.note}" for s in injector.struck if s.struck_at is None],
            "notes": [f"{s.fault.number} {s.fault.kind} {s.fault.victim}: {s.note}" for s in done if s.note],
            "full_disks": "tmpfs" if stack.mounted else "wrapper",
            "restarts": stack.restarts,
            "crashes": stack.crashes,
            "submitted_again": feeder.again,
            "not_accepted": feeder.failed[:5],
            "ready_s": round(ready_s, 1),
            "fault_s": round(struck_until - struck_from, 1),
            "rest_s": round(rest_s, 1),
            **counted.figures,
            "recovery": recovery(feeder.ledger, watch.ended, watch.in_sql, injector.struck, warm_from, until),
            "off": counted.off,
            "examples": counted.examples,
            "exact": counted.exact,
        }
    result["wall_s"] = round(time.monotonic() - began, 1)
    return result


def _reads() -> dict[str, list[str]]:
    """What each group reads, its retry tiers included."""
    from bench.chaos.stages import stages
    from streams.runner import topics_of

    reads = {
        name: [t.name for t in stage.reads] + [t.name for t in topics_of(stage) if t.name.startswith("retry.")]
        for name, stage in stages(0).items()
    }
    # A sink's own metrics never come to rest.
    return reads | {SINK: [t.name for t in SUNK if t.name != "metrics.recorded"]}


def code_state() -> str:
    """A hash of the code under test, so that a result says what it was a result of."""
    digest = hashlib.sha256()
    for path in sorted(itertools.chain(*((ROOT / layer).rglob("*.py") for layer in ("schemas", "streams", "sinks", "infra")))):
        with contextlib.suppress(FileNotFoundError):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
