"""What every call goes through, on a socket or in the same process (design sections 3 and 8).

Who calls, whether they may, what an error becomes, one log line. A method's handler is wrapped
once; what is left for each call is a token's look-up and two context variables.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Literal, TypeAlias, overload

import grpc
import structlog
from grpc import StatusCode
from structlog.typing import FilteringBoundLogger

from inferry.server.access.tokens import Principal, TokenVerifier
from inferry.server.errors import (
    InferryError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from inferry.server.rpc.permissions import OPEN_SERVICES, PERMISSIONS, Right
from inferry.server.rpc.status import to_grpc
from inferry.server.store import StoreError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"
Context = grpc.aio.ServicerContext[Any, Any]
UnaryBehaviour = Callable[[Any, Context], Awaitable[Any]]
StreamBehaviour = Callable[[Any, Context], AsyncGenerator[Any, None]]

_HANDLERS: Mapping[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_END = object()
_ULID_CHARS = 26

_principal: ContextVar[Principal | None] = ContextVar("principal", default=None)


@overload
def caller(*, optional: Literal[False] = False) -> Principal: ...
@overload
def caller(*, optional: Literal[True]) -> Principal | None: ...
def caller(*, optional: bool = False) -> Principal | None:
    """Tells who made the call that runs here.

    Args:
        optional: Whether None is an answer. A call comes without a token only where a callback
            token may stand in for one (``Right.CALLBACK``): its servicer must ask for that.

    Raises:
        UnauthenticatedError: It came without a token, and ``optional`` is False.
    """
    found = _principal.get()
    if found is None and not optional:
        raise _no_token()
    return found


def behaviour_of(handler: Handler) -> Callable[[Any, Any], Any]:
    """Gives what runs a handler, of whichever kind it is."""
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(behaviour for behaviour in kinds if behaviour is not None)


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Guards the methods of a ``grpc.aio.Server`` and of a ``LocalChannel`` alike.

    Servicers are asynchronous: a coroutine function where one response is due, an async generator
    function where a stream is. Make it once logging is set up.

    Args:
        verifier: Tells who a token stands for.
    """

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verify = verifier.verify
        # Bound now: a logger from the module's top would be looked up anew for each call.
        self._log: FilteringBoundLogger = structlog.get_logger().bind()
        self._guarded: dict[tuple[str, Handler], Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """Gives a ``grpc.aio.Server`` the guarded handler of a call; None if there is none."""
        handler = await continuation(handler_call_details)
        return handler and self.guard(handler_call_details.method, handler)

    def guard(self, method: str, handler: Handler) -> Handler:
        """Wraps a handler; the same one is wrapped once.

        Args:
            method: Its full name, such as ``/inferry.v1.TaskService/GetTask``.
            handler: As the generated code makes it.
        """
        if method.split("/")[1] in OPEN_SERVICES:
            return handler
        known = self._guarded.get((method, handler))
        if known is not None:
            return known
        wrap = self._guard_stream if handler.response_streaming else self._guard_unary
        make = _HANDLERS[handler.request_streaming, handler.response_streaming]
        guarded = make(
            wrap(method, behaviour_of(handler)),
            handler.request_deserializer,
            handler.response_serializer,
        )
        self._guarded[method, handler] = guarded
        return guarded

    def _guard_unary(self, method: str, behaviour: UnaryBehaviour) -> UnaryBehaviour:
        allowed = PERMISSIONS.get(method, frozenset())

        async def guarded(request: Any, context: Context) -> Any:
            call = _CallLog(self._log, method, request)
            try:
                # The token of a callback decides, whatever header comes with it.
                signed = Right.CALLBACK in allowed and bool(getattr(request, "token", ""))
                found = None if signed else self._admit(method, allowed, context)
                mark = _principal.set(found)
                try:
                    response = await behaviour(request, context)
                finally:
                    _principal.reset(mark)
            except asyncio.CancelledError:
                call.ended(StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001  # nothing may leak
                await call.fail(error, context)
            call.ended(StatusCode.OK, response)
            return response

        return guarded

    def _guard_stream(self, method: str, behaviour: StreamBehaviour) -> StreamBehaviour:
        allowed = PERMISSIONS.get(method, frozenset())

        async def guarded(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            call = _CallLog(self._log, method, request)
            try:
                found = self._admit(method, allowed, context)
                async with aclosing(behaviour(request, context)) as responses:
                    while (response := await _step(responses, found)) is not _END:
                        yield response
            except (asyncio.CancelledError, GeneratorExit):
                call.ended(StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001  # nothing may leak
                await call.fail(error, context)
            call.ended(StatusCode.OK)

        return guarded

    def _admit(self, method: str, allowed: frozenset[object], context: Context) -> Principal | None:
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                scheme, _, token = str(value).partition(" ")
                break
        else:
            if Right.CALLBACK in allowed:
                return None
            raise _no_token()
        if scheme.lower() != "bearer":
            raise _no_token()
        found = self._verify(token.strip())
        if found.roles.isdisjoint(allowed):
            roles = ", ".join(sorted(found.roles)) or "no known"
            raise PermissionDeniedError(f"the token's role may not call {method}: {roles}")
        return found


async def _step(responses: AsyncGenerator[Any, None], found: Principal | None) -> Any:
    # Set for each step alone: each may run in another task, and none may leave it to its caller.
    mark = _principal.set(found)
    try:
        return await anext(responses, _END)
    finally:
        _principal.reset(mark)


def _no_token() -> UnauthenticatedError:
    return UnauthenticatedError("send a token: 'authorization: Bearer <token>'")


class _CallLog:
    """The end of one call: its log line, and what its error becomes.

    No token, payload or query is ever in there: names, numbers and ids alone.
    """

    __slots__ = ("_log", "_method", "_request", "_started")

    def __init__(self, log: FilteringBoundLogger, method: str, request: Any) -> None:
        self._log = log
        self._method = method
        self._request = request
        self._started = perf_counter()

    def ended(self, code: StatusCode, response: Any = None) -> None:
        """Logs a call that went as its caller wanted."""
        if self._log.is_enabled_for(logging.DEBUG):
            self._log.debug("call ended", **self._facts(code, response))

    async def fail(self, error: Exception, context: Context) -> None:
        """Logs a call that failed and aborts it, always.

        Raises:
            grpc.aio.AbortError: As ``context.abort_with_status`` does.
        """
        match error:
            case grpc.aio.AbortError():
                self._log.info("call failed", **self._facts(context.code()))
                raise error
            case InferryError():
                known = error
                self._log.info("call failed", **self._facts(known.status), reason=known.code)
            case StoreError():
                known = UnavailableError("the store does not answer as it should; try again later")
                self._log.error("call failed", **self._facts(known.status), exc_info=error)
            case _:
                known = InferryError("internal error")
                self._log.error("call failed", **self._facts(known.status), exc_info=error)
        await context.abort_with_status(to_grpc(known))

    def _facts(self, code: StatusCode, response: Any = None) -> dict[str, Any]:
        duration_ms = round((perf_counter() - self._started) * 1_000, 3)
        facts = {"method": self._method, "code": code.name, "duration_ms": duration_ms}
        # An id that a caller made up is no id of ours, and no text for our log.
        for source in (self._request, response, getattr(response, "task", None)):
            name = getattr(source, "id", "")
            if _is_id(name, "task_"):
                return facts | {"task_id": name}
            if _is_id(name, "srv_"):
                return facts | {"server_id": name}
        return facts


def _is_id(name: str, prefix: str) -> bool:
    ulid = name.removeprefix(prefix)
    return ulid != name and len(ulid) == _ULID_CHARS and ulid.isalnum()
