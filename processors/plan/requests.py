"""What a stage asks for: from a prompt or from features to the method of generation and what it works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from processors.plan.understand import understand
from processors.spec import Spec

Method = Literal["compose", "reconstruct"]


@dataclass(frozen=True)
class Plan:
    """How a request is generated. `spec` belongs to compose; reconstruct works on the request's features as they are."""

    method: Method
    spec: Spec | None = None


def plan_prompt(text: str) -> Plan:
    """Compose what a prompt asks for; raises BadPrompt or NotUnderstood (`processors.plan.errors`) with a reason."""
    return Plan("compose", understand(text))


def plan_features() -> Plan:
    """A recording is reconstructed from its features, whatever they hold: generate says where they are too few."""
    return Plan("reconstruct")
