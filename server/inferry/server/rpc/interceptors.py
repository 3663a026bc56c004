"""What every call goes through, on a socket or in the same process (design sections 3 and 8).

Who calls, whether they may, what an error becomes, one log line. A method's handler is wrapped
once; what is left for each call is a token's look-up and two context variables.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from grpc import StatusCode

from inferry.server.errors import InferryError
from inferry.server.logs import REQUEST_ID
from inferry.server.rpc.admission import CALLER, Admission, Caller
from inferry.server.rpc.call_figures import CallFigures
from inferry.server.rpc.call_log import CallLines, CallLog, Context
from inferry.server.rpc.handlers import Handler, MaybeHandler, behaviour_of, like
from inferry.server.rpc.permissions import Right, is_open
from inferry.server.rpc.requests import checking
from inferry.server.rpc.unread import Parse, Vouching, bounded, parsing

UnaryBehaviour = Callable[[Any, Context], Awaitable[Any]]
StreamBehaviour = Callable[[Any, Context], AsyncGenerator[Any, None]]

_END = object()


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Guards the methods of a ``grpc.aio.Server`` and of a ``LocalChannel`` alike.

    Servicers are asynchronous: a coroutine function where one response is due, an async generator
    function where a stream is. Make it once logging is set up.

    Args:
        admission: Tells who calls, and whether they may.
        vouching: Tells which reports may be read though nobody knows who sends them.
        limits: Bytes of a message that is parsed, by method; what gRPC takes where there is none.
        figures: Counts the calls on a socket, and all streams; None for nobody.
        lines: Good calls that have a line in the log, a second at most.
    """

    def __init__(
        self,
        admission: Admission,
        vouching: Vouching,
        limits: Mapping[str, int] | None = None,
        figures: CallFigures | None = None,
        lines: int = 0,
    ) -> None:
        self._figures = figures
        self._admission = admission
        self._vouching = vouching
        self._limits = limits or {}
        # Bound now: a logger from the module's top would be looked up anew for each call.
        self._lines = CallLines(structlog.get_logger().bind(), lines)
        self._guarded: dict[tuple[str, Handler, bool], Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """Gives a ``grpc.aio.Server`` the handler of a call; None if there is none.

        Who calls is decided here, where nothing of the message has been read: a handler of a
        stream reads when it asks for the next message, and one that refuses never does.
        """
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if is_open(method) or Right.ANYBODY in self._admission.rights(method):
            return self._bounded(method, self.guard(method, handler))
        try:
            self._admission.rule(method)(handler_call_details.invocation_metadata)
        except InferryError as refusal:
            return self._unknown(method, handler, refusal)
        return self._wrapped(method, handler, unread=True)

    def guard(self, method: str, handler: Handler) -> Handler:
        """Wraps a handler whose messages come as objects; the same one is wrapped once.

        Args:
            method: Its full name, such as ``/inferry.v1.TaskService/GetTask``.
            handler: As the generated code makes it.
        """
        return handler if is_open(method) else self._wrapped(method, handler, unread=False)

    def _bounded(self, method: str, handler: Handler) -> Handler:
        known = self._guarded.get((method, handler, True))
        if known is None:
            known = self._guarded[method, handler, True] = bounded(handler)
        return known

    def _wrapped(self, method: str, handler: Handler, *, unread: bool) -> Handler:
        known = self._guarded.get((method, handler, unread))
        if known is not None:
            return known
        limit = self._limits.get(method)
        read = parsing(handler, limit) if unread else handler.request_deserializer
        # A message in bytes is parsed where it is used, and let go of there.
        parse = read if unread and not handler.request_streaming else None
        wrap = self._guard_stream if handler.response_streaming else self._guard_unary
        behaviour = checking(handler, behaviour_of(handler))
        counted = wrap(method, behaviour, parse, self._figures if unread else None)
        guarded = like(handler, counted, None if parse else read)
        self._guarded[method, handler, unread] = guarded
        return guarded

    def _unknown(self, method: str, handler: Handler, refusal: InferryError) -> Handler:
        """Makes what answers a caller whose token does not do: the request may have a right."""
        rights = self._admission.rights(method)
        if Right.CALLBACK in rights:
            return self._vouched(method, handler, refusal)
        if Right.TICKET in rights:
            return self._bounded(method, self.guard(method, handler))

        async def refuse(_messages: Any, context: Context) -> None:
            await CallLog(self._lines, method, context, figures=self._figures).fail(refusal)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _vouched(self, method: str, handler: Handler, refusal: InferryError) -> Handler:
        """Makes a handler whose messages are parsed only if their own tokens hold."""
        behaviour = self._vouching.behaviour(handler, behaviour_of(handler), refusal)

        def unknown(_context: Context) -> Caller:
            return refusal

        guarded = self._guard_stream(method, behaviour, None, self._figures, unknown)
        serializer = handler.response_serializer
        return grpc.stream_stream_rpc_method_handler(guarded, None, serializer)

    def _guard_unary(
        self,
        method: str,
        behaviour: UnaryBehaviour,
        parse: Parse | None,
        figures: CallFigures | None,
    ) -> UnaryBehaviour:
        caller_of = self._admission.caller_of(method)

        async def guarded(request: Any, context: Context) -> Any:
            call = CallLog(self._lines, method, context, None if parse else request, figures)
            try:
                if parse is not None:
                    request = call.read(request, parse)
                call.caller = found = caller_of(context)
                mark = CALLER.set(found)
                named = REQUEST_ID.set(call.request_id)
                try:
                    answer = behaviour(request, context)
                    # It is the servicer's alone now: whoever waits for long may let go of it.
                    del request
                    response = await answer
                finally:
                    CALLER.reset(mark)
                    REQUEST_ID.reset(named)
            except asyncio.CancelledError:
                call.ended(StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001  # nothing may leak
                request = None  # noqa: F841  # nor live on in what gRPC keeps of an aborted call
                await call.fail(error)
            call.ended(StatusCode.OK, response)
            return response

        return guarded

    def _guard_stream(
        self,
        method: str,
        behaviour: StreamBehaviour,
        parse: Parse | None,
        figures: CallFigures | None,
        caller_of: Callable[[Context], Caller] | None = None,
    ) -> StreamBehaviour:
        caller_of = caller_of or self._admission.caller_of(method)
        opened = self._figures.opened if self._figures is not None else _unseen

        async def guarded(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            call = CallLog(self._lines, method, context, None if parse else request, figures)
            opened(method, 1)
            try:
                if parse is not None:
                    request = call.read(request, parse)
                call.caller = found = caller_of(context)
                async with aclosing(behaviour(request, context)) as responses:
                    while (response := await _step(responses, found)) is not _END:
                        yield response
            except (asyncio.CancelledError, GeneratorExit):
                call.ended(StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001  # nothing may leak
                await call.fail(error)
            finally:
                opened(method, -1)
            call.ended(StatusCode.OK)

        return guarded


def _unseen(_method: str, _count: int) -> None:
    """Counts no streams."""


async def _step(responses: AsyncGenerator[Any, None], found: Caller) -> Any:
    # Set for each step alone: each may run in another task, and none may leave it to its caller.
    mark = CALLER.set(found)
    try:
        return await anext(responses, _END)
    finally:
        CALLER.reset(mark)
