"""Sends spans by OTLP, with OpenTelemetry's own SDK: only if it is installed and asked for.

Where to, and which, is for the SDK's variables to say: ``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER``, ``OTEL_RESOURCE_ATTRIBUTES`` and the like.
The SDK makes ids at random when a span begins; these are made whole when it has ended.
"""

from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from inferry.server.telemetry.spans import Span
from inferry.server.telemetry.trace import TraceContext

_SERVICE = "inferry"
_UNNAMED = "unknown_service"
_MS_NS = 1_000_000


class OtlpSpans:
    """Takes spans to the collector that the environment names."""

    def __init__(self) -> None:
        known = Resource.create({SERVICE_VERSION: version("inferry")})
        if str(known.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
            known = known.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._resource = known
        # Of the provider no more than what it reads from the environment.
        self._sampler = TracerProvider(resource=known, shutdown_on_exit=False).sampler
        self._scope = InstrumentationScope(_SERVICE, version("inferry"))
        self._processor = BatchSpanProcessor(OTLPSpanExporter())

    def sample(self, trace_id: str) -> bool:
        """Decides as ``OTEL_TRACES_SAMPLER`` says; all, without it."""
        result = self._sampler.should_sample(None, int(trace_id, 16), "send")
        return result.decision is Decision.RECORD_AND_SAMPLE

    def emit(self, span: Span) -> None:
        """Takes a span; of more than a thread can send, some are dropped."""
        failed = Status(StatusCode.ERROR, span.error)
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context),
                parent=None if span.parent is None else _context(span.parent),
                resource=self._resource,
                attributes=span.attributes,
                links=() if span.link is None else (Link(_context(span.link)),),
                kind=trace.SpanKind[span.kind.value],
                instrumentation_scope=self._scope,
                status=failed if span.error else Status(),
                start_time=span.start_ms * _MS_NS,
                end_time=span.end_ms * _MS_NS,
            )
        )

    def close(self) -> None:
        """Sends what is left; a collector that is away is given up."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _context(context: TraceContext) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(context.flags),
    )
