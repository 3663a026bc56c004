"""A proxy on loopback between gateway and backend that does to dispatches what networks do."""

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
#: A close with this sends a reset, not an end.
_RESETS = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What happens to a dispatch, and to the connection it came on."""

    #: Nothing.
    PASS = auto()
    #: The connection ends; nothing was forwarded.
    CUT = auto()
    #: The request is forwarded; then the connection is reset.
    RESET = auto()
    #: The request is forwarded; then the other side says no more, and still listens.
    HALF_CLOSE = auto()
    #: The request is forwarded; the connection ends within the answer.
    TRUNCATE = auto()
    #: The request is forwarded; what comes back is no HTTP.
    GARBAGE = auto()
    #: Nothing is forwarded, and nothing comes back.
    STALL = auto()
    #: The request is forwarded; nothing comes back.
    MUTE = auto()
    #: The answer comes a byte at a time.
    DRIP = auto()


class FaultProxy:
    """Forwards requests to a backend; each dispatch meets the next of its faults.

    Health probes and cancels pass.
    """

    def __init__(self, backend_url: str, drip_s: float) -> None:
        parts = urlsplit(backend_url)
        self._backend = parts.hostname, parts.port
        self._drip_s = drip_s
        #: Where it listens.
        self.url = ""
        #: For the next dispatches, one each; when there are no more, all is well.
        self.faults: deque[Fault] = deque()
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one connection of the gateway."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self.serving.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Takes one request; tells whether the connection may take another."""
        request = await _message(reader)
        dispatch = request.split(maxsplit=2)[1].endswith(b"/process")
        fault = self.faults.popleft() if dispatch and self.faults else Fault.PASS
        if fault is Fault.CUT:
            return False
        if fault is Fault.STALL:
            await reader.read()
            return False
        answer = await self._forward(request)
        match fault:
            case Fault.RESET:
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
                writer.transport.abort()
            case Fault.HALF_CLOSE:
                writer.write_eof()
                await reader.read()
            case Fault.TRUNCATE:
                writer.write(answer[:-1])
                await writer.drain()
            case Fault.GARBAGE:
                writer.write(b"\x16\x03\x01 gibberish \xff\r\n\r\n")
                await writer.drain()
            case Fault.MUTE:
                await reader.read()
            case Fault.DRIP:
                for byte in answer:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(self._drip_s)
            case _:
                writer.write(answer)
                await writer.drain()
                return True
        return False

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._backend)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def running_proxy(backend_url: str, drip_s: float = 0.0) -> AsyncIterator[FaultProxy]:
    """Runs a proxy on a free port; ``drip_s`` is the pause between two bytes that drip."""
    proxy = FaultProxy(backend_url, drip_s)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    proxy.url = f"http://{host}:{port}"
    try:
        async with server:
            yield proxy
    finally:
        for task in proxy.serving:
            task.cancel()
        await asyncio.gather(*proxy.serving, return_exceptions=True)
