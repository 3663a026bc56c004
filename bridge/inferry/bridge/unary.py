"""Endpoints of RPCs that answer once."""

from aiohttp import web

from inferry.bridge.exchange import Call, Exchange
from inferry.bridge.transcode import Transcoder


class Unary:
    """Asks and answers."""

    def __init__(self, transcoder: Transcoder, call: Call, *, reads: bool) -> None:
        self._transcoder = transcoder
        self._call = call
        self._reads = reads

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with the response."""
        metadata = exchange.metadata()
        request = await self._transcoder.request(exchange, metadata)
        if self._reads:
            # A write goes on without its client.
            exchange.end_with_client()
        response = await self._call(request, metadata=metadata)
        return exchange.answer(self._transcoder.plain(response))
