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
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision

from inferry.server.telemetry.collector import Collector
from inferry.server.telemetry.otlp import SYSTEM, attribute, request_text, span_text
from inferry.server.telemetry.spans import Made

#: Events whose spans wait to be sent, at most; and how many are sent at once.
_WAITING = 8_192
_BATCH = 1_024
#: Events whose spans are made before others have their turn: for half a millisecond.
_TURN = 64
#: Between two requests, unless a batch is full.
_PAUSE_S = 1.0
#: Before a batch is sent again that the collector could not take, and how often it is sent.
_AGAIN_S, _TRIES = 2.0, 3

#: Samplers that keep each trace that begins here.
_ALL = (ALWAYS_ON, DEFAULT_ON)
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
        #: What makes those that wait.
        self._waiting: list[Made] = []
        self._full = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._closing = False
        #: Events whose spans were dropped since the last line of the log about it.
        self._dropped = 0

    def sample(self, trace_id: str) -> bool:
        """Decides as ``OTEL_TRACES_SAMPLER`` says; all, without it."""
        if self._sampler in _ALL:
            return True
        result = self._sampler.should_sample(None, int(trace_id, 16), "send")
        return result.decision is Decision.RECORD_AND_SAMPLE

    def emit(self, made: Made) -> None:
        """Takes the spans of an event; it never waits, and drops what is too much."""
        waiting = self._waiting
        if len(waiting) >= _WAITING:
            self._dropped += 1
            return
        waiting.append(made)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_on(), name="spans")
        if len(waiting) >= _BATCH:
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
        while not self._closing or self._waiting:
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
        if not self._waiting:
            return
        events, self._waiting = self._waiting, []
        text = request_text(*self._around, await _texts(events))
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
        dropped, self._dropped = self._dropped + (len(events) if error else 0), 0
        if dropped:
            _log.warning("spans were dropped", events=dropped, error=error or "too many waited")


async def _texts(events: list[Made]) -> list[bytes]:
    texts: list[bytes] = []
    for first in range(0, len(events), _TURN):
        for made in events[first : first + _TURN]:
            texts += map(span_text, made())
        await asyncio.sleep(0)
    return texts
