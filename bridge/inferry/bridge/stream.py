"""Endpoints of RPCs that answer with a stream: server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
from aiohttp import web

from inferry.bridge.contract import TICKET
from inferry.bridge.events import EventForm, go_on
from inferry.bridge.exchange import Exchange
from inferry.bridge.rpc_errors import http_error
from inferry.bridge.transcode import Transcoder
from inferry.wire.reads import Received

#: What a stub has for such an RPC.
StreamCall = Callable[..., Any]

#: How long the head of an answer waits for the first event, which may be an error, or for the end.
_PATIENCE_S = 1.0
_UNSTORED = {"Cache-Control": "no-store"}


class Streams:
    """The streams that are open, so that a gateway that stops can end them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self) -> None:
        """Counts the current task in until it is done."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """Ends them all. Their clients connect again and go on after the last event they got."""
        for task in self._tasks:
            task.cancel()


class EventStream:
    """Asks once and passes on what comes."""

    def __init__(
        self,
        transcoder: Transcoder,
        call: StreamCall,
        streams: Streams,
        keepalive_s: float,
        form: EventForm,
    ) -> None:
        self._transcoder = transcoder
        self._call = call
        self._streams = streams
        self._keepalive_s = keepalive_s
        self._form = form

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answers 200 with events, or with a plain error if the first thing is one.

        When there is nothing to come any more it is 204: an EventSource asks again for ever after
        every other answer.
        """
        # As with callbacks, what the URL carries decides, whatever header comes with it.
        ticket = exchange.request.rel_url.query.get(TICKET)
        metadata = exchange.anonymous_metadata() if ticket else exchange.metadata()
        request = await self._transcoder.request(exchange, metadata)
        go_on(request, exchange.request, self._form)
        exchange.end_with_client()
        self._streams.add()
        call = self._call(request, metadata=metadata)
        events: Received[Any] = Received(call)
        first = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.wait({first}, timeout=min(_PATIENCE_S, self._keepalive_s))
            if first.done() and first.result() is None:
                return web.Response(status=204, headers={**exchange.headers, **_UNSTORED})
            response = web.StreamResponse(
                headers={
                    **exchange.headers,
                    **_UNSTORED,
                    "Content-Type": "text/event-stream",
                    # Else nginx keeps the events back until it has a bufferful.
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(exchange.request)
            if exchange.request.method != "HEAD":
                await self._pass_on(first, events, response)
            return response
        finally:
            first.cancel()
            call.cancel()
            await asyncio.gather(first, return_exceptions=True)

    async def _pass_on(
        self, first: Awaitable[Any], events: AsyncIterator[Any], response: web.StreamResponse
    ) -> None:
        keepalive = asyncio.create_task(self._keep_alive(response))
        try:
            event = await first
            while event is not None:
                await response.write(self._form.write(self._transcoder.plain(event)))
                event = await anext(events, None)
        except grpc.aio.AioRpcError as error:
            await response.write(b"event: error\ndata: %b\n\n" % http_error(error).body())
        finally:
            keepalive.cancel()

    async def _keep_alive(self, response: web.StreamResponse) -> None:
        while True:
            await asyncio.sleep(self._keepalive_s)
            await response.write(b": keep-alive\n\n")
