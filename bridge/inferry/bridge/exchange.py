"""One request on its way to an answer."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

from inferry.bridge.errors import BridgeError
from inferry.wire.request_ids import REQUEST_ID
from inferry.wire.trace import STATE_LIMIT, TRACEPARENT, TRACESTATE

#: What a stub has for an RPC that answers once.
Call = Callable[..., Awaitable[Any]]

#: gRPC metadata.
Metadata = tuple[tuple[str, str], ...]


#: What gRPC metadata may hold.
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)


class Exchange:
    """A request, and what its answer needs."""

    __slots__ = ("headers", "request", "request_id", "variables")

    def __init__(
        self,
        request: web.BaseRequest,
        headers: Mapping[str, str],
        request_id: str,
        variables: Mapping[str, str],
    ) -> None:
        self.request = request
        #: Headers of every answer: request id, CORS.
        self.headers = headers
        self.request_id = request_id
        #: Values of the path's variables.
        self.variables = variables

    def metadata(self) -> Metadata:
        """Makes what goes with the RPC: the caller's token, the request id, and the trace.

        Raises:
            BridgeError: The ``Authorization`` header holds what no token does (401).
        """
        token = self.request.headers.get("Authorization")
        if token is None:
            return self.anonymous_metadata() + self._trace()
        if not _PRINTABLE.fullmatch(token):
            raise BridgeError(
                401,
                "UNAUTHENTICATED",
                "the Authorization header holds what no token does",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return (("authorization", token), (REQUEST_ID, self.request_id), *self._trace())

    def anonymous_metadata(self) -> Metadata:
        """Makes what goes with an RPC whose request carries its right itself."""
        return ((REQUEST_ID, self.request_id),)

    def _trace(self) -> Metadata:
        """Gives the headers of a trace as they came, but for what metadata cannot hold."""
        headers = self.request.headers
        if TRACEPARENT not in headers:
            return ()
        return tuple(
            (name, value)
            for name in (TRACEPARENT, TRACESTATE)
            for value in headers.getall(name, ())
            # Longer ones belong to nobody's trace.
            if len(value) <= STATE_LIMIT and _PRINTABLE.fullmatch(value)
        )

    def answer(
        self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """Answers with JSON."""
        return self.reply(orjson.dumps(content), "application/json", status, headers)

    def reply(
        self,
        body: bytes,
        content_type: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Answers with a text of a type."""
        combined = {**self.headers, "Content-Type": content_type}
        if headers:
            combined.update(headers)
        return web.Response(body=body, status=status, headers=combined)

    def end_with_client(self) -> None:
        """Ends the work on this request when its client goes away: nobody else waits for it."""
        protocol: Any = self.request.protocol
        protocol.abandoned_with = asyncio.current_task()


#: Where a request keeps the template of the route that answers it.
ROUTE = web.RequestKey("route", str)


class Endpoint(Protocol):
    """Answers the requests of a route."""

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answers a request.

        Raises:
            BridgeError: The request is wrong.
            AioRpcError: The RPC failed.
        """
        ...


class Routed:
    """An endpoint that names its route to whoever counts requests.

    Args:
        template: Of the route's paths.
        endpoint: Who answers.
        takes_ticket: Whether a ticket in the URL goes for a token.
    """

    def __init__(self, template: str, endpoint: Endpoint, *, takes_ticket: bool = False) -> None:
        self._template = template
        self._endpoint = endpoint
        #: Whether a ticket in the URL goes for a token.
        self.takes_ticket = takes_ticket

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answers as the endpoint does."""
        exchange.request[ROUTE] = self._template
        return await self._endpoint(exchange)
