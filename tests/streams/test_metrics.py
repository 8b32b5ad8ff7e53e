"""The list of metrics is closed, and its page is made from it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from streams import metrics
from streams.metrics import StageMetrics, State

ROOT = Path(__file__).parents[2]
LAYERS = ("schemas", "streams", "processors", "sinks", "infra", "millrace")


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs/METRICS.md").read_text() == metrics.page(), "make it again: python -m streams.metrics > docs/METRICS.md"


def test_no_other_module_defines_a_metric() -> None:
    kinds = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    elsewhere = []
    for layer in LAYERS:
        for file in (ROOT / layer).rglob("*.py"):
            if "node_modules" in file.parts or file == ROOT / "streams/metrics.py":
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client"):
                    elsewhere += [f"{file}: {a.name}" for a in node.names if a.name in kinds]
                elif isinstance(node, ast.Import):
                    elsewhere += [f"{file}: {a.name}" for a in node.names if a.name.startswith("prometheus_client")]
    assert not elsewhere


def test_prometheus_shows_every_metric_of_the_list_and_no_other_of_ours() -> None:
    shown = {f.name + ("_total" if f.type == "counter" else ""): f for f in REGISTRY.collect() if f.name.startswith("millrace_")}
    assert {d.name for d in metrics.CATALOGUE} == set(shown)
    for d in metrics.CATALOGUE:
        assert (shown[d.name].type, shown[d.name].documentation) == (d.kind, d.help)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_window_is_told_once_and_totals_grow_by_their_differences() -> None:
    told = StageMetrics("told", "w")
    assert told.flush("id", State()) is None, "nothing happened and nothing waits"
    told.count("in", 3)
    told.count("done", 2)
    told.error("timeout")
    told.handled(0.25, 4000)
    record = told.flush("id", State(in_flight=1, in_flight_bytes=70, lag_seconds=7.5, commits=2, rebalances=1, rebalance_seconds=0.5))
    assert record is not None
    assert (record.records_in, record.records_done, record.in_flight, record.lag_seconds, record.errors) == (3, 2, 1, 7.5, {"timeout": 1})
    assert (record.handler_ms_p50, record.queue_ms_max) == (250, 4000)
    assert told.flush("id", State(commits=5, commits_failed=1, rebalances=1, rebalance_seconds=0.5)) is None
    assert value("millrace_records_total", stage="told", event="in") == 3
    assert value("millrace_commits_total", stage="told", outcome="ok") == 5
    assert value("millrace_commits_total", stage="told", outcome="failed") == 1
    assert value("millrace_rebalances_total", stage="told") == 1
    assert value("millrace_rebalance_seconds_total", stage="told") == pytest.approx(0.5)
    assert value("millrace_queue_seconds_sum", stage="told") == 4
    assert value("millrace_in_flight_bytes", stage="told") == 0
