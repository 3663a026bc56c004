"""The REST bridge, put together and run."""

import asyncio
import socket
from contextlib import suppress

import grpc.aio

from inferry.bridge.callback import Callback
from inferry.bridge.config import BridgeConfig
from inferry.bridge.connection import ConnectionServer
from inferry.bridge.contract import CALLBACK_RPC, CREATE_RPC, READ_RPC
from inferry.bridge.create import Create
from inferry.bridge.exchange import Endpoint
from inferry.bridge.handler import Handler
from inferry.bridge.pages import Health, Page, docs_page, openapi_page
from inferry.bridge.router import Router
from inferry.bridge.routes import Route, read_routes
from inferry.bridge.services import Service, services
from inferry.bridge.stream import EventStream, Streams
from inferry.bridge.transcode import Transcoder
from inferry.bridge.unary import Call, Unary

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
        self._socket: socket.socket | None = None
        self._server: ConnectionServer | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> tuple[str, int]:
        """Binds and serves; returns the host and port."""
        address = await self.bind()
        await self.serve()
        return address

    async def bind(self) -> tuple[str, int]:
        """Takes the port; returns the host and port. Who connects waits until ``serve``.

        Raises:
            OSError: The address cannot be had.
        """
        found = await asyncio.get_running_loop().getaddrinfo(
            self._config.host,
            self._config.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, _, _, _, address = found[0]
        # It listens, too: without that, a second process could bind to the same port.
        self._socket = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def serve(self) -> None:
        """Begins to answer on the port that ``bind`` took."""
        if self._socket is None:
            raise RuntimeError("bind first")
        self._server = ConnectionServer(self._handler, self._config)
        self._listener = await asyncio.get_running_loop().create_server(
            self._server, sock=self._socket, backlog=_BACKLOG
        )

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody any more and ends streams; other requests have ``grace_s`` to end.

        A second call, or one before ``bind``, does nothing.
        """
        bound, listener, server = self._socket, self._listener, self._server
        self._socket = self._listener = self._server = None
        if bound is None:
            return
        if listener is None or server is None:
            bound.close()
            return
        unnoticed = _accept_all(bound)
        listener.close()
        for connection in unnoticed:
            await asyncio.get_running_loop().connect_accepted_socket(server, connection)
        self._streams.end()
        await server.finish(grace_s)
        await listener.wait_closed()

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
        transcoder = Transcoder(route, self._config)
        call = calls[route.rpc]
        if route.method.server_streaming:
            keepalive_s = self._config.sse_keepalive_ms / 1_000
            return EventStream(transcoder, call, self._streams, keepalive_s)
        if route.rpc == CREATE_RPC:
            return Create(transcoder, call, calls[READ_RPC], self._config.path_prefix)
        if route.rpc == CALLBACK_RPC:
            return Callback(transcoder, call)
        return Unary(transcoder, call, reads=route.verb == "GET")


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
