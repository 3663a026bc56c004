"""A proxy before the gateways' gRPC that cuts connections between two messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle

_PREFACE = 24
_HEADER = 9
_DATA = 0


class Cutter:
    """Forwards HTTP/2; cuts a connection once so many messages have passed one way.

    Args:
        targets: ``HOST:PORT`` of each gateway, which may be gone; the next one at each connection.
    """

    def __init__(self, targets: Sequence[str]) -> None:
        self._targets = cycle(targets)
        #: ``HOST:PORT`` where it listens.
        self.address = ""
        #: Connections that were cut.
        self.cuts = 0
        #: Messages that may still pass before a cut, by whether they go to the gateway.
        self._left: dict[bool, int] = {}
        self._serving: set[asyncio.Task[None]] = set()

    def cut_after(self, messages: int, *, upwards: bool) -> None:
        """Cuts the connection on which the next so many messages have passed."""
        self._left[upwards] = messages

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                host, _, port = next(self._targets).rpartition(":")
                there, on = await asyncio.open_connection(host, int(port))
                try:
                    await self._forward(reader, writer, there, on)
                finally:
                    on.transport.abort()
        finally:
            writer.transport.abort()

    async def close(self) -> None:
        """Cuts all."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        on: asyncio.StreamWriter,
    ) -> None:
        on.write(await reader.readexactly(_PREFACE))
        ways = [
            asyncio.create_task(self._pump(reader, on, upwards=True)),
            asyncio.create_task(self._pump(there, writer, upwards=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool
    ) -> None:
        """Forwards frame by frame, until the connection ends or it is time to cut it."""
        while True:
            header = await reader.readexactly(_HEADER)
            length, kind = int.from_bytes(header[:3]), header[3]
            writer.write(header + await reader.readexactly(length))
            await writer.drain()
            if kind == _DATA and length and self._last(upwards=upwards):
                self.cuts += 1
                return

    def _last(self, *, upwards: bool) -> bool:
        left = self._left.get(upwards)
        if left is None:
            return False
        if left > 1:
            self._left[upwards] = left - 1
            return False
        del self._left[upwards]
        return True


@asynccontextmanager
async def running_cutter(targets: Sequence[str]) -> AsyncIterator[Cutter]:
    """Runs one on a free port."""
    cutter = Cutter(targets)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    cutter.address = f"{host}:{port}"
    try:
        yield cutter
    finally:
        server.close()
        await cutter.close()
