"""The calls on a port that are under way, and how they end when the gateway stops.

gRPC shuts a server down at once: whoever has called by then and was not handed over, and whoever
calls before the news reaches him, is told ``CANCELLED``, as if he had wanted that
(grpc/grpc#41785). So its own shutdown comes last, when nobody on the port can be told anything.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from inspect import isasyncgenfunction
from pathlib import Path
from typing import Any

import grpc

from inferry.server.errors import UnavailableError
from inferry.server.loop import wait_for
from inferry.server.rpc.call_log import Context
from inferry.server.rpc.handlers import Handler, MaybeHandler, behaviour_of, like
from inferry.server.rpc.permissions import is_open
from inferry.server.rpc.status import to_grpc

#: Where a process finds its open descriptors.
_DESCRIPTORS = Path("/dev/fd")
#: When who is refused may try again: another gateway is there by then, or this one's next life.
_AGAIN_S = 1.0


class _Count:
    """How many calls there are, and whether that is none."""

    def __init__(self) -> None:
        self._calls = 0
        self.none = asyncio.Event()
        self.none.set()

    def one_more(self) -> None:
        self._calls += 1
        self.none.clear()

    def one_less(self, _context: Context) -> None:
        self._calls -= 1
        if not self._calls:
            self.none.set()


class UnderWay(grpc.aio.ServerInterceptor):
    """Counts the calls on a port, the first to see them. Probes are no calls: they may go on."""

    def __init__(self) -> None:
        self._stops = False
        #: Those that get one answer, and those that get a stream.
        self._unary, self._streams = _Count(), _Count()
        #: The last handler of each method, and as it counts: that of good calls is always the same.
        self._counting: dict[str, tuple[Handler, Handler]] = {}

    def refuse(self) -> None:
        """Answers each call from now on with UNAVAILABLE; those under way go on."""
        self._stops = True

    async def until_answered(self, within_s: float) -> None:
        """Waits until no call waits for its one answer, or so long."""
        await wait_for(self._unary.none, within_s)

    async def until_over(self, within_s: float) -> None:
        """Waits until no call is under way, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._unary.none.wait()
                await self._streams.none.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """Gives the handler of a call, which counts it or refuses it."""
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or is_open(method):
            return handler
        known = self._counting.get(method)
        if known is None or known[0] is not handler:
            counted = self._counted(behaviour_of(handler), unary=not handler.response_streaming)
            made = like(handler, counted, handler.request_deserializer)
            known = self._counting[method] = handler, made
        return known[1]

    def _counted(self, behaviour: Callable[[Any, Context], Any], *, unary: bool) -> Any:
        count = self._unary if unary else self._streams

        async def answer(request: Any, context: Context) -> Any:
            await self._begin(count, context)
            answer = behaviour(request, context)
            # It is the behaviour's alone now: whoever waits for long may let go of it.
            del request
            return await answer

        async def stream(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            await self._begin(count, context)
            async with aclosing(behaviour(request, context)) as responses:
                del request
                async for response in responses:
                    yield response

        return stream if isasyncgenfunction(behaviour) else answer

    async def _begin(self, count: _Count, context: Context) -> None:
        if self._stops:
            refusal = UnavailableError("the gateway stops; try again", retry_after_s=_AGAIN_S)
            await context.abort_with_status(to_grpc(refusal))
        count.one_more()
        # Not before it was told its end.
        context.add_done_callback(count.one_less)  # type: ignore[arg-type]  # the stubs want a class


def hang_up(port: int) -> None:
    """Closes a port and every connection that was accepted on it, at once; what was sent arrives.

    gRPC has no way to do that before it shuts down, but to a process its connections are open
    descriptors. Whoever has no answer yet is told ``UNAVAILABLE``.
    """
    closed: set[Any] = set()
    # Somebody may have come meanwhile.
    while new := _hang_up(port) - closed:
        closed |= new


def _hang_up(port: int) -> set[Any]:
    peers = set()
    for found in _DESCRIPTORS.iterdir():
        # It is no socket, none of ours, or closed by now.
        with suppress(OSError):
            connection = socket.socket(fileno=int(found.name))
            try:
                if _is_internet(connection) and connection.getsockname()[1] == port:
                    # The one that listens, too: who is cut off would be back at once.
                    connection.shutdown(socket.SHUT_RDWR)
                    peers.add(connection.getpeername())
            finally:
                # It is gRPC's to close.
                connection.detach()
    return peers


def _is_internet(connection: socket.socket) -> bool:
    return connection.family in (socket.AF_INET, socket.AF_INET6)
