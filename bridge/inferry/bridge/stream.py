"""Endpoints of RPCs that answer with a stream: server-sent events."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import orjson
from aiohttp import web

from inferry.bridge.contract import UNNUMBERED_EVENTS
from inferry.bridge.errors import invalid
from inferry.bridge.exchange import Exchange
from inferry.bridge.rpc_errors import http_error
from inferry.bridge.transcode import Transcoder
from inferry.wire.errors import show

#: What a stub has for such an RPC.
StreamCall = Callable[..., Any]

#: What an int64 takes without a look at its value.
_LINE_END = re.compile(rb"\r\n?|\n")
_EVENT_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


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
        self, transcoder: Transcoder, call: StreamCall, streams: Streams, keepalive_s: float
    ) -> None:
        self._transcoder = transcoder
        self._call = call
        self._streams = streams
        self._keepalive_s = keepalive_s

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answers 200 with events, or with a plain error if the first thing is one."""
        metadata = exchange.metadata()
        request = await self._transcoder.request(exchange)
        _resume(request, exchange.request.headers.get("Last-Event-ID"))
        exchange.end_with_client()
        self._streams.add()
        call = self._call(request, metadata=metadata)
        try:
            events = aiter(call)
            first = await anext(events, None)
            response = web.StreamResponse(
                headers={
                    **exchange.headers,
                    "Content-Type": "text/event-stream",
                    "Cache-Control": "no-store",
                    # Else nginx keeps the events back until it has a bufferful.
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(exchange.request)
            if first is not None and exchange.request.method != "HEAD":
                await self._pass_on(first, events, response)
            return response
        finally:
            call.cancel()

    async def _pass_on(
        self, first: Any, events: AsyncIterator[Any], response: web.StreamResponse
    ) -> None:
        keepalive = asyncio.create_task(self._keep_alive(response))
        try:
            await response.write(self._event(first))
            async for event in events:
                await response.write(self._event(event))
        except grpc.aio.AioRpcError as error:
            await response.write(b"event: error\ndata: %b\n\n" % http_error(error).body())
        finally:
            keepalive.cancel()

    async def _keep_alive(self, response: web.StreamResponse) -> None:
        while True:
            await asyncio.sleep(self._keepalive_s)
            await response.write(b": keep-alive\n\n")

    def _event(self, message: Any) -> bytes:
        plain = self._transcoder.plain(message)
        kind = plain["kind"]
        # Without an id, a client that connects again still names the last event that has one.
        number = b"" if kind in UNNUMBERED_EVENTS else b"id: %d\n" % plain["seq"]
        named = str(kind).lower().encode()
        # A result may come with line ends of its own; what follows one needs its name again.
        data = _LINE_END.sub(b"\ndata: ", orjson.dumps(plain))
        return b"%bevent: %b\ndata: %b\n\n" % (number, named, data)


def _resume(request: Any, last_event_id: str | None) -> None:
    """Goes on after the last event that a client got; its word is newer than its URL's."""
    if not last_event_id:
        return
    if not _EVENT_ID.fullmatch(last_event_id):
        raise invalid(f"Last-Event-ID: expected an event's number, got {show(last_event_id)}")
    request.after_seq = int(last_event_id)
