"""The REST bridge, put together and run."""

import asyncio
import socket
from contextlib import suppress

import grpc.aio

from inferry.bridge.callback import Callback
from inferry.bridge.config import BridgeConfig
from inferry.bridge.connection import ConnectionServer
from inferry.bridge.contract import ACCESS_RPC, CALLBACK_RPC, CREATE_RPC, READ_RPC
from inferry.bridge.create import Create
from inferry.bridge.exchange import Call, Endpoint
from inferry.bridge.gate import Gate
from inferry.bridge.handler import Handler
from inferry.bridge.pages import Health, Page, docs_page, openapi_page
from inferry.bridge.router import Router
from inferry.bridge.routes import Route, read_routes
from inferry.bridge.services import Service, services
from inferry.bridge.stream import EventStream, Streams
from inferry.bridge.transcode import Transcoder
from inferry.bridge.unary import Unary
from inferry.wire.hosts import addresses_of

_BACKLOG = 1024


class Bridge:
    """Serves the REST interface over the gRPC of a gateway."""

    def __init__(self, channel: grpc.aio.Channel, config: BridgeConfig) -> None:
        """Reads the routes and compiles what they need.

        Args:
            channel: Where the gateway answers; the bridge neither opens nor closes it.
            config: The settings.

        Raises:
            ValueError: An annotation in the protos asks for something that cannot be served.
        """
        self._config = config
        self._streams = Streams()
        self._handler = Handler(self._router(channel), config.cors_origins)
        #: One for each address, all on the same port.
        self._sockets: list[socket.socket] = []
        self._server: ConnectionServer | None = None
        self._listeners: list[asyncio.Server] = []

    async def start(self) -> tuple[str, int]:
        """Binds and serves; returns the first address and the port."""
        address = await self.bind()
        await self.serve()
        return address

    async def bind(self) -> tuple[str, int]:
        """Takes the port on every address of the host; returns the first address and the port.

        Who connects waits until ``serve``.

        Raises:
            OSError: An address cannot be had.
        """
        addresses = await addresses_of(self._config.host)
        port = self._config.port
        try:
            for address in addresses:
                self._sockets.append(_listen(address, port))
                port = self._sockets[0].getsockname()[1]
        except OSError:
            self._let_go()
            raise
        return addresses[0], port

    async def serve(self) -> None:
        """Begins to answer on the port that ``bind`` took."""
        if not self._sockets:
            raise RuntimeError("bind first")
        self._server = ConnectionServer(self._handler, self._config)
        for bound in self._sockets:
            listener = await asyncio.get_running_loop().create_server(
                self._server, sock=bound, backlog=_BACKLOG
            )
            self._listeners.append(listener)

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody any more and ends streams; other requests have ``grace_s`` to end.

        A second call, or one before ``bind``, does nothing.
        """
        listeners, server = self._listeners, self._server
        if server is None:
            self._let_go()
            return
        unnoticed = [connection for bound in self._sockets for connection in _accept_all(bound)]
        self._sockets, self._listeners, self._server = [], [], None
        for listener in listeners:
            listener.close()
        for connection in unnoticed:
            await asyncio.get_running_loop().connect_accepted_socket(server, connection)
        self._streams.end()
        await server.finish(grace_s)
        for listener in listeners:
            await listener.wait_closed()

    def _let_go(self) -> None:
        for bound in self._sockets:
            bound.close()
        self._sockets = []

    def _router(self, channel: grpc.aio.Channel) -> Router[Endpoint]:
        prefix = self._config.path_prefix
        router: Router[Endpoint] = Router(prefix)
        found = list(services())
        routes = read_routes(service.descriptor for service in found)
        calls = _calls(found, channel)
        for route in routes:
            router.add(route.verb, route.template, self._endpoint(route, calls))
        router.add("GET", "/health", Health(channel))
        router.add("GET", "/openapi.json", Page(openapi_page(routes, prefix), "application/json"))
        router.add("GET", "/docs", Page(docs_page(routes, prefix), "text/html; charset=utf-8"))
        return router

    def _endpoint(self, route: Route, calls: dict[str, Call]) -> Endpoint:
        gate = Gate(route, calls[ACCESS_RPC])
        transcoder = Transcoder(route, self._config, gate)
        call = calls[route.rpc]
        if route.method.server_streaming:
            keepalive_s = self._config.sse_keepalive_ms / 1_000
            return EventStream(transcoder, call, self._streams, keepalive_s)
        if route.rpc == CREATE_RPC:
            return Create(transcoder, call, calls[READ_RPC], self._config.path_prefix)
        if route.rpc == CALLBACK_RPC:
            return Callback(transcoder, call)
        return Unary(transcoder, call, reads=route.verb == "GET")


def _listen(address: str, port: int) -> socket.socket:
    """Takes a port. It listens, too: without that, a second process could bind to the same port."""
    return socket.create_server(
        (address, port),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        backlog=_BACKLOG,
        # "::" is every address, as it is for gRPC.
        dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6(),
    )


def _accept_all(listening: socket.socket) -> list[socket.socket]:
    """Takes those who have connected and wait to be noticed: a close would turn them away."""
    accepted = []
    with suppress(BlockingIOError):
        while True:
            accepted.append(listening.accept()[0])
    return accepted


def _calls(found: list[Service], channel: grpc.aio.Channel) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    for service in found:
        stub = service.stub(channel)
        for method in service.descriptor.methods:
            calls[method.full_name] = getattr(stub, method.name)
    return calls
