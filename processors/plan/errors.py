"""Why a prompt becomes no specification. `reason` is a stable code; the message says what, where and what to do."""

from __future__ import annotations

from typing import Literal


class PromptError(ValueError):
    """A prompt that was not understood or is none."""

    reason: str

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[PromptError], tuple[str, str]]:
        return type(self), (self.reason, self.message)


class BadPrompt(PromptError):
    """Nothing that could be understood: the prompt itself has to change."""

    def __init__(self, reason: Literal["empty_prompt", "prompt_too_large", "bad_spec", "not_allowed"], message: str) -> None:
        super().__init__(reason, message)


class NotUnderstood(PromptError):
    """A prompt that may well make sense, but not to a grammar."""

    def __init__(self, reason: Literal["needs_model"], message: str) -> None:
        super().__init__(reason, message)
