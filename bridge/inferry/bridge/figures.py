"""The figures of REST itself, and the page that tells them with those of the gateway."""

from typing import Any

import grpc.aio
from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder

from inferry.bridge.exchange import Exchange
from inferry.v1.metrics_service_pb2 import GetMetricsRequest
from inferry.v1.metrics_service_pb2_grpc import MetricsServiceStub
from inferry.wire.figures import HTTP_DURATION

#: What OpenTelemetry's conventions have in place of a method that anybody made up.
_OTHER_METHOD = "_OTHER"
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
#: What ends a text in OpenMetrics, once.
_EOF = b"# EOF\n"


class RestFigures:
    """Counts the requests."""

    def __init__(self) -> None:
        # A registry of its own: what others put into the library's is not ours to tell.
        self._registry = CollectorRegistry(auto_describe=False)
        self._durations = Histogram(
            HTTP_DURATION.name,
            HTTP_DURATION.help,
            HTTP_DURATION.labels,
            registry=self._registry,
            buckets=HTTP_DURATION.bounds,
        )
        #: A look-up in the library takes longer than all the rest.
        self._known: dict[tuple[str, str, int], Any] = {}

    def note(self, method: str, route: str, status: int, took_s: float) -> None:
        """Takes a request that was answered.

        Args:
            method: The HTTP method.
            route: The template of its path; empty if there is nothing at it.
            status: The status of the answer.
            took_s: To the end of the answer, in seconds.
        """
        method = method if method in _METHODS else _OTHER_METHOD
        key = method, route, status
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._durations.labels(method, route, str(status))
        known.observe(took_s)

    def text(self, accept: str) -> bytes:
        """Prints them in the form that an ``Accept`` header asks for."""
        encode, _ = choose_encoder(accept)
        text: bytes = encode(self._registry)
        return text


class Metrics:
    """Tells the figures of the gateway, and of REST."""

    def __init__(self, channel: grpc.aio.Channel, figures: RestFigures) -> None:
        self._stub: Any = MetricsServiceStub(channel)
        self._figures = figures

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers in the form that the request asks for."""
        accept = exchange.request.headers.get("Accept", "")
        exchange.end_with_client()
        request = GetMetricsRequest(accept=accept)
        told = await self._stub.GetMetrics(request, metadata=exchange.metadata())
        text = told.text.removesuffix(_EOF) + self._figures.text(accept)
        return exchange.reply(text, told.content_type)
