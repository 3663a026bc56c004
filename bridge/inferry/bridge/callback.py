"""The endpoint that takes the reports of backends: the callback."""

from aiohttp import web

from inferry.bridge.exchange import Call, Exchange
from inferry.bridge.transcode import Transcoder


class Callback:
    """Passes a report on. The token of its URL decides, whatever header comes with it.

    HTTP clients add an ``Authorization`` header unasked: of a ``.netrc``, or the bearer of the
    service that the backend belongs to.
    """

    def __init__(self, transcoder: Transcoder, call: Call) -> None:
        self._transcoder = transcoder
        self._call = call

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with what became of the report."""
        signed = bool(exchange.request.rel_url.query.get("token"))
        metadata = exchange.anonymous_metadata() if signed else exchange.metadata()
        # It goes on without its client: a backend may hang up once it has reported.
        request = await self._transcoder.request(exchange, metadata)
        response = await self._call(request, metadata=metadata)
        return exchange.answer(self._transcoder.plain(response))
