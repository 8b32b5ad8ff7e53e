"""From a task to an application: the question, the answer, the fixers. An answer that cannot be read is asked for once more, with what was wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import structlog

from processors.generate.compose import compose
from processors.generate.model import question as questions
from processors.generate.model.answer import Answer, Unusable, read_answer
from processors.generate.model.cache import key
from processors.generate.model.context import compress, normalised, select
from processors.generate.model.fixers import fix
from processors.generate.model.port import Question, Reply
from processors.generate.model.settings import ModelSettings
from processors.spec import InvalidSpec
from processors.task import Task
from processors.toolchain.project import Files

log = structlog.get_logger()
QUESTIONS = 2
"""In one round: the first, and another where its answer cannot be read."""

Asking: TypeAlias = Callable[[Question, Mapping[str, str]], Awaitable[tuple[Reply, Decimal | None]]]
"""From a question, and what its usage is to say, to the reply and its cost."""


@dataclass(frozen=True, slots=True)
class Made:
    """An answer and the sources it became, without ``dist``."""

    answer: Answer
    files: Files
    own: tuple[str, ...]
    """The files among them that the model wrote."""
    cost_usd: Decimal | None


def cache_key(tenant: str, task: Task, settings: ModelSettings, version: str) -> str | None:
    """Everything that can change the answer to a task's first question; None where it is not meant to be the same again.

    ``version`` is that of the code that asks and of what is made of the answer.
    """
    if settings.temperature > 0:
        return None
    names = {"url", "model", "temperature", "seed", "structured", "files", "max_output", "context"}
    about = settings.model_dump(mode="json", include=names)
    asked = [questions.PROMPT_VERSION, questions.SYSTEM, questions.FILES, questions.schema(files=settings.files)]
    parts = (json.dumps(about, sort_keys=True), json.dumps(asked, sort_keys=True), normalised(task.prompt), task.features_uri)
    return key("model", version, tenant, *parts)


def question_of(
    task: Task, features: Mapping[str, Any] | None, base: Answer | None, settings: ModelSettings, hint: str = ""
) -> tuple[Question, dict[str, str]]:
    """What is asked in this round, and how many tokens there were before and after selection and compression."""
    prompt = compress(task.prompt, settings.context if features is None else settings.context // 2)
    screens = select(features, task.prompt, settings.context - prompt.tokens_after) if features is not None else None
    if base is None or task.best is None:
        asked = questions.ask_for(prompt, screens, settings, hint)
    else:
        spec = json.loads(base.to_json())["spec"]
        asked = questions.ask_to_repair(prompt, screens, spec, base.files, task.best.findings, settings, hint)
    before = prompt.tokens_before + (screens.tokens_before if screens else 0)
    after = prompt.tokens_after + (screens.tokens_after if screens else 0)
    return asked, {"context_before": str(before), "context_after": str(after)}


async def make(task: Task, features: Mapping[str, Any] | None, base: Answer | None, settings: ModelSettings, ask: Asking) -> Made:
    """``base`` is the answer that is repaired. Raises :class:`Unusable` where no answer can be read, and what ``ask`` raises."""
    hint = ""
    cost: Decimal | None = Decimal(0)
    for _ in range(QUESTIONS):
        asked, dims = question_of(task, features, base, settings, hint)
        reply, spent = await ask(asked, dims)
        cost = None if cost is None or spent is None else cost + spent
        try:
            if reply.error:
                raise Unusable(reply.message)
            return _made(read_answer(reply.text, files=settings.files, base=base), cost)
        except Unusable as error:
            hint = str(error)
            log.info("unusable answer", model=settings.model, why=hint[:300])
    raise Unusable(hint)


def _made(answer: Answer, cost: Decimal | None) -> Made:
    try:
        files = compose(answer.spec)
    except InvalidSpec as error:  # names that only the emitter objects to
        raise Unusable(f"the spec makes no application: {error}") from error
    own, fixed = fix(answer.files)
    files |= {path: text.encode(errors="replace") for path, text in own.items()}
    answer = Answer(answer.spec, own, answer.fixed + tuple(f"code.{f}" for f in fixed))
    return Made(answer, dict(sorted(files.items())), tuple(sorted(own)), cost)
