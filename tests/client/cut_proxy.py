"""A proxy on loopback that cuts a connection after a number of bytes, in one direction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 65_536


class CutProxy:
    """Forwards connections; the first one is cut where it is told to.

    Args:
        target: ``HOST:PORT`` to forward to.
        sent: Bytes that the client may send on the first connection; None for all.
        received: Bytes that it may receive; None for all.
    """

    def __init__(self, target: str, sent: int | None, received: int | None) -> None:
        self._target = target.rsplit(":", 1)
        self._first = (sent, received)
        self.connections = 0
        #: Whether the first connection was cut.
        self.cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        sent, received = self._first if self.connections == 1 else (None, None)
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(self._forward(reader, back, sent)),
            asyncio.create_task(self._forward(there, writer, received)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for side in (writer, back):
                side.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
    ) -> None:
        with suppress(ConnectionError):
            while left is None or left > 0:
                data = await reader.read(_CHUNK if left is None else min(left, _CHUNK))
                if not data:
                    return
                writer.write(data)
                await writer.drain()
                left = None if left is None else left - len(data)
            self.cut = True


@asynccontextmanager
async def running_proxy(
    target: str, *, sent: int | None = None, received: int | None = None
) -> AsyncIterator[tuple[CutProxy, str]]:
    """Runs a proxy on a free port; gives it and its ``HOST:PORT``."""
    proxy = CutProxy(target, sent, received)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with server:
        yield proxy, f"{host}:{port}"
