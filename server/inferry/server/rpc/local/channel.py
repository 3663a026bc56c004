"""Generated stubs on servicers in the same process: no socket, no serialisation, no second task.

``LocalChannel`` is at once the channel that stubs call and the server that servicers are added to.
A request reaches the servicer as the object that the caller made, the response comes back in the
same way: neither side may change one that it has given away. (Design section 3.)
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, cast

import grpc
from grpc import StatusCode
from grpc.aio import UsageError

from inferry.server.rpc.handlers import Handler, behaviour_of
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.local.calls import Behaviour, StreamCall, UnaryCall
from inferry.server.rpc.local.context import LocalContext, Pairs
from inferry.wire.health import NOT_READY, STARTING


def _iterator(requests: Any) -> AsyncIterator[Any]:
    if hasattr(requests, "__aiter__"):
        return cast("AsyncIterator[Any]", aiter(requests))
    if requests is None:
        raise UsageError("give the call an iterator of requests")
    return _asynchronous(requests)


async def _asynchronous(requests: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for request in requests:
        yield request


class LocalChannel(grpc.aio.Channel, grpc.aio.Server):
    """Calls servicers in the same process, through the interceptor that guards them on a socket.

    Stubs may be made before servicers are added; until then calls are UNIMPLEMENTED. Requests are
    streamed from an iterator, not by ``write``. Neither sizes nor metadata are checked.
    """

    def __init__(self, interceptor: ServerInterceptor) -> None:
        self._interceptor = interceptor
        self._behaviours: dict[str, Behaviour] = {}
        self._none = StatusCode.UNIMPLEMENTED, "Method not found!"
        self._trailing: Pairs = ()

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        """Adds a service, as the generated code does."""
        for name, handler in method_handlers.items():
            method = f"/{service_name}/{name}"
            guarded = self._interceptor.guard(method, handler)
            self._behaviours[method] = behaviour_of(guarded)

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Does nothing: the generated code adds the same handlers by name, too."""

    def leave(self) -> None:
        """Has no servicers any more; calls are UNAVAILABLE until it follows another channel."""
        self._behaviours.clear()
        self._none = StatusCode.UNAVAILABLE, "the gateway begins anew; try again"
        self._trailing = ((NOT_READY, STARTING),)

    def follow(self, other: Self) -> None:
        """Has calls answered by the servicers of another channel from now on."""
        self._behaviours |= other._behaviours

    def unary_unary(
        self, method: str, *_serializers: Any, **_options: Any
    ) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        """Makes what a stub calls."""
        made = self._multicallable(method, UnaryCall, streaming=False)
        return cast("grpc.aio.UnaryUnaryMultiCallable[Any, Any]", made)

    def stream_unary(
        self, method: str, *_serializers: Any, **_options: Any
    ) -> grpc.aio.StreamUnaryMultiCallable[Any, Any]:
        """Makes what a stub calls."""
        made = self._multicallable(method, UnaryCall, streaming=True)
        return cast("grpc.aio.StreamUnaryMultiCallable[Any, Any]", made)

    def unary_stream(
        self, method: str, *_serializers: Any, **_options: Any
    ) -> grpc.aio.UnaryStreamMultiCallable[Any, Any]:
        """Makes what a stub calls."""
        made = self._multicallable(method, StreamCall, streaming=False)
        return cast("grpc.aio.UnaryStreamMultiCallable[Any, Any]", made)

    def stream_stream(
        self, method: str, *_serializers: Any, **_options: Any
    ) -> grpc.aio.StreamStreamMultiCallable[Any, Any]:
        """Makes what a stub calls."""
        made = self._multicallable(method, StreamCall, streaming=True)
        return cast("grpc.aio.StreamStreamMultiCallable[Any, Any]", made)

    def _multicallable(
        self, method: str, kind: Callable[..., Any], *, streaming: bool
    ) -> Callable[..., Any]:
        behaviours = self._behaviours

        def call(
            request: Any = None,
            timeout: float | None = None,
            metadata: Pairs | None = None,
            **_transport: Any,
        ) -> Any:
            given = _iterator(request) if streaming else request
            context = LocalContext(metadata, timeout)
            if method not in behaviours:
                # A call that has ended runs nothing.
                context.set_trailing_metadata(self._trailing)
                context.end(*self._none)
            return kind(behaviours.get(method), given, context)

        return call

    def get_state(
        self,
        try_to_connect: bool = False,  # noqa: ARG002, FBT001, FBT002  # as grpc.aio has it
    ) -> grpc.ChannelConnectivity:
        """Tells that it is ready, as it always is."""
        return grpc.ChannelConnectivity.READY

    async def channel_ready(self) -> None:
        """Returns at once: it always is."""

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits without end, unless that state is not READY."""
        if last_observed_state is grpc.ChannelConnectivity.READY:
            await asyncio.get_running_loop().create_future()

    async def close(self, grace: float | None = None) -> None:
        """Does nothing: calls belong to the tasks that await them."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def add_insecure_port(self, address: str) -> int:
        """Is not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"this server listens nowhere, and not on {address}")

    def add_secure_port(self, address: str, _server_credentials: grpc.ServerCredentials) -> int:
        """Is not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"this server listens nowhere, and not on {address}")

    async def start(self) -> None:
        """Does nothing: it serves from the start."""

    async def stop(self, grace: float | None) -> None:
        """Does nothing: calls belong to the tasks that await them."""

    async def wait_for_termination(
        self,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  # as grpc.aio has it
    ) -> bool:
        """Returns at once: nothing runs here by itself."""
        return False
