"""Connections to backends: only to addresses that are allowed, and reused only while they live.

What aiohttp does not promise: that ``_factory`` makes the protocol of each connection.
"""

import select
import socket
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from inferry.server.outbound.addresses import AddressRule
from inferry.server.outbound.names import Resolver
from inferry.server.outbound.protocol import BackendProtocol

#: Idle connections are younger than any common backend lets them grow (gunicorn: 2 s), so that one
#: that is taken again is not about to be closed.
KEEPALIVE_S = 1.5


#: Told in the context of a request that it has its connection.
CONNECTED: ContextVar[Callable[[], object] | None] = ContextVar("connected", default=None)


class AddressNotAllowedError(OSError):
    """Keeps a connector from an address; it takes the next one that the name has."""


class BackendConnector(aiohttp.TCPConnector):
    """Connects to allowed addresses, and looks at an idle connection before it is used again.

    A request on a connection that the backend has closed meanwhile is lost, and nobody could tell
    whether it ran: such a connection is closed here instead, before anything is sent.

    Args:
        allowed: Whether an address is.
    """

    def __init__(self, allowed: AddressRule) -> None:
        def guarded(address_info: aiohttp.AddrInfoType) -> socket.socket:
            family, kind, protocol, _, address = address_info
            if not allowed(str(address[0])):
                raise AddressNotAllowedError
            return socket.socket(family, kind, protocol)

        super().__init__(
            limit=0,
            keepalive_timeout=KEEPALIVE_S,
            # Names mean what they mean to the system, whatever else is installed.
            resolver=Resolver(),
            socket_factory=guarded,
        )
        self._factory = partial(BackendProtocol, loop=self._loop)  # type: ignore[assignment]
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as aiohttp calls it
    ) -> Connection:
        """Gives a new connection, or an idle one that is alive."""
        connection = await self._living(req, traces, timeout)
        connected = CONNECTED.get()
        if connected is not None:
            connected()
        return connection

    async def _living(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as aiohttp calls it
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None:
                return connection
            # A new one may have something to say: TLS 1.3 sends its tickets at the beginning.
            if protocol not in self._used:
                self._used.add(protocol)
                return connection
            # Something that came unasked must not become the answer to what is asked now.
            if not protocol.should_close and _silent(connection):
                return connection
            connection.close()


def _silent(connection: Connection) -> bool:
    """Tells that a connection has nothing to read, be it its end or rubbish."""
    transport = connection.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    descriptor = -1 if sock is None else sock.fileno()
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    # An error and a reset are told unasked.
    return not poll.poll(0)
