"""The REST bridge, put together and run."""

import asyncio
import socket
from contextlib import suppress

import grpc.aio

from inferry.bridge.batch import Batch
from inferry.bridge.callback import Callback
from inferry.bridge.config import BridgeConfig
from inferry.bridge.connection import ConnectionServer
from inferry.bridge.contract import (
    ACCESS_RPC,
    BATCH_RPC,
    CALLBACK_RPC,
    CREATE_RPC,
    MANY_RPC,
    READ_RPC,
    WATCH_RPC,
)
from inferry.bridge.create import Create
from inferry.bridge.events import MANY_TASKS, ONE_TASK
from inferry.bridge.exchange import Call, Endpoint, Routed
from inferry.bridge.figures import Metrics, RestFigures
from inferry.bridge.gate import Gate
from inferry.bridge.handler import Handler
from inferry.bridge.pages import Health, Start, alive, endpoints_page, openapi_page
from inferry.bridge.ports import BACKLOG, Ports, take_ports
from inferry.bridge.router import Router
from inferry.bridge.routes import Route, read_routes
from inferry.bridge.services import Service, services
from inferry.bridge.stream import EventStream, Streams
from inferry.bridge.transcode import Transcoder
from inferry.bridge.unary import Unary
from inferry.bridge.web.files import web_files


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
        figures = RestFigures() if config.metrics else None
        router = self._router(channel, figures)
        self._handler = Handler(router, config.cors_origins, figures)
        self._ports: Ports | None = None
        self._server: ConnectionServer | None = None
        self._listeners: list[asyncio.Server] = []

    async def start(self) -> tuple[str, int]:
        """Takes the port and serves; returns the first address and the port.

        Raises:
            OSError: An address cannot be had.
        """
        ports = await take_ports(self._config.host, self._config.port)
        await self.serve(ports)
        return ports.address

    async def serve(self, ports: Ports) -> None:
        """Begins to answer on ports that were taken, and will let go of them."""
        self._ports, self._server = ports, ConnectionServer(self._handler, self._config)
        for bound in ports.sockets:
            listener = await asyncio.get_running_loop().create_server(
                self._server, sock=bound, backlog=BACKLOG
            )
            self._listeners.append(listener)

    async def stop(self, grace_s: float) -> None:
        """Accepts nobody any more and ends streams; other requests have ``grace_s`` to end.

        A second call, or one before ``serve``, does nothing.
        """
        ports, listeners, server = self._ports, self._listeners, self._server
        if ports is None or server is None:
            return
        unnoticed = [connection for bound in ports.sockets for connection in _accept_all(bound)]
        self._ports, self._listeners, self._server = None, [], None
        for listener in listeners:
            listener.close()
        for connection in unnoticed:
            await asyncio.get_running_loop().connect_accepted_socket(server, connection)
        self._streams.end()
        await server.finish(grace_s)
        for listener in listeners:
            await listener.wait_closed()

    def _router(self, channel: grpc.aio.Channel, figures: RestFigures | None) -> Router[Routed]:
        prefix = self._config.path_prefix
        router: Router[Routed] = Router(prefix)
        found = list(services())
        routes = read_routes(service.descriptor for service in found)
        calls = _calls(found, channel)

        def add(verb: str, template: str, endpoint: Endpoint) -> None:
            router.add(verb, template, Routed(template, endpoint))

        for route in routes:
            endpoint, ticketed = self._endpoint(route, calls), route.rpc == WATCH_RPC
            routed = Routed(route.template, endpoint, takes_ticket=ticketed)
            router.add(route.verb, route.template, routed)
        add("GET", "/", Start(prefix, web=self._config.web))
        add("GET", "/health", Health(channel))
        add("GET", "/livez", alive)
        add("GET", "/openapi.json", openapi_page(routes, prefix))
        add("GET", "/docs", endpoints_page(routes, prefix))
        if figures is not None:
            add("GET", "/metrics", Metrics(channel, figures))
        if self._config.web:
            for path, file in web_files(hide_payload=self._config.web_hide_payload).items():
                add("GET", path, file)
        return router

    def _endpoint(self, route: Route, calls: dict[str, Call]) -> Endpoint:
        gate = Gate(route, calls[ACCESS_RPC])
        transcoder = Transcoder(route, self._config, gate)
        call = calls[route.rpc]
        if route.method.server_streaming:
            keepalive_s = self._config.sse_keepalive_ms / 1_000
            form = MANY_TASKS if route.rpc == MANY_RPC else ONE_TASK
            return EventStream(transcoder, call, self._streams, keepalive_s, form)
        if route.rpc == BATCH_RPC:
            return Batch(transcoder, call)
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
