"""One request on its way to an answer."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

#: gRPC metadata.
Metadata = tuple[tuple[str, str], ...]


class Exchange:
    """A request, and what its answer needs."""

    __slots__ = ("headers", "metadata", "request", "variables")

    def __init__(
        self,
        request: web.BaseRequest,
        headers: Mapping[str, str],
        metadata: Metadata,
        variables: Mapping[str, str],
    ) -> None:
        self.request = request
        #: Headers of every answer: request id, CORS.
        self.headers = headers
        #: What goes with the RPC: the token, the request id.
        self.metadata = metadata
        #: Values of the path's variables.
        self.variables = variables

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


class Endpoint(Protocol):
    """Answers the requests of a route."""

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answers a request.

        Raises:
            BridgeError: The request is wrong.
            AioRpcError: The RPC failed.
        """
        ...
