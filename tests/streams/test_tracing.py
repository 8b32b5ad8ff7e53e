"""One trace spans a request from the door to the sink; without an endpoint nothing is made and headers only pass through."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from millrace.doors import Door, Sender
from schemas import ids
from schemas.records import ArtifactGenerated, GenerationRequested, PromptSubmitted, Record, Verdict
from streams import tracing
from streams.batch import BatchStage, RawRecord, RefusedRecord
from streams.contract import Context, Effect, Stage
from streams.failures import Transient
from streams.topics import (
    ARTIFACT_GENERATED,
    ARTIFACT_REJECTED,
    ARTIFACT_VALIDATED,
    GENERATION_REQUESTED,
    PROMPT_SUBMITTED,
    SINK,
)
from streams.tracing import Tracing, minted, trace_id_of
from tests.streams.world import World, run, until

Span = dict[str, Any]


@pytest.fixture
def collector() -> Iterator[SimpleNamespace]:
    """A real OTLP/HTTP receiver; ``spans`` is what it was sent."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for s in scope.spans:
                        values = {a.key: a.value.string_value or a.value.int_value for a in s.attributes}
                        spans.append(
                            {
                                "name": s.name,
                                "trace": s.trace_id.hex(),
                                "id": s.span_id.hex(),
                                "parent": s.parent_span_id.hex(),
                                "attributes": values,
                                "events": [e.name for e in s.events],
                                "raw": s.SerializeToString(),
                            }
                        )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", spans=spans)
    server.shutdown()
    server.server_close()


def pipeline(seen: list[RawRecord]) -> list[Stage | BatchStage]:
    """Small stages with the real topics. Planning fails once; generating makes a call of its own."""
    failed: set[str] = set()

    async def plan(record: PromptSubmitted, context: Context) -> Sequence[Record]:
        if record.request_id not in failed:
            failed.add(record.request_id)
            raise Transient("not yet: secret-text-of-an-error")
        return [context.make(GenerationRequested, method="m", spec="{}")]

    async def generate(record: GenerationRequested, context: Context) -> Sequence[Record]:
        with tracing.span("provider call", model="none"):
            uri = await context.put(b"an artifact")
        return [context.make(ArtifactGenerated, method="m", artifact_uri=uri, artifact_size=1, artifact_digest="d")]

    async def validate(record: ArtifactGenerated, context: Context) -> Sequence[Record]:
        return [context.make(Verdict, state="validated", stage="validate")]

    def write(topic: str, records: Sequence[RawRecord]) -> Sequence[RefusedRecord]:
        seen.extend(records)
        return []

    def declare(name: str, handler: Any, reads: Any, writes: Any) -> Stage:
        return Stage(name=name, reads=(reads,), writes=(writes, ARTIFACT_REJECTED), handler=handler, effect=Effect.PURE, time_limit_s=30)

    return [
        declare("plan", plan, PROMPT_SUBMITTED, GENERATION_REQUESTED["normal"]),
        declare("generate", generate, GENERATION_REQUESTED["normal"], ARTIFACT_GENERATED),
        declare("validate", validate, ARTIFACT_GENERATED, ARTIFACT_VALIDATED),
        BatchStage(name=SINK, reads=(ARTIFACT_VALIDATED,), write=write, linger_s=0.05),
    ]


@pytest.mark.kafka
def test_one_trace_from_the_door_to_the_sink(world: World, collector: SimpleNamespace) -> None:
    world = world.with_settings(otlp_url=collector.url)
    seen: list[RawRecord] = []
    stages = pipeline(seen)
    world.create(*stages)
    door = Door(world.settings, world.store)
    request = door.prompt("a prompt that no span may tell", Sender(tenant="secret-tenant")).request_id
    door.flush()

    async def main() -> None:
        async with world.running(*stages) as task:
            await until(lambda: seen, task=task)

    run(main())  # the worker's end sends what is left
    trace = request.replace("-", "")
    spans: list[Span] = collector.spans
    assert {s["trace"] for s in spans} == {trace}
    assert [s["name"] for s in spans].count("plan") == 2, "a span for each try"
    assert {s["name"] for s in spans} == {"submit prompt.submitted", "plan", "generate", "provider call", "validate", "sink"}
    names = {s["id"]: s["name"] for s in spans}
    parents = [(names.get(s["parent"], ""), s["name"]) for s in spans]
    assert sorted(parents) == sorted([
        ("", "submit prompt.submitted"), ("submit prompt.submitted", "plan"), ("plan", "plan"), ("plan", "generate"),
        ("generate", "provider call"), ("generate", "validate"), ("validate", "sink"),
    ])  # fmt: skip
    tries = [(s["attributes"]["millrace.outcome"], s["events"]) for s in spans if s["name"] == "plan"]
    assert sorted(tries) == [("handled", []), ("retried", ["failed"])]
    assert all(s["attributes"]["millrace.request"] == request for s in spans if s["attributes"].get("millrace.outcome") == "handled")
    for text in (b"secret", b"no span may tell"):
        assert not any(text in s["raw"] for s in spans)
    headers = [h for m in world.messages("artifact.validated") for h in m.headers() if h[0] == "traceparent"]
    assert len(headers) == 1, "said once, also after a retry"


@pytest.mark.kafka
def test_without_an_endpoint_the_context_passes_through_and_the_sdk_stays_away(world: World) -> None:
    seen: list[RawRecord] = []
    stages = pipeline(seen)
    world.create(*stages)
    door = Door(world.settings, world.store)
    request = door.prompt("a prompt", Sender()).request_id
    door.flush()

    async def main() -> None:
        async with world.running(*stages) as task:
            await until(lambda: seen, task=task)

    run(main())
    (first,), (last,) = world.messages(PROMPT_SUBMITTED), world.messages(ARTIFACT_VALIDATED)
    context = dict(first.headers())["traceparent"]
    assert context.startswith(f"00-{trace_id_of(request)}-".encode()) and context.endswith(b"-01")
    assert [h for h in last.headers() if h[0] == "traceparent"] == [("traceparent", context)]
    loaded = (
        "import sys, streams.worker, millrace.doors; print([m for m in sys.modules if m.startswith('opentelemetry.sdk') or 'otlp' in m])"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", loaded], cwd=root, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def message(traceparent: bytes | None = None, key: bytes = b"", **more: bytes) -> Any:
    headers = [("traceparent", traceparent)] if traceparent is not None else []
    headers += list(more.items())
    return SimpleNamespace(headers=lambda: headers, key=lambda: key, partition=lambda: 0, offset=lambda: 7)


@pytest.fixture
def made() -> Iterator[tuple[Tracing, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    traced = Tracing("http://unused", service="s", instance="i", exporter=exporter)
    yield traced, exporter
    traced.close()


@pytest.mark.parametrize("bad", [b"", b"00", b"00-" + b"0" * 32 + b"-1234567890abcdef-01", b"\xff\xfe", b"00-zz-1-01"])
def test_a_context_that_is_none_begins_the_trace_of_the_request(made: tuple[Tracing, InMemorySpanExporter], bad: bytes) -> None:
    request = ids.new_id()
    step = made[0].step("plan", message(bad, key=request.encode()), "t", 1)
    assert step
    assert step.headers[0][1].split(b"-")[1].decode() == trace_id_of(request)


def test_an_upstream_context_goes_on_and_its_no_is_a_no(made: tuple[Tracing, InMemorySpanExporter]) -> None:
    upstream = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    step = made[0].step("plan", message(upstream, tracestate=b"vendor=1"), "t", 1)
    assert step
    assert step.headers[0][1].startswith(b"00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert step.headers[1] == ("tracestate", b"vendor=1")
    assert made[0].step("plan", message(upstream[:-2] + b"00"), "t", 1) is None


def test_every_process_keeps_the_same_share_of_traces() -> None:
    """By the trace id alone: whole traces or none, about as many as asked for."""
    requests = [ids.new_id() for _ in range(2000)]

    def kept(sample: float) -> set[str]:
        traced = Tracing("http://unused", service="s", instance="i", sample=sample, exporter=InMemorySpanExporter())
        try:
            return {r for r in requests if traced.step("plan", message(minted(r)[0][1]), "t", 1)}
        finally:
            traced.close()

    tenth, half = kept(0.1), kept(0.5)
    assert tenth < half < kept(1.0) == set(requests)
    assert not kept(0.0)
    assert 100 < len(tenth) < 320 and 850 < len(half) < 1150, "more than six standard deviations off would be no chance"


def test_a_run_has_a_trace_of_its_own() -> None:
    request, other = ids.new_id(), ids.new_id()
    assert len({trace_id_of(request), trace_id_of(request, other), trace_id_of(other)}) == 3
