"""Traces by OpenTelemetry: a span for each request, answered or refused, which continues the caller's trace.

Spans go by OTLP over HTTP to where OTEL_EXPORTER_OTLP_ENDPOINT says. OpenTelemetry's own variables choose the rest:
the service's name, the sampler, headers. A caller's trace is that of the W3C's Trace Context,
https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ...version import __version__

if TYPE_CHECKING:
    from .model import Model, Question

_FAILED = 500
_SECOND = 1_000_000_000  # nanoseconds
_MOST_REFUSED = 100  # spans of refused requests in a second: anybody can send these, and a span takes longer than one
_PATIENCE = 2.0  # seconds that the last spans may take to be sent


class Tracing:
    """Makes spans and sends them from a thread of its own."""

    def __init__(self) -> None:
        """Read OpenTelemetry's variables."""
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("lexport", __version__)
        self._read = TraceContextTextMapPropagator().extract
        # When the last second of refused requests began, and how many had a span in it.
        self._second, self._spans = 0, 0

    def note(
        self, question: Question, model: Model, status: int, *, began: float, ended: float, together: int
    ) -> None:
        """Make the span of one of `together` requests that a model has answered from `began` to `ended`.

        Both are seconds of `time.perf_counter`.
        """
        now, clock = time.time_ns(), time.perf_counter()
        span = self._tracer.start_span(
            f"predict {model.name}",
            context=self._read(question.trace or {}),
            kind=SpanKind.SERVER,
            start_time=now - int((clock - question.arrived) * 1e9),
        )
        if span.is_recording():
            span.set_attributes(
                {
                    "http.response.status_code": status,
                    "lexport.model.name": model.name,
                    "lexport.model.version": model.version,
                    "lexport.request.id": question.id,
                    "lexport.queue.seconds": began - question.arrived,
                    "lexport.batch.seconds": ended - began,
                    "lexport.batch.requests": together,
                }
            )
            if status >= _FAILED:
                span.set_status(Status(StatusCode.ERROR))
        span.end(now - int((clock - ended) * 1e9))

    def note_refused(self, trace: Mapping[str, str], identity: str, status: int, error: str, seconds: float) -> None:
        """Make the span of a request that reached no model, received `seconds` ago, refused with a named `error`.

        `trace` are the headers that name the caller's trace.
        """
        now = time.time_ns()
        if now - self._second > _SECOND:
            self._second, self._spans = now, 0
        self._spans += 1
        if self._spans > _MOST_REFUSED:
            return
        span = self._tracer.start_span(
            "refuse", context=self._read(trace), kind=SpanKind.SERVER, start_time=now - int(seconds * 1e9)
        )
        if span.is_recording():
            span.set_attributes(
                {"http.response.status_code": status, "error.type": error, "lexport.request.id": identity}
            )
            if status >= _FAILED:
                span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_PATIENCE)
