"""Endpoints of RPCs that answer once."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from inferry.bridge.exchange import Exchange
from inferry.bridge.transcode import Transcoder

#: What a stub has for such an RPC.
Call = Callable[..., Awaitable[Any]]


class Unary:
    """Asks and answers."""

    def __init__(self, transcoder: Transcoder, call: Call, *, reads: bool) -> None:
        self._transcoder = transcoder
        self._call = call
        self._reads = reads

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the response."""
        metadata = exchange.metadata()
        request = await self._transcoder.request(exchange)
        if self._reads:
            # A write goes on without its client.
            exchange.end_with_client()
        response = await self._call(request, metadata=metadata)
        return exchange.answer(self._transcoder.plain(response))
