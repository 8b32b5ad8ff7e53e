"""What was asked earlier: by this run in other words, which is an alarm; by the run that this one takes up, whose answer may stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from schemas.records import AuditRecorded
from streams import runs
from streams.failures import Rejected
from streams.ledger import Call, Intent
from streams.payer import Payer, Question

log = structlog.get_logger()


async def compare(payer: Payer, question: Question, calls: Sequence[Call]) -> None:
    """Within a run the same question is asked the same way by the same code. If not, what is recorded stands, and that is an alarm."""
    mine = (question.input_hash, payer.services.settings.code_version)
    for call in calls[: question.calls]:
        if call.intent.closed or call.intent.adopts is not None:
            return
        theirs = (call.intent.input_hash, call.intent.code_version)
        if theirs == mine:
            if call.end and call.end.ok:
                return  # what follows are other questions
            continue
        what = "input" if theirs[0] != mine[0] else "code version"
        log.error(
            "ledger: not what was asked before",
            stage=payer.context.stage,
            request=payer.source.request_id,
            call=call.number,
            differs=what,
        )
        now = payer.clock()
        await payer.services.deliver(
            [
                AuditRecorded(
                    event_id=payer.services.writer.next_id(now),
                    actor=f"stage:{payer.context.stage}",
                    action="ledger_mismatch",
                    target=f"{payer.source.request_id}/{call.number}",
                    tenant=payer.source.tenant,
                    run=payer.source.run,
                    occurred_at=now,
                    details={
                        "recorded_input": theirs[0],
                        "input": mine[0],
                        "recorded_code_version": theirs[1],
                        "code_version": mine[1],
                    },
                )
            ]
        )
        return


async def adopt(payer: Payer, number: int, question: Question) -> bool:
    """Take over the answer to the same question from the run that this one takes up, where it reuses. True where the number is taken now.

    Raises :class:`~streams.failures.Rejected` where this run may call no provider and there is no such answer.
    """
    run = await asyncio.to_thread(runs.about, payer.services.objects, payer.source.run)
    if run is None:
        return False
    silent = run.effects != "live"
    if run.mode == "reuse" or silent:
        taken = {call.intent.adopts for call in await payer.ledger.read()}
        above: runs.Run | None = run
        while above is not None:
            name = above.parent
            for call in await payer.ledger.of_run(name).read():
                if call.intent.input_hash == question.input_hash and call.good and (name, call.number) not in taken:
                    now = payer.clock()
                    await payer.ledger.begin(number, Intent(payer.owner, now, now, question.input_hash, adopts=(name, call.number)))
                    return True
            above = await asyncio.to_thread(runs.about, payer.services.objects, name) if name else None
    if silent:
        raise Rejected("side_effects_off", f"this run calls no provider, and no answer to {payer.context.stage}'s question was recorded")
    return False
