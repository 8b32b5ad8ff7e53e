"""One OpenTelemetry trace for each request and run, from the door to the sink, carried in the record header ``traceparent`` (W3C).

A request's trace id *is* its id without hyphens (a UUIDv7 has the random bits that W3C asks for), so that a trace is found by the request; a
run has a trace of its own. The door mints the header, every step makes a span and hands its own context on to its outputs, the sink makes the
last one. Without an endpoint (``otlp_url``) no span is made, nothing of the SDK is loaded, and headers only pass through.

Spans say where and how long, never what: no text of a producer or a provider, no secret, a tenant only as a hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from confluent_kafka import Message

from streams.settings import StreamSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanContext

Headers = list[tuple[str, bytes]]
NAMES = frozenset({"traceparent", "tracestate"})
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?\Z", re.S)
_HEX_ID = re.compile(r"(?!0{32})[0-9a-f]{32}\Z")
_FLUSH_MS = 3000
_within: ContextVar[Tracing | None] = ContextVar("millrace-tracing", default=None)
"""Whose step is running."""


def passed_on(message: Message) -> Headers:
    """A record's trace context as it came, for the records that it leads to."""
    return [header for header in message.headers() or () if header[0] in NAMES]


def trace_id_of(request_id: str, run: str = "") -> str:
    """32 hexadecimal digits: the request's own, or the run's of it."""
    return hashlib.sha256(f"{run}/{request_id}".encode()).hexdigest()[:32] if run else request_id.replace("-", "")


def minted(request_id: str, run: str = "") -> Headers:
    """The context of a request that comes in where no span is made: whoever makes the first one knows the trace."""
    return [("traceparent", f"00-{trace_id_of(request_id, run)}-{secrets.token_hex(8)}-01".encode())]


@dataclass(slots=True)
class StepSpan:
    """The span of a step under way, and the headers for what it publishes."""

    span: Span
    headers: Headers

    def end(self, outcome: str, record: Any = None) -> None:
        """Say how it went. ``record`` is the decoded one, where it decoded."""
        self.span.set_attribute("millrace.outcome", outcome)
        if (request := getattr(record, "request_id", None)) is not None:
            self.span.set_attributes(_about(request, getattr(record, "tenant", ""), getattr(record, "run", "")))
        if outcome == "dead":
            from opentelemetry.trace import Status, StatusCode

            self.span.set_status(Status(StatusCode.ERROR, outcome))
        self.span.end()

    def abandon(self) -> None:
        """The step was not finished here: its partition went, or the worker stops. The next owner makes a span of its own."""
        self.span.set_attribute("millrace.outcome", "left")
        self.span.end()


class Tracing:
    """A process's spans, sent in batches by a thread of the SDK; where the endpoint does not keep up, spans are dropped, never work."""

    def __init__(self, url: str, *, service: str, instance: str, sample: float = 1.0, exporter: SpanExporter | None = None) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/v1/traces", timeout=_FLUSH_MS / 1000)
        self._sample = sample
        self._ids = _id_generator()
        # What is sampled is decided here, by the trace id alone, so that all processes keep the same whole traces.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            id_generator=self._ids,
            resource=Resource.create({"service.name": service, "service.instance.id": instance}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=_FLUSH_MS, schedule_delay_millis=1000))
        self.tracer = self._provider.get_tracer("millrace")

    @classmethod
    def of(cls, settings: StreamSettings, *, service: str, instance: str) -> Tracing | None:
        """As the settings say: None where no endpoint is named."""
        if settings.otlp_url is None:
            return None
        return cls(settings.otlp_url, service=service, instance=instance, sample=settings.trace_sample)

    def submitted(self, kind: str, request_id: str, tenant: str, run: str = "") -> Headers:
        """The first span of a request's trace: it was accepted. Returns the headers of its record."""
        trace = trace_id_of(request_id, run)
        if not self._sampled(trace):
            return [("traceparent", f"00-{trace}-{secrets.token_hex(8)}-00".encode())]
        span = self._root(f"submit {kind}", trace)
        span.set_attributes(_about(request_id, tenant, run))
        span.end()
        return _headers(span, ())

    def step(self, stage: str, message: Message, topic: str, tries: int) -> StepSpan | None:
        """The span of a step that begins now; None where its trace is not sampled."""
        found = self._parent(message)
        if found is None:
            return None
        trace, parent, state = found
        attributes = _place(message, topic) | {"millrace.stage": stage, "millrace.tries": tries}
        span = self._child(stage, parent, attributes) if parent else self._root(stage, trace, attributes)
        return StepSpan(span, _headers(span, state))

    def rested(self, sink: str, message: Message, topic: str, began_ns: int) -> None:
        """The last span of a trace: the record was written where it comes to rest. ``began_ns`` is when its batch was begun (Unix time)."""
        found = self._parent(message)
        if found and found[1]:
            self._child(sink, found[1], _place(message, topic) | {"millrace.stage": sink}, began_ns).end()

    @contextmanager
    def within(self, step: StepSpan) -> Iterator[None]:
        """What is started inside sees the step's span as its own."""
        from opentelemetry import context, trace

        token, mine = context.attach(trace.set_span_in_context(step.span)), _within.set(self)
        try:
            yield
        finally:
            _within.reset(mine)
            context.detach(token)

    def flush(self) -> None:
        """Send what waits; for a process that is about to end. Takes seconds at most, where the endpoint does not answer."""
        self._provider.force_flush(_FLUSH_MS)

    def close(self) -> None:
        self._provider.shutdown()

    def _sampled(self, trace: str) -> bool:
        # The low 62 bits are random in a UUIDv7 and in any trace id that W3C's random flag speaks of.
        return (int(trace, 16) & ((1 << 62) - 1)) < self._sample * (1 << 62)

    def _parent(self, message: Message) -> tuple[str, SpanContext | None, Sequence[tuple[str, bytes]]] | None:
        """The trace a record belongs to, the span it came from, and headers to pass on as they are. None: not sampled."""
        headers = passed_on(message)
        match = next((m for name, value in reversed(headers) if name == "traceparent" and (m := _TRACEPARENT.match(value or b""))), None)
        if match is None:  # somebody else's producer: its key is the request id, by the topic's contract
            key = (message.key() or b"").decode(errors="replace").replace("-", "")
            trace = key if _HEX_ID.match(key) else secrets.token_hex(16)
            return (trace, None, ()) if self._sampled(trace) else None
        trace, span, flags = (group.decode() for group in match.groups())
        if not int(flags, 16) & 1 or not self._sampled(trace):
            return None
        return trace, _remote(trace, span), [h for h in headers if h[0] == "tracestate"][-1:]

    def _root(self, name: str, trace: str, attributes: dict[str, Any] | None = None) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        self._ids.next_trace = int(trace, 16)
        return self.tracer.start_span(name, context=Context(), kind=SpanKind.PRODUCER, attributes=attributes)

    def _child(self, name: str, parent: SpanContext, attributes: dict[str, Any], began_ns: int | None = None) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

        context = set_span_in_context(NonRecordingSpan(parent), Context())
        return self.tracer.start_span(name, context=context, kind=SpanKind.CONSUMER, attributes=attributes, start_time=began_ns)


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[Span | None]:
    """A part of the running step as a span of its own (a provider's call). Free where the step has none. Never give it texts or keys."""
    tracing = _within.get()
    if tracing is None:
        yield None
        return
    with tracing.tracer.start_as_current_span(name, attributes=attributes, record_exception=False, set_status_on_exception=False) as made:
        yield made


def event(name: str, **attributes: str | int | float | bool) -> None:
    """Something that happened in the running step."""
    if _within.get() is not None:
        from opentelemetry import trace

        trace.get_current_span().add_event(name, attributes)


def _about(request_id: str, tenant: str, run: str) -> dict[str, str]:
    about = {"millrace.request": request_id, "millrace.tenant": hashlib.sha256(tenant.encode()).hexdigest()[:12]}
    return about | {"millrace.run": run} if run else about


def _place(message: Message, topic: str) -> dict[str, str | int]:
    """Names as OpenTelemetry's conventions for messaging have them."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(message.partition()),
        "messaging.kafka.offset": int(message.offset()),
    }


def _headers(span: Span, more: Sequence[tuple[str, bytes]]) -> Headers:
    context = span.get_span_context()
    return [("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode()), *more]


def _remote(trace: str, span: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(1))


def _id_generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Given(RandomIdGenerator):
        """A trace begins with the id it is given."""

        next_trace = 0

        def generate_trace_id(self) -> int:
            return self.next_trace

    return Given()
