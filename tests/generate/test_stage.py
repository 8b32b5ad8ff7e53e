"""How the generate stage is declared."""

from __future__ import annotations

from processors.generate.stage import GenerateSettings, stage
from processors.toolchain.node import Toolchain
from streams.contract import problems


def test_it_reads_its_topics_as_the_queues_of_priority_classes() -> None:
    """Without an admission all four classes would be one, first come first served, and nothing would be shed or late."""
    declared = stage(GenerateSettings(), Toolchain())
    assert declared.admission is not None and {t.priority for t in declared.reads} == {"critical", "high", "normal", "low"}
    assert not problems(declared)
