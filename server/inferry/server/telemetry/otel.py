"""Sends spans by OTLP over HTTP: only if OpenTelemetry is installed and asked for.

Where to, and which, is for OpenTelemetry's own variables to say; its SDK reads what a process is
and which traces are kept. Its exporter is not used: it encodes a span in twenty times the time,
and makes ids when a span begins, where these are made whole when all is over.
"""

import asyncio
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import aiohttp
import structlog
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision

from inferry.server.telemetry.collector import Collector
from inferry.server.telemetry.otlp import SYSTEM, attribute, request_text, span_text
from inferry.server.telemetry.spans import Span

#: Spans that wait to be sent, at most; and how many are sent at once.
_WAITING = 8_192
_BATCH = 2_048
#: Between two requests, unless a batch is full.
_PAUSE_S = 1.0
#: Before a batch is sent again that the collector could not take, and how often it is sent.
_AGAIN_S, _TRIES = 2.0, 3

_UNNAMED = "unknown_service"

_log = structlog.get_logger(__name__)


class OtlpSpans:
    """Takes spans to the collector that the environment names.

    Raises:
        CollectorError: The environment asks for what is not done here.
    """

    def __init__(self) -> None:
        gateway = version("inferry")
        known = Resource.create({SERVICE_VERSION: gateway})
        if str(known.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
            known = known.merge(Resource({SERVICE_NAME: SYSTEM}))
        attributes: Any = [attribute(name, str(value)) for name, value in known.attributes.items()]
        resource = resource_pb2.Resource(attributes=attributes)
        scope = common_pb2.InstrumentationScope(name=SYSTEM, version=gateway)
        #: What stands around the spans of each request.
        self._around = (
            trace_pb2.ResourceSpans(resource=resource).SerializeToString(),
            trace_pb2.ScopeSpans(scope=scope).SerializeToString(),
        )
        # Of the provider no more than what it reads from the environment.
        self._sampler = TracerProvider(resource=known, shutdown_on_exit=False).sampler
        self._collector = Collector()
        #: Those that wait, as they are sent.
        self._spans: list[bytes] = []
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
        spans.append(span_text(span))
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
        if not self._spans:
            return
        spans, self._spans = self._spans, []
        text = request_text(*self._around, spans)
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
        dropped, self._dropped = self._dropped + (len(spans) if error else 0), 0
        if dropped:
            _log.warning("spans were dropped", spans=dropped, error=error or "too many waited")
