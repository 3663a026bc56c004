"""Sends spans by OTLP over HTTP: only if OpenTelemetry is installed and asked for.

Where to, and which, is for OpenTelemetry's own variables to say; its SDK reads what a process is
and which traces are kept. Its exporter is not used: it encodes a span in ten times the time, and
makes ids when a span begins, where these are made whole when all is over.
"""

import asyncio
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import aiohttp
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision

from inferry.server.telemetry.collector import Collector
from inferry.server.telemetry.spans import Operation, Span

#: Spans that wait to be sent, at most; and how many are sent at once.
_WAITING = 8_192
_BATCH = 512
#: Between two requests, unless a batch is full.
_PAUSE_S = 1.0
#: Before a batch is sent again that the collector could not take, and how often it is sent.
_AGAIN_S, _TRIES = 2.0, 3

_SERVICE, _UNNAMED = "inferry", "unknown_service"
_MS_NS = 1_000_000
_KINDS = {
    Operation.SEND: trace_pb2.Span.SPAN_KIND_PRODUCER,
    Operation.PROCESS: trace_pb2.Span.SPAN_KIND_CONSUMER,
    Operation.SETTLE: trace_pb2.Span.SPAN_KIND_CLIENT,
}

_log = structlog.get_logger(__name__)


class OtlpSpans:
    """Takes spans to the collector that the environment names.

    Raises:
        CollectorError: The environment asks for what is not done here.
    """

    def __init__(self) -> None:
        self._version = version("inferry")
        known = Resource.create({SERVICE_VERSION: self._version})
        if str(known.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
            known = known.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._resource = {name: str(value) for name, value in known.attributes.items()}
        # Of the provider no more than what it reads from the environment.
        self._sampler = TracerProvider(resource=known, shutdown_on_exit=False).sampler
        self._collector = Collector()
        self._request = self._new_request()
        self._full = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._closing = False
        #: Spans that were dropped since the last line of the log about it.
        self._dropped = 0

    def sample(self, trace_id: str) -> bool:
        """Decides as ``OTEL_TRACES_SAMPLER`` says; all, without it."""
        result = self._sampler.should_sample(None, int(trace_id, 16), "send")
        return result.decision is Decision.RECORD_AND_SAMPLE

    def emit(self, span: Span) -> None:
        """Takes a span; it never waits, and drops what is too much."""
        spans = self._spans
        if len(spans) >= _WAITING:
            self._dropped += 1
            return
        added = spans.add()
        # Messages that stand one after the other are one: what many spans share is made once.
        known = [_with(name, value) for name, value in span.attributes.items()]
        known += _alike(span.operation, span.type), _with("messaging.message.id", span.task_id)
        added.MergeFromString(b"".join(known))
        added.trace_id = bytes.fromhex(span.context.trace_id)
        added.span_id = bytes.fromhex(span.context.span_id)
        if span.parent is not None:
            added.parent_span_id = bytes.fromhex(span.parent.span_id)
        added.start_time_unix_nano = span.start_ms * _MS_NS
        added.end_time_unix_nano = span.end_ms * _MS_NS
        added.flags = span.context.flags
        if span.link is not None:
            link = span.link
            added.links.add(
                trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id)
            )
        if span.error:
            added.status.code = trace_pb2.Status.STATUS_CODE_ERROR
            added.status.message = span.error
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_on(), name="spans")
        if len(spans) >= _BATCH:
            self._full.set()

    async def close(self) -> None:
        """Sends what is left; a collector that is away is given up."""
        self._closing = True
        self._full.set()
        try:
            if self._sender is not None:
                await self._sender
        finally:
            await self._collector.close()

    async def _send_on(self) -> None:
        while not self._closing or self._spans:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await self._full.wait()
            try:
                await self._send()
            except Exception:  # noqa: BLE001  # whatever it was, the next ones may get through
                _log.exception("spans could not be sent")

    async def _send(self) -> None:
        """Sends what waits; what the collector does not take is tried again, and dropped then."""
        self._full.clear()
        count = len(self._spans)
        if not count:
            return
        text, self._request = self._request.SerializeToString(), self._new_request()
        error = ""
        for again in range(_TRIES):
            if again and self._closing:
                break
            if again:
                await asyncio.sleep(_AGAIN_S)
            try:
                error = await self._collector.take(text)
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                error = str(failure) or type(failure).__name__
            if not error:
                break
        dropped, self._dropped = self._dropped + (count if error else 0), 0
        if dropped:
            _log.warning("spans were dropped", spans=dropped, error=error or "too many waited")

    def _new_request(self) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        for name, value in self._resource.items():
            resource.resource.attributes.add(**_attribute(name, value))
        known = resource.scope_spans.add()
        known.scope.name, known.scope.version = _SERVICE, self._version
        #: Those that wait.
        self._spans: Any = known.spans
        return request


@lru_cache(maxsize=1_000)
def _alike(operation: Operation, task_type: str) -> bytes:
    """Gives what all spans of an operation and a type have in common."""
    name = operation.value
    attributes = {
        "messaging.system": _SERVICE,
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": task_type,
    }
    return trace_pb2.Span(
        name=f"{name} {task_type}",
        kind=_KINDS[operation],
        attributes=[_attribute(*one) for one in attributes.items()],  # type: ignore[misc]
    ).SerializeToString()


@lru_cache(maxsize=4_096)
def _with(name: str, value: str | int) -> bytes:
    """Gives a span that has an attribute, and nothing else."""
    attributes: Any = [_attribute(name, value)]
    return trace_pb2.Span(attributes=attributes).SerializeToString()


def _attribute(name: str, value: str | int) -> dict[str, object]:
    kind = "int_value" if isinstance(value, int) else "string_value"
    return {"key": name, "value": {kind: value}}
